"""One link between two stations in virtual time: what its medium and its devices do to a frame.

A cable carries each direction by itself, or one at a time; a radio listens before it sends, hears
nothing while it sends, acks and repeats on its own, and refuses when its duty cycle is spent
(RADIO.md gives the times). Who gets a frame and who hears of its fate is the world's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from gateway.core.airtime import LoraAirtime, SerialAirtime
from gateway.core.effects import Transmit
from gateway.core.events import (
    Event,
    FrameAcknowledged,
    FrameReceived,
    FrameRefused,
    FrameRelayed,
    FrameSent,
    LinkTraits,
    Refusal,
)
from gateway.model import LinkName, Station
from gateway.sim.timeline import Timeline

LONG_FAST: Final = LoraAirtime(spreading_factor=11, bandwidth_khz=250, coding_rate=5)
SHORT_FAST: Final = LoraAirtime(spreading_factor=7, bandwidth_khz=250, coding_rate=5)
_ACK_PACKET_SIZE: Final = 29
"""Octets on the air of a radio's ack."""
_ACK_TURN_MS: Final = 60
_RETRY_MS: Final = (0, 7_600, 15_100)
_GIVE_UP_MS: Final = 22_800
_SENSE_MS: Final = 15
"""Two radios that begin within this of each other do not hear it, and lose both frames."""
_SLOT_MS: Final = 28
_SLOT_COUNT: Final = 8
_RELAY_MS: Final = 300
STRANGER: Final = Station(255)
"""Whoever else is on the channel."""
_HOUR_MS: Final = 3_600_000


@dataclass(slots=True)
class Burst:
    """Loss that comes in bursts (Gilbert-Elliott): good and bad times, both exponential."""

    good_ms: int
    bad_ms: int
    loss: float
    """Share of frames lost in a bad time."""
    is_bad: bool = False
    until_ms: int = 0

    def loss_at(self, now_ms: int, rng: Random) -> float:
        while now_ms >= self.until_ms:
            self.is_bad = not self.is_bad
            mean = self.bad_ms if self.is_bad else self.good_ms
            start = max(self.until_ms, now_ms - 10 * mean)
            self.until_ms = start + 1 + int(rng.expovariate(1 / mean))
        return self.loss if self.is_bad else 0.0


@dataclass(slots=True)
class Path:
    """A link between two stations. Losses are drawn a frame and direction."""

    name: LinkName
    ends: tuple[Station, Station]
    traits: LinkTraits
    loss: float = 0.0
    delay_ms: int = 5
    jitter_ms: int = 0
    """Up to this much more delay a frame, so that frames overtake each other."""
    repeat: float = 0.0
    corrupt: float = 0.0
    refuse: float = 0.0
    """Share of frames that the device refuses at once (queue full)."""
    burst: Burst | None = None
    deaf: set[Station] = field(default_factory=set)
    """Stations that hear nothing here: one is a one-way cut, both a silent cut."""
    mute: set[Station] = field(default_factory=set)
    """Stations whose driver reports nothing."""
    unplugged: bool = False
    is_instant: bool = False
    """Frames arrive at once, long before their sender's driver reports them sent."""
    is_contended: bool = False
    """Both ends share the medium: a radio, or a half-duplex cable."""
    relay: float = 0.0
    """Share of packets that want an ack which some third radio hears and repeats."""
    duty_ms: int | None = None
    """Milliseconds on air that a radio allows itself in a rolling hour."""
    frames: int = 0
    octets: int = 0
    plugs: int = 0
    """Counts unplugging: a device that is gone reports nothing."""
    air: deque[tuple[int, int, Station]] = field(default_factory=deque)
    """(begin, end, sender) of what was on the medium of late."""
    spent: dict[Station, deque[tuple[int, int]]] = field(default_factory=dict)
    """(begin, milliseconds) on air in the last hour, of every transmission."""
    queues: dict[Station, deque[Packet]] = field(default_factory=dict)
    """What waits in each end's radio for a clear channel."""

    def far(self, station: Station) -> Station:
        return self.ends[1] if station == self.ends[0] else self.ends[0]

    def spent_ms(self, station: Station, now_ms: int) -> int:
        """Time on air in the rolling hour before now."""
        marks = self.spent.setdefault(station, deque())
        while marks and marks[0][0] <= now_ms - _HOUR_MS:
            marks.popleft()
        return sum(spent for _, spent in marks)


Report = Callable[[Event], None]
Arrive = Callable[[Path, Station, FrameReceived], None]


@dataclass(slots=True)
class Packet:
    """A frame in a radio's hands."""

    frame: Transmit
    sender: Station
    report: Report
    airtime_ms: int
    plugs: int
    is_heard: bool = False
    is_acked: bool = False
    is_sent: bool = False
    is_relayed: bool = False
    is_judged: bool = False
    """The radio has given its verdict."""


class Carrier:
    """Carries frames over paths. Draws from its own generator, so that nothing else shifts it."""

    __slots__ = ("_arrive", "_rng", "_time")

    def __init__(self, time: Timeline, rng: Random, arrive: Arrive) -> None:
        self._time = time
        self._rng = rng
        self._arrive = arrive

    def carry(self, path: Path, sender: Station, frame: Transmit, report: Report) -> None:
        """Take a frame from a driver; what becomes of it is reported and arrives later."""
        path.frames += 1
        path.octets += len(frame.octets)
        airtime_ms = round(path.traits.airtime.of(len(frame.octets)))
        refusal = self._refusal(path, sender, frame, airtime_ms)
        if refusal is not None:
            self._time.at(self._time.now_ms, lambda: self._tell(path, sender, report, refusal))
        elif path.traits.is_radio:
            packet = Packet(frame, sender, report, airtime_ms, path.plugs)
            self._radio(path, packet)
        else:
            self._cable(path, sender, frame, airtime_ms, report)

    def _refusal(
        self, path: Path, sender: Station, frame: Transmit, airtime_ms: int
    ) -> FrameRefused | None:
        if path.unplugged:
            return FrameRefused(frame.link, frame.transmission, Refusal.LINK_LOST)
        if path.refuse and self._rng.random() < path.refuse:
            return FrameRefused(frame.link, frame.transmission, Refusal.QUEUE_FULL)
        if path.duty_ms is not None:
            spent = path.spent_ms(sender, self._time.now_ms)
            if spent > path.duty_ms:
                oldest = path.spent[sender][0][0]
                wait_ms = oldest + _HOUR_MS - self._time.now_ms
                return FrameRefused(
                    frame.link, frame.transmission, Refusal.DUTY_CYCLE, max(wait_ms, 1_000)
                )
        return None

    def _tell(self, path: Path, sender: Station, report: Report, event: Event) -> None:
        if sender not in path.mute:
            report(event)

    # Cable

    def _cable(
        self, path: Path, sender: Station, frame: Transmit, airtime_ms: int, report: Report
    ) -> None:
        begin = self._time.now_ms
        end = begin + airtime_ms
        if path.is_contended:
            self._occupy(path, begin, end, sender)
        sent = FrameSent(frame.link, frame.transmission)
        self._time.at(end, lambda: self._tell(path, sender, report, sent))
        if path.is_contended:
            self._time.at(end, lambda: self._cable_ends(path, sender, frame, begin, end))
        elif self._is_heard(path, path.far(sender)):
            arrives = begin if path.is_instant else end
            self._deliver(path, path.far(sender), frame.octets, arrives)

    def _cable_ends(
        self, path: Path, sender: Station, frame: Transmit, begin: int, end: int
    ) -> None:
        far = path.far(sender)
        if not self._collides(path, sender, begin, end) and self._is_heard(path, far):
            self._deliver(path, far, frame.octets, end)

    # Radio

    def _radio(self, path: Path, packet: Packet) -> None:
        now = self._time.now_ms
        tries = _RETRY_MS if packet.frame.want_ack else _RETRY_MS[:1]
        for wait in tries:
            self._time.at(now + wait, lambda: self._enqueue(path, packet))
        if packet.frame.want_ack:
            self._time.at(now + _GIVE_UP_MS, lambda: self._give_up(path, packet))

    def _is_gone(self, path: Path, packet: Packet) -> bool:
        return path.plugs != packet.plugs

    def _enqueue(self, path: Path, packet: Packet) -> None:
        """A radio has one transmit queue: its first packet listens, the others wait behind it."""
        queue = path.queues.setdefault(packet.sender, deque())
        queue.append(packet)
        if len(queue) == 1:
            self._listen(path, packet.sender)

    def _listen(self, path: Path, sender: Station) -> None:
        """Send when the channel is clear; a retransmission only while there was no ack."""
        queue = path.queues[sender]
        while queue and (queue[0].is_acked or self._is_gone(path, queue[0])):
            queue.popleft()
        if not queue:
            return
        now = self._time.now_ms
        busy = self._busy_until(path, sender, now) if path.is_contended else 0
        if busy <= now:
            self._send(path, queue.popleft())
            if not queue:
                return
            busy = self._busy_until(path, sender, now)
        wait = busy + (1 + self._rng.randrange(_SLOT_COUNT)) * _SLOT_MS
        self._time.at(wait, lambda: self._listen(path, sender))

    def _send(self, path: Path, packet: Packet) -> None:
        now = self._time.now_ms
        end = now + packet.airtime_ms
        self._occupy(path, now, end, packet.sender)
        if path.is_instant:
            self._heard(path, packet, now)
        self._time.at(end, lambda: self._radio_ends(path, packet, now, end))

    def _radio_ends(self, path: Path, packet: Packet, begin: int, end: int) -> None:
        if self._is_gone(path, packet):
            return
        frame = packet.frame
        if not packet.is_sent:
            packet.is_sent = True
            sent = FrameSent(frame.link, frame.transmission)
            self._tell(path, packet.sender, packet.report, sent)
        if path.is_instant or (
            path.is_contended and self._collides(path, packet.sender, begin, end)
        ):
            return
        self._heard(path, packet, end)
        if frame.want_ack and path.relay and self._rng.random() < path.relay:
            wait = _RELAY_MS + self._rng.randrange(1_000)
            self._time.at(end + wait, lambda: self._relay(path, packet))

    def _heard(self, path: Path, packet: Packet, now: int, *, relayed: bool = False) -> None:
        """The far radio acks what it has heard already only if the sender itself repeats it."""
        far = path.far(packet.sender)
        if not self._is_heard(path, far) or (relayed and packet.is_heard):
            return
        if not packet.is_heard:
            # The far radio hands a packet up once, however often it hears it.
            packet.is_heard = True
            octets, wants_ack = packet.frame.octets, packet.frame.want_ack
            self._deliver(path, far, octets, now, wants_ack=wants_ack)
        if packet.frame.want_ack:
            airtime = path.traits.airtime
            assert isinstance(airtime, LoraAirtime)
            ack_ms = round(airtime.of_packet(_ACK_PACKET_SIZE))
            begin = now + _ACK_TURN_MS
            self._occupy(path, begin, begin + ack_ms, far)
            self._time.at(begin + ack_ms, lambda: self._ack(path, packet))

    def _ack(self, path: Path, packet: Packet) -> None:
        if self._is_gone(path, packet) or not self._is_heard(path, packet.sender):
            return
        packet.is_acked = True
        ack = FrameAcknowledged(packet.frame.link, packet.frame.transmission)
        self._tell(path, packet.sender, packet.report, ack)

    def _give_up(self, path: Path, packet: Packet) -> None:
        packet.is_judged = True
        if packet.is_acked or self._is_gone(path, packet):
            return
        reason = Refusal.RELAYED_ONLY if packet.is_relayed else Refusal.NO_ACK
        nak = FrameRefused(packet.frame.link, packet.frame.transmission, reason)
        self._tell(path, packet.sender, packet.report, nak)

    # Strangers

    def stranger(self, path: Path, size: int, *, listens: bool) -> None:
        """Somebody else sends so many octets on a radio's channel, if he finds it free."""
        now = self._time.now_ms
        if listens and self._busy_until(path, STRANGER, now) > now:
            return
        self._occupy(path, now, now + round(path.traits.airtime.of(size)), STRANGER)

    def _relay(self, path: Path, packet: Packet) -> None:
        """A third radio repeats it: an implicit ack to the sender, a second chance for the far
        radio.
        """
        if packet.is_judged or packet.is_acked or self._is_gone(path, packet):
            return
        now = self._time.now_ms
        self.stranger(path, len(packet.frame.octets), listens=True)
        if not packet.is_relayed and packet.sender not in path.deaf:
            packet.is_relayed = True
            relayed = FrameRelayed(packet.frame.link, packet.frame.transmission)
            self._tell(path, packet.sender, packet.report, relayed)
        self._heard(path, packet, now + packet.airtime_ms, relayed=True)

    # Medium

    def _occupy(self, path: Path, begin: int, end: int, sender: Station) -> None:
        if path.is_contended:
            while path.air and path.air[0][1] < begin - 10_000:
                path.air.popleft()
            path.air.append((begin, end, sender))
        if path.traits.is_radio:
            path.spent.setdefault(sender, deque()).append((begin, end - begin))
            if len(path.spent[sender]) > 8_192:
                path.spent_ms(sender, begin)

    def _busy_until(self, path: Path, station: Station, now: int) -> int:
        """When the medium is free for this station: its own device, and what it can hear."""
        ends = (
            end
            for begin, end, sender in path.air
            if end > now and (sender == station or begin + _SENSE_MS <= now)
        )
        return max(ends, default=0)

    def _collides(self, path: Path, sender: Station, begin: int, end: int) -> bool:
        return any(
            other != sender and other_begin < end and other_end > begin
            for other_begin, other_end, other in path.air
        )

    def _is_heard(self, path: Path, far: Station) -> bool:
        if far in path.deaf:
            return False
        if path.loss and self._rng.random() < path.loss:
            return False
        burst = path.burst
        if burst is None:
            return True
        return self._rng.random() >= burst.loss_at(self._time.now_ms, self._rng)

    def _deliver(
        self, path: Path, far: Station, octets: bytes, arrives: int, *, wants_ack: bool = False
    ) -> None:
        """Hand a heard frame up at the far end: hurt, repeated or late as the path has it."""
        rng = self._rng
        if path.corrupt and rng.random() < path.corrupt:
            index = rng.randrange(len(octets))
            octets = octets[:index] + bytes([octets[index] ^ 0x40]) + octets[index + 1 :]
        received = FrameReceived(path.name, octets, wants_ack=wants_ack)
        arrives += path.delay_ms
        if path.jitter_ms:
            arrives += rng.randrange(path.jitter_ms)
        self._time.at(arrives, lambda: self._arrive(path, far, received))
        if path.repeat and rng.random() < path.repeat:
            self._time.at(arrives + 50, lambda: self._arrive(path, far, received))


def cable_traits(bit_rate: int, *, half_duplex: bool = False) -> LinkTraits:
    return LinkTraits(1024, SerialAirtime(bit_rate, half_duplex))


def radio_traits(airtime: LoraAirtime = LONG_FAST) -> LinkTraits:
    return LinkTraits(200, airtime, is_radio=True)
