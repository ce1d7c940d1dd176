"""Packets that a simulated radio sends again until an ack, real or implicit, comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from gateway.sim.air import BROADCAST, Air, AirPacket
from gateway.sim.radio.modem import AirtimeLog, Modem
from gateway.sim.radio.transmit_queue import After, Key, Log

PENDING_COUNT_MAX: Final = 64
"""The oldest is forgotten beyond that."""
BITFIELD_SIZE: Final = 2
"""The firmware measures its own packet before it has added this field."""


@dataclass(slots=True)
class _Pending:
    packet: AirPacket
    priority: int
    left_count: int
    due_ms: int


class Retransmissions:
    """`transmit` puts one on the queue again, `fell_back` tells that it will flood from now on,
    `failed` that the last wait is over.
    """

    def __init__(
        self,
        modem: Modem,
        air: Air,
        airtime: AirtimeLog,
        *,
        after: After,
        log: Log,
        transmit: Callable[[AirPacket, int], None],
        fell_back: Callable[[int], None],
        failed: Callable[[AirPacket], None],
    ) -> None:
        self._modem = modem
        self._air = air
        self._airtime = airtime
        self._after = after
        self._log = log
        self._transmit = transmit
        self._fell_back = fell_back
        self._failed = failed
        self._pending: dict[Key, _Pending] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._pending

    def start(self, packet: AirPacket, priority: int, transmit_count: int) -> None:
        """Watch a packet whose first of `transmit_count` transmissions is being queued."""
        if len(self._pending) >= PENDING_COUNT_MAX:
            del self._pending[next(iter(self._pending))]
        key = packet.source, packet.packet_id
        due_ms = self._air.now_ms + self._wait_ms(packet)
        self._pending[key] = _Pending(packet, priority, transmit_count - 1, due_ms)
        self._watch(key, due_ms)

    def stop(self, key: Key) -> None:
        self._pending.pop(key, None)

    def clear(self) -> None:
        self._pending.clear()

    def defer(self, packet: AirPacket) -> None:
        """While this packet is on the air no ack of another one can come: give those more time."""
        for key, pending in self._pending.items():
            if key != (packet.source, packet.packet_id):
                pending.due_ms += self._modem.packet_ms(packet.size)

    def _wait_ms(self, packet: AirPacket) -> int:
        channel_percent = self._airtime.channel_percent(self._air.now_ms)
        return self._modem.retransmission_ms(len(packet.data) - BITFIELD_SIZE, channel_percent)

    def _watch(self, key: Key, due_ms: int) -> None:
        self._after(max(due_ms - self._air.now_ms, 0), lambda: self._due(key))

    def _due(self, key: Key) -> None:
        pending = self._pending.get(key)
        if pending is None:
            return
        if pending.due_ms > self._air.now_ms:
            self._watch(key, pending.due_ms)
            return
        packet = pending.packet
        if pending.left_count == 0:
            del self._pending[key]
            self._failed(packet)
            return
        self._log(
            "DEBUG",
            "Router",
            f"Sending retransmission fr=0x{packet.source:x},to=0x{packet.to:x},"
            f"id=0x{packet.packet_id:x}, tries left={pending.left_count}",
        )
        if pending.left_count == 1 and packet.to != BROADCAST:
            pending.packet = packet = replace(packet, next_hop=0)
            self._fell_back(packet.to)
        self._transmit(packet, pending.priority)
        pending.left_count -= 1
        pending.due_ms = self._air.now_ms + self._wait_ms(packet)
        self._watch(key, pending.due_ms)
