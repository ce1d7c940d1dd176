"""An act in parts: its map and signature, one after the other, cut into at most 32 fragments.

Pure and order-free. Which fragments go when, and how long an unfinished act is kept, is the core's.
"""

from __future__ import annotations

from typing import Final

from gateway.errors import DecodeError, FieldError
from gateway.wire.canonical import load_sequence
from gateway.wire.items import as_signature, encode_signature
from gateway.wire.limits import ACT_NESTING_MAX, ACT_SIZE_MAX, FRAGMENT_COUNT_MAX, SIGNATURE_SIZE

CONTENT_SIZE_MAX: Final = ACT_SIZE_MAX + 2 + SIGNATURE_SIZE
FRAGMENT_OVERHEAD_MAX: Final = 1 + 1 + 5 + 5 + 3 + 3
"""Octets of a fragment item around its content, at most: array, type, age, id, part, length."""
ROOM_MIN: Final = -(-CONTENT_SIZE_MAX // FRAGMENT_COUNT_MAX)
"""With this much room any act fits 32 fragments."""


def fragment_room(items_size_max: int) -> int:
    """Octets of content that one fragment may have where a frame has room for so many of items."""
    return items_size_max - FRAGMENT_OVERHEAD_MAX


def split_act(octets: bytes, signature: bytes | None, *, room: int) -> tuple[bytes, ...]:
    """Cut an act into the fewest fragments of at most `room` octets, as equal as they can be.

    The same act and room give the same cut, so fragments of several links complete each other.
    Raises `FieldError` when more than 32 would be needed.
    """
    content = octets + encode_signature(signature)
    count = -(-len(content) // room) if room > 0 else FRAGMENT_COUNT_MAX + 1
    if count > FRAGMENT_COUNT_MAX:
        raise FieldError(
            "room",
            f"{room} octets a fragment are too few for {len(content)}",
            f"give {ROOM_MIN} or more",
        )
    size = -(-len(content) // count)
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    return tuple(parts)


class Reassembly:
    """The fragments of one act that came so far, in any order, repeated or not."""

    __slots__ = ("_parts", "_size", "count")

    def __init__(self, count: int) -> None:
        if not 1 <= count <= FRAGMENT_COUNT_MAX:
            raise DecodeError(f"an act in {count} fragments")
        self.count = count
        self._parts: dict[int, bytes] = {}
        self._size = 0

    def add(self, index: int, octets: bytes) -> None:
        """Keep a fragment. Raises `DecodeError` if it contradicts what came, which then stays."""
        if not 0 <= index < self.count or not octets:
            raise DecodeError(f"fragment {index} of {self.count}")
        known = self._parts.get(index)
        if known is not None:
            if known != octets:
                raise DecodeError(f"fragment {index} came twice with other octets")
            return
        if self._size + len(octets) > CONTENT_SIZE_MAX:
            raise DecodeError(f"fragments of more than {CONTENT_SIZE_MAX} octets")
        self._parts[index] = octets
        self._size += len(octets)

    @property
    def bitmap(self) -> int:
        """Bit i: fragment i is here."""
        return sum(1 << index for index in self._parts)

    @property
    def is_complete(self) -> bool:
        return len(self._parts) == self.count

    def result(self) -> tuple[bytes, bytes | None]:
        """(octets of the act's map, signature). Raises `DecodeError` if this is not what came."""
        if not self.is_complete:
            raise DecodeError("fragments are missing")
        content = b"".join([self._parts[index] for index in range(self.count)])
        found = load_sequence(content, count_max=2, nesting=ACT_NESTING_MAX)
        if len(found) != 2 or not isinstance(found[0][0], dict):
            raise DecodeError("the fragments are not an act and its signature")
        return found[0][1], as_signature(found[1][0])
