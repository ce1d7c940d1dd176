"""What is said of entries, heads and segment files that cannot be read or made, word for word.

`sentences/entries.txt` has one sentence a line, in the order of the cases, as the code
said it when somebody read them all through; whoever changes one changes it there too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cbor2
import pytest

from gateway.errors import DecodeError, GatewayError
from gateway.logbook.chain import BrokenEntry, verify
from gateway.logbook.entry import NUMBER_MAX, Entry, decode_entry, encode_entry
from gateway.logbook.head import decode_head, encode_head, is_head_of, sign_head, verify_head
from gateway.logbook.segment import (
    BLOCK_SIZE,
    RECORD_SIZE_MAX,
    TORN_SIZE_MAX,
    Damage,
    Found,
    Record,
    blocks,
    encode_record,
    is_torn,
    read_items,
)
from gateway.model import UTC_MAX, ActId, Epoch, Serial, Station, UtcTime
from gateway.wire.canonical import dump
from tests.vectors.values import NORTH, cards, keys

SMALL = Entry(number=1, is_line=False, event="start")
GOOD: dict[int, object] = {0: 1, 1: 1, 2: "start", 4: 0}
HEAD = sign_head(keys()[0], number=7, entry_hash=bytes(32))


def entry(**change: object) -> Callable[[], object]:
    fields = {int(key[1:]): value for key, value in change.items()}
    return lambda: decode_entry(cbor2.dumps(GOOD | fields, canonical=True))


def head(*parts: object) -> Callable[[], object]:
    return lambda: decode_head(dump([*parts]))


CASES: list[Callable[[], object]] = [
    lambda: replace(SMALL, number=0),
    lambda: replace(SMALL, number=NUMBER_MAX + 1),
    lambda: replace(SMALL, event=""),
    lambda: replace(SMALL, event="é" * 33),
    lambda: replace(SMALL, fields=(("a", 1),) * 65),
    lambda: replace(SMALL, utc=UtcTime(-1)),
    lambda: replace(SMALL, utc=UtcTime(UTC_MAX + 1)),
    lambda: replace(SMALL, act_id=ActId(Station(0), Epoch(1), Serial(1))),
    lambda: encode_entry(replace(SMALL, octets=bytes(16_384))),
    lambda: decode_entry(bytes(16_385)),
    lambda: decode_entry(cbor2.dumps({0: 1, 1: 1, 2: "start"})),
    entry(_9=1),
    entry(_0="1"),
    entry(_0=0),
    entry(_1=2),
    entry(_1=True),
    entry(_2=b"start"),
    entry(_3="1"),
    entry(_3=-1),
    entry(_3=None),
    entry(_4=9),
    entry(_4=True),
    entry(_5=1),
    entry(_5=[]),
    entry(_5=["a"]),
    entry(_5=["a", 1] * 65),
    entry(_5=["a", True]),
    entry(_5=["a", [1]]),
    entry(_5=[1, 1]),
    entry(_6=1),
    entry(_6=[1, 2]),
    entry(_6=[1, 2, 3, 4]),
    entry(_6=[1, 2, "3"]),
    entry(_6=[256, 2, 3]),
    entry(_7="x"),
    entry(_7=None),
    entry(_8=1),
    head(1, 2, bytes(32)),
    head(1, 2, bytes(32), bytes(64), 0),
    head(0, 2, bytes(32), bytes(64)),
    head(256, 2, bytes(32), bytes(64)),
    head(1, 0, bytes(32), bytes(64)),
    head(1, NUMBER_MAX + 1, bytes(32), bytes(64)),
    head(1, 2, bytes(31), bytes(64)),
    head(1, 2, bytes(32), bytes(65)),
    lambda: verify_head(cards()[1], HEAD),
    lambda: verify_head(cards()[0], replace(HEAD, number=8)),
]
SENTENCES = (Path(__file__).parent / "sentences/entries.txt").read_text().splitlines()


@pytest.mark.parametrize(("refused", "sentence"), list(zip(CASES, SENTENCES, strict=True)))
def test_what_is_refused_says_why(refused: Callable[[], object], sentence: str) -> None:
    """The whole sentence, so that nothing of it is left to chance."""
    with pytest.raises(GatewayError) as caught:
        refused()
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "change",
    [
        {"number": NUMBER_MAX},
        {"event": "é" * 32},
        {"event": "x"},
        {"utc": UtcTime(0)},
        {"utc": UtcTime(UTC_MAX)},
        {"fields": (("a", None),) * 64},
        {"octets": b""},
    ],
)
def test_the_bounds_of_an_entry_are_within(change: dict[str, object]) -> None:
    """The last value of each part that can be written is read again."""
    made = replace(SMALL, **change)  # type: ignore[arg-type]
    assert decode_entry(encode_entry(made)) == made


def test_the_longest_entry_is_read_again() -> None:
    """16 KiB, to the octet."""
    room = 16_384 - len(encode_entry(replace(SMALL, octets=bytes(1000)))) + 1000
    longest = replace(SMALL, octets=bytes(room))
    assert len(encode_entry(longest)) == 16_384
    assert decode_entry(encode_entry(longest)) == longest


def test_a_head_comes_back_and_is_of_one_card() -> None:
    """Octets and value; its station's card alone verifies it."""
    assert decode_head(encode_head(HEAD)) == HEAD
    assert encode_head(HEAD) == dump([NORTH, 7, bytes(32), HEAD.signature])
    signed = dump([NORTH, 7, bytes(32)])
    external = dump(["hotline/1", "log head"])
    structure = dump(["Signature1", b"\xa1\x01\x32", external, signed])
    assert keys()[0].signer.sign(structure) == HEAD.signature
    assert is_head_of(cards()[0], HEAD)
    assert not is_head_of(cards()[1], HEAD)
    assert not is_head_of(cards()[0], replace(HEAD, hash=bytes([1]) + bytes(31)))
    for parts in ([1, 1], [255, NUMBER_MAX]):
        assert decode_head(dump([*parts, bytes(32), bytes(64)])).number == parts[1]


def test_a_broken_row_says_why() -> None:
    """Which entry is broken first, and how, in words."""
    octets = encode_entry(SMALL)
    row = Record(1, octets, bytes(32), 1)
    other = Record(1, encode_entry(replace(SMALL, number=3)), bytes(32), 1)
    assert [
        verify([one]) for one in (replace(row, number=2), replace(row, octets=b"?"), other, row)
    ] == [
        BrokenEntry(1, "is missing; entry 2 stands in its place"),
        BrokenEntry(1, "cannot be read: an indefinite length or reserved head"),
        BrokenEntry(1, "says of itself that it is entry 3"),
        BrokenEntry(1, "does not follow from the entry before it: its hash differs"),
    ]


@pytest.mark.parametrize(
    "offset", [0, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**64 - 1]
)
@pytest.mark.parametrize("size", [0, 13, 14, 245, 246, 16_000])
def test_a_record_is_canonical_cbor(offset: int, size: int) -> None:
    """[entry, hash, next offset] in the shortest form of each, as any program of CBOR writes it."""
    octets = encode_entry(replace(SMALL, octets=bytes(size)))
    record = encode_record(octets, bytes(range(32)), offset)
    assert record == cbor2.dumps([octets, bytes(range(32)), offset])
    assert [*read_items(record, offset=9)] == [
        Found(Record(1, octets, bytes(range(32)), offset), decode_entry(octets))
    ]
    for cut in (1, 2, len(record) // 2, len(record) - 1):
        assert [*read_items(record[:cut], offset=9)] == [Damage(9, cut, record[:cut])]


@pytest.mark.parametrize(
    "octets",
    [
        "83 41 00 58 20" + "00" * 32 + "00",  # an entry that is none
        "83 60 58 20" + "00" * 32 + "00",  # a text
        "83 5f 58 20" + "00" * 32 + "00",  # an indefinite length
        "83 5c 58 20" + "00" * 32 + "00",  # a reserved head
        "83 40 58 1f" + "00" * 31 + "00",  # a short hash
        "83 40 58 21" + "00" * 33 + "00",  # a long one
        "83 40 58 20" + "00" * 32 + "20",  # a negative offset
        "83 40 58 20" + "00" * 32 + "19 00",  # an offset that is cut
        "83 59 40 01" + "00" * 100,  # an entry that is too long
        "83 59",
        "83 58",
    ],
)
def test_what_is_no_record_is_damage(octets: str) -> None:
    """Its place and size are told, and the record behind it is found."""
    damage = bytes.fromhex(octets)
    record = encode_record(encode_entry(SMALL), bytes(32), 5)
    assert [*read_items(damage)] == [Damage(0, len(damage), damage)]
    first, second = read_items(damage + record, offset=100)
    assert first == Damage(100, len(damage), damage)
    assert second == Found(Record(1, encode_entry(SMALL), bytes(32), 5), SMALL)


def test_octets_of_a_long_damage_are_not_kept() -> None:
    """Up to what a full disk can have left they are handed on, to the octet."""
    longest = bytes(TORN_SIZE_MAX)
    assert [*read_items(longest)] == [Damage(0, TORN_SIZE_MAX, longest)]
    assert [*read_items(longest + b"\x00")] == [Damage(0, TORN_SIZE_MAX + 1, b"")]


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"", False),
        (b"a", True),
        (b"abc", True),
        (b"abcde", True),  # all of the first, then the beginning of the second
        (b"abde", True),  # a cut, then another
        (b"dabde", True),
        (b"abx", False),
        (b"bc", False),
        (b"xab", False),
    ],
)
def test_what_a_full_disk_leaves_is_the_beginning_of_records(octets: bytes, expected: bool) -> None:
    """Of one, or of several one behind the other; nothing else."""
    assert is_torn(octets, [b"abc", b"def"]) is expected
    assert not is_torn(octets, [])


def test_an_offset_that_swallowed_a_record_gives_it_back() -> None:
    """Damage to the last number of a record costs its own number only."""
    record = encode_record(encode_entry(SMALL), bytes(32), 5)
    other = encode_record(encode_entry(replace(SMALL, number=2)), bytes(32), 6)
    found = [*read_items(record[:-1] + b"\x18" + other)]
    assert [item.entry.number for item in found if isinstance(item, Found)] == [1, 2]


def test_a_long_file_comes_in_blocks_that_cut_no_record() -> None:
    """Each with its offset; together they are the file, and each begins and ends at a record."""
    octets = encode_entry(replace(SMALL, octets=bytes(9_000)))
    record = encode_record(octets, bytes(32), 5)
    whole = record * (3 * BLOCK_SIZE // len(record))
    chunks = [whole[at : at + 100_001] for at in range(0, len(whole), 100_001)]
    parts = [*blocks(chunks)]
    assert b"".join([part for _, part in parts]) == whole
    assert len(parts) > 2
    place = 0
    for offset, part in parts:
        assert offset == place
        assert len(part) % len(record) == 0
        place += len(part)
    assert [*blocks([])] == []
    assert [*blocks([record])] == [(0, record)]


def test_a_long_damage_is_handed_on() -> None:
    """What no record can reach back to is not held."""
    noise = bytes(BLOCK_SIZE)
    record = encode_record(encode_entry(SMALL), bytes(32), 5)
    [(start, first), (offset, rest)] = blocks([noise, record])
    assert (start, offset) == (0, len(noise) - RECORD_SIZE_MAX)
    assert first + rest == noise + record


def test_a_decode_error_is_the_only_one() -> None:
    """A damaged record is an error of the file's, not of the program."""
    with pytest.raises(DecodeError):
        _ = Record(1, b"", bytes(32), 0).entry
