"""The codebook: whole in every language, stable codes, checked slots, readings that never fail."""

from __future__ import annotations

import dataclasses
import re
import string
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content import check_text
from gateway.errors import FieldError
from gateway.model import Kind, Notice, NoticeDraft, Operation, Phrase, Precedence, Station, Text
from gateway.security.seal import seal_frame
from gateway.wire.codebook import (
    check,
    check_draft,
    codebook_document,
    phrase,
    phrase_language,
    render,
)
from gateway.wire.frame import Header
from gateway.wire.items import ActItem, encode_items
from gateway.wire.notice import encode_act
from gateway.wire.phrase_entry import PHRASE_LANGUAGES, PhraseEntry, SlotType
from gateway.wire.phrases import PHRASES
from tests.property.wire_strategies import phrases
from tests.vectors import values

PINNED = {
    10: "unit:callsign count:count",
    11: "unit:callsign count:count",
    12: "unit:callsign count:count origin:place destination:place",
    13: "",
    14: "",
    15: "unit:callsign count:count origin:place destination:place",
    16: "count:count origin:place destination:place",
    17: "",
    18: "time:time",
    30: "time:time",
    31: "count:count time:time",
    32: "count:count time:time",
    33: "",
    34: "time:time",
    35: "time:time",
    36: "distance_m:number",
    50: "",
    51: "origin:place destination:place",
    52: "",
    53: "time:time",
    54: "",
    55: "",
    70: "time:time",
    71: "unit:callsign place:place",
    72: "",
    73: "time:time",
    80: "",
    81: "",
    82: "",
    90: "",
    91: "",
    92: "time:time",
    93: "",
    94: "",
    95: "",
    96: "precedence:precedence",
    100: "challenge:text",
    110: "officer:text time:time",
    111: "",
    120: "serial:count",
    121: "serial:count",
}
"""Codes and slots are the format: a line may be added here, none ever changed or removed."""

FILLED: dict[SlotType, str | int] = {
    SlotType.CALLSIGN: "A-7",
    SlotType.PLACE: "KILO 4",
    SlotType.PRECEDENCE: "IMMEDIATE",
    SlotType.TIME: "221430Z",
    SlotType.NUMBER: 500,
    SlotType.COUNT: 6,
    SlotType.TEXT: "HARBOUR SEVEN",
}
each = pytest.mark.parametrize("entry", PHRASES, ids=lambda entry: str(entry.code))
convoy = Phrase(12, ("A-7", 3, "KILO 4", "M5"))


def filled(entry: PhraseEntry) -> Phrase:
    return Phrase(entry.code, tuple(FILLED[slot.type] for slot in entry.slots))


def gaps(template: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]


def draft(body: Phrase, **changes: Any) -> NoticeDraft:
    return NoticeDraft(
        **{
            "to": Station(2),
            "kind": Kind.NOTIFY,
            "precedence": Precedence.ROUTINE,
            "operation": Operation.TEST,
            "body": body,
            **changes,
        }
    )


def frame_size(notice: Notice) -> int:
    """The whole sealed frame, 1-octet partial IV, age below 24 s, as in test_wire_sizes."""
    line = values.rings()[0].lines[values.SOUTH]
    key = line.keys.outbound(False, values.INCARNATION)
    items = encode_items([ActItem(23, encode_act(notice), bytes(64))])
    header = Header(values.NORTH, values.GENERATION, 0, None)
    return len(seal_frame(key, header, items, recipient=values.SOUTH))


def test_codes_and_slots_are_pinned() -> None:
    """No code is used twice, renumbered or dropped, and no slot of a code changes."""
    assert len({entry.code for entry in PHRASES}) == len(PHRASES)
    found = {
        entry.code: " ".join(f"{slot.name}:{slot.type.value}" for slot in entry.slots)
        for entry in PHRASES
    }
    assert found == PINNED
    assert list(PINNED) == sorted(PINNED)


@each
def test_a_phrase_is_whole_in_every_language(entry: PhraseEntry) -> None:
    """Each language has a template of its own, NFC and fit for people, with each slot once."""
    assert tuple(entry.templates) == PHRASE_LANGUAGES
    assert len(set(entry.templates.values())) == len(PHRASE_LANGUAGES)
    names = sorted(slot.name for slot in entry.slots)
    assert len(set(names)) == len(names)
    for template in entry.templates.values():
        assert sorted(gaps(template)) == names
        assert check_text("template", template, size_max=400) == template
        assert "\n" not in template
        assert "  " not in template
        assert not any(unicodedata.category(letter) == "Cf" for letter in template)
        assert not re.search(r"\d", template)


@each
@pytest.mark.parametrize(
    ("language", "script"),
    [("en", "LATIN"), ("fr", "LATIN"), ("ru", "CYRILLIC"), ("ar", "ARABIC")],
)
def test_each_language_keeps_to_its_script(entry: PhraseEntry, language: str, script: str) -> None:
    """No Latin letter hides in a Russian word, no Persian one in an Arabic; code words are free."""
    text = re.sub(r"\{\w+\}|MINIMIZE", "", entry.templates[language])
    assert {unicodedata.name(c).split()[0] for c in text if c.isalpha()} == {script}
    persian = "\u06a9\u06cc\u06af\u067e\u0686\u06c1"
    assert not set(persian) & set(text)


@each
def test_slots_keep_their_order_on_a_screen_from_right_to_left(entry: PhraseEntry) -> None:
    """An Arabic template begins with an Arabic letter and has one between any two slots."""
    template = entry.templates["ar"]
    assert unicodedata.bidirectional(template[0]) == "AL"
    between = re.split(r"\{\w+\}", template)
    for text in between[1:-1]:
        assert any(unicodedata.bidirectional(letter) == "AL" for letter in text)


@each
def test_a_filled_phrase_reads_in_every_language(entry: PhraseEntry) -> None:
    """Every slot stands in the text; the phrase goes with its own kinds and with QUERY."""
    body = filled(entry)
    check(body)
    for language in PHRASE_LANGUAGES:
        text = render(body, language, kind=entry.kinds[0])
        assert text == render(body, language)
        assert "{" not in text
        assert not text.startswith("PHRASE")
        assert all(str(slot) in text for slot in body.slots)


def test_a_phrase_reads() -> None:
    """One phrase, whole, in the four languages."""
    assert [render(convoy, language) for language in PHRASE_LANGUAGES] == [
        "Planned convoy of unit A-7 from KILO 4 to M5 during the stated period. Vehicles: 3.",
        "Convoi prévu de l'unité A-7, de KILO 4 à M5, pendant la période indiquée. Véhicules : 3.",
        (
            "Планируется движение колонны подразделения A-7 из пункта KILO 4 в пункт M5 "
            "в указанный период. Количество машин: 3."
        ),
        "قافلة مخطط لها للوحدة A-7 من KILO 4 إلى M5 خلال الفترة المحددة. عدد المركبات: 3.",
    ]


def test_the_kind_modifies_a_phrase() -> None:
    """A question or a withdrawal never reads like the statement itself; a question asks once."""
    closed = Phrase(93)
    assert render(closed, "en", kind=Kind.QUERY) == "QUESTION: The line is closed."
    cancelled = "ОТМЕНЕНО: Линия связи закрыта."  # noqa: RUF001 (Cyrillic)
    assert render(closed, "ru", kind=Kind.CANCEL) == cancelled
    assert render(closed, "ar", kind=Kind.UPDATE) == "تعديل: خط الاتصال مغلق."
    assert render(Phrase(72), "en", kind=Kind.QUERY) == "Do you need help in the stated area?"
    for kind in (Kind.QUERY, Kind.UPDATE, Kind.CANCEL):
        texts = {render(closed, language, kind=kind) for language in PHRASE_LANGUAGES}
        assert texts.isdisjoint({render(closed, language) for language in PHRASE_LANGUAGES})


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (Phrase(9), "PHRASE 9"),
        (Phrase(65_535, ("A", -1)), "PHRASE 65535: A, -1"),
        (Phrase(13, ("A",)), "PHRASE 13: A"),
        (Phrase(120, ("all",)), "PHRASE 120: all"),
        (Phrase(71, ("A-7 of ours", "{unit}")), "PHRASE 71: A-7 of ours, {unit}"),
    ],
)
def test_what_the_codebook_cannot_read_is_shown_as_it_came(body: Phrase, shown: str) -> None:
    """Versions differ on a line: an unknown code or misfit slots are shown, not hidden."""
    assert render(body, "ru") == shown


@given(phrases, st.text(max_size=12), st.sampled_from([None, *Kind]))
def test_reading_never_fails(body: Phrase, language: str, kind: Kind | None) -> None:
    """Any phrase of a peer in any language has a reading that holds its slots."""
    text = render(body, language, kind=kind)
    assert all(str(slot) in text for slot in body.slots)


@given(st.sampled_from(PHRASES), st.lists(st.text(max_size=8) | st.integers(-5, 70_000)))
def test_what_is_checked_is_readable(entry: PhraseEntry, slots: list[str | int]) -> None:
    """A phrase passes the check exactly when the codebook reads it."""
    try:
        body = Phrase(entry.code, tuple(slots))
    except FieldError:
        return
    reads = not render(body, "en").startswith("PHRASE ")
    try:
        check(body)
    except FieldError:
        assert not reads
    else:
        assert reads


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        (Phrase(9), "phrase", "unknown_phrase"),
        (Phrase(13, (1,)), "slots", "bad_slot"),
        (Phrase(12, ("A-7", 3)), "slots", "bad_slot"),
        (Phrase(12, ("a-7", 3, "KILO 4", "M5")), "slots[0]", "bad_slot"),
        (Phrase(12, ("7-A", 3, "KILO 4", "M5")), "slots[0]", "bad_slot"),
        (Phrase(12, ("A" * 25, 3, "KILO 4", "M5")), "slots[0]", "bad_slot"),
        (Phrase(12, (7, 3, "KILO 4", "M5")), "slots[0]", "bad_slot"),
        (Phrase(12, ("A-7", 0, "KILO 4", "M5")), "slots[1]", "bad_slot"),
        (Phrase(12, ("A-7", "3", "KILO 4", "M5")), "slots[1]", "bad_slot"),
        (Phrase(12, ("A-7", True, "KILO 4", "M5")), "slots[1]", "bad_slot"),
        (Phrase(12, ("A-7", 3, "1234 5678", "M5")), "slots[2]", "bad_slot"),
        (Phrase(53, ("321430Z",)), "slots[0]", "bad_slot"),
        (Phrase(53, ("222430Z",)), "slots[0]", "bad_slot"),
        (Phrase(53, ("1430Z",)), "slots[0]", "bad_slot"),
        (Phrase(36, (65_536,)), "slots[0]", "bad_slot"),
        (Phrase(100, ("HARBOUR\nSEVEN",)), "slots[0]", "bad_slot"),
        (Phrase(100, (" ",)), "slots[0]", "bad_slot"),
    ],
)
def test_misfits_are_refused(body: Phrase, field: str, code: str) -> None:
    """A phrase that the codebook lacks or cannot fill is refused where it is made."""
    with pytest.raises(FieldError) as caught:
        check(body)
    assert (caught.value.field, caught.value.code) == (field, code)
    assert body.code != 9 or "hotline phrases" in caught.value.remedy


@pytest.mark.parametrize("place", ["M5", "37SCV12345678", "37S CV 1234", "12345678", "KILO-4 WEST"])
def test_place_words(place: str) -> None:
    """Roads, grid references and code words fit a place."""
    check(Phrase(71, ("A-7", place)))


def test_a_draft_must_fit_its_phrase() -> None:
    """The kind and the fields that the text speaks of are checked; modifiers are free."""
    with pytest.raises(FieldError) as caught:
        check_draft(draft(Phrase(80)))
    assert (caught.value.field, caught.value.code) == ("kind", "conflict")
    with pytest.raises(FieldError) as caught:
        check_draft(draft(convoy))
    assert (caught.value.field, caught.value.code) == ("window", "missing_field")
    with pytest.raises(FieldError) as caught:
        check_draft(draft(convoy, kind=Kind.QUERY))
    assert caught.value.field == "window"
    check_draft(draft(convoy, window=values.FULL.window))
    check_draft(draft(convoy, kind=Kind.CANCEL, reference=values.FULL.reference))
    check_draft(draft(Phrase(80), kind=Kind.ASSURE))
    check_draft(draft(Phrase(80), kind=Kind.QUERY))


@each
def test_needs_are_fields_of_a_draft(entry: PhraseEntry) -> None:
    """A phrase whose text speaks of a stated area or period needs that field, and no other."""
    english = entry.templates["en"]
    assert ("place" in entry.needs) == ("stated area" in english)
    assert ("window" in entry.needs) == ("stated period" in english)
    assert set(entry.needs) <= {field.name for field in dataclasses.fields(NoticeDraft)}


@each
def test_a_coded_notice_is_smaller_than_its_text(entry: PhraseEntry) -> None:
    """Code and slots take fewer octets than the text in any language, and at most 125 as DESIGN
    section 4 wants with place and time; words in slots add their own octets to that.
    """
    body = filled(entry)
    coded = dataclasses.replace(values.PHRASE, kind=entry.kinds[0], body=body)
    size = frame_size(coded)
    for language in PHRASE_LANGUAGES:
        spoken = dataclasses.replace(coded, body=Text(render(body, language), language))
        assert size < frame_size(spoken)
    words = sum(1 + len(slot) for slot in body.slots if isinstance(slot, str))
    print(f"{size:4} octets, {words} of them words: phrase {entry.code}")
    assert coded.place is not None
    assert coded.window is not None
    assert size - words <= 125
    assert size <= 145


@pytest.mark.parametrize(
    ("tag", "language"),
    [("ru", "ru"), ("fr-CA", "fr"), ("AR", "ar"), ("de", "en"), ("", "en"), ("en-GB", "en")],
)
def test_language_tags(tag: str, language: str) -> None:
    """A regional tag finds its language; what the codebook lacks reads English."""
    assert phrase_language(tag) == language


def test_the_listing_holds_everything() -> None:
    """Programs get codes, kinds, slots, needs and templates."""
    document = codebook_document()
    assert document["languages"] == ["en", "fr", "ru", "ar"]
    listed = document["phrases"]
    assert isinstance(listed, list)
    assert [one["phrase"] for one in listed] == list(PINNED)
    entry = phrase(53)
    assert entry is not None
    assert [one for one in listed if one["phrase"] == 53] == [
        {
            "phrase": 53,
            "kinds": ["REQUEST"],
            "slots": [{"name": "time", "type": "time"}],
            "needs": [],
            "templates": entry.templates,
        }
    ]


def test_a_kind_that_does_not_go_with_a_phrase_is_read_without_a_modifier() -> None:
    """A peer may send it: the phrase reads as it is."""
    assert render(Phrase(90), "en", kind=Kind.REPORT) == render(Phrase(90), "en")
    assert render(Phrase(90), "en", kind=Kind.CANCEL) == f"CANCELLED: {render(Phrase(90), 'en')}"
