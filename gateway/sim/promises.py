"""Promises in time: what is not receipted or answered is OVERDUE in time, what is over expires, and
nothing comes late in silence (DOMAIN section 4). Measured on the world's own clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from gateway.core.delivery import NOT_RECEIPTED
from gateway.core.policy import Policy
from gateway.core.records import Direction, PutDelivery, StoredDelivery, Write
from gateway.model import ActId, Notice, Response, Station
from gateway.sim.safety import Blame
from gateway.sim.world import Post, World
from gateway.wire.notice import decode_act

_SLACK_MS: Final = 3_000
"""Whole seconds of ages, and the step that a deadline takes."""
_AGAIN_MS: Final = 10_000


@dataclass(slots=True)
class _Made:
    """A notice as the world knows it."""

    notice: Notice
    at_ms: int
    clock_is_true: bool
    """Its originator's clock was trusted and right, so that an age can survive a power cut."""


class Promises:
    """Looks at each notice when one of its limits has passed."""

    def __init__(self, world: World, policy: Policy, blame: Blame) -> None:
        self._world = world
        self._policy = policy
        self._blame = blame
        self._made: dict[ActId, _Made] = {}
        self._arrived: set[tuple[Station, ActId]] = set()
        self._boots: dict[Station, int] = {}
        self._booted_at: dict[Station, int] = {}
        self._ready_at: dict[Station, int] = {}
        self._waiting: dict[Station, list[Callable[[], None]]] = {}
        """Looks that were due while a station was off."""
        self.untrue: set[Station] = set()
        """Stations whose clock was ever wrong or missing."""

    def started(self, post: Post) -> None:
        if post.number:
            return
        if self._boots.get(post.station) != post.boot:
            self._boots[post.station] = post.boot
            self._booted_at[post.station] = self._world.now_ms
        self._ready_at[post.station] = self._world.now_ms
        for look in self._waiting.pop(post.station, ()):
            self._world.at(self._world.now_ms + _SLACK_MS, look)
        self.clock(post)

    def clock(self, post: Post) -> None:
        """A clock was looked at: wrong or missing once is never wholly true again."""
        if post.skew_s != 0:
            self.untrue.add(post.station)

    def committed(self, post: Post, writes: tuple[Write, ...]) -> None:
        if post.number:
            return
        for write in writes:
            if isinstance(write, PutDelivery):
                self._kept(post, write.delivery)

    def _kept(self, post: Post, delivery: StoredDelivery) -> None:
        act_id = delivery.notice_id
        if delivery.direction is Direction.OUT:
            if act_id not in self._made and act_id.originator == post.station:
                self._begin(post, act_id)
            return
        key = (post.station, act_id)
        if key in self._arrived:
            return
        self._arrived.add(key)
        made = self._made.get(act_id)
        if made is not None:
            self._came(post, delivery, made)

    def _begin(self, post: Post, act_id: ActId) -> None:
        stored = post.store._live.rows[act_id].act  # noqa: SLF001 - the store's queries are coroutines
        assert stored is not None
        notice = decode_act(stored.octets, originator=act_id.originator, to=stored.to)
        if not isinstance(notice, Notice):
            return
        is_true = post.skew_s == 0 and post.station not in self.untrue
        self._made[act_id] = _Made(notice, self._world.now_ms, is_true)
        self._arm(post, notice, self._world.now_ms)

    def _came(self, post: Post, delivery: StoredDelivery, made: _Made) -> None:
        """LATE and EXPIRED must be said of what took longer."""
        notice, age_ms = made.notice, self._world.now_ms - made.at_ms
        is_bounded = made.clock_is_true and notice.id.originator not in self.untrue
        limit = self._policy.receipt_limit_ms(notice.precedence)
        if age_ms > limit + _SLACK_MS and not delivery.late and is_bounded:
            self._blame(f"{notice.id} came after {age_ms // 1000} s and is not marked LATE")
        self._arm(post, notice, self._world.now_ms)

    def _arm(self, post: Post, notice: Notice, from_ms: int) -> None:
        """Look when its limits must have been applied here."""
        policy, precedence = self._policy, notice.precedence
        limits = [("expired", notice.lifetime_min * 60_000)]
        if post.station == notice.id.originator:
            limits.append(("receipt", policy.receipt_limit_ms(precedence)))
        if notice.kind.response is not Response.NONE:
            limits.append(("answer", policy.answer_limit_ms(precedence)))
            if notice.reply_by_min is not None:
                limits.append(("answer", notice.reply_by_min * 60_000))
        for what, wait in limits:
            due = from_ms + wait + _SLACK_MS
            self._world.at(due, partial(self._look, post, notice.id, what, from_ms, wait))

    def _look(self, post: Post, act_id: ActId, what: str, from_ms: int, wait: int) -> None:
        now = self._world.now_ms
        if post.engine is None:
            look = partial(self._look, post, act_id, what, from_ms, wait)
            self._waiting.setdefault(post.station, []).append(look)
            return
        ready_at = self._ready_at.get(post.station, 0)
        if post.refused or post.store.is_refusing:
            self._ready_at[post.station] = now
        booted_at = self._booted_at.get(post.station, 0)
        start = booted_at if booted_at > from_ms and self._is_age_lost(post, act_id) else from_ms
        due = max(start + wait, ready_at) + _SLACK_MS
        if self._ready_at.get(post.station) == now or now < due:
            again = max(due, now + _AGAIN_MS)
            self._world.at(again, partial(self._look, post, act_id, what, from_ms, wait))
            return
        row = post.store._live.rows.get(act_id)  # noqa: SLF001 - as above
        delivery = None if row is None else row.delivery
        if delivery is None or not delivery.is_open:
            return
        if what == "expired":
            self._blame(f"{act_id} is over but open at station {post.station}")
        elif delivery.overdue or (what == "receipt" and delivery.state not in NOT_RECEIPTED):
            return
        else:
            self._blame(f"{act_id} broke its {what} limit and is not OVERDUE at {post.station}")

    def _is_age_lost(self, post: Post, act_id: ActId) -> bool:
        """A power-off in between and a clock that could not bound it: counted from the boot."""
        return post.station in self.untrue or act_id.originator in self.untrue
