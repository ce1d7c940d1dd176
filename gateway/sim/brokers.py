"""The programs of all stations behind their brokers: away or there, what they take, what is said.

A program takes each notice that is published while its broker is there, and what it missed when the
broker is back; it asks again until the gateway has written that down.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from gateway.core.effects import AlarmCode
from gateway.core.engine import Engine
from gateway.core.events import NoticeTaken, QueueDown, QueueUp
from gateway.core.records import Topic
from gateway.model import ActId, Station
from gateway.sim.safety import Blame
from gateway.sim.world import OPERATOR, Post, World

QUEUE: Final = "mqtt"
_TAKES_MS: Final = 200
_AGAIN_MS: Final = 30_000


class Brokers:
    """One broker and one program a station."""

    def __init__(self, world: World, blame: Blame) -> None:
        self._world = world
        self._blame = blame
        self._away_until: dict[Station, int] = {}
        self._told: dict[Station, Engine] = {}
        """Engines that were told that their queue is down."""

    def leave(self, station: Station, for_ms: int) -> None:
        """The broker is gone for a while."""
        until = self._world.now_ms + for_ms
        if until <= self._away_until.get(station, 0):
            return
        self._away_until[station] = until
        self._tell_down(self._world.posts[station])
        self._world.at(until, partial(self._return, station, until))

    def heal(self) -> None:
        """Every broker is there."""
        for station in list(self._away_until):
            self._return(station, self._away_until[station])

    def started(self, post: Post) -> None:
        """A new engine is told what its queue is, and the program reads the feed."""
        if not post.number:
            self._world.at(self._world.now_ms, partial(self._meet, post))

    def published(self, post: Post, act_id: ActId) -> None:
        """An inbound notice is committed, and the adapter hands it on."""
        if not post.number:
            self._world.at(self._world.now_ms + _TAKES_MS, partial(self._take, post, act_id))

    def untaken(self, post: Post) -> list[ActId]:
        """Inbound notices of the feed that the gateway does not know as taken."""
        live = post.store._live  # noqa: SLF001 - the store's queries are coroutines
        deliveries = (
            live.rows[publication.notice_id].delivery
            for publication in live.publications.values()
            if publication.topic is Topic.NOTICE and publication.notice_id in live.rows
        )
        return [one.notice_id for one in deliveries if one is not None and not one.taken]

    def _is_away(self, station: Station) -> bool:
        return station in self._away_until

    def _meet(self, post: Post) -> None:
        if self._is_away(post.station):
            self._tell_down(post)
        else:
            self._read(post)

    def _tell_down(self, post: Post) -> None:
        if post.engine is not None:
            self._told[post.station] = post.engine
            self._world.give_to(post, QueueDown(QUEUE, "connection lost"))

    def _return(self, station: Station, until: int) -> None:
        if self._away_until.get(station) != until:
            return
        del self._away_until[station]
        post = self._world.posts[station]
        if post.engine is None:
            return
        if self._told.get(station) is post.engine:
            self._judge(post, is_lit=True)
        self._world.give_to(post, QueueUp(QUEUE))
        if post.engine is not None:
            self._judge(post, is_lit=False)
        self._read(post)

    def _judge(self, post: Post, *, is_lit: bool) -> None:
        if post.status is None or post.refused or post.store.is_refusing:
            return
        if any(alarm.code is AlarmCode.QUEUE_DOWN for alarm in post.status.alarms) is not is_lit:
            what = "is away and no alarm says so" if is_lit else "is back and its alarm is lit"
            self._blame(f"the broker of station {post.station} {what}")

    def _read(self, post: Post) -> None:
        for act_id in self.untaken(post):
            self._take(post, act_id)

    def _take(self, post: Post, act_id: ActId) -> None:
        if self._is_away(post.station) or post.engine is None:
            return
        row = post.store._live.rows.get(act_id)  # noqa: SLF001 - as above
        if row is None or row.delivery is None or row.delivery.taken:
            return
        self._world.give_to(post, NoticeTaken(act_id, OPERATOR))
        self._world.at(self._world.now_ms + _AGAIN_MS, partial(self._take, post, act_id))
