"""Packet ids that a radio has not seen lately."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Final

HISTORY_COUNT: Final = 256
"""More than packets whose end may still be told; the radio ignores an id among its last 20."""


class PacketIds:
    """Random 32-bit ids; none repeats within `HISTORY_COUNT`."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._used: deque[int] = deque(maxlen=HISTORY_COUNT)

    def draw(self) -> int:
        while True:
            packet_id = self._rng.getrandbits(32)
            if packet_id and packet_id not in self._used:
                self._used.append(packet_id)
                return packet_id
