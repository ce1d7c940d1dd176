"""Acts: one octet form each; what is critical is refused, what is optional is kept."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from gateway.errors import DecodeError, FieldError
from gateway.model import Act, ActId, Epoch, Phrase, Precedence, Serial, Station, Text
from gateway.wire.canonical import dump, load_map
from gateway.wire.limits import ACT_SIZE_MAX, LANGUAGES, LIFETIME_DEFAULT_MIN
from gateway.wire.notice import Key, decode_act, encode_act, peek_act_id
from tests.vectors.values import ACTS, ANSWER, FULL, NORTH, SOUTH

NOTICE = {0: 36, 1: 65537, 14: 0}
"""NOTIFY, IMMEDIATE, OPERATION, synchronised, the first of its epoch."""
ANSWERED = {0: 608, 1: 65538, 6: 65537, 13: 0}
VOID = {0: 656, 1: 65538}


def decode(fields: dict[int, Any]) -> Act:
    return decode_act(dump(dict(sorted(fields.items()))), originator=NORTH, to=SOUTH)


@pytest.mark.parametrize("fields", [NOTICE, ANSWERED, VOID], ids=["notice", "answer", "void"])
def test_the_smallest_acts(fields: dict[int, Any]) -> None:
    """Each kind of act needs few keys."""
    assert decode(fields).id.originator == NORTH


REFUSED: dict[str, dict[int, Any]] = {
    "no head": {1: 65537, 14: 0},
    "no id": {0: 36},
    "head beyond void": {0: 672, 1: 65538},
    "head is true": {0: True, 1: 65538},
    "head is negative": {0: -1, 1: 65538},
    "epoch 0": NOTICE | {1: 1},
    "serial 0": NOTICE | {1: 65536},
    "id too large": NOTICE | {1: 1 << 32},
    "created too large": NOTICE | {2: 1 << 32},
    "created is text": NOTICE | {2: "now"},
    "lifetime 0": NOTICE | {3: 0},
    "lifetime is the default": NOTICE | {3: 240},
    "lifetime too long": NOTICE | {3: 65536},
    "reply by 0": NOTICE | {4: 0},
    "two references": NOTICE | {5: 65540, 6: 65540},
    "reference without epoch": NOTICE | {5: 1},
    "text without language": NOTICE | {7: "a"},
    "language without text": NOTICE | {8: 0},
    "listed language as text": NOTICE | {7: "a", 8: "en"},
    "language beyond the list": NOTICE | {7: "a", 8: 24},
    "language is no tag": NOTICE | {7: "a", 8: "English"},
    "language is true": NOTICE | {7: "a", 8: True},
    "empty text": NOTICE | {7: "", 8: 0},
    "text not NFC": NOTICE | {7: "e\u0301", 8: 0},
    "text with a control character": NOTICE | {7: "a\x07", 8: 0},
    "text with a bidirectional override": NOTICE | {7: "a\u202eb", 8: 0},
    "text too long": NOTICE | {7: "a" * 1025, 8: 0},
    "text is bytes": NOTICE | {7: b"a", 8: 0},
    "text and phrase": NOTICE | {7: "a", 8: 0, 9: [1]},
    "phrase 0": NOTICE | {9: [0]},
    "phrase without code": NOTICE | {9: []},
    "phrase with 9 slots": NOTICE | {9: [1, *range(9)]},
    "phrase with null": NOTICE | {9: [1, None]},
    "phrase slot too large": NOTICE | {9: [1, 1 << 31]},
    "phrase slot not NFC": NOTICE | {9: [1, "e\u0301"]},
    "place of 8 octets": NOTICE | {10: bytes(8)},
    "place of 2 points": NOTICE | {10: bytes(14)},
    "place of 9 points": NOTICE | {10: bytes(63)},
    "place with half an altitude": NOTICE | {10: bytes(23)},
    "place beyond a pole": NOTICE | {10: b"\xff" * 9},
    "place with bands crossed": NOTICE | {10: bytes(9) + b"\x00\x02\x00\x01"},
    "place is text": NOTICE | {10: "here"},
    "window before 1970": NOTICE | {2: 60, 11: [-2, 1]},
    "window of one": NOTICE | {11: [1]},
    "window too long": NOTICE | {11: [1, 65536]},
    "role is the default": NOTICE | {12: 1},
    "role unknown": NOTICE | {12: 6},
    "a notice with an answer": NOTICE | {13: 0},
    "first without previous": {0: 36, 1: 65537},
    "previous in the second": NOTICE | {1: 65538},
    "reserved key 15": NOTICE | {15: 0},
    "CANCEL of nothing": NOTICE | {0: 372},
    "CANCEL of theirs": NOTICE | {0: 372, 6: 65540},
    "answer to nothing": {0: 608, 1: 65538, 13: 0},
    "answer to an own notice": {0: 608, 1: 65538, 5: 65537, 13: 0},
    "answer without code": {0: 608, 1: 65538, 6: 65537},
    "answer with an unknown code": ANSWERED | {13: 8},
    "answer that expires": ANSWERED | {3: 5},
    "answer with a phrase": ANSWERED | {9: [1]},
    "void with text": VOID | {7: "a", 8: 0},
    "void with a role": VOID | {12: 0},
    "extension nested too deep": NOTICE | {16: [[[0]]]},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_act(name: str) -> None:
    """Unknown critical keys, values out of range and second forms of one value are refused."""
    with pytest.raises(DecodeError):
        decode(REFUSED[name])


def test_an_act_is_bounded_before_it_is_read() -> None:
    """Octets beyond the limit are refused unread; what would be longer cannot be made."""
    with pytest.raises(DecodeError, match="limit"):
        decode_act(bytes(ACT_SIZE_MAX + 1), originator=NORTH, to=SOUTH)
    wide = dataclasses.replace(
        FULL, extensions=tuple((key, b"\x58\xff" + bytes(255)) for key in range(16, 24))
    )
    with pytest.raises(FieldError) as caught:
        encode_act(wide)
    assert caught.value.code == "text_too_long"


def test_the_longest_body_fits() -> None:
    """1024 octets of text with every other field are within the limit of an act."""
    longest = dataclasses.replace(FULL, body=Text("x" * 1024, "zh-Hant"))
    assert len(encode_act(longest)) < ACT_SIZE_MAX
    slots = tuple("x" * 120 for _ in range(8))
    assert len(encode_act(dataclasses.replace(FULL, body=Phrase(1, slots)))) < ACT_SIZE_MAX


@pytest.mark.parametrize("precedence", Precedence)
def test_a_default_lifetime_costs_nothing(precedence: Precedence) -> None:
    """A lifetime is absent exactly when it is the default of its precedence."""
    for lifetime_min in LIFETIME_DEFAULT_MIN.values():
        notice = dataclasses.replace(FULL, precedence=precedence, lifetime_min=lifetime_min)
        octets = encode_act(notice)
        shorter = dataclasses.replace(notice, lifetime_min=LIFETIME_DEFAULT_MIN[precedence])
        is_default = lifetime_min == LIFETIME_DEFAULT_MIN[precedence]
        assert (octets == encode_act(shorter)) == is_default
        assert decode_act(octets, originator=NORTH, to=SOUTH) == notice


def test_unknown_optional_keys_survive() -> None:
    """Keys 16 to 23 are kept as received and go out as they came in."""
    fields = NOTICE | {16: [1, {0: "x"}], 23: None}
    act = decode(fields)
    assert act.extensions == ((16, bytes.fromhex("8201a1006178")), (23, b"\xf6"))
    assert encode_act(act) == dump(fields)


def test_who_says_it_comes_from_outside() -> None:
    """The same octets of another originator are another act."""
    octets = encode_act(ANSWER)
    act = decode_act(octets, originator=SOUTH, to=NORTH)
    assert act.id == ActId(SOUTH, ANSWER.id.epoch, ANSWER.id.serial)
    with pytest.raises(DecodeError, match="originator"):
        decode_act(octets, originator=NORTH, to=NORTH)


def test_an_id_can_be_seen_where_the_act_cannot_be_read() -> None:
    """CANTPRO needs the id of an act with unknown keys; without one there is nothing to answer."""
    octets = dump(NOTICE | {15: "new"})
    assert peek_act_id(octets, originator=NORTH) == ActId(NORTH, Epoch(1), Serial(1))
    for broken in (b"", b"\x80", dump({0: 1}), dump({1: 5}), dump({1: 65536}), b"\xa1\x01\xc1\x00"):
        assert peek_act_id(broken, originator=NORTH) is None


@pytest.mark.parametrize("language", [*LANGUAGES, "nl"])
def test_a_language_has_one_form(language: str) -> None:
    """A listed language takes one octet and no other form is read."""
    act = dataclasses.replace(FULL, body=Text("a", language))
    octets = encode_act(act)
    assert decode_act(octets, originator=NORTH, to=SOUTH) == act
    index_or_tag = LANGUAGES.index(language) if language in LANGUAGES else language
    assert load_map(octets)[Key.LANGUAGE] == index_or_tag


def test_the_vectors_cover_every_key() -> None:
    """No critical key of an act is without a vector."""
    seen: set[int] = set()
    for act in ACTS.values():
        seen |= set(load_map(encode_act(act)))
    assert seen >= set(Key)


def test_a_station_cannot_write_to_itself() -> None:
    """An act whose originator is its addressee cannot exist."""
    with pytest.raises(DecodeError):
        decode_act(encode_act(FULL), originator=Station(7), to=Station(7))
