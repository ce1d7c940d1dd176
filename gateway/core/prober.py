"""Tests of one line's links: hellos until they went both ways, then beats while it is quiet.

Keeps a lane's probe and reply timers; what a proof or a miss means for acts is the line's.
"""

from __future__ import annotations

from random import Random
from typing import Final

from gateway.core.draft import Draft
from gateway.core.effects import Level
from gateway.core.lane import Flight, Lane
from gateway.core.policy import Policy
from gateway.core.session import Session
from gateway.core.timers import Timers
from gateway.model import Instant, LinkState, Station

_HELLO_FRAME_SIZE: Final = 80
_RETRY_FIRST_MS: Final = 1_000
"""Around it lies the pause after the first unanswered test; it doubles up to the beat interval."""
_HELLO_WAITS: Final = -1
"""In `Lane.beat_waits`: a hello is awaited, not the reply to a beat."""


class Prober:
    """Decides when a link is tested, and counts what came of it."""

    __slots__ = ("_peer", "_policy", "_rng", "_session", "_timers")

    def __init__(
        self, *, peer: Station, session: Session, policy: Policy, timers: Timers, rng: Random
    ) -> None:
        self._peer = peer
        self._session = session
        self._policy = policy
        self._timers = timers
        self._rng = rng

    def begin(self, lane: Lane, draft: Draft) -> None:
        """The device came up: test the link at once."""
        lane.hello_interval_ms = max(
            self._policy.hello_interval_ms, 2 * lane.health.timer_ms(_HELLO_FRAME_SIZE)
        )
        self.probe(lane, draft)

    def probe(self, lane: Lane, draft: Draft) -> None:
        """Mark a hello or a beat due if nothing else has tested the link of late."""
        now = draft.now.instant
        health = lane.health
        assert health.traits is not None
        if lane.hello_echo is not None and not lane.hello_due:
            lane.hello_due = True
            lane.hello_answered_at = now
        elif not self._session.is_settled:
            lane.hello_due = True
            lane.hello_interval_ms = min(
                lane.hello_interval_ms * 2, self._policy.hello_interval_max_ms
            )
        elif lane.beat_waits is None and not lane.beat_due:
            proven_at, interval_ms = health.round_trip_at, health.beat_interval_ms()
            if health.state is LinkState.UP and proven_at is not None:
                quiet_ms = now - proven_at
                if quiet_ms < interval_ms * 4 // 5:
                    self.schedule(lane, draft, quiet_ms=quiet_ms)
                    return
            lane.beat_due = True
        self.schedule(lane, draft)

    def schedule(self, lane: Lane, draft: Draft, *, quiet_ms: int = 0) -> None:
        """Set the next test, up to an eighth later, so that two ends do not keep colliding.

        `quiet_ms`: time since a round trip that takes the place of a test.
        """
        settled = self._session.is_settled
        wait = lane.health.beat_interval_ms() - quiet_ms if settled else lane.hello_interval_ms
        jitter = int(wait * self._rng.random() / 8)
        due = Instant(draft.now.instant + wait + jitter)
        self._timers.set(("probe", self._peer, lane.name), due)

    def handed(self, lane: Lane, flight: Flight) -> None:
        """A frame is with the driver. Its reply may come before the driver says that it left."""
        if flight.is_hello or flight.beat is not None:
            lane.beat_waits = _HELLO_WAITS if flight.beat is None else flight.beat

    def left(self, lane: Lane, flight: Flight) -> None:
        """A frame left: its hello or beat, unless answered already, has one timer from then."""
        assert flight.sent_at is not None
        awaited = _HELLO_WAITS if flight.is_hello else flight.beat
        if awaited is None or lane.beat_waits != awaited:
            return
        due = Instant(flight.sent_at + lane.health.timer_ms(flight.size))
        self._timers.set(("beat", self._peer, lane.name), due)

    def not_sent(self, lane: Lane, flight: Flight, wait_ms: int, draft: Draft) -> None:
        """A hello or beat was refused: nothing is awaited, and the test comes again soon."""
        awaited = _HELLO_WAITS if flight.is_hello else flight.beat
        if awaited is None:
            return
        if flight.sent_at is None and lane.beat_waits == awaited:
            lane.beat_waits = None
        due = Instant(draft.now.instant + max(wait_ms, _RETRY_FIRST_MS))
        self._timers.set_earlier(("probe", self._peer, lane.name), due)

    def beat_came(self, lane: Lane, draft: Draft) -> None:
        """The peer tests the link: our next test goes with the reply, unless one was a moment ago.

        Three frames so tell both ends what would take four.
        """
        tested_at = lane.health.round_trip_at
        if (
            tested_at is None
            or lane.health.state is not LinkState.UP
            or not self._session.is_settled
            or lane.beat_waits is not None
            or lane.beat_due
        ):
            return
        if draft.now.instant - tested_at >= lane.health.beat_interval_ms() // 2:
            lane.beat_due = True
            self.schedule(lane, draft)

    def beat_returned(self, lane: Lane, token: int) -> bool:
        """Whether this reply is the awaited one."""
        if lane.beat_waits != token:
            return False
        self._reply_came(lane)
        return True

    def hello_returned(self, lane: Lane) -> None:
        if lane.beat_waits == _HELLO_WAITS:
            self._reply_came(lane)

    def reply_missed(self, lane: Lane, draft: Draft) -> None:
        """The reply's time is over: a miss, and the next test soon; later ones less often.

        Never at once: two radios that start together lose their first tests to each other, and
        would lose the next ones too.
        """
        lane.beat_waits = None
        self.missed(lane, draft)
        spread_ms = _RETRY_FIRST_MS << min(lane.health.misses - 1, 10)
        spread_ms = min(spread_ms, lane.health.beat_interval_ms())
        wait = int(spread_ms * (0.5 + self._rng.random()))
        due = Instant(draft.now.instant + wait)
        self._timers.set_earlier(("probe", self._peer, lane.name), due)

    def hello_asked(
        self, lane: Lane, *, response: bytes | None, echo: bytes | None, draft: Draft
    ) -> bool:
        """The peer wants a hello: due now, or later if one was answered a moment ago."""
        now = draft.now.instant
        if response is not None:
            lane.hello_response = response
        if echo is not None:
            lane.hello_echo = echo
        last = lane.hello_answered_at
        pause = self._policy.hello_answer_min_ms
        if last is not None and now - last < pause:
            self._timers.set_earlier(("probe", self._peer, lane.name), Instant(last + pause))
            return False
        lane.hello_answered_at = now
        lane.hello_due = True
        return True

    def proved(self, lane: Lane, sample_ms: int | None, draft: Draft) -> bool:
        """A round trip; True if that changed the link's state."""
        before = lane.health.state
        lane.health.round_trip(draft.now.instant, sample_ms)
        return self._note(lane, before, Level.INFO, draft)

    def missed(self, lane: Lane, draft: Draft) -> None:
        before = lane.health.state
        lane.health.missed(draft.now.instant)
        self._note(lane, before, Level.WARNING, draft)

    def _note(self, lane: Lane, before: LinkState, level: Level, draft: Draft) -> bool:
        if lane.health.state is before:
            return False
        draft.status_changed = True
        draft.observe(level, "link_state", link=lane.name, state=lane.health.state.value)
        return True

    def _reply_came(self, lane: Lane) -> None:
        lane.beat_waits = None
        self._timers.drop(("beat", self._peer, lane.name))
