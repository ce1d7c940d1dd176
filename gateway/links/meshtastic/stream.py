"""Frames of the Meshtastic stream protocol in whatever a port brings. No I/O, no time.

A frame is `94 C3`, its length (2 octets, big endian, at most 512) and a protobuf message. On a USB
port the radio writes text logs between frames, which are skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

START: Final = b"\x94\xc3"
SIZE_MAX: Final = 512
WAKE: Final = b"\xc3" * 32
"""Wakes a sleeping radio and ends a half frame that it may still wait for."""

_HEADER_SIZE: Final = 4

T = TypeVar("T")


def encode_frame(message: bytes) -> bytes:
    """One message, at most 512 octets, as a frame."""
    assert len(message) <= SIZE_MAX
    return START + len(message).to_bytes(2, "big") + message


class StreamParser(Generic[T]):
    """Gives the messages in a stream; resynchronises after text, noise and cut frames.

    `decode` turns a frame's octets into a message, or None if they are none: then the start octets
    stood in text by chance, and the search goes on just behind them. Holds at most one frame.
    """

    def __init__(self, decode: Callable[[bytes], T | None]) -> None:
        self._decode = decode
        self._pending = bytearray()
        self.skipped_count = 0
        """Octets that belonged to no message."""

    @property
    def is_inside(self) -> bool:
        """Whether the start of a frame waits for its rest."""
        return len(self._pending) > 0

    def feed(self, octets: bytes) -> list[T]:
        """The messages that these octets complete."""
        self._pending += octets
        return self._drain()

    def give_up(self) -> list[T]:
        """The rest of the waiting frame will not come: search behind its start octets."""
        if not self._pending:
            return []
        self._skip(1)
        return self._drain()

    def _drain(self) -> list[T]:
        messages: list[T] = []
        while True:
            start = self._pending.find(START)
            if start < 0:
                # The last octet may be the first half of a start.
                self._skip(len(self._pending) - self._pending.endswith(START[:1]))
                return messages
            self._skip(start)
            if len(self._pending) < _HEADER_SIZE:
                return messages
            size = int.from_bytes(self._pending[2:_HEADER_SIZE], "big")
            if size > SIZE_MAX:
                self._skip(1)
                continue
            end = _HEADER_SIZE + size
            if len(self._pending) < end:
                return messages
            message = self._decode(bytes(self._pending[_HEADER_SIZE:end]))
            if message is None:
                self._skip(1)
            else:
                messages.append(message)
                del self._pending[:end]

    def _skip(self, count: int) -> None:
        self.skipped_count += count
        del self._pending[:count]
