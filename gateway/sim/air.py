"""The air that simulated radios share: true airtimes, half duplex, loss, collisions, cut paths.

It owns the timetable of everything that happens on it, so that one `advance` moves all radios, in
virtual time (a simulation) or real time (a bench, through `sim/radio/port.py`). What a packet means
is the radios' business; the air knows its size and who hears it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final, Protocol

from gateway.sim.faults import check_share, fork
from gateway.sim.timetable import Timetable

CAPTURED_COUNT_MAX: Final = 256
RECORD_COUNT_MAX: Final = 4096
HEADER_SIZE: Final = 16
PKC_SIZE: Final = 12
BROADCAST: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class AirPacket:
    """A Meshtastic packet on the air. `source` made it; `relay_node` says who sends it now."""

    source: int
    to: int
    packet_id: int
    hop_limit: int
    hop_start: int
    want_ack: bool
    next_hop: int
    """Last octet of the node that shall relay it; 0 floods."""
    relay_node: int
    """Last octet of the node that transmits it."""
    data: bytes
    """The encoded Data message, in clear: the simulation models who could decrypt it."""
    is_pkc: bool
    """Encrypted for the addressee's key, which adds 12 octets; else for the channel."""
    frame: bytes = b""
    """The client's octets in it, for the taps; empty for the radios' own traffic."""

    @property
    def size(self) -> int:
        """Octets on the air."""
        return HEADER_SIZE + len(self.data) + (PKC_SIZE if self.is_pkc else 0)


@dataclass(frozen=True, slots=True)
class Signal:
    """How well a packet was heard."""

    rssi_dbm: int = -60
    snr_db: float = 7.5


@dataclass(frozen=True, slots=True)
class AirRecord:
    """One transmission, for the bench's table."""

    at_ms: int
    sender: int
    """Node number of the radio that transmitted (a relay is not the source)."""
    packet: AirPacket
    airtime_ms: int


@dataclass(slots=True)
class Spent:
    """What one radio put on the air, its acks, relays and retransmissions included."""

    frame_count: int = 0
    octet_count: int = 0
    airtime_ms: int = 0


class Antenna(Protocol):
    """A radio, as the air sees it."""

    node_number: int

    @property
    def is_on_air(self) -> bool:
        """Can it be heard and does it hear? (Not cut, not frozen, running.)"""
        ...

    def hear(self, packet: AirPacket, signal: Signal) -> None:
        """A packet has been received whole."""
        ...


@dataclass(slots=True)
class _Transmission:
    sender: Antenna
    packet: AirPacket
    start_ms: int
    hearers: list[Antenna]
    """Those who could hear its start; fewer as things go wrong."""
    spoiled: dict[int, bool] = field(default_factory=dict)


class Air:
    """`loss` is the share of receptions lost, decided for each hearer alone; change it any time."""

    def __init__(self, rng: Random, loss: float = 0.0, *, collisions: bool = False) -> None:
        self.loss = check_share("loss", loss)
        self.rng = rng
        self.timetable = Timetable()
        self.captured: deque[bytes] = deque(maxlen=CAPTURED_COUNT_MAX)
        """The gateway frames last put on the air, first transmissions and repeats, oldest first."""
        self.records: deque[AirRecord] = deque(maxlen=RECORD_COUNT_MAX)
        self.spent: dict[int, Spent] = {}
        """By node number."""
        self.lost_count = 0
        """Receptions that loss or a collision took."""
        self._loss_rng = fork(rng)
        self._collide = collisions
        self._antennas: dict[int, Antenna] = {}
        self._signals: dict[tuple[int, int], Signal | None] = {}
        self._on_air: list[_Transmission] = []
        self._watchers: list[Callable[[], None]] = []
        self._clock_ms: Callable[[], int] | None = None
        self._clock_origin_ms = 0
        self._is_advancing = False

    # --- time

    @property
    def now_ms(self) -> int:
        """While things fall due, each one's own time; else the clock's, where there is one."""
        if self._clock_ms is None or self._is_advancing:
            return self.timetable.now_ms
        return max(self._clock_ms() - self._clock_origin_ms, self.timetable.now_ms)

    def use_clock(self, clock_ms: Callable[[], int]) -> None:
        """Run in real time from now on, on from the air's own time: radios that booted just now
        have no uptime of the machine's. The first clock counts; others must be the same.
        """
        if self._clock_ms is None:
            self._clock_origin_ms = clock_ms() - self.timetable.now_ms
            self._clock_ms = clock_ms

    def next_deadline(self) -> int | None:
        return self.timetable.next_deadline()

    def advance(self, now_ms: int | None = None) -> None:
        """Let everything happen that is due up to `now_ms` (default: the clock's time)."""
        end_ms = self.now_ms if now_ms is None else now_ms
        self._is_advancing = True
        try:
            self.timetable.advance(end_ms)
        finally:
            self._is_advancing = False
        self.changed()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call back after anything may have happened: output to fetch, another next deadline."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[], None]) -> None:
        self._watchers.remove(watcher)

    def changed(self) -> None:
        for watcher in list(self._watchers):
            watcher()

    # --- who hears whom

    def join(self, antenna: Antenna) -> None:
        if antenna.node_number in self._antennas:
            raise ValueError(f"node !{antenna.node_number:08x} is on this air already")
        self._antennas[antenna.node_number] = antenna
        self.spent[antenna.node_number] = Spent()

    def antennas(self) -> list[Antenna]:
        return list(self._antennas.values())

    def set_path(self, first: int, second: int, signal: Signal | None) -> None:
        """How well two nodes hear each other, both ways; None cuts the path between them."""
        self._signals[first, second] = signal
        self._signals[second, first] = signal

    def _signal(self, sender: int, hearer: int) -> Signal | None:
        return self._signals.get((sender, hearer), Signal())

    # --- transmissions

    def is_busy(self, antenna: Antenna, detection_ms: int) -> bool:
        """Does this radio transmit, or hear someone who has done so for at least so long?"""
        return any(
            transmission.sender is antenna
            or (
                self.now_ms - transmission.start_ms >= detection_ms
                and transmission.sender.is_on_air
                and antenna in transmission.hearers
            )
            for transmission in self._on_air
        )

    def transmit(self, sender: Antenna, packet: AirPacket, airtime_ms: int) -> None:
        """Start a transmission; those who hear it get it at its end."""
        hearers = [
            antenna
            for antenna in self._antennas.values()
            if antenna is not sender
            and sender.is_on_air
            and antenna.is_on_air
            and self._signal(sender.node_number, antenna.node_number) is not None
        ]
        transmission = _Transmission(sender, packet, self.now_ms, hearers)
        self._interfere(transmission)
        self._on_air.append(transmission)
        self._record(sender.node_number, packet, airtime_ms)
        self.timetable.at(self.now_ms + airtime_ms, lambda: self._finish(transmission))

    def _interfere(self, new: _Transmission) -> None:
        """Who transmits hears nothing; two packets at one hearer spoil each other if so set."""
        for other in self._on_air:
            new.spoiled[other.sender.node_number] = True
            other.spoiled[new.sender.node_number] = True
            if self._collide:
                for hearer in new.hearers:
                    if hearer in other.hearers:
                        new.spoiled[hearer.node_number] = True
                        other.spoiled[hearer.node_number] = True

    def _record(self, sender: int, packet: AirPacket, airtime_ms: int) -> None:
        spent = self.spent[sender]
        spent.frame_count += 1
        spent.octet_count += packet.size
        spent.airtime_ms += airtime_ms
        self.records.append(AirRecord(self.now_ms, sender, packet, airtime_ms))
        if packet.frame:
            self.captured.append(packet.frame)

    def _finish(self, transmission: _Transmission) -> None:
        self._on_air.remove(transmission)
        for hearer in transmission.hearers:
            signal = self._signal(transmission.sender.node_number, hearer.node_number)
            # Cut in the middle of the packet, at either end or between them: nothing is received.
            if signal is None or not (transmission.sender.is_on_air and hearer.is_on_air):
                continue
            is_spoiled = transmission.spoiled.get(hearer.node_number, False)
            if is_spoiled or self._loss_rng.random() < self.loss:
                self.lost_count += 1
                continue
            hearer.hear(transmission.packet, signal)
