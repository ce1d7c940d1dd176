"""One line: how own acts and receipts get onto its links, and what the links say of it.

Owns retransmission, fallback, receipts, hellos and beats; knows nothing of what a notice means.
The engine hears of receipts and lost peers through `LineListener`.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final, Protocol

from gateway.core.composer import Composer, Standing, TellsAge
from gateway.core.dispatcher import Dispatcher, HoldsActs
from gateway.core.draft import Draft
from gateway.core.effects import Level, Transmit
from gateway.core.entropy import EntropyPool
from gateway.core.events import LinkTraits, Refusal
from gateway.core.governor import Governor
from gateway.core.lane import FIRMWARE_RETRY_MS, Lane, Totals
from gateway.core.link_health import LinkHealth
from gateway.core.outgoing import OutAct, Outgoing
from gateway.core.policy import Policy
from gateway.core.prober import Prober
from gateway.core.reception import Reception
from gateway.core.rounds import LeavesActs, Rounds, later
from gateway.core.routing import best_links
from gateway.core.session import Session
from gateway.core.strangers import Strangers
from gateway.core.timers import Timers
from gateway.model import Instant, LinkName, LinkState, Station
from gateway.wire.items import (
    BeatItem,
)

_BLOCKED_MS: Final = {
    Refusal.QUEUE_FULL: 3_000,
    Refusal.DUTY_CYCLE: 60_000,
    Refusal.NO_KEY: 30_000,
    Refusal.NOT_READY: 10_000,
    Refusal.TOO_LARGE: 60_000,
    Refusal.LINK_LOST: 1_000,
}
"""How long a link rests after a refusal that names no time of its own."""
_NEVER_SENT: Final = (
    *(Refusal.QUEUE_FULL, Refusal.DUTY_CYCLE, Refusal.NO_KEY, Refusal.NOT_READY),
    Refusal.TOO_LARGE,
)
"""The radio did not take it; after every other verdict it may have sent it each time."""


BEAT_REPLY_COUNT_MAX: Final = 4
"""Beats of the peer that wait for a reply on one link; above it one goes unanswered."""


class LineListener(TellsAge, HoldsActs, LeavesActs, Protocol):
    """What the line tells the engine; each call is part of the step under way."""

    def act_relayed(self, act: OutAct, link: LinkName, draft: Draft) -> None: ...
    def airtime_spent(self, link: LinkName, draft: Draft) -> None: ...


class Line:
    """The links between us and one peer. All methods take the draft of the step under way."""

    def __init__(
        self,
        *,
        own: Station,
        session: Session,
        links: Sequence[LinkName],
        policy: Policy,
        timers: Timers,
        entropy: EntropyPool,
        rng: Random,
        listener: LineListener,
    ) -> None:
        self.peer = session.peer
        self.session = session
        self.policy = policy
        self.outgoing = Outgoing(own)
        self.reception = Reception(
            self.peer,
            reassembly_count=policy.reassembly_count,
            seen_count=policy.seen_count,
        )
        reserve = policy.airtime_reserve_percent / 100
        self.lanes = {
            name: Lane(name, LinkHealth(policy), Governor(reserve=reserve), Strangers(policy))
            for name in links
        }
        self.totals = Totals()
        self.standing = Standing()
        self.is_peer_busy = False
        """It said BUSY: it keeps no notice of ours now."""
        self._busy_said_at: Instant | None = None
        self._timers = timers
        self._listener = listener
        self._prober = Prober(
            peer=self.peer, session=session, policy=policy, timers=timers, rng=rng
        )
        self._composer = Composer(
            session=session,
            outgoing=self.outgoing,
            reception=self.reception,
            standing=self.standing,
            timers=timers,
            entropy=entropy,
            ages=listener,
        )
        self.dispatcher = Dispatcher(
            lanes=self.lanes,
            outgoing=self.outgoing,
            composer=self._composer,
            policy=policy,
            timers=timers,
            totals=self.totals,
            peer=self.peer,
            listener=listener,
            pump=self._pump,
        )
        self.rounds = Rounds(
            lanes=self.lanes,
            outgoing=self.outgoing,
            dispatcher=self.dispatcher,
            prober=self._prober,
            policy=policy,
            timers=timers,
            rng=rng,
            listener=listener,
            pump=self._pump,
            is_busy=lambda: self.is_peer_busy,
        )
        self._echoes: dict[int, tuple[LinkName, Instant]] = {}

    @property
    def is_usable(self) -> bool:
        """Whether some link has proven itself or can be hoped for; asked at every step."""
        for lane in self.lanes.values():  # noqa: SIM110 - a generator takes four times as long
            if lane.health.state is not LinkState.DOWN:
                return True
        return False

    # What the links say

    def link_up(self, name: LinkName, traits: LinkTraits, draft: Draft) -> None:
        lane = self.lanes[name]
        self.dispatcher.drop_attempts(lane)
        lane.clear()
        lane.health.device_up(traits)
        lane.governor.limit(traits.duty_share)
        lane.governor.resume(draft.now.instant, traits.airtime_spent_ms)
        if self.session.is_revoked:
            return  # its device works, and carries nothing
        self._prober.begin(lane, draft)
        self.dispatcher.dispatch(draft)
        self._pump(lane, draft)

    def link_down(self, name: LinkName, draft: Draft) -> None:
        """Everything under way there goes by another link at once."""
        lane = self.lanes[name]
        lane.health.device_down()
        self.dispatcher.drop_attempts(lane)
        lane.clear()
        for kind in ("probe", "beat", "lane"):
            self._timers.drop((kind, self.peer, name))
        self.dispatcher.dispatch(draft)

    def frame_sent(
        self, name: LinkName, transmission: int, remaining_ms: int, draft: Draft
    ) -> None:
        lane = self.lanes[name]
        flight = lane.busy
        if flight is None or flight.transmission != transmission:
            return
        lane.busy = None
        self._timers.drop(("lane", self.peer, name))
        flight.sent_at = Instant(draft.now.instant + remaining_ms)
        if not flight.is_hello and flight.counter & 0xFF in self._echoes:
            self._echoes[flight.counter & 0xFF] = (name, flight.sent_at)
        self._prober.left(lane, flight)
        if flight.want_ack:
            lane.flights[transmission] = flight
        for part in flight.parts:
            self.rounds.part_left(lane, flight, part, draft)
        self._pump(lane, draft)

    def frame_acknowledged(self, name: LinkName, transmission: int, draft: Draft) -> None:
        """The far radio has it; its gateway's receipt must follow within one timer."""
        lane = self.lanes[name]
        lane.health.acknowledged_at = draft.now.instant
        flight = lane.flights.pop(transmission, None)
        if flight is None:
            return
        now = draft.now.instant
        lane.spend_ack(draft.now.instant)
        waited_ms = now - (flight.sent_at or now)
        if waited_ms > FIRMWARE_RETRY_MS and flight.counter & 0xFF in self._echoes:
            # It came there by a retransmission of the firmware: the round trip begins with that.
            self._echoes[flight.counter & 0xFF] = (name, Instant(now - lane.health.ack_ms()))
        lane.give_back(flight, waited_ms // FIRMWARE_RETRY_MS)
        for act, attempt in self._composer.attempts_of(lane, flight):
            attempt.unresolved = max(attempt.unresolved - 1, 0)
            due = later(now, lane.health.timer_ms(flight.size))
            if attempt.queued == 0 and attempt.unresolved == 0:
                self._timers.set(("rtx", act.id, name), due)
                self._timers.drop(("hedge", act.id, name))
            elif self._timers.is_set(("hedge", act.id, name)):
                self._timers.set(("hedge", act.id, name), due)

    def frame_relayed(self, name: LinkName, transmission: int, draft: Draft) -> None:
        flight = self.lanes[name].flights.get(transmission)
        if flight is not None:
            for act, _ in self._composer.attempts_of(self.lanes[name], flight):
                self._listener.act_relayed(act, name, draft)

    def frame_refused(
        self,
        name: LinkName,
        transmission: int,
        reason: Refusal,
        retry_after_ms: int | None,
        draft: Draft,
    ) -> None:
        """A refusal at once, or the radio's verdict: an immediate loss signal either way."""
        lane = self.lanes[name]
        flight = lane.flights.pop(transmission, None)
        if flight is None:
            if lane.busy is None or lane.busy.transmission != transmission:
                return
            flight, lane.busy = lane.busy, None
            self._timers.drop(("lane", self.peer, name))
        if reason in _NEVER_SENT:
            lane.give_back(flight, 0)
        draft.observe(
            Level.WARNING, "frame_refused", link=name, reason=reason.value, retry_ms=retry_after_ms
        )
        lane.health.lost_at_once()
        draft.status_changed = True
        rest_ms = retry_after_ms or _BLOCKED_MS.get(reason, 0)
        if rest_ms:
            lane.blocked_until = later(draft.now.instant, rest_ms)
        for act, attempt in self._composer.attempts_of(lane, flight):
            attempt.unresolved = max(attempt.unresolved - 1, 0)
            self.dispatcher.hedge(act, lane, draft)
            if attempt.queued == 0 and attempt.unresolved == 0:
                self.rounds.again(act, lane, draft)
        self._prober.not_sent(lane, flight, rest_ms, draft)
        self._pump(lane, draft)

    # What the peer says

    def heard(self, name: LinkName, draft: Draft) -> None:
        """An authentic frame came in by this link."""
        self.standing.heard_at = draft.now.instant
        self.lanes[name].health.heard(draft.now.instant)

    def round_trip(self, echo: int | None, arrived: LinkName, draft: Draft) -> None:
        """A receipt echoed one of our frames: evidence for the link that had carried it."""
        if echo is None:
            return
        mark = self._echoes.pop(echo, None)
        if mark is None:
            return
        name, sent_at = mark
        lane = self.lanes[name]
        sample_ms = max(draft.now.instant - sent_at, 1)
        traits = lane.health.traits
        # Beyond that it may have come by any of the firmware's transmissions (Karn's rule).
        is_sure = traits is None or not traits.is_radio or sample_ms <= FIRMWARE_RETRY_MS
        self._prove(lane, sample_ms if is_sure else None, draft)

    def beat(self, name: LinkName, item: BeatItem, draft: Draft) -> None:
        lane = self.lanes[name]
        self.note_busy(item.busy, draft)
        if item.is_reply:
            if self._prober.beat_returned(lane, item.token):
                self._prove(lane, None, draft)
            return
        if len(lane.beat_replies) < BEAT_REPLY_COUNT_MAX:
            lane.beat_replies[item.token] = None
        self._prober.beat_came(lane, draft)
        self._pump(lane, draft)

    def note_busy(self, is_busy: bool, draft: Draft) -> None:
        """The peer says whether it keeps our notices; once it does again, all go at once."""
        if self.is_peer_busy == is_busy:
            return
        self.is_peer_busy = is_busy
        draft.status_changed = True
        if not is_busy:
            for lane in self.lanes.values():
                self._all_again(lane, draft)

    def say_busy(self, name: LinkName, draft: Draft) -> None:
        """A beat with BUSY by this link, unless one went a moment ago."""
        now, said_at = draft.now.instant, self._busy_said_at
        if said_at is None or now - said_at >= self.policy.busy_again_ms:
            self._busy_said_at = now
            self.lanes[name].beat_due = True

    def say_room(self, draft: Draft) -> None:
        """BUSY is over: a beat by each link that works tells it."""
        self._busy_said_at = None
        for lane in self.lanes.values():
            if lane.health.state is not LinkState.DOWN:
                lane.beat_due = True
        self.pump_all(draft)

    def answer_hello(
        self, name: LinkName, *, response: bytes | None, echo: bytes | None, draft: Draft
    ) -> None:
        """Say hello by this link; `echo` is the incarnation that we answer, None if unnamed."""
        lane = self.lanes[name]
        if self._prober.hello_asked(lane, response=response, echo=echo, draft=draft):
            self._pump(lane, draft)

    def hello_returned(self, name: LinkName, draft: Draft) -> None:
        """A hello answered our challenge by this link: a round trip."""
        lane = self.lanes[name]
        self._prober.hello_returned(lane)
        # Which of several hellos it answers is not known, so it is no sample of the time.
        self._prove(lane, None, draft)

    def owe_receipt(self, name: LinkName, epoch: int, serial: int, counter: int) -> None:
        self.lanes[name].note_arrival(epoch, serial)
        self.reception.owe(self.lanes[name].owed, epoch, serial, counter & 0xFF)

    def owe_fragments(self, name: LinkName, epoch: int, serial: int, counter: int) -> None:
        owed = self.lanes[name].owed
        owed.fragments[epoch, serial] = None
        owed.echo = counter & 0xFF

    def owe_displayed(self, epoch: int, serial: int, draft: Draft) -> None:
        """Tell the originator that a person was shown it: best effort, by the best link."""
        best = best_links(list(self.lanes.values()), self.policy, draft.now.instant)
        if best:
            best[0].owed.displayed.setdefault(epoch, {})[serial] = None
            self._pump(best[0], draft)

    # Timers

    def handle_timer(self, kind: str, name: LinkName, draft: Draft) -> None:
        """`probe`: time to test a link; `beat`: no reply; `lane`: a rest or a guard ended."""
        lane = self.lanes[name]
        if lane.health.traits is None:
            return
        if kind == "beat":
            self._prober.reply_missed(lane, draft)
        elif kind == "probe":
            self._prober.probe(lane, draft)
        elif lane.busy is not None:
            # The driver never said what became of it: a bug there must not stop the line.
            draft.observe(Level.ERROR, "driver_silent", link=name)
            self.frame_refused(name, lane.busy.transmission, Refusal.LINK_LOST, None, draft)
        self._pump(lane, draft)

    # Own acts

    def submit(self, act: OutAct, draft: Draft) -> None:
        self.outgoing.add(act)
        self.dispatcher.dispatch(draft)

    def pump_all(self, draft: Draft) -> None:
        """Let every free link carry what is due: receipts after an accepted act, mostly."""
        for lane in self.lanes.values():
            self._pump(lane, draft)

    # Inside

    def _prove(self, lane: Lane, sample_ms: int | None, draft: Draft) -> None:
        if lane.health.traits is None:
            # It left before the device went: no evidence of a link that is gone.
            return
        if self._prober.proved(lane, sample_ms, draft):
            # Timers that backed off in the silence must not delay what can go now, nor a link
            # without airtime what this one can carry.
            self._all_again(lane, draft)
            self.pump_all(draft)
        self._prober.schedule(lane, draft)

    def _all_again(self, lane: Lane, draft: Draft) -> None:
        for act_id in list(lane.acts):
            act = self.outgoing.get(act_id)
            if act is not None and act.attempts[lane.name].unresolved == 0:
                self.dispatcher.again(act, lane, draft)
        self._pump(lane, draft)

    def _pump(self, lane: Lane, draft: Draft) -> None:
        """Hand the driver the next frame, if it is free and anything is due."""
        traits = lane.health.traits
        if traits is None or lane.busy is not None or not lane.has_work:
            return
        now = draft.now.instant
        if lane.blocked_until is not None:
            if now < lane.blocked_until:
                self._timers.set_earlier(("lane", self.peer, lane.name), lane.blocked_until)
                return
            lane.blocked_until = None
        composed = self._composer.compose(lane, traits, draft)
        if composed is None:
            due = self._composer.resumes_at(lane, draft)
            if due > now:
                self._timers.set_earlier(("lane", self.peer, lane.name), due)
                if lane.jobs:
                    self.dispatcher.relieve(lane, draft)
            return
        flight, octets, precedence = composed
        lane.busy = flight
        self._prober.handed(lane, flight)
        airtime_ms = round(traits.airtime.of(len(octets)))
        lane.spend_frame(flight, airtime_ms, now)
        self._listener.airtime_spent(lane.name, draft)
        if not flight.is_hello:
            # Until the driver says when it left: a receipt may be here before that.
            self._echoes[flight.counter & 0xFF] = (lane.name, later(now, airtime_ms))
        self.totals.frames_out += 1
        self.totals.octets_out += len(octets)
        for act, _ in self._composer.attempts_of(lane, flight):
            # Should it not even leave: a frame of another may be on air before it.
            wait_ms = 2 * airtime_ms + lane.health.hedge_ms(flight.size)
            self._timers.set_earlier(("hedge", act.id, lane.name), later(now, wait_ms))
        guard_ms = airtime_ms + self.policy.radio_attempt_guard_ms
        self._timers.set(("lane", self.peer, lane.name), later(now, guard_ms))
        draft.effect(
            Transmit(
                link=lane.name,
                transmission=flight.transmission,
                to=self.peer,
                octets=octets,
                precedence=precedence,
                want_ack=flight.want_ack,
            )
        )
