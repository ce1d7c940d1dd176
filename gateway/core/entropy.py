"""Octets of the operating system's entropy, as they came in events; spent once each."""

from __future__ import annotations

from gateway.core.draft import Draft
from gateway.core.effects import RequestEntropy

_LOW_SIZE = 128
_REFILL_SIZE = 512
_RESERVE_SIZE = 32
"""Kept for epochs, which must not wait for a refill."""


class EntropyPool:
    """A pool that asks for more before it runs dry; taking from a dry one is a bug of ours."""

    __slots__ = ("_asked", "_octets")

    def __init__(self) -> None:
        self._octets = b""
        self._asked = False

    def fill(self, octets: bytes) -> None:
        self._octets += octets
        self._asked = False

    def take(self, size: int, draft: Draft) -> bytes:
        """`size` octets that nobody gets again."""
        assert len(self._octets) >= size, "the entropy pool ran dry"
        octets, self._octets = self._octets[:size], self._octets[size:]
        if len(self._octets) < _LOW_SIZE and not self._asked:
            self._asked = True
            draft.effect(RequestEntropy(_REFILL_SIZE))
        return octets

    def can_give(self, size: int) -> bool:
        """False until a refill came: noise that makes us take octets must not end the daemon."""
        return len(self._octets) >= size + _RESERVE_SIZE
