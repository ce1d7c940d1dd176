"""Rounds of own acts on the links of one line: their timers, hedges, and what a receipt ends.

An attempt repeats its round until the peer's receipt, on each link for itself; which links are used
is the dispatcher's choice, and frames are the composer's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Protocol

from gateway.core.dispatcher import Dispatcher
from gateway.core.draft import Draft
from gateway.core.lane import Flight, Lane, Part
from gateway.core.outgoing import Attempt, OutAct, Outgoing
from gateway.core.policy import Policy
from gateway.core.prober import Prober
from gateway.core.timers import Timers
from gateway.model import Instant, LinkName, LinkState, Precedence
from gateway.wire.items import FragmentReceiptItem


class LeavesActs(Protocol):
    """Hears that an act is on its way."""

    def act_left(self, act: OutAct, link: LinkName, draft: Draft) -> None:
        """A frame with it left our device for the first time."""
        ...


class Rounds:
    """Repeats the acts of one line. All methods take the draft of the step under way."""

    __slots__ = (
        "_dispatcher",
        "_is_busy",
        "_lanes",
        "_listener",
        "_outgoing",
        "_policy",
        "_prober",
        "_pump",
        "_rng",
        "_timers",
    )

    def __init__(
        self,
        *,
        lanes: Mapping[LinkName, Lane],
        outgoing: Outgoing,
        dispatcher: Dispatcher,
        prober: Prober,
        policy: Policy,
        timers: Timers,
        rng: Random,
        listener: LeavesActs,
        pump: Callable[[Lane, Draft], None],
        is_busy: Callable[[], bool],
    ) -> None:
        """`is_busy`: whether the peer says that it keeps no notice now."""
        self._lanes = lanes
        self._outgoing = outgoing
        self._dispatcher = dispatcher
        self._prober = prober
        self._policy = policy
        self._timers = timers
        self._rng = rng
        self._listener = listener
        self._pump = pump
        self._is_busy = is_busy

    def receipted(self, acts: list[OutAct], draft: Draft) -> None:
        """The peer has these; their attempts end."""
        freed: dict[LinkName, None] = {}
        for act in acts:
            for name, attempt in act.attempts.items():
                if attempt.is_hedged and not self._is_proven_since(name, attempt):
                    # The other link's receipt ends the timer that would have told.
                    self._prober.missed(self._lanes[name], draft)
                self._dispatcher.drop_timers(act, name)
                self._lanes[name].acts.pop(act.id, None)
                freed[name] = None
            act.attempts.clear()
        if freed:
            self._dispatcher.dispatch(draft)

    def _is_proven_since(self, name: LinkName, attempt: Attempt) -> bool:
        proven_at, sent_at = self._lanes[name].health.round_trip_at, attempt.sent_at
        return proven_at is not None and sent_at is not None and proven_at >= sent_at

    def fragments_held(self, item: FragmentReceiptItem, act: OutAct, draft: Draft) -> None:
        """The peer named the fragments it holds; missing ones go where none is queued."""
        if item.count != len(act.fragments):
            return
        # Replaced, not added to: a peer that was restarted has forgotten what it held.
        act.held_bitmap = item.bitmap & ((1 << item.count) - 1)
        for name, attempt in list(act.attempts.items()):
            if attempt.queued == 0 and attempt.unresolved == 0:
                self._dispatcher.again(act, self._lanes[name], draft)
                self._pump(self._lanes[name], draft)

    def handle_timer(self, kind: str, act: OutAct, name: LinkName, draft: Draft) -> None:
        """`hedge`: no answer yet; `rtx`: none in time."""
        if kind == "hedge":
            self.handle_hedge(act, name, draft)
        else:
            self.handle_retransmission(act, name, draft)

    def handle_hedge(self, act: OutAct, name: LinkName, draft: Draft) -> None:
        """It did not leave, or no answer came to it: the next link gets the act as well.

        No miss yet: the answer may still come, or the receipt's timer will tell.
        """
        attempt = act.attempts.get(name)
        if attempt is not None:
            attempt.is_hedged = True
            self._dispatcher.hedge(act, self._lanes[name], draft)

    def handle_retransmission(self, act: OutAct, name: LinkName, draft: Draft) -> None:
        """No receipt in time on this link: hedge on the next one, and repeat here."""
        lane = self._lanes[name]
        attempt = act.attempts.get(name)
        if attempt is None or lane.health.traits is None:
            return
        self._prober.missed(lane, draft)
        self._dispatcher.hedge(act, lane, draft)
        if attempt.unresolved > 0:
            # One owner an attempt: the firmware still retransmits this one itself.
            self._timers.set(
                ("rtx", act.id, name),
                later(draft.now.instant, self._policy.radio_attempt_guard_ms),
            )
            attempt.unresolved = 0
            return
        if lane.health.state is LinkState.DOWN and self._dispatcher.is_on_better(act, lane):
            self._dispatcher.end_attempt(act, lane)
            return
        if self._may_wait(act):
            # It is not kept there now: what else waits has its turn, answers among it.
            self._dispatcher.end_attempt(act, lane)
            if not act.attempts:
                self._outgoing.wait(act)
            self._dispatcher.dispatch(draft)
            return
        self.again(act, lane, draft)
        self._pump(lane, draft)

    def again(self, act: OutAct, lane: Lane, draft: Draft) -> None:
        """Another round, unless it would only burn airtime: where nobody answers, the fastest act
        finds out as well as all of them, and they spend an hour's budget in minutes.
        """
        if (
            lane.governor.is_limited
            and lane.health.state is LinkState.DOWN
            and act is not self._fastest(lane)
        ):
            due = later(draft.now.instant, self._policy.rto_max_ms)
            self._timers.set(("rtx", act.id, lane.name), due)
            return
        self._dispatcher.again(act, lane, draft)

    def _fastest(self, lane: Lane) -> OutAct | None:
        """Of the acts under way on a link: by precedence, then as they came."""
        acts = [act for act_id in lane.acts if (act := self._outgoing.get(act_id)) is not None]
        return min(acts, key=lambda act: act.precedence, default=None)

    def _may_wait(self, act: OutAct) -> bool:
        """Whether the peer said BUSY, and this is no FLASH, for which it has a reserve."""
        return self._is_busy() and act.precedence is not Precedence.FLASH

    def part_left(self, lane: Lane, flight: Flight, part: Part, draft: Draft) -> None:
        """A frame with this part left our device: its answer is awaited from then."""
        act = self._outgoing.get(part.act_id)
        attempt = act.attempts.get(lane.name) if act is not None else None
        if act is None or attempt is None:
            return
        sent_at = flight.sent_at
        assert sent_at is not None
        if attempt.sent_at is None:
            attempt.sent_at = sent_at
            self._listener.act_left(act, lane.name, draft)
        attempt.size_last = flight.size
        if not flight.want_ack:
            attempt.unresolved = max(attempt.unresolved - 1, 0)
        hedge = ("hedge", act.id, lane.name)
        wait_ms, hedge_ms = lane.health.timer_ms(flight.size), lane.health.hedge_ms(flight.size)
        if flight.want_ack:
            # Of several fragments the first that is lost counts, not the last that left.
            self._timers.set_earlier(hedge, later(sent_at, hedge_ms))
        elif attempt.queued == 0 and hedge_ms < wait_ms:
            self._timers.set(hedge, later(sent_at, hedge_ms))
        else:
            self._timers.drop(hedge)
        if attempt.queued == 0:
            attempt.count += 1
            if self._may_wait(act):
                policy, traits = self._policy, lane.health.traits
                is_radio = traits is not None and traits.is_radio
                pause_ms = policy.busy_retry_radio_ms if is_radio else policy.busy_retry_serial_ms
                wait_ms = max(wait_ms, pause_ms)
            self._timers.set(("rtx", act.id, lane.name), self._jittered(sent_at, wait_ms))

    def _jittered(self, now: Instant, wait_ms: int) -> Instant:
        """Up to an eighth later, so that two ends do not keep colliding."""
        return Instant(now + max(wait_ms, 1) + int(wait_ms * self._rng.random() / 8))


def later(now: Instant, wait_ms: int) -> Instant:
    """An instant after now: a timer that is due at once would never end its step."""
    return Instant(now + max(wait_ms, 1))
