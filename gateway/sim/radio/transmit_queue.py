"""The transmit queue of a simulated radio: 16 slots by priority, contention, one on the air."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from gateway.sim.air import Air, AirPacket, Antenna
from gateway.sim.radio.modem import (
    CONTENTION_MAX,
    SNR_MAX,
    SNR_MIN,
    AirtimeLog,
    Modem,
    contention_size,
)

QUEUE_COUNT_MAX: Final = 16
RESULT_OK: Final = 0
RESULT_FULL: Final = 32

After = Callable[[int, Callable[[], None]], None]
"""Do something so many ms from now, unless the radio stops before."""
Log = Callable[[str, str, str], None]
"""Level, thread, text."""
Key = tuple[int, int]
"""Source and packet id."""


def describe(packet: AirPacket) -> str:
    """A packet as the firmware's log names it."""
    return (
        f"id=0x{packet.packet_id:08x} fr=0x{packet.source:08x} to=0x{packet.to:08x}, "
        f"transport = 0, WantAck={int(packet.want_ack)}, HopLim={packet.hop_limit} "
        f"Ch=0x{0 if packet.is_pkc else 8:x} encrypted len={packet.size} "
        f"hopStart={packet.hop_start} relay=0x{packet.relay_node:x}"
    )


@dataclass(frozen=True, slots=True)
class Queued:
    packet: AirPacket
    priority: int
    snr_db: float | None = None
    """None for an own packet; else how well the packet to relay was heard."""

    @property
    def key(self) -> Key:
        return self.packet.source, self.packet.packet_id


class TransmitQueue:
    def __init__(
        self,
        antenna: Antenna,
        modem: Modem,
        air: Air,
        airtime: AirtimeLog,
        *,
        rng: Random,
        after: After,
        log: Log,
        slot_freed: Callable[[], None],
    ) -> None:
        self._antenna = antenna
        self._modem = modem
        self._air = air
        self._airtime = airtime
        self._rng = rng
        self._after = after
        self._log = log
        self._slot_freed = slot_freed
        self._entries: list[Queued] = []
        self._is_timer_set = False
        self._is_transmitting = False

    @property
    def free_count(self) -> int:
        return QUEUE_COUNT_MAX - len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return any(entry.key == key for entry in self._entries)

    def enqueue(self, entry: Queued) -> int:
        """Before all of lower priority. Full: one of lower priority gives way without a word."""
        if not self.free_count:
            if self._entries[-1].priority >= entry.priority:
                return RESULT_FULL
            self._entries.pop()
        position = len(self._entries)
        while position and self._entries[position - 1].priority < entry.priority:
            position -= 1
        self._entries.insert(position, entry)
        self._log("DEBUG", "Router", f"enqueuing for send ({describe(entry.packet)})")
        self._set_delay()
        return RESULT_OK

    def cancel(self, key: Key) -> None:
        self._entries = [entry for entry in self._entries if entry.key != key]

    def clear(self) -> None:
        self._entries.clear()

    def _set_delay(self) -> None:
        """Contention: wait a random number of slots, for a relay longer the better it heard."""
        if self._is_timer_set or self._is_transmitting or not self._entries:
            return
        snr_db = self._entries[0].snr_db
        if snr_db is None:
            size = contention_size(self._airtime.channel_percent(self._air.now_ms), 0, 100)
            slots = self._rng.randrange(1 << size)
        else:
            size = contention_size(snr_db, SNR_MIN, SNR_MAX)
            slots = 2 * CONTENTION_MAX + self._rng.randrange(1 << size)
        self._is_timer_set = True
        self._after(max(slots * self._modem.slot_ms, 1), self._due)

    def _due(self) -> None:
        self._is_timer_set = False
        if not self._entries or self._is_transmitting:
            return
        if self._air.is_busy(self._antenna, self._modem.slot_ms):
            self._set_delay()
            return
        packet = self._entries.pop(0).packet
        airtime_ms = self._modem.packet_ms(packet.size)
        self._is_transmitting = True
        self._log("DEBUG", "SimRadio", f"Start low level send ({describe(packet)})")
        self._log("DEBUG", "SimRadio", f"Packet TX: {airtime_ms}ms")
        self._air.transmit(self._antenna, packet, airtime_ms)
        self._after(airtime_ms, lambda: self._sent(packet, airtime_ms))
        self._slot_freed()

    def _sent(self, packet: AirPacket, airtime_ms: int) -> None:
        self._is_transmitting = False
        self._airtime.add(self._air.now_ms, airtime_ms, is_own=True)
        self._log("DEBUG", "SimRadio", f"Completed sending ({describe(packet)})")
        self._set_delay()
