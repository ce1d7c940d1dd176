"""The hash chain of the log book: hash = SHA-256(previous hash || octets). Pure; no file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.errors import DecodeError
from gateway.logbook.entry import decode_entry

GENESIS: Final = bytes(32)
"""Stands for the previous hash of entry 1."""


class ChainRow(Protocol):
    """An entry as it is kept; `store.base.LogRow` is one."""

    @property
    def number(self) -> int: ...
    @property
    def octets(self) -> bytes: ...
    @property
    def hash(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class BrokenEntry:
    """The first entry that does not hold, and why; one sentence part for people."""

    number: int
    reason: str


def next_hash(previous: bytes, octets: bytes) -> bytes:
    """The hash of the entry `octets` after the entry with hash `previous` (or `GENESIS`)."""
    return hashlib.sha256(previous + octets).digest()


def verify(
    rows: Iterable[ChainRow], *, number: int = 0, previous: bytes = GENESIS
) -> BrokenEntry | None:
    """Check rows that follow entry `number` with hash `previous`; name the first that is broken.

    A hole, a repeated number, octets that are no entry, an entry that holds another number and a
    hash that does not follow are all breaks. None: every row holds.
    """
    for row in rows:
        number += 1
        if row.number != number:
            return BrokenEntry(number, f"is missing; entry {row.number} stands in its place")
        try:
            entry = decode_entry(row.octets)
        except DecodeError as error:
            return BrokenEntry(number, f"cannot be read: {error}")
        if entry.number != number:
            return BrokenEntry(number, f"says of itself that it is entry {entry.number}")
        previous = next_hash(previous, row.octets)
        if previous != row.hash:
            return BrokenEntry(number, "does not follow from the entry before it: its hash differs")
    return None
