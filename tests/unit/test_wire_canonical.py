"""Deterministic CBOR: what the strict reader refuses, each for its own reason."""

from __future__ import annotations

import pytest

from gateway.errors import DecodeError, FieldError
from gateway.wire.canonical import (
    as_array,
    as_octets,
    as_text,
    as_uint,
    encode_map,
    load,
    load_map,
    load_sequence,
)

REFUSED = {
    "empty": "",
    "a second item": "0101",
    "break alone": "ff",
    "tag 0, a date": "c074323031332d30332d32315432303a30343a30305a",
    "tag 1, a time": "c11a00000000",
    "tag 2, a long integer": "c249010000000000000000",
    "tag 35, a regular expression": "d8236161",
    "tag 28, a shared value": "d81c01",
    "tag 55799": "d9d9f701",
    "tag in an array": "81c100",
    "half float": "f93c00",
    "single float": "fa3f800000",
    "double float": "fb3ff0000000000000",
    "undefined": "f7",
    "simple value 0": "e0",
    "simple value 255": "f8ff",
    "reserved head": "1c",
    "indefinite bytes": "5f4100ff",
    "indefinite text": "7f6161ff",
    "indefinite array": "9f01ff",
    "indefinite map": "bf0001ff",
    "0 in 2 octets": "1800",
    "23 in 2 octets": "1817",
    "255 in 3 octets": "1900ff",
    "65535 in 5 octets": "1a0000ffff",
    "2^32 - 1 in 9 octets": "1b00000000ffffffff",
    "-1 in 2 octets": "3800",
    "long length of bytes": "580100",
    "long length of text": "780161",
    "long length of an array": "980100",
    "long length of a map": "b8010000",
    "cut head": "19ff",
    "cut integer": "1a0000",
    "cut bytes": "420a",
    "cut text": "6261",
    "cut array": "8201",
    "cut map, no value": "a100",
    "cut map, no key": "a20000",
    "array of 2^64 - 1": "9bffffffffffffffff",
    "bytes of 2^63 - 1": "5b7fffffffffffffff",
    "map of 2^31": "ba80000000",
    "not UTF-8": "61ff",
    "a surrogate in UTF-8": "63eda080",
    "repeated key": "a200000000",
    "keys out of order": "a201000000",
    "key 24": "a1181800",
    "key -1": "a12000",
    "text as key": "a1616100",
    "true as key": "a1f500",
    "5 arrays deep": "8181818180",
    "5 deep, last a map": "81818181a0",
    "5 deep in a map": "a100a100a10081a0",
}

TAKEN: dict[str, object] = {
    "00": 0,
    "17": 23,
    "1818": 24,
    "1b0000000100000000": 1 << 32,
    "3bffffffffffffffff": -(1 << 64),
    "f6": None,
    "f5": True,
    "40": b"",
    "60": "",
    "a0": {},
    "81818180": [[[[]]]],
    "a100a117f4": {0: {23: False}},
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_strict_reader_refuses(name: str) -> None:
    """Whatever has another form, another type or another length than ours is no value."""
    with pytest.raises(DecodeError):
        load(bytes.fromhex(REFUSED[name]))


@pytest.mark.parametrize("octets", TAKEN)
def test_the_strict_reader_takes(octets: str) -> None:
    """The subset is read, up to the limits of integers and nesting."""
    assert load(bytes.fromhex(octets)) == TAKEN[octets]


def test_a_map_must_be_a_map() -> None:
    """`load_map` takes nothing else."""
    with pytest.raises(DecodeError, match="not a map"):
        load_map(b"\x80")


def test_a_sequence_has_items_and_a_bound() -> None:
    """An empty sequence and one above its bound are refused; each item comes with its octets."""
    assert load_sequence(b"\x01\x41\x02", count_max=2) == [(1, b"\x01"), (b"\x02", b"\x41\x02")]
    for octets in (b"", b"\x01\x02\x03", b"\x01\x81"):
        with pytest.raises(DecodeError):
            load_sequence(octets, count_max=2)


def test_types_are_exact() -> None:
    """A boolean is no integer, and bounds hold."""
    for wrong in (True, None, -1, 6, "1", b"1"):
        with pytest.raises(DecodeError, match="number"):
            as_uint(wrong, 5, "number")
    with pytest.raises(DecodeError, match="octets"):
        as_octets("text", "octets")
    with pytest.raises(DecodeError, match="of 2"):
        as_octets(b"123", "octets", size=2)
    with pytest.raises(DecodeError, match="words"):
        as_text(b"text", "words")
    arrays: tuple[object, ...] = ([], [1, 2, 3], {}, None)
    for array in arrays:
        with pytest.raises(DecodeError, match="array"):
            as_array(array, "list", low=1, high=2)


@pytest.mark.parametrize(
    "extensions",
    [
        ((15, b"\x01"),),
        ((24, b"\x01"),),
        ((17, b"\x01"), (16, b"\x01")),
        ((16, b"\x01"), (16, b"\x01")),
        ((16, b""),),
        ((16, b"\x01\x02"),),
        ((16, b"\x18\x01"),),
        ((16, b"\x81\x81\x80"),),
    ],
)
def test_extensions_are_checked_before_they_are_sent(
    extensions: tuple[tuple[int, bytes], ...],
) -> None:
    """What is kept for an unknown key must be one canonical item, 2 deep at most."""
    with pytest.raises(FieldError, match="extensions"):
        encode_map({0: 1}, extensions)


def test_one_item_is_held_to_the_nesting_asked_for() -> None:
    """An act may be less deep than what the reader takes at most."""
    assert load(b"\x81\x81\x81\x01", nesting=3) == [[[1]]]
    assert load(b"\x81\x81\x81\x81\x01") == [[[[1]]]]
    with pytest.raises(DecodeError, match="deep"):
        load(b"\x81\x81\x81\x81\x01", nesting=3)
