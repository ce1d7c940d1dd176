"""Records of segment files: a CBOR sequence (RFC 8742) of [entry, hash, next offset].

`entry` is the entry's octets in a byte string, `hash` its 32 octets, and `next offset` the offset
that the next publication will have: a rebuilt store must never give an old offset to a new one.
An exported book is such a sequence too. Pure; the store owns the files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.errors import DecodeError
from gateway.logbook.entry import ENTRY_SIZE_MAX, Entry, decode_entry

_ARRAY_OF_3: Final = 0x83
_START: Final = bytes((_ARRAY_OF_3,))
_UINT, _BYTES = 0, 2
_HASH_SIZE: Final = 32
RECORD_SIZE_MAX: Final = 1 + 3 + ENTRY_SIZE_MAX + 2 + _HASH_SIZE + 9
TORN_SIZE_MAX: Final = 16 * RECORD_SIZE_MAX
BLOCK_SIZE: Final = 512 * 1024
"""Octets of a book that `blocks` hands on at once, about; less than twice as many."""


@dataclass(frozen=True, slots=True)
class Record:
    """An entry as a segment file keeps it; a `ChainRow`."""

    number: int
    octets: bytes
    hash: bytes
    next_offset: int

    @property
    def entry(self) -> Entry:
        return decode_entry(self.octets)


def encode_record(octets: bytes, entry_hash: bytes, next_offset: int) -> bytes:
    return b"".join(
        (
            bytes((_ARRAY_OF_3,)),
            _head(_BYTES, len(octets)),
            octets,
            _head(_BYTES, len(entry_hash)),
            entry_hash,
            _head(_UINT, next_offset),
        )
    )


@dataclass(frozen=True, slots=True)
class Damage:
    """Octets of a file that are no part of a record."""

    offset: int
    size: int
    octets: bytes
    """What they are, if a full disk can have left so many: `TORN_SIZE_MAX`; else empty."""


class Found(NamedTuple):
    """A record with the entry that was read of it."""

    record: Record
    entry: Entry


def read_records(octets: bytes) -> Iterator[Record]:
    """Every record that can be read. A torn or damaged stretch costs the records that it hits."""
    for found in read_items(octets):
        if isinstance(found, Found):
            yield found.record


def read_items(octets: bytes, *, offset: int = 0) -> Iterator[Found | Damage]:
    """Records and what lies between them; `offset` is that of these octets in their file."""
    at = end = 0
    while (at := octets.find(_ARRAY_OF_3, at)) >= 0:
        try:
            (octets_of_entry, entry_hash, next_offset), tail, after = _walk(octets, at)
            entry = decode_entry(octets_of_entry)
        except DecodeError:
            at += 1
            continue
        if at > end:
            yield _damage(octets[end:at], offset + end)
        yield Found(Record(entry.number, octets_of_entry, entry_hash, next_offset), entry)
        # Damage to the last number may have swallowed the start of the next record.
        at, end = after if octets[after : after + 1] in (b"", _START) else tail, after
    if end < len(octets):
        yield _damage(octets[end:], offset + end)


def _damage(octets: bytes, offset: int) -> Damage:
    return Damage(offset, len(octets), octets if len(octets) <= TORN_SIZE_MAX else b"")


def is_torn(octets: bytes, records: Sequence[bytes]) -> bool:
    """Whether they are the beginnings of some of these records, one behind the other: what writes
    that a full disk cut short have left.
    """
    at = 0
    while at < len(octets):
        begun = max((_same_size(octets[at:], record) for record in records), default=0)
        if not begun:
            return False
        at += begun
    return bool(octets)


def _same_size(one: bytes, other: bytes) -> int:
    """How many octets they begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def blocks(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """A long file in parts that do not cut a record: (offset, octets) each.

    Holds less than a block, a chunk and a record in memory, whatever the file is made of.
    """
    held, offset = b"", 0
    for chunk in chunks:
        held += chunk
        if len(held) >= BLOCK_SIZE:
            size = _whole_size(held)
            yield offset, held[:size]
            held, offset = held[size:], offset + size
    if held:
        yield offset, held


def _whole_size(octets: bytes) -> int:
    """Where the last whole record ends; in a long damage, what no record can reach back to."""
    at = end = 0
    while (at := octets.find(_ARRAY_OF_3, at)) >= 0:
        try:
            _, _, end = _walk(octets, at)
        except DecodeError:
            at += 1
        else:
            at = end
    return max(end, len(octets) - RECORD_SIZE_MAX)


def _walk(octets: bytes, at: int) -> tuple[tuple[bytes, bytes, int], int, int]:
    """The parts of the record that starts here, where its last number starts, where it ends."""
    size, at = _read_head(octets, at + 1, _BYTES)
    if size > ENTRY_SIZE_MAX or at + size > len(octets):
        raise DecodeError("the entry is cut")
    entry, at = octets[at : at + size], at + size
    size, at = _read_head(octets, at, _BYTES)
    if size != _HASH_SIZE or at + size > len(octets):
        raise DecodeError("the hash is cut")
    entry_hash, tail = octets[at : at + size], at + size
    next_offset, at = _read_head(octets, tail, _UINT)
    return (entry, entry_hash, next_offset), tail, at


_SIZES: Final = {24: ">B", 25: ">H", 26: ">I", 27: ">Q"}


def _head(major: int, value: int) -> bytes:
    if value < 24:
        return bytes((major << 5 | value,))
    code = 24 if value < 0x100 else 25 if value < 0x1_0000 else 26 if value < 0x1_0000_0000 else 27
    return bytes((major << 5 | code,)) + struct.pack(_SIZES[code], value)


def _read_head(octets: bytes, at: int, major: int) -> tuple[int, int]:
    if at >= len(octets) or octets[at] >> 5 != major:
        raise DecodeError("another type was expected")
    code = octets[at] & 0x1F
    if code < 24:
        return code, at + 1
    if code == 24 and at + 1 < len(octets):
        return octets[at + 1], at + 2
    if code > 27:
        raise DecodeError("an indefinite length")
    end = at + 1 + (1 << (code - 24))
    if end > len(octets):
        raise DecodeError("cut in a length")
    return int.from_bytes(octets[at + 1 : end], "big"), end
