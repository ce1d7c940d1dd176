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
from gateway.core.records import (
    AddStateEntry,
    Direction,
    PutBoot,
    PutDelivery,
    StoredDelivery,
    Write,
)
from gateway.model import ActId, Notice, Response, Station
from gateway.sim.safety import Blame
from gateway.sim.world import Post, World
from gateway.wire.notice import decode_act

_SLACK_MS: Final = 3_000
"""Whole seconds of ages, and the step that a deadline takes."""
_AGAIN_MS: Final = 10_000
_ON_AIR_MS: Final = 23_000
"""A frame tells the age that its act had when a radio took it, and the radio's firmware goes on
trying for so long: at the far end nobody can know by which transmission it came."""
_ROUNDED_MS: Final = 1_000
"""Wall clocks tell whole seconds, so two of them compare no better."""


@dataclass(slots=True)
class _Made:
    """A notice as the world knows it."""

    notice: Notice
    at_ms: int


@dataclass(slots=True)
class _Boot:
    """A boot of a station as the world knows it, once the store of the station knows it too."""

    number: int
    began_ms: int
    skew_first_s: int | None = None
    """Error of its wall clock when it was trusted first; None: it never was."""
    skew_last_s: int | None = None


class Promises:
    """Looks at each notice when one of its limits has passed."""

    def __init__(self, world: World, policy: Policy, blame: Blame) -> None:
        self._world = world
        self._policy = policy
        self._blame = blame
        self._made: dict[ActId, _Made] = {}
        self._arrived: set[tuple[Station, ActId]] = set()
        self._boots: dict[Station, list[_Boot]] = {station: [] for station in world.posts}
        self._told: dict[Station, dict[str, PutBoot]] = {station: {} for station in world.posts}
        """What each store was told of its boots."""
        self._ready_at: dict[Station, int] = {}
        self._waiting: dict[Station, list[Callable[[], None]]] = {}
        """Looks that were due while a station was off."""

    def started(self, post: Post) -> None:
        if post.number:
            return
        self._ready_at[post.station] = self._world.now_ms
        for look in self._waiting.pop(post.station, ()):
            self._world.at(self._world.now_ms + _SLACK_MS, look)

    def clock(self, post: Post) -> None:
        """A station that works has looked at its clock, and what it saw is committed."""
        if post.number or post.refused or post.store.is_refusing:
            return
        boots, now = self._boots[post.station], self._world.now_ms
        if not boots or boots[-1].number != post.boot:
            boots.append(_Boot(post.boot, now))
        boot = boots[-1]
        if post.skew_s is None:
            return
        boot.skew_last_s = post.skew_s
        if boot.skew_first_s is None:
            boot.skew_first_s = post.skew_s
            # Limits of ages that it bounds now are applied now.
            self._ready_at[post.station] = now

    def lost(self, post: Post) -> None:
        """Another store, or one without its last commits: its earlier boots may be forgotten."""
        kept = dict(post.store._live.boots)  # noqa: SLF001 - the store's queries are coroutines
        if kept != self._told[post.station]:
            self._boots[post.station].clear()
            self._told[post.station] = kept

    def committed(self, post: Post, writes: tuple[Write, ...]) -> None:
        if post.number:
            return
        for write in writes:
            if isinstance(write, PutDelivery):
                self._kept(post, write.delivery, writes)
            elif isinstance(write, PutBoot):
                self._told[post.station][write.boot_id] = write

    def _kept(self, post: Post, delivery: StoredDelivery, writes: tuple[Write, ...]) -> None:
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
            links = (write.entry.link for write in writes if isinstance(write, AddStateEntry))
            paths = [self._world.paths[link] for link in links if link is not None]
            by_radio = any(path.traits.is_radio for path in paths)
            self._came(post, delivery, made, _ON_AIR_MS if by_radio else 0)

    def _begin(self, post: Post, act_id: ActId) -> None:
        stored = post.store._live.rows[act_id].act  # noqa: SLF001 - the store's queries are coroutines
        assert stored is not None
        notice = decode_act(stored.octets, originator=act_id.originator, to=stored.to)
        if not isinstance(notice, Notice):
            return
        self._made[act_id] = _Made(notice, self._world.now_ms)
        self._arm(post, notice, self._world.now_ms)

    def _came(self, post: Post, delivery: StoredDelivery, made: _Made, spare_ms: int) -> None:
        """LATE must be said of what took longer than its limit and `spare_ms`."""
        notice = made.notice
        originator = self._world.posts[notice.id.originator]
        age_ms = self._world.now_ms - self._start(originator, made.at_ms)
        limit = self._policy.receipt_limit_ms(notice.precedence)
        if age_ms > limit + spare_ms + _SLACK_MS and not delivery.late:
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
        due = max(self._start(post, from_ms) + wait, ready_at) + _SLACK_MS
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

    def _start(self, post: Post, from_ms: int) -> int:
        """From when at the latest this station counts the age of what began at `from_ms`.

        Over a power-off it knows what its wall clock says, with the error that this got meanwhile;
        where it was trusted on one side only, no more than that the act is older than the boot.
        """
        boots = self._boots[post.station]
        if not boots:
            return self._world.now_ms
        place = max((k for k, boot in enumerate(boots) if boot.began_ms <= from_ms), default=0)
        start = max(from_ms, boots[0].began_ms)
        while place < len(boots) - 1:
            left_s = boots[place].skew_last_s
            place += 1
            if left_s is not None:
                later = range(place, len(boots))
                place = next((k for k in later if boots[k].skew_first_s is not None), place)
            came_s = boots[place].skew_first_s
            began_ms = boots[place].began_ms
            if left_s is None or came_s is None:
                start = began_ms
            else:
                start = min(start + 1_000 * (left_s - came_s) + _ROUNDED_MS, began_ms)
        return start
