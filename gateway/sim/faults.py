"""Seeded decisions about what goes wrong: which frame is lost, which octet or bit is hurt.

One seed gives one history. Each kind of decision draws from a generator of its own, so that asking
for one more kind of fault does not change when the others strike.
"""

from __future__ import annotations

import math
from random import Random


def check_share(name: str, value: float) -> float:
    """A share of what passes, 0.0 to 1.0. Raises `ValueError` otherwise."""
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is {value}: give a share from 0.0 to 1.0")
    return value


def fork(rng: Random) -> Random:
    """An independent generator that depends on the seed and on the order of forks only."""
    return Random(rng.getrandbits(64))


class Faults:
    """Decisions for one direction of one medium."""

    def __init__(self, rng: Random) -> None:
        self._frame = fork(rng)
        self._octet = fork(rng)
        self._bit = fork(rng)

    def loses_frame(self, share: float) -> bool:
        """Decide for one whole frame."""
        return self._frame.random() < share

    def thin(self, octets: bytes, share: float) -> bytes:
        """Lose single octets: each with probability `share`."""
        if share <= 0.0:
            return octets
        return bytes(octet for octet in octets if self._octet.random() >= share)

    def flip(self, octets: bytes, bit_error_rate: float) -> bytes:
        """Flip bits: each with probability `bit_error_rate`. Draws once a hit, not once a bit."""
        if bit_error_rate <= 0.0 or not octets:
            return octets
        hurt = bytearray(octets)
        for position in self._hits(len(octets) * 8, bit_error_rate):
            hurt[position // 8] ^= 1 << (position % 8)
        return bytes(hurt)

    def _hits(self, count: int, rate: float) -> list[int]:
        if rate >= 1.0:
            return list(range(count))
        hits: list[int] = []
        log_miss = math.log1p(-rate)
        position = -1
        while True:
            draw = 1.0 - self._bit.random()
            position += 1 + int(math.log(draw) / log_miss)
            if position >= count:
                return hits
            hits.append(position)
