"""One link of a line, as the line drives it: what waits, what the device has, what is due."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Final

from gateway.core.governor import Governor
from gateway.core.link_health import LinkHealth
from gateway.core.reception import Owed
from gateway.core.strangers import Strangers
from gateway.model import ActId, Instant, LinkName, LinkState, Precedence

FIRMWARE_RETRY_COUNT: Final = 2
FIRMWARE_RETRY_MS: Final = 7_000
"""A radio transmits a packet that wants an ack three times, at 0.2, 7.8 and 15.3 s (measured)."""
TOLD_COUNT_MAX: Final = 64
"""Serials remembered as receipted on one link; the oldest is forgotten first."""
_LOSS_GAIN: Final = 0.1
_COPY_AT: Final = (0.1, 0.2)
"""Share of acts that come again although they were receipted, from which a receipt goes twice, and
three times. At half of all frames lost a copy of 25 octets saves more than a whole act."""


@dataclass(frozen=True, slots=True)
class Part:
    """A whole act (`index` WHOLE) or one fragment in a frame."""

    act_id: ActId
    index: int


@dataclass(slots=True)
class Flight:
    """A frame with the driver, or whose radio has not given its verdict."""

    transmission: int
    size: int
    parts: tuple[Part, ...]
    counter: int
    want_ack: bool
    beat: int | None = None
    """Token of a beat in it that waits for a reply."""
    is_hello: bool = False
    handed_at: Instant | None = None
    """When it was charged, with all that the firmware may add."""
    sent_at: Instant | None = None


@dataclass(slots=True)
class Lane:
    """State of a link. One frame at a time is with its driver, so that FLASH waits for one only."""

    name: LinkName
    health: LinkHealth
    governor: Governor
    strangers: Strangers
    failed_opens: int = 0
    """Frames under the peer's name that did not open, in this run."""
    turned_away: int = 0
    """Frames of unknown incarnations that were not even tried."""
    busy: Flight | None = None
    flights: dict[int, Flight] = field(default_factory=dict)
    """Sent, with the radio's verdict pending; bounded by the window."""
    jobs: list[tuple[int, int, Part]] = field(default_factory=list)
    acts: dict[ActId, None] = field(default_factory=dict)
    """Acts with an attempt here."""
    owed: Owed = field(default_factory=Owed)
    told: dict[tuple[int, int], None] = field(default_factory=dict)
    """(epoch, serial) receipted here of late."""
    receipt_loss: float = 0.0
    """Share of acts, 0 to 1, that came again although their receipt had gone."""
    blocked_until: Instant | None = None
    """The radio said: not before."""
    hello_due: bool = False
    hello_went: bool = False
    """The last frame was a hello: the next one is for what waits."""
    flash_went: bool = False
    """The last frame had a part of a FLASH: the next may be for a hello or receipts."""
    hello_response: bytes | None = None
    hello_echo: bytes | None = None
    hello_answered_at: Instant | None = None
    hello_interval_ms: int = 0
    beat_due: bool = False
    beat_token: int = 0
    beat_waits: int | None = None
    """Token whose reply is awaited."""
    beat_replies: dict[int, None] = field(default_factory=dict)

    @property
    def has_work(self) -> bool:
        """Whether the next frame has anything to carry."""
        return bool(self.hello_due or self.beat_due or self.beat_replies or self.jobs or self.owed)

    def push(self, precedence: Precedence, order: int, part: Part) -> None:
        heapq.heappush(self.jobs, (precedence, order, part))

    def note_arrival(self, epoch: int, serial: int) -> None:
        """An act came in: for the second time here, its receipt was lost (or slow)."""
        if serial in self.owed.serials.get(epoch, ()):
            return
        key = (epoch, serial)
        was_told = key in self.told
        self.receipt_loss += _LOSS_GAIN * (was_told - self.receipt_loss)
        self.told[key] = None
        if len(self.told) > TOLD_COUNT_MAX:
            del self.told[next(iter(self.told))]

    def receipt_copy_count(self) -> int:
        """How many copies of a receipt follow it, by how many get lost."""
        return sum(self.receipt_loss >= share for share in _COPY_AT)

    @property
    def wants_ack(self) -> bool:
        """Whether a frame with an act asks the radio for its ack.

        On a link that works our own timer is quicker than the firmware's 8 s, and an ack would only
        delay the receipt; on one that does not, the radio's verdict says why.
        """
        traits = self.health.traits
        works = self.health.state in (LinkState.UP, LinkState.DEGRADED)
        return traits is not None and traits.is_radio and not works

    def worst_ms(self, airtime_ms: float) -> float:
        """Time on air that a frame with an act may cost, retransmissions of the firmware too."""
        return airtime_ms * (1 + FIRMWARE_RETRY_COUNT) if self.wants_ack else airtime_ms

    def spend_frame(self, flight: Flight, airtime_ms: float, now: Instant) -> None:
        """Charge a frame that is handed over, with the retransmissions of the firmware at once:
        the radio counts them before its verdict tells us, and a device that goes tells nothing.
        """
        flight.handed_at = now
        count = 1 + FIRMWARE_RETRY_COUNT if flight.want_ack else 1
        self.governor.spend(now, count * airtime_ms)

    def spend_ack(self, now: Instant) -> None:
        """Charge a radio's ack, ours for what was heard or theirs for what we sent.

        Where they may not hear us, their firmware sends again and our radio acks each time, but
        hands the frame up once.
        """
        traits = self.health.traits
        if traits is not None and traits.is_radio:
            count = 1 if self.health.state is LinkState.UP else 1 + FIRMWARE_RETRY_COUNT
            self.governor.spend(now, count * traits.airtime.of(0))

    def give_back(self, flight: Flight, retry_count: int) -> None:
        """The ack is here: what the firmware need not send again was not spent."""
        traits = self.health.traits
        if traits is None or not flight.want_ack or flight.handed_at is None:
            return
        count = FIRMWARE_RETRY_COUNT - min(retry_count, FIRMWARE_RETRY_COUNT)
        airtime_ms = round(traits.airtime.of(flight.size))
        self.governor.give_back(flight.handed_at, count * airtime_ms)

    def drop(self, act_id: ActId) -> None:
        """End an attempt: no part of it may go out later, as part of what replaced it."""
        self.acts.pop(act_id, None)
        self.jobs = [job for job in self.jobs if job[2].act_id != act_id]
        heapq.heapify(self.jobs)

    def clear(self) -> None:
        """The device is gone: what it had and what waited for it is void."""
        self.busy = None
        self.flash_went = False
        self.flights.clear()
        self.jobs.clear()
        self.acts.clear()
        self.owed = Owed()
        self.blocked_until = None
        self.beat_due = False
        self.beat_waits = None
        self.beat_replies.clear()


@dataclass(slots=True)
class Totals:
    """Counted since the start, for the status and the bench."""

    frames_out: int = 0
    frames_in: int = 0
    octets_out: int = 0
    octets_in: int = 0
    retransmissions: int = 0
    failed_opens: int = 0
