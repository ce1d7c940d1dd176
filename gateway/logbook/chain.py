"""The hash chain of the log book: hash = SHA-256(previous hash || octets). Pure; no file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.errors import DecodeError
from gateway.logbook.entry import Entry, decode_entry

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


def first_difference(
    own: Iterable[Entry], other: Iterable[Entry]
) -> tuple[Entry | None, Entry | None] | None:
    """Compare two books by their line entries: the first act that both hold with other octets.

    Gives the first pair of different entries for one act id; if there is none, (entry, None) for
    the first act in `own` that `other` lacks, else (None, entry) for the reverse; None: they agree.
    Acts are matched by id, since each book holds them in its own order.
    """
    theirs = {entry.act_id: entry for entry in other if entry.is_line and entry.act_id}
    missing: Entry | None = None
    seen = set()
    for entry in own:
        if not entry.is_line or not entry.act_id:
            continue
        seen.add(entry.act_id)
        match = theirs.get(entry.act_id)
        if match is None:
            missing = missing or entry
        elif (match.octets, match.signature) != (entry.octets, entry.signature):
            return entry, match
    if missing is not None:
        return missing, None
    for act_id, entry in theirs.items():
        if act_id not in seen:
            return None, entry
    return None
