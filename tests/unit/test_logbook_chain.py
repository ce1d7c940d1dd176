"""The hash chain: any change of a book is found, and the first broken entry is named."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.logbook.chain import GENESIS, BrokenEntry, next_hash, verify
from gateway.logbook.entry import Entry, encode_entry
from gateway.logbook.segment import Record, encode_record, read_records
from gateway.model import ActId, Epoch, Serial, Station


def line(number: int, serial: int, octets: bytes = b"act") -> Entry:
    act_id = ActId(Station(1), Epoch(7), Serial(serial))
    return Entry(number=number, is_line=True, event="sent", act_id=act_id, octets=octets)


def book(count: int) -> list[Record]:
    records: list[Record] = []
    previous = GENESIS
    for number in range(1, count + 1):
        octets = encode_entry(line(number, number))
        previous = next_hash(previous, octets)
        records.append(Record(number, octets, previous, 10 + number))
    return records


def test_hash_is_sha256_of_previous_and_octets() -> None:
    """The rule that other tools can follow: SHA-256(previous hash || octets), 32 zeros first."""
    assert next_hash(GENESIS, b"entry") == hashlib.sha256(bytes(32) + b"entry").digest()


def test_sound_book_verifies() -> None:
    """A sound book has no broken entry, whole or from any entry on."""
    records = book(5)
    assert verify(records) is None
    assert verify(records[2:], number=2, previous=records[1].hash) is None
    assert verify([]) is None


@pytest.mark.parametrize(
    ("change", "number", "reason"),
    [
        (lambda rows: rows[:1] + rows[2:], 2, "missing"),
        (lambda rows: [rows[0], rows[0], *rows[1:]], 2, "missing"),
        (lambda rows: [rows[0], replace(rows[1], hash=bytes(32)), *rows[2:]], 2, "hash"),
        (lambda rows: [*rows[:3], replace(rows[3], octets=b"?")], 4, "cannot be read"),
        (lambda rows: [replace(rows[0], octets=rows[1].octets), *rows[1:]], 1, "says of itself"),
        (lambda rows: [rows[0], replace(rows[2], number=2), *rows[1:]], 2, "says of itself"),
    ],
)
def test_first_broken_entry_is_named(change: object, number: int, reason: str) -> None:
    """A hole, a repeat, a changed hash, entry or order is found at the entry where it begins."""
    broken = verify(change(book(4)))  # type: ignore[operator]
    assert isinstance(broken, BrokenEntry)
    assert broken.number == number
    assert reason in broken.reason


@given(st.integers(0, 5), st.integers(0, 200), st.integers(0, 7))
def test_any_changed_bit_is_found(index: int, at: int, bit: int) -> None:
    """One bit anywhere in any entry breaks the chain there."""
    records = book(6)
    octets = bytearray(records[index].octets)
    octets[at % len(octets)] ^= 1 << bit
    records[index] = replace(records[index], octets=bytes(octets))
    broken = verify(records)
    assert broken is not None
    assert broken.number == index + 1


def test_a_changed_end_needs_the_head() -> None:
    """A book rewritten from some entry on is sound in itself, but its head is another."""
    own, other = book(3), book(2)
    octets = encode_entry(line(3, 9))
    other.append(Record(3, octets, next_hash(other[1].hash, octets), 13))
    assert verify(other) is None
    assert own[-1].hash != other[-1].hash


def test_segment_records_come_back() -> None:
    """A segment file is read back record by record, empty entries of the sequence included."""
    records = book(30)
    octets = b"".join(encode_record(r.octets, r.hash, r.next_offset) for r in records)
    assert list(read_records(octets)) == records
    assert records[0].entry == line(1, 1)
    assert list(read_records(b"")) == []


@example(at=414, noise=b"\x00\x00\x00\x00\x00\x18")  # it swallowed the next record's start
@given(st.integers(0, 2000), st.binary(min_size=1, max_size=40))
def test_noise_in_a_segment_costs_what_it_hits(at: int, noise: bytes) -> None:
    """Octets written over a segment cost the records that they touch; the others are read."""
    records = book(20)
    parts = [encode_record(r.octets, r.hash, r.next_offset) for r in records]
    octets = bytearray(b"".join(parts))
    at %= len(octets)
    octets[at : at + len(noise)] = noise
    read = list(read_records(bytes(octets)))
    end = 0
    for part, record in zip(parts, records, strict=True):
        start, end = end, end + len(part)
        if end <= at or start >= at + len(noise):
            assert record in read


@given(st.integers(0, 2000))
def test_a_torn_segment_keeps_its_beginning(size: int) -> None:
    """A file cut anywhere gives all its whole records and nothing else."""
    records = book(20)
    parts = [encode_record(r.octets, r.hash, r.next_offset) for r in records]
    octets = b"".join(parts)[:size]
    whole, end = 0, 0
    for part in parts:
        end += len(part)
        whole += end <= size
    assert list(read_records(octets)) == records[:whole]


@given(st.binary(max_size=200))
def test_any_octets_can_be_read_as_a_segment(octets: bytes) -> None:
    """No octets make the reader raise."""
    list(read_records(octets))
