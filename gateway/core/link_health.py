"""Health of one link to one station: round trips, misses, silence, and the timer they give.

A link is as good as its last round trip, never as "port open". This machine keeps no timers; the
line sets them by what it says here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.core.events import LinkTraits
from gateway.core.policy import Policy
from gateway.errors import InvalidTransitionError
from gateway.model import Instant, LinkState, Word

RECEIPT_FRAME_SIZE: Final = 25
"""Octets of the frame that answers: a receipt or a beat, at most."""


class LinkInput(Word):
    DEVICE_UP = "device up"
    DEVICE_DOWN = "device down"
    ROUND_TRIP = "round trip"
    MISSED = "missed"
    SILENT = "silent"


_S = LinkState
_I = LinkInput

TRANSITIONS: Final = {
    (_S.DOWN, _I.DEVICE_UP): _S.PROBING,
    (_S.DOWN, _I.DEVICE_DOWN): _S.DOWN,
    (_S.DOWN, _I.ROUND_TRIP): _S.UP,
    (_S.DOWN, _I.MISSED): _S.DOWN,
    (_S.DOWN, _I.SILENT): _S.DOWN,
    (_S.PROBING, _I.DEVICE_UP): _S.PROBING,
    (_S.PROBING, _I.DEVICE_DOWN): _S.DOWN,
    (_S.PROBING, _I.ROUND_TRIP): _S.UP,
    (_S.PROBING, _I.MISSED): _S.PROBING,
    (_S.PROBING, _I.SILENT): _S.DOWN,
    (_S.UP, _I.DEVICE_UP): _S.PROBING,
    (_S.UP, _I.DEVICE_DOWN): _S.DOWN,
    (_S.UP, _I.ROUND_TRIP): _S.UP,
    (_S.UP, _I.MISSED): _S.DEGRADED,
    (_S.UP, _I.SILENT): _S.DOWN,
    (_S.DEGRADED, _I.DEVICE_UP): _S.PROBING,
    (_S.DEGRADED, _I.DEVICE_DOWN): _S.DOWN,
    (_S.DEGRADED, _I.ROUND_TRIP): _S.UP,
    (_S.DEGRADED, _I.MISSED): _S.DEGRADED,
    (_S.DEGRADED, _I.SILENT): _S.DOWN,
}


class LinkHealth:
    """Evidence about one link. All times are instants or milliseconds."""

    __slots__ = (
        "_backoff",
        "_policy",
        "_smoothed_ms",
        "_traits",
        "_variation_ms",
        "acknowledged_at",
        "heard_at",
        "loss",
        "misses",
        "needs_person",
        "round_trip_at",
        "state",
        "up_since",
    )

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._traits: LinkTraits | None = None
        self._smoothed_ms: float | None = None
        self._variation_ms = 0.0
        self._backoff = 0
        self.state = LinkState.DOWN
        self.misses = 0
        self.needs_person = False
        """Its device does not work, and the driver is at its wits' end."""
        self.acknowledged_at: Instant | None = None
        """When the far radio last acknowledged a packet of ours."""
        self.heard_at: Instant | None = None
        self.round_trip_at: Instant | None = None
        self.up_since: Instant | None = None
        self.loss: float | None = None

    @property
    def traits(self) -> LinkTraits | None:
        """None while the device is down."""
        return self._traits

    @property
    def round_trip_ms(self) -> int | None:
        return None if self._smoothed_ms is None else round(self._smoothed_ms)

    def device_up(self, traits: LinkTraits) -> None:
        self._traits = traits
        self.misses = 0
        self.needs_person = traits.is_mute
        self._backoff = 0
        self._smoothed_ms = None
        self.up_since = None
        self._advance(LinkInput.DEVICE_UP)

    def device_down(self) -> None:
        self._traits = None
        self.up_since = None
        self._advance(LinkInput.DEVICE_DOWN)

    @property
    def device_works(self) -> bool:
        """Whether a device is served and can send."""
        return self._traits is not None and not self._traits.is_mute

    def told(self, detail: str, *, needs_person: bool, is_mute: bool) -> None:
        """What people shall read of the device changed, and nothing else."""
        self.needs_person = needs_person or is_mute
        if self._traits is not None:
            self._traits = replace(self._traits, detail=detail, is_mute=is_mute)

    def heard(self, now: Instant) -> None:
        """An authentic frame came in: the far side lives, though it may not hear us."""
        self.heard_at = now
        self._backoff = 0

    def round_trip(self, now: Instant, sample_ms: int | None) -> None:
        """The far gateway answered what we sent here; `sample_ms` if the pair is beyond doubt."""
        self.round_trip_at = now
        self.misses = 0
        self._backoff = 0
        self._count_loss(0.0)
        if sample_ms is not None:
            self._smooth(float(sample_ms))
        if self.state is not LinkState.UP:
            self.up_since = now
        self._advance(LinkInput.ROUND_TRIP)

    def missed(self, now: Instant) -> None:
        """A deadline for an answer by this link passed."""
        self.misses += 1
        self._count_loss(1.0)
        if self.heard_at is None or now - self.heard_at > self._policy.hearing_ms:
            self._backoff = min(self._backoff + 1, 10)
        if self.misses >= self._policy.misses_down_count and self._is_silent(now):
            self._advance(LinkInput.SILENT)
        elif self.misses >= self._policy.misses_degraded_count:
            self._advance(LinkInput.MISSED)

    def lost_at_once(self) -> None:
        """The radio said so itself (NAK): evidence against the link without waiting."""
        self.misses += 1
        self._count_loss(1.0)
        if self.misses >= self._policy.misses_degraded_count:
            self._advance(LinkInput.MISSED)

    def floor_ms(self, size: int) -> float:
        """What an answer to a frame of `size` octets cannot undercut, once the frame has left."""
        assert self._traits is not None
        airtime = self._traits.airtime
        answer = airtime.of(RECEIPT_FRAME_SIZE)
        # The far side may have begun a frame of its own when ours arrives.
        return answer * (2 if self._traits.is_radio else 1) + self._policy.rto_slack_ms

    def timer_ms(self, size: int) -> int:
        """Retransmission timer for a frame of `size` octets, counted from when it left (RFC 6298).

        It grows only while nothing at all is heard: with doubling, the goals at 50 % loss are out
        of reach.
        """
        floor = self.floor_ms(size)
        if self._smoothed_ms is None:
            radio = self._traits is not None and self._traits.is_radio
            initial = (
                self._policy.rto_initial_radio_ms if radio else self._policy.rto_initial_serial_ms
            )
            base = floor + initial
        else:
            radio = self._traits is not None and self._traits.is_radio
            policy = self._policy
            spread = policy.rto_spread_radio_ms if radio else policy.rto_spread_serial_ms
            base = max(floor, self._smoothed_ms + max(4 * self._variation_ms, spread))
        return min(round(base) << self._backoff, self._policy.rto_max_ms)

    def hedge_ms(self, size: int) -> int:
        """Wait after a frame of `size` octets left until the next link gets its act as well.

        A radio's retransmission waits for a frame that the far side may have begun; to use another
        link as well, nothing need be waited for but the answer.
        """
        timer_ms = self.timer_ms(size)
        if self._traits is None or not self._traits.is_radio:
            return timer_ms
        answer_ms = round(self._traits.airtime.of(RECEIPT_FRAME_SIZE))
        return min(timer_ms, answer_ms + self._policy.hedge_slack_radio_ms)

    def ack_ms(self) -> int:
        """From the end of a frame to the end of the far radio's ack, which may have to let another
        frame pass.
        """
        assert self._traits is not None
        return 2 * round(self._traits.airtime.of(0))

    def beat_interval_ms(self) -> int:
        """Quiet time until the next beat: shorter after a miss, to find out soon."""
        assert self._traits is not None
        if self._traits.is_radio:
            if 0 < self.misses < self._policy.misses_down_count:
                return self._policy.beat_retry_radio_ms
            return self._policy.beat_interval_radio_ms
        if 0 < self.misses < self._policy.misses_down_count:
            return self._policy.beat_retry_serial_ms
        return self._policy.beat_interval_serial_ms

    def _is_silent(self, now: Instant) -> bool:
        radio = self._traits is not None and self._traits.is_radio
        limit = self._policy.silence_down_radio_ms if radio else self._policy.silence_down_serial_ms
        return self.heard_at is None or now - self.heard_at >= limit

    def _smooth(self, sample_ms: float) -> None:
        if self._smoothed_ms is None:
            self._smoothed_ms = sample_ms
            self._variation_ms = sample_ms / 2
        else:
            deviation = abs(self._smoothed_ms - sample_ms)
            self._variation_ms += 0.25 * (deviation - self._variation_ms)
            self._smoothed_ms += 0.125 * (sample_ms - self._smoothed_ms)

    def _count_loss(self, sample: float) -> None:
        self.loss = sample if self.loss is None else self.loss + 0.1 * (sample - self.loss)

    def _advance(self, given: LinkInput) -> None:
        try:
            self.state = TRANSITIONS[self.state, given]
        except KeyError as error:
            raise InvalidTransitionError(f"{self.state} has no entry for {given}") from error
        if self.state is not LinkState.UP:
            self.up_since = None
