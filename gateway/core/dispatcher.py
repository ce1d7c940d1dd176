"""Which own act is under way on which links: PACE order, windows, hedging, hand-over.

Starts and ends attempts; sends nothing itself: a lane that got work is pumped by its line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from gateway.core.composer import Composer
from gateway.core.draft import Draft
from gateway.core.lane import Lane, Totals
from gateway.core.outgoing import Attempt, OutAct, Outgoing
from gateway.core.policy import Policy
from gateway.core.routing import best_links
from gateway.core.timers import Timers
from gateway.model import Instant, LinkName, LinkState, Precedence, Station


class HoldsActs(Protocol):
    """Hears that an act must wait, and says whether MINIMIZE holds it."""

    def is_minimized(self, act: OutAct, draft: Draft) -> bool:
        """Whether an order to send only what matters holds it now; it is HELD then."""
        ...

    def act_released(self, act: OutAct, draft: Draft) -> None: ...

    def act_held(self, act: OutAct, until: Instant, draft: Draft) -> None: ...


class Dispatcher:
    """Gives acts to the lanes of one line."""

    __slots__ = (
        "_composer",
        "_lanes",
        "_listener",
        "_outgoing",
        "_peer",
        "_policy",
        "_pump",
        "_timers",
        "_totals",
    )

    def __init__(
        self,
        *,
        lanes: Mapping[LinkName, Lane],
        outgoing: Outgoing,
        composer: Composer,
        policy: Policy,
        timers: Timers,
        totals: Totals,
        peer: Station,
        listener: HoldsActs,
        pump: Callable[[Lane, Draft], None],
    ) -> None:
        self._lanes = lanes
        self._outgoing = outgoing
        self._composer = composer
        self._policy = policy
        self._timers = timers
        self._totals = totals
        self._peer = peer
        self._listener = listener
        self._pump = pump

    def replace(self, act: OutAct) -> None:
        """A VOID takes the place of an act that never left, and waits for `dispatch`."""
        old = self._outgoing.get(act.id)
        assert old is not None
        for name in list(old.attempts):
            self.end_attempt(old, self._lanes[name])
        self._outgoing.replace(act)

    def widen(self, act: OutAct, draft: Draft) -> None:
        """Overdue: from now on it goes on every link that works, unless MINIMIZE holds it."""
        if self._outgoing.is_parked(act):
            return
        for lane in best_links(list(self._lanes.values()), self._policy, draft.now.instant):
            if lane.name not in act.attempts:
                self.start(act, lane, draft)
                self._pump(lane, draft)

    def demote(self, act: OutAct) -> None:
        """Expired or cancelled after it left: it only fills its hole now, behind everything."""
        act.precedence = Precedence.ROUTINE
        if not act.attempts:
            self._outgoing.wait(act)

    def dispatch(self, draft: Draft) -> None:
        """Give waiting acts, fastest first, to the best link while its window has room."""
        now = draft.now.instant
        while (act := self._outgoing.next_waiting()) is not None:
            if self._listener.is_minimized(act, draft):
                self._outgoing.park(act)
                continue
            ranked = best_links(list(self._lanes.values()), self._policy, now)
            if not ranked:
                return
            ranked = [lane for lane in ranked if self._airtime_at(lane, act, now) <= now] or ranked
            due = self._airtime_at(ranked[0], act, now)
            if due > now:
                self._hold(act, ranked, draft)
                return
            chosen = ranked if act.precedence is Precedence.FLASH else ranked[:1]
            if not self._has_room(chosen[0], act):
                return
            self._outgoing.pop_waiting()
            for lane in chosen:
                self.start(act, lane, draft)
            for lane in chosen:
                self._pump(lane, draft)

    def orders_changed(self, draft: Draft) -> None:
        """MINIMIZE came, went or changed: what it held is judged anew, the fastest first."""
        for act in self._outgoing.unpark():
            if not self._listener.is_minimized(act, draft):
                self._listener.act_released(act, draft)
        self.dispatch(draft)

    def _airtime_at(self, lane: Lane, act: OutAct, now: Instant) -> Instant:
        """When the governor lets this act go by this lane."""
        traits = lane.health.traits
        assert traits is not None
        airtime_ms = lane.worst_ms(traits.airtime.of(self._composer.round_size(act, lane)))
        return lane.governor.fits_at(now, airtime_ms, act.precedence)

    def forecast(self, acts: Sequence[OutAct], now: Instant) -> list[Instant]:
        """When each of these, which wait in this order, will go; empty: no airtime holds the first.

        By the link where that is soonest, as if all went there.
        """
        if not self._timers.is_set(("hold", self._peer)):
            return []
        by_link: list[list[Instant]] = []
        for lane in best_links(list(self._lanes.values()), self._policy, now):
            traits = lane.health.traits
            assert traits is not None
            before_ms, found = 0.0, []
            for act in acts:
                airtime_ms = traits.airtime.of(self._composer.round_size(act, lane))
                worst_ms = before_ms + lane.worst_ms(airtime_ms)
                found.append(lane.governor.forecast(now, worst_ms, act.precedence))
                before_ms += airtime_ms
            by_link.append(found)
        return [min(each) for each in zip(*by_link, strict=True)]

    def _hold(self, act: OutAct, ranked: list[Lane], draft: Draft) -> None:
        """Nothing has airtime for the fastest act that waits: say until when, and look then."""
        now = draft.now.instant
        until = min(self._airtime_at(lane, act, now) for lane in ranked)
        self._timers.set(("hold", self._peer), until)
        self._listener.act_held(act, until, draft)

    def _has_room(self, lane: Lane, act: OutAct) -> bool:
        traits = lane.health.traits
        radio = traits is not None and traits.is_radio
        count = self._policy.window_radio_count if radio else self._policy.window_serial_count
        if act.precedence <= Precedence.IMMEDIATE:
            count += self._policy.window_urgent_count
        if len(lane.acts) < count:
            return True
        # What is slower takes no place from FLASH: it would wait for their receipts.
        return act.precedence is Precedence.FLASH and self._flash_count(lane) < count

    def _flash_count(self, lane: Lane) -> int:
        acts = (self._outgoing.get(act_id) for act_id in lane.acts)
        return sum(act is not None and act.precedence is Precedence.FLASH for act in acts)

    def start(self, act: OutAct, lane: Lane, draft: Draft) -> None:
        act.attempts[lane.name] = Attempt()
        lane.acts[act.id] = None
        self._composer.queue_parts(act, lane)

    def again(self, act: OutAct, lane: Lane, draft: Draft) -> None:
        """Another round on this link, if one is not under way."""
        attempt = act.attempts.get(lane.name)
        if attempt is None or attempt.queued or act.is_receipted or lane.health.traits is None:
            return
        self._timers.drop(("rtx", act.id, lane.name))
        self._totals.retransmissions += 1
        self._composer.queue_parts(act, lane)

    def hedge(self, act: OutAct, lane: Lane, draft: Draft) -> None:
        """The best other link gets it too."""
        now = draft.now.instant
        others = [
            other
            for other in best_links(
                list(self._lanes.values()), self._policy, now, exclude=list(act.attempts)
            )
            if self._airtime_at(other, act, now) <= now
        ]
        if others:
            self.start(act, others[0], draft)
            self._pump(others[0], draft)

    def relieve(self, lane: Lane, draft: Draft) -> None:
        """This link has no airtime for what it was given: another that has some takes it now.

        Each act fitted alone when it was given; the one before it spent what was left.
        """
        for act_id in list(lane.acts):
            act = self._outgoing.get(act_id)
            if act is not None and act.attempts.keys() == {lane.name}:
                self.hedge(act, lane, draft)

    def is_on_better(self, act: OutAct, lane: Lane) -> bool:
        return any(
            self._lanes[name].health.state in (LinkState.UP, LinkState.DEGRADED)
            for name in act.attempts
            if name != lane.name
        )

    def end_attempt(self, act: OutAct, lane: Lane) -> None:
        act.attempts.pop(lane.name, None)
        lane.drop(act.id)
        self.drop_timers(act, lane.name)

    def drop_timers(self, act: OutAct, link: LinkName) -> None:
        """The attempt of this act on this link is over."""
        self._timers.drop(("rtx", act.id, link))
        self._timers.drop(("hedge", act.id, link))

    def drop_attempts(self, lane: Lane) -> None:
        for act_id in list(lane.acts):
            act = self._outgoing.get(act_id)
            assert act is not None
            self.end_attempt(act, lane)
            if not act.attempts:
                self._outgoing.wait(act)
