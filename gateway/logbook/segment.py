"""Records of segment files: a CBOR sequence (RFC 8742) of [entry, hash, next offset].

`entry` is the entry's octets in a byte string, `hash` its 32 octets, and `next offset` the offset
that the next publication will have: a rebuilt store must never give an old offset to a new one.
Pure; the store owns the files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.errors import DecodeError
from gateway.logbook.entry import ENTRY_SIZE_MAX, Entry, decode_entry

_ARRAY_OF_3: Final = 0x83
_START: Final = bytes((_ARRAY_OF_3,))
_UINT, _BYTES = 0, 2
_HASH_SIZE: Final = 32


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


def read_records(octets: bytes) -> Iterator[Record]:
    """Every record that can be read. A torn or damaged stretch costs the records that it hits."""
    at = 0
    while (at := octets.find(_ARRAY_OF_3, at)) >= 0:
        try:
            record, tail, at = _read_record(octets, at)
        except DecodeError:
            at += 1
        else:
            yield record
            if octets[at : at + 1] not in (b"", _START):
                # Damage to the last number may have swallowed the start of the next record.
                at = tail


def _read_record(octets: bytes, at: int) -> tuple[Record, int, int]:
    """The record that starts here, where its last number starts, and where it ends."""
    size, at = _read_head(octets, at + 1, _BYTES)
    if size > ENTRY_SIZE_MAX or at + size > len(octets):
        raise DecodeError("the entry is cut")
    entry, at = octets[at : at + size], at + size
    size, at = _read_head(octets, at, _BYTES)
    if size != _HASH_SIZE or at + size > len(octets):
        raise DecodeError("the hash is cut")
    entry_hash, tail = octets[at : at + size], at + size
    next_offset, at = _read_head(octets, tail, _UINT)
    return Record(decode_entry(entry).number, entry, entry_hash, next_offset), tail, at


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
    if code not in _SIZES:
        raise DecodeError("an indefinite length")
    try:
        (value,) = struct.unpack_from(_SIZES[code], octets, at + 1)
    except struct.error as error:
        raise DecodeError("cut in a length") from error
    return value, at + 1 + struct.calcsize(_SIZES[code])
