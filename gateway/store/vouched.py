"""The signed head beside the log book's files against the book that a start finds.

The head of the run before covers what was flushed then, so no power cut leaves a book that lacks
it: who does not have it was cut, written anew or put here from elsewhere, or the card lies.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.errors import DecodeError
from gateway.logbook.head import decode_head
from gateway.model import Station


def contradiction(
    octets: bytes, *, station: Station, last: int, hash_of: Callable[[int], bytes | None]
) -> str | None:
    """What the head says that the book of `station` does not hold, as one sentence; None: nothing.

    `last` is the number of the book's last entry, 0 in an empty one; `hash_of` gives an entry's.
    Whether the signature holds is not asked: the keys may have changed, and a head that nobody
    signed is as wrong here as one that fits no book.
    """
    try:
        head = decode_head(octets)
    except DecodeError as error:
        return f"the signed head of the log book cannot be read ({error})"
    if head.station != station:
        return f"the signed head beside the log book is of station {head.station}"
    if head.number > last:
        return (
            f"entries {last + 1} to {head.number} of the log book are gone: its signed head has"
            f" {head.number}, the book ends with {last}"
        )
    if hash_of(head.number) != head.hash:
        return f"entry {head.number} of the log book, or one before it, is another than was signed"
    return None
