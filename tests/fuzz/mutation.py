"""Octets damaged in the ways that hurt readers, from a seed: the same seed, the same octets."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

_ODD: Final = (0x00, 0x01, 0x17, 0x18, 0x1F, 0x20, 0x7F, 0x80, 0x9F, 0xA0, 0xBF, 0xF6, 0xFE, 0xFF)
"""Octets at an edge: of CBOR heads, signs, lengths, text."""
_ROUND_COUNT_MAX: Final = 6


class Mutator:
    """Draws inputs from a corpus: one of them changed, or two joined."""

    def __init__(
        self, inputs: Sequence[bytes], *, pieces: Sequence[bytes], size_max: int, seed: int
    ) -> None:
        self._inputs = [octets[:size_max] for octets in inputs]
        self._pieces = pieces or (b"\x00",)
        self._size_max = size_max
        self._rng = Random(seed)

    def draw(self) -> bytes:
        rng = self._rng
        octets = bytearray(rng.choice(self._inputs))
        for _ in range(rng.randint(1, _ROUND_COUNT_MAX)):
            self._change(octets, rng)
        return bytes(octets[: self._size_max])

    def _change(self, octets: bytearray, rng: Random) -> None:
        at = rng.randrange(len(octets) + 1)
        end = min(at + rng.choice((1, 1, 2, 4, 8, 64)), len(octets))
        match rng.randrange(9):
            case 0 if at < len(octets):
                octets[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(octets):
                octets[at] = rng.choice(_ODD)
            case 2 if at < len(octets):
                octets[at] = (octets[at] + rng.randint(-3, 3)) & 0xFF
            case 3:
                octets[at:at] = rng.choice(self._pieces)
            case 4:
                del octets[at:end]
            case 5:
                octets[at:at] = octets[at:end] * rng.randint(1, 4)
            case 6:
                octets[at:] = rng.choice(self._inputs)[at:]
            case 7:
                octets[at:end] = rng.randbytes(end - at)
            case _:
                del octets[at:]
