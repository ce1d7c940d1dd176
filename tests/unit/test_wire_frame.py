"""The header of a frame: RFC 8613 section 6.1, and nothing but."""

from __future__ import annotations

import pytest

from gateway.errors import DecodeError, FieldError
from gateway.model import Station
from gateway.wire.frame import Header, encode_header, parse_frame
from gateway.wire.limits import FRAME_SIZE_MAX

NORTH = Station(1)
SEALED = bytes(9)

WRITTEN = {
    "0900 0103": Header(NORTH, 3, 0),
    "09ff 0103": Header(NORTH, 3, 255),
    "0a0100 0103": Header(NORTH, 3, 256),
    "0b010000 ffff": Header(Station(255), 255, 65536),
    "0b0fffff 0103": Header(NORTH, 3, (1 << 20) - 1),
    "1905 08 0011223344556677 0100": Header(NORTH, 0, 5, bytes.fromhex("0011223344556677")),
}


@pytest.mark.parametrize("octets", WRITTEN)
def test_a_header_is_written_and_read(octets: str) -> None:
    """Flag, partial IV, kid context and kid stand where RFC 8613 puts them."""
    start = bytes.fromhex(octets)
    assert encode_header(WRITTEN[octets]) == start
    assert parse_frame(start + SEALED) == (WRITTEN[octets], start, SEALED)


UNREADABLE = {
    "empty": b"",
    "too long": bytes.fromhex("09000103") + bytes(FRAME_SIZE_MAX - 3),
    "no kid flag": bytes.fromhex("01000103") + SEALED,
    "reserved flag": bytes.fromhex("29000103") + SEALED,
    "no partial IV": bytes.fromhex("080103") + SEALED,
    "partial IV of 4": bytes.fromhex("0c010000000103") + SEALED,
    "partial IV not shortest": bytes.fromhex("0a00050103") + SEALED,
    "counter 2^20": bytes.fromhex("0b1000000103") + SEALED,
    "kid context of 7": bytes.fromhex("190007001122334455660103") + SEALED,
    "kid context cut": bytes.fromhex("190008001122"),
    "kid context missing": bytes.fromhex("1900"),
    "hello without kid context": bytes.fromhex("09000100") + SEALED,
    "station 0": bytes.fromhex("09000003") + SEALED,
    "nothing sealed": bytes.fromhex("09000103") + bytes(8),
    "cut": bytes.fromhex("0900"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_frame(name: str) -> None:
    """Text logs, noise and frames of others fall out before any key is touched."""
    with pytest.raises(DecodeError):
        parse_frame(UNREADABLE[name])


@pytest.mark.parametrize(
    ("station", "generation", "counter", "incarnation"),
    [
        (0, 1, 0, None),
        (256, 1, 0, None),
        (1, 256, 0, None),
        (1, -1, 0, None),
        (1, 1, -1, None),
        (1, 1, 1 << 20, None),
        (1, 0, 0, None),
        (1, 1, 0, bytes(7)),
    ],
)
def test_a_header_checks_itself(
    station: int, generation: int, counter: int, incarnation: bytes | None
) -> None:
    """A spent counter, a hello without incarnation and wrong sizes cannot be sealed."""
    with pytest.raises(FieldError):
        Header(Station(station), generation, counter, incarnation)
