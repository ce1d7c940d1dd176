"""Golden vectors: we still speak the format, the CDDL describes it, and a second reader agrees."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pycddl
import pytest

from gateway.model import Act, ActId, Answer, Countersign, Notice, Phrase, Text, Void
from gateway.security.cards import card_text, fingerprint_words, parse_card
from gateway.security.expand import compress_act, compress_frame, expand_frame, open_captured
from gateway.security.seal import seal_frame
from gateway.wire.byte_stream import StreamDecoder, encode_stream
from gateway.wire.dictionary import DICTIONARIES
from gateway.wire.items import ActItem, decode_items, encode_items
from gateway.wire.notice import decode_act, encode_act
from tests.vectors import independent, values
from tests.vectors.write_vectors import FOLDER, MANIFEST

CDDL = (Path("gateway/wire") / "gateway.cddl").read_text()
ENTRIES: dict[str, dict[str, Any]] = {
    entry["name"]: entry for entry in json.loads(MANIFEST.read_text())
}
INNER_RULES = {
    "cose-encrypt0": {0: "frame-header"},
    "cose-sign1": {0: "act-header", 2: "act"},
}
"""What is in the byte strings of an array; the CDDL says it in comments."""
SHAPED = [name for name, entry in ENTRIES.items() if entry["rule"]]

DICTIONARY_SHA256 = {
    1: "badc0f0fbb5249f977585a619bd3192d44613da19b4d88d5caa4eafa0e3ae5b2",
    2: "78db7633e6a100a3f3d7d560f0d32ca095d7ded2a5f9ecd9e67b10e0aa6b4fa7",
    3: "7baacf41c3fd67758ad3a3bfaa1335aeda63c820b88a50152f2d096ad6a366e9",
    4: "d7fd527c15b23994fa4ebd3b281f5f2297ad5eef952657748222ab4caec9136a",
    5: "8cbd79557e970d1ef1e07e3f8e51759b973d140a32dce0bf33409fe0276bd0d8",
}


def octets_of(name: str) -> bytes:
    return bytes.fromhex((FOLDER / f"{name}.hex").read_text())


def schema(rule: str) -> Any:
    return pycddl.Schema(f"start = {rule}\n{CDDL}")


@pytest.mark.parametrize("name", ENTRIES)
def test_a_vector_is_as_it_was(name: str) -> None:
    """No vector changes without its line in the manifest changing too."""
    octets = octets_of(name)
    assert independent.sha256(octets) == ENTRIES[name]["sha256"]
    assert len(octets) == ENTRIES[name]["size"]


def test_every_file_is_in_the_manifest() -> None:
    """No vector lies about unchecked, and none is missing."""
    assert {path.stem for path in FOLDER.glob("*.hex")} == set(ENTRIES)
    assert {path.stem for path in FOLDER.glob("*.diag")} == set(SHAPED)


@pytest.mark.parametrize("name", SHAPED)
def test_the_cddl_describes_a_vector(name: str) -> None:
    """gateway.cddl accepts the vector's octets."""
    rule, octets = ENTRIES[name]["rule"], octets_of(name)
    schema(rule).validate_cbor(octets)
    for index, inner in INNER_RULES.get(rule, {}).items():
        schema(inner).validate_cbor(independent.read_cbor(octets).value[index])


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("act-full", (0,), 672),
        ("act-full", (1,), 65_536),
        ("act-full", (3,), 0),
        ("act-full", (8,), 24),
        ("act-full", (10,), b"12345678"),
        ("act-full", (12,), 1),
        ("act-full", (13,), 1),
        ("act-full", (15,), 0),
        ("act-answer", (13,), 8),
        ("act-void", (3,), 1),
        ("item-receipt", (2,), 1 << 32),
        ("item-beat", (0,), -8),
        ("item-hello-full", (1, 2), b"1234567"),
        ("item-selective-receipt", (2,), []),
        ("cose-frame-full", (2,), "text"),
        ("cose-act-full", (3,), bytes(63)),
    ],
)
def test_the_cddl_refuses_what_it_does_not_describe(
    name: str, path: tuple[int, ...], value: object
) -> None:
    """The CDDL is no rubber stamp: one wrong element and it refuses."""
    whole = independent.read_cbor(octets_of(name))
    part = whole.value if isinstance(whole, independent.Tag) else whole
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    with pytest.raises(pycddl.ValidationError):
        schema(ENTRIES[name]["rule"]).validate_cbor(independent.write_cbor(whole))


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("frame-header", {1: 10, 4: b"12", 6: b"0"}),
        ("frame-header", {1: 11, 4: b"1", 6: b"0"}),
        ("frame-header", {1: 11, 4: b"12", 6: b"1234"}),
        ("act-header", {1: -8}),
        ("card", [1, "NORTH"]),
    ],
)
def test_the_cddl_refuses_other_headers(rule: str, value: object) -> None:
    """Another algorithm or a wrong size is no header of ours."""
    with pytest.raises(pycddl.ValidationError):
        schema(rule).validate_cbor(independent.write_cbor(value))


@pytest.mark.parametrize("name", SHAPED)
def test_notation_and_octets_say_the_same(name: str) -> None:
    """A second reader makes the vector's octets from its diagnostic notation."""
    (value,) = independent.Notation((FOLDER / f"{name}.diag").read_text()).read()
    assert independent.write_cbor(value) == octets_of(name)
    assert independent.write_cbor(independent.read_cbor(octets_of(name))) == octets_of(name)


@pytest.mark.parametrize("name", values.ACTS)
def test_an_act_vector_is_read_and_written(name: str) -> None:
    """The gateway reads the act of a vector and writes the same octets."""
    octets, act = octets_of(name), values.ACTS[name]
    assert decode_act(octets, originator=values.NORTH, to=values.SOUTH) == act
    assert encode_act(act) == octets


@pytest.mark.parametrize("name", values.PLAIN)
def test_an_act_with_plain_text_is_read(name: str) -> None:
    """Who does not compress is understood; what we write of it is shorter and says the same."""
    octets, act = octets_of(name), values.PLAIN[name]
    assert decode_act(octets, originator=values.NORTH, to=values.SOUTH) == act
    assert encode_act(act) == octets_of(name.removesuffix("-plain"))
    assert len(encode_act(act)) < len(octets)


@pytest.mark.parametrize("name", [*values.ACTS, *values.PLAIN])
def test_a_second_reader_understands_an_act(name: str) -> None:
    """Read from the CDDL alone, an act says what we meant."""
    act = (values.ACTS | values.PLAIN)[name]
    assert independent.read_act(octets_of(name)) == said(act)


@pytest.mark.parametrize("number", DICTIONARIES)
def test_a_dictionary_is_as_it_was(number: int) -> None:
    """Dictionaries are the format: what was compressed once is read for ever."""
    octets = (FOLDER / f"dictionary-{number}.txt").read_bytes()
    assert independent.sha256(octets) == DICTIONARY_SHA256[number]
    assert DICTIONARIES[number].text == "\0" + octets.decode().replace("\n", "\0")
    assert len(octets) < 4096


def said(act: Act) -> dict[str, Any]:
    """An act in the words of the second reader."""

    def pair(act_id: ActId | None) -> tuple[int, int] | None:
        return None if act_id is None else (act_id.epoch, act_id.serial)

    words: dict[str, Any] = {
        "quality": act.time_quality.name,
        "precedence": act.precedence.name,
        "operation": act.operation.name,
        "id": pair(act.id),
        "created": act.created,
        "previous": dataclasses.astuple(act.previous) if act.previous else None,
        "extensions": {key: independent.read_cbor(octets) for key, octets in act.extensions},
    }
    if isinstance(act, Void):
        return words | {"code": "void"}
    if isinstance(act, Countersign):
        return words | {
            "code": "countersign",
            "head": tuple(act.head),
            "far_head": None if act.far_head is None else tuple(act.far_head),
            "received": [tuple(dataclasses.astuple(until)) for until in act.received],
        }
    is_own = act.reference is not None and act.reference.originator == act.id.originator
    body = act.body
    words |= {
        "released_by": act.released_by.name,
        "own_reference": pair(act.reference) if is_own else None,
        "their_reference": None if is_own else pair(act.reference),
        "text": body.text if isinstance(body, Text) else None,
        "language": body.language if isinstance(body, Text) else None,
    }
    if isinstance(act, Answer):
        return words | {"code": "answer", "answer": act.code.name}
    assert isinstance(act, Notice)
    place = None
    if act.place is not None:
        altitude = act.place.altitude
        place = {
            "points": [tuple(point) for point in act.place.points],
            "radius_m": act.place.radius_m,
            "altitude": altitude and (altitude.low_m, altitude.high_m),
        }
    return words | {
        "code": act.kind.name,
        "lifetime_min": act.lifetime_min,
        "reply_by_min": act.reply_by_min,
        "phrase": [body.code, *body.slots] if isinstance(body, Phrase) else None,
        "place": place,
        "window": act.window and (act.window.start_min, act.window.length_min),
    }


@pytest.mark.parametrize("name", values.ITEMS)
def test_an_item_vector_is_read_and_written(name: str) -> None:
    """The gateway reads the item of a vector and writes the same octets."""
    octets = octets_of(f"item-{name}")
    assert decode_items(octets) == (values.ITEMS[name],)
    assert encode_items([values.ITEMS[name]]) == octets


@pytest.mark.parametrize("name", values.FRAMES)
def test_a_frame_vector_is_sealed_and_opened(name: str) -> None:
    """The gateway seals the same frame, and either end opens it with its own keys."""
    header, names = values.FRAMES[name]
    octets, items = octets_of(name), values.frame_items(names)
    for ring in values.rings():
        opened = open_captured(ring, octets, incarnations=[bytes(8), values.INCARNATION])
        assert opened.items == items
        assert opened.frame.cose == octets_of(f"cose-{name}")
    line = values.rings()[0].lines[values.SOUTH]
    key = line.keys.outbound(header.generation == 0, values.INCARNATION)
    plaintext = encode_items(items)
    assert seal_frame(key, header, plaintext, recipient=values.SOUTH) == octets
    assert compress_frame(expand_frame(octets).cose) == octets


@pytest.mark.parametrize("name", values.FRAMES)
def test_a_second_reader_opens_a_frame(name: str) -> None:
    """Keys, nonce and AAD, computed from the CDDL and the RFCs alone, open the frame."""
    header, names = values.FRAMES[name]
    north, south = values.keys()
    root = independent.line_root(
        south.exchange_seed,
        north.exchange_public,
        values.SECRET,
        header.generation,
        sender=(1, north.exchange_public),
        recipient=(2, south.exchange_public),
    )
    plaintext = independent.open_frame(
        root, octets_of(name), recipient=2, incarnation=values.INCARNATION
    )
    assert plaintext == encode_items(values.frame_items(names))
    found = independent.read_sequence(plaintext)
    assert len(found) == len(names)
    for name_of_item, item in zip(names, found, strict=True):
        if name_of_item in values.ACTS:
            age_s, act, signature = item
            octets = independent.write_cbor(act)
            assert age_s == 3
            assert octets == octets_of(name_of_item)
            independent.verify_act(north.sign_public, octets, signature, originator=1, to=2)


@pytest.mark.parametrize("name", ["act-full", "act-answer"])
def test_an_expanded_act_is_the_act(name: str) -> None:
    """The COSE_Sign1 of a vector holds the act's octets and its signature."""
    octets, signature = compress_act(octets_of(f"cose-{name}"))
    assert octets == octets_of(name)
    assert signature == values.signature_of(name)


@pytest.mark.parametrize("index", [0, 1])
def test_a_card_vector_is_read_and_written(index: int) -> None:
    """Cards made once are read for ever, by a second reader too; their words stay."""
    keys, card = values.keys()[index], values.cards()[index]
    text = octets_of(f"card-{card.name.lower()}").decode()
    assert parse_card(text) == card
    assert card_text(card, keys) == text
    fields = independent.read_card(text)
    assert fields[:4] == [card.station, card.name, card.party, card.language]
    schema("card").validate_cbor(independent.write_cbor(fields))
    assert fingerprint_words(card) == (WORDS_NORTH, WORDS_SOUTH)[index]


WORDS_NORTH = ("mosaic", "yogurt", "pepper", "cherry", "bishop", "syrup", "carpet", "fox")
WORDS_SOUTH = ("tiger", "ballet", "sugar", "lizard", "cedar", "camel", "honey", "ribbon")


@pytest.mark.parametrize("name", values.STREAMS)
def test_a_stream_vector_is_read_and_written(name: str) -> None:
    """The stream of a vector gives its frames, to us and to a second reader."""
    octets, frames = octets_of(name), list(values.STREAMS[name])
    assert b"".join(map(encode_stream, frames)) == octets
    assert StreamDecoder().feed(octets) == frames
    assert independent.read_stream(octets) == frames


@pytest.mark.parametrize("name", values.FRAMES)
def test_what_is_shown_of_a_frame_is_the_frame(name: str) -> None:
    """The notation that `hotline frame` prints is the plaintext and the COSE object, no less."""
    opened = open_captured(values.rings()[1], octets_of(name), incarnations=[values.INCARNATION])
    shown = independent.Notation(opened.diagnostic).read()
    assert b"".join(map(independent.write_cbor, shown)) == opened.plaintext
    for value, item in zip(shown, opened.items, strict=True):
        rule = values.ITEM_RULES[type(item)]
        schema(rule).validate_cbor(independent.write_cbor(value))
    signed = [item for item in opened.items if isinstance(item, ActItem)]
    assert len(opened.acts) == len(signed)
    for act, item in zip(opened.acts, signed, strict=True):
        (value,) = independent.Notation(act.diagnostic).read()
        assert independent.write_cbor(value) == act.cose
        assert compress_act(act.cose) == (item.octets, item.signature)
