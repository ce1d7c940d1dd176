"""Captured frames and acts as COSE: back again, and clear words where a key does not fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.errors import AuthenticationError, DecodeError
from gateway.model import Station
from gateway.security.expand import (
    compress_act,
    compress_frame,
    cose_key,
    expand_act,
    expand_frame,
    open_captured,
)
from gateway.security.keys import (
    FrameKey,
    KeyRing,
    Line,
    derive_line_keys,
    make_card,
    new_station_keys,
)
from gateway.security.seal import seal_frame
from gateway.security.signature import sign_act
from gateway.wire.canonical import dump
from gateway.wire.diagnostic import annotate_act, annotate_item, diagnose
from gateway.wire.frame import Header
from gateway.wire.items import ActItem, BeatItem, encode_items
from gateway.wire.notice import encode_act
from tests.vectors import independent
from tests.vectors.values import (
    FULL,
    GENERATION,
    INCARNATION,
    NORTH,
    SOUTH,
    keys,
    rings,
)

KEYS = keys()[0]
RING = rings()[0]
BEAT = encode_items([BeatItem(1, is_reply=False, busy=False, entry_number=2)])
HEADER = Header(NORTH, GENERATION, 7)
KEY = RING.lines[SOUTH].keys.outbound(False, INCARNATION)
FRAME = seal_frame(KEY, HEADER, BEAT, recipient=SOUTH)


@pytest.mark.parametrize(
    "cose",
    [
        b"",
        b"\xd2\x80",
        b"\xd0\x80",
        b"\xd0" + dump([b"", {}, bytes(9)]),
        b"\xd0" + dump([dump({1: 11, 4: b"\x01\x03", 6: b""}), {}, bytes(9)]),
        b"\xd0" + dump([dump({1: 11, 4: b"\x01\x03", 6: bytes(4)}), {}, bytes(9)]),
        b"\xd0" + dump([dump({1: 11, 4: b"\x00\x03", 6: b"\x00"}), {}, bytes(9)]),
        b"\xd0" + dump([dump({1: 11, 4: b"\x01\x00", 6: b"\x00"}), {}, bytes(9)]),
        b"\xd0" + dump([dump({1: 10, 4: b"\x01\x03", 6: b"\x00"}), {}, bytes(9)]),
        b"\xd0" + dump([dump({1: 11, 4: b"\x01\x03", 6: b"\x00"}), {6: b""}, bytes(9)]),
        b"\xd0" + dump([dump({1: 11, 4: b"\x01\x03", 6: b"\x00\x01"}), {}, bytes(9)]),
        b"\xd0" + dump([dump({1: 11, 4: b"\x01\x03", 6: b"\x00"}), {}, bytes(8)]),
        b"\xd0" + dump([dump({1: 11, 4: b"\x01\x03", 6: b"\x00"}), {}, "text"]),
    ],
)
def test_another_encrypt0_is_no_frame(cose: bytes) -> None:
    """Only the header that a frame implies can be compressed to one."""
    with pytest.raises(DecodeError):
        compress_frame(cose)


@pytest.mark.parametrize(
    "cose",
    [
        b"",
        b"\xd0\x80",
        b"\xd2\x80",
        b"\xd2" + dump([dump({1: -8}), {}, dump({0: 1}), bytes(64)]),
        b"\xd2" + dump([dump({1: -19}), {4: b""}, dump({0: 1}), bytes(64)]),
        b"\xd2" + dump([dump({1: -19}), {}, dump({0: 1}), bytes(63)]),
        b"\xd2" + dump([dump({1: -19}), {}, dump({0: 1}), None]),
        b"\xd2" + dump([dump({1: -19}), {}, dump([1]), bytes(64)]),
        b"\xd2" + dump([dump({1: -19}), {}, "text", bytes(64)]),
    ],
)
def test_another_sign1_is_no_act(cose: bytes) -> None:
    """Only -19 with an act as payload can be compressed to a signed act."""
    with pytest.raises(DecodeError):
        compress_act(cose)


def test_a_frame_without_incarnation_needs_one() -> None:
    """The error says what is missing; the right one among several is found."""
    with pytest.raises(AuthenticationError, match="does not name its sender's incarnation"):
        open_captured(RING, FRAME)
    with pytest.raises(AuthenticationError, match="station 1, generation 3"):
        open_captured(RING, FRAME, incarnations=[bytes(8)])
    opened = open_captured(RING, FRAME, incarnations=[bytes(8), INCARNATION])
    assert opened.frame.diagnostic.startswith("16([")
    assert opened.plaintext == BEAT
    assert opened.recipient == SOUTH
    assert opened.acts == ()


def test_frames_of_both_generations_open_in_a_rotation() -> None:
    """The former secret opens what was sent under it for as long as it lies here."""
    line = RING.lines[SOUTH]
    former = replace(line.keys.newest, generation=GENERATION - 1)
    keys = replace(line.keys, former=former)
    ring = KeyRing(RING.own, RING.card, {SOUTH: Line(line.card, keys, GENERATION)})
    older = Header(NORTH, GENERATION - 1, 8)
    octets = seal_frame(former.sealing(INCARNATION), older, BEAT, recipient=SOUTH)
    for frame in (octets, FRAME):
        assert open_captured(ring, frame, incarnations=[INCARNATION]).plaintext == BEAT
    with pytest.raises(AuthenticationError, match=f"generation {GENERATION - 1}"):
        open_captured(RING, octets, incarnations=[INCARNATION])


@pytest.mark.parametrize(
    "header",
    [Header(Station(9), GENERATION, 7), Header(NORTH, GENERATION + 1, 7)],
)
def test_a_frame_of_others_does_not_open(header: Header) -> None:
    """Another station or generation: nothing is tried, nothing opens."""
    octets = seal_frame(KEY, header, BEAT, recipient=SOUTH)
    with pytest.raises(AuthenticationError, match="no key of station"):
        open_captured(RING, octets, incarnations=[INCARNATION])


def test_the_cose_key_is_in_order() -> None:
    """A COSE_Key with kid, algorithm, Base IV and key; a short key is none."""
    fields = independent.read_cbor(cose_key(KEY, HEADER))
    assert fields[1] == 4
    assert fields[2] == HEADER.kid
    assert fields[3] == 11
    assert fields[-1] == KEY.key
    assert len(fields[5]) == 13
    with pytest.raises(DecodeError):
        cose_key(FrameKey(bytes(16), bytes(13)), HEADER)


def test_unsigned_acts_are_shown_without_sign1() -> None:
    """An unsigned act stands among the items only."""
    act = dump({0: 660, 1: 65538})
    octets = seal_frame(KEY, HEADER, encode_items([ActItem(None, act, None)]), recipient=SOUTH)
    opened = open_captured(RING, octets, incarnations=[INCARNATION])
    assert opened.acts == ()
    assert "void, IMMEDIATE, OPERATION, time SYNCHRONISED" in opened.diagnostic
    assert "null / age s /" in opened.diagnostic


def test_what_is_unknown_is_shown_bare() -> None:
    """Codes and keys of another version are shown as they are, and break nothing."""
    act = {0: 4000, 1: -5, 5: 1 << 40, 8: 99, 12: 9, 13: 9, 15: None, 20: "x/y"}
    shown = diagnose(annotate_act(act))
    for words in ("unknown", "no id", "not known to this version"):
        assert words in shown
    assert independent.Notation(shown).read() == [act]
    hello = [-7, {0: 1, 1: "?", 9: b""}]
    assert independent.Notation(diagnose(annotate_item(hello))).read() == [hello]
    bare = [-1, 4265476097, 0]
    assert diagnose(annotate_item(bare)).count("/") == 6, "a receipt without an echo"
    with pytest.raises(DecodeError):
        expand_act(b"\x80", bytes(64), originator=NORTH, to=SOUTH)


def test_comments_and_text_cannot_break_the_notation() -> None:
    """Quotes, backslashes, control and right-to-left characters are escaped; the value stays."""
    text = 'a"b\\c\nd\u202ee\u200f/f\U0001f54a\U000e0001'
    shown = diagnose({7: text})
    assert "\u202e" not in shown
    assert "\u200f" not in shown
    assert independent.Notation(shown).read() == [{7: text}]
    with pytest.raises(TypeError, match="float is no CBOR of ours"):
        diagnose([1.5])


def test_an_opened_frame_has_all_that_another_program_needs() -> None:
    """Items, their notation, the acts as COSE_Sign1, recipient and AAD; of either direction."""
    act = encode_act(FULL)
    signature = sign_act(KEYS, act, originator=NORTH, to=SOUTH)
    items = (ActItem(5, act, signature), BeatItem(1, is_reply=False, busy=False, entry_number=2))
    octets = seal_frame(KEY, HEADER, encode_items(items), recipient=SOUTH)
    for ring in rings():  # its sender's, its recipient's
        opened = open_captured(ring, octets, incarnations=[INCARNATION])
        assert opened.frame == expand_frame(octets)
        assert opened.recipient == SOUTH
        assert opened.items == items
        assert opened.plaintext == encode_items(items)
        assert opened.external_aad == independent.write_cbor(["hotline/1", 1, 2, GENERATION])
        shown = independent.Notation(opened.diagnostic).read()
        assert shown == independent.read_sequence(opened.plaintext)
        assert opened.diagnostic.count("\n],\n[") == 1
        assert opened.acts == (expand_act(act, signature, originator=NORTH, to=SOUTH),)
    expanded = expand_act(act, signature, originator=NORTH, to=SOUTH)
    assert compress_act(expanded.cose) == (act, signature)
    assert expanded.external_aad == independent.write_cbor(["hotline/1", 1, 2])
    for words in ("/ alg: Ed25519 /", "/ protected /", "/ unprotected /", "/ payload: act /"):
        assert words in expanded.diagnostic
    assert "/ signature /" in expanded.diagnostic


def test_a_frame_is_tried_with_each_line_of_a_station() -> None:
    """Of own frames the recipient is not named: the line whose key opens it has it."""
    east_keys = new_station_keys(bytes(range(64)), station=Station(3))
    east_card = make_card(east_keys, name="EAST", party="east", language="en")
    line = derive_line_keys(KEYS, east_card, bytes(range(32)), GENERATION)
    lines = {Station(3): Line(east_card, line, GENERATION), **RING.lines}
    for order in (lines, dict(reversed(lines.items()))):
        ring = replace(RING, lines=order)
        assert open_captured(ring, FRAME, incarnations=[INCARNATION]).recipient == SOUTH
    lines[Station(3)] = Line(east_card, replace(line, newest=replace(line.newest, generation=9)), 9)
    ring = replace(RING, lines=lines)
    assert open_captured(ring, FRAME, incarnations=[INCARNATION]).recipient == SOUTH


def test_a_hello_opens_in_any_generation() -> None:
    """It is sealed under the root that generations never retire; it names its incarnation."""
    key = RING.lines[SOUTH].keys.outbound(True, INCARNATION)
    octets = seal_frame(key, Header(NORTH, 0, 7, INCARNATION), BEAT, recipient=SOUTH)
    for ring in rings():
        assert open_captured(ring, octets).plaintext == BEAT


def test_expanding_needs_no_key() -> None:
    """The header of any captured frame can be shown."""
    expanded = expand_frame(FRAME)
    assert expanded.header == HEADER
    assert "kid: sender, generation" in expanded.diagnostic
    assert compress_frame(expanded.cose) == FRAME


def test_arrays_within_arrays_are_indented() -> None:
    """What takes more than a line is laid out by its depth."""
    shown = diagnose([["x" * 60, ["y" * 60, "z" * 60]], 1]).splitlines()
    assert [len(line) - len(line.lstrip()) for line in shown] == [0, 2, 4, 4, 6, 6, 4, 2, 2, 0]
