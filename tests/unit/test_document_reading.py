"""The public form of submissions and answers: what is read, and how everything else is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import FieldError
from gateway.model import (
    ActId,
    Altitude,
    AnswerCode,
    Epoch,
    Kind,
    NoticeDraft,
    Operation,
    Phrase,
    Place,
    Point,
    Precedence,
    Role,
    Serial,
    Station,
    Text,
    Window,
)
from gateway.wire.document import (
    answer_from_document,
    body_document,
    check_request_id,
    draft_from_document,
    notice_id_from_document,
    place_document,
    request_id_from_document,
    window_document,
)

STATIONS = {"SOUTH": Station(2), "EAST": Station(3)}
SMALL = {"to": "SOUTH", "kind": "NOTIFY", "operation": "TEST"}
FULL = {
    "request_id": "nato-1",
    "to": "south",
    "kind": "NOTIFY",
    "precedence": "PRIORITY",
    "operation": "OPERATION",
    "text": "Convoy of 6 vehicles",
    "language": "en",
    "expires_min": 120,
    "reply_by_min": 30,
    "reference": "1-3f2a-17",
    "place": {
        "latitude": 54.35,
        "longitude": 18.65,
        "radius_m": 500,
        "altitude": {"low_m": 0, "high_m": 300},
    },
    "window": {"from": "2026-11-22T14:30Z", "to": "2026-11-22T16:00Z"},
    "released_by": "watch_commander",
}


def read(document: object, role: Role | None = None) -> NoticeDraft:
    return draft_from_document(document, station_number=STATIONS.get, role=role)


def refused(document: object) -> FieldError:
    with pytest.raises(FieldError) as caught:
        read(document)
    return caught.value


def test_every_field_is_read() -> None:
    """A submission with all fields becomes the draft that it says."""
    assert read(FULL) == NoticeDraft(
        to=Station(2),
        kind=Kind.NOTIFY,
        precedence=Precedence.PRIORITY,
        operation=Operation.OPERATION,
        body=Text("Convoy of 6 vehicles", "en"),
        lifetime_min=120,
        reply_by_min=30,
        reference=ActId(Station(1), Epoch(0x3F2A), Serial(17)),
        place=Place((Point(5_435_000, 1_865_000),), 500, Altitude(0, 300)),
        window=Window(29_922_630, 90),
        released_by=Role.WATCH_COMMANDER,
    )


def test_defaults() -> None:
    """Only `to`, `kind` and `operation` must be said; precedence is ROUTINE then."""
    assert read(SMALL) == NoticeDraft(
        to=Station(2),
        kind=Kind.NOTIFY,
        precedence=Precedence.ROUTINE,
        operation=Operation.TEST,
    )


@pytest.mark.parametrize(
    ("word", "precedence"),
    [("Z", 0), ("FLASH", 0), ("o", 1), ("IMMEDIATE", 1), ("P", 2), ("R", 3), ("routine", 3)],
)
def test_precedence_words_and_letters(word: str, precedence: int) -> None:
    """The four precedences are known by word and by letter."""
    assert read(SMALL | {"precedence": word}).precedence == precedence


def test_text_is_normalised_and_its_language_is_english_unless_said() -> None:
    """Text comes out in NFC; without a tag its language is `en`."""
    assert read(SMALL | {"text": "cafe\u0301"}).body == Text("caf\u00e9", "en")


def test_phrase_polygon_and_zone() -> None:
    """A phrase with slots, a polygon, and times with another zone are read."""
    draft = read(
        SMALL
        | {
            "phrase": 12,
            "slots": ["A-7", 3, "KILO 4", "M5"],
            "place": {"polygon": [[1, 2], [1.5, 2.5], [-1, 3]]},
            "window": {"from": "2026-11-22T15:30+01:00", "to": "2026-11-22T14:30:00Z"},
        }
    )
    assert draft.body == Phrase(12, ("A-7", 3, "KILO 4", "M5"))
    assert draft.place == Place(
        (Point(100_000, 200_000), Point(150_000, 250_000), Point(-100_000, 300_000))
    )
    assert draft.window == Window(29_922_630, 0)


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"kind": "GREETING"}, "kind", "unknown_kind"),
    ({"kind": 3}, "kind", "unknown_kind"),
    ({"kind": None}, "kind", "missing_field"),
    ({"operation": None}, "operation", "missing_field"),
    ({"operation": "DRILL"}, "operation", "unknown_operation"),
    ({"precedence": "URGENT"}, "precedence", "unknown_precedence"),
    ({"to": "WEST"}, "to", "unknown_station"),
    ({"to": "S" * 10_000}, "to", "unknown_station"),
    ({"to": 2}, "to", "wrong_type"),
    ({"to": None}, "to", "missing_field"),
    ({"text": "a" * 1025}, "text", "text_too_long"),
    ({"text": "\u0301" * 60_000}, "text", "text_too_long"),
    ({"text": "bell \a"}, "text", "bad_text"),
    ({"text": "a\u202eb"}, "text", "bad_text"),
    ({"text": "a\ud800b"}, "text", "bad_text"),
    ({"text": b"octets"}, "text", "wrong_type"),
    ({"text": ""}, "text", "invalid"),
    ({"text": "a", "language": "english!"}, "language", "invalid"),
    ({"language": "en"}, "language", "conflict"),
    ({"text": "a", "phrase": 1}, "phrase", "conflict"),
    ({"slots": [1]}, "slots", "conflict"),
    ({"phrase": 0}, "phrase", "out_of_range"),
    ({"phrase": 1, "slots": [1.5]}, "slots[0]", "wrong_type"),
    ({"phrase": 1, "slots": ["x", "\x00"]}, "slots[1]", "bad_text"),
    ({"phrase": 1, "slots": list(range(9))}, "slots", "invalid"),
    ({"phrase": 9}, "phrase", "unknown_phrase"),
    ({"phrase": 13, "slots": [1]}, "slots", "bad_slot"),
    ({"expires_min": 0}, "expires_min", "out_of_range"),
    ({"expires_min": True}, "expires_min", "wrong_type"),
    ({"expires_min": 12.5}, "expires_min", "wrong_type"),
    ({"expires_min": 10**5000}, "expires_min", "out_of_range"),
    ({"reference": "17"}, "reference", "bad_id"),
    ({"kind": "CANCEL"}, "reference", "invalid"),
    ({"place": []}, "place", "wrong_type"),
    ({"place": {"latitude": 91, "longitude": 0}}, "place.latitude", "bad_place"),
    ({"place": {"latitude": float("nan"), "longitude": 0}}, "place.latitude", "bad_place"),
    ({"place": {"latitude": 10**400, "longitude": 0}}, "place.latitude", "bad_place"),
    ({"place": {"latitude": 1}}, "place.longitude", "bad_place"),
    ({"place": {"lat": 1}}, "place.lat", "unknown_field"),
    ({"place": {"latitude": 1, "longitude": 1, "radius_m": -1}}, "place.radius_m", "out_of_range"),
    (
        {"place": {"latitude": 1, "longitude": 1, "altitude": {"low_m": 5, "high_m": 4}}},
        "place.altitude.high_m",
        "out_of_range",
    ),
    ({"place": {"polygon": [[0, 0], [1, 1]]}}, "place.polygon", "bad_place"),
    ({"place": {"polygon": [[0, 0], [1, 1], [2]]}}, "place.polygon[2]", "bad_place"),
    ({"place": {"polygon": [[0, 0], [1, 1], [2, 2]], "radius_m": 1}}, "place.radius_m", "conflict"),
    ({"window": {"from": "2026-11-22T14:30Z"}}, "window.to", "bad_time"),
    ({"window": {"from": "22 Nov", "to": "2026-11-22T14:30Z"}}, "window.from", "bad_time"),
    (
        {"window": {"from": "2026-02-30T14:30Z", "to": "2026-11-22T14:30Z"}},
        "window.from",
        "bad_time",
    ),
    (
        {"window": {"from": "2026-11-22T14:30Z", "to": "2026-11-22T14:00Z"}},
        "window.to",
        "bad_time",
    ),
    (
        {"window": {"from": "1926-11-22T14:30Z", "to": "1926-11-22T14:30Z"}},
        "window",
        "invalid",
    ),
    ({"released_by": "god"}, "released_by", "unknown_role"),
    ({"priority": "FLASH"}, "priority", "unknown_field"),
]


@pytest.mark.parametrize(("change", "field", "code"), BAD)
def test_refusals_name_the_field(change: dict[str, Any], field: str, code: str) -> None:
    """Each wrong value is refused with the path of its field and a stable code."""
    error = refused(SMALL | change)
    assert (error.field, error.code) == (field, code)
    assert error.problem
    assert error.remedy
    assert str(error).isprintable()


@pytest.mark.parametrize("document", [None, [], "text", 5, b"", {1: 2}, {"to\n": 1}, {10**5000: 1}])
def test_what_is_no_object_of_named_fields_is_refused(document: object) -> None:
    """Other JSON and CBOR values, and keys that are no names, are refused printably."""
    assert str(refused(document)).isprintable()


def test_the_releaser_is_the_adapters_role() -> None:
    """With a role from the adapter, that role releases, and no other may be claimed."""
    assert read(SMALL, Role.AUTOMATIC).released_by is Role.AUTOMATIC
    assert read(SMALL | {"released_by": "automatic"}, Role.AUTOMATIC).released_by is Role.AUTOMATIC
    with pytest.raises(FieldError) as caught:
        read(FULL, Role.AUTOMATIC)
    assert (caught.value.field, caught.value.code) == ("released_by", "forbidden")


def test_answers() -> None:
    """An answer has a code and perhaps a text; the keys of its envelope may stand beside it."""
    assert answer_from_document({"answer": "ROGER"}) == (AnswerCode.ROGER, None)
    assert answer_from_document(
        {"answer": "wilco", "text": "ja", "language": "de", "id": "2-0001-1", "request_id": "a"}
    ) == (AnswerCode.WILCO, Text("ja", "de"))


@pytest.mark.parametrize(
    ("document", "field", "code"),
    [
        ({"answer": "CANTPRO"}, "answer", "unknown_answer"),
        ({"answer": "OK"}, "answer", "unknown_answer"),
        ({}, "answer", "missing_field"),
        ({"answer": "ROGER", "code": 1}, "code", "unknown_field"),
        ({"answer": "ROGER", "text": "\x07"}, "text", "bad_text"),
    ],
)
def test_answers_refused(document: dict[str, Any], field: str, code: str) -> None:
    """CANTPRO is a gateway's answer; other wrong answers are refused by field."""
    with pytest.raises(FieldError) as caught:
        answer_from_document(document)
    assert (caught.value.field, caught.value.code) == (field, code)


def test_request_ids() -> None:
    """A request id can stand in a topic, a log line and a header."""
    assert request_id_from_document({"request_id": "8e03978e-40d5:1"}) == "8e03978e-40d5:1"
    assert request_id_from_document({}) is None
    assert request_id_from_document([]) is None
    for bad in ("", "a" * 65, "a/b", "a+", "#", "a b", "\u00e9", 7, "a\n"):
        with pytest.raises(FieldError) as caught:
            check_request_id(bad)
        assert caught.value.code == "bad_request_id"


def test_notice_ids() -> None:
    """The id of the notice to answer or to take is read or refused."""
    assert notice_id_from_document({"id": "2-0001-1"}) == (2, 1, 1)
    refused_documents: list[object] = [{}, [], {"id": 1}, {"id": "x"}, {"id": "2-0001-99999"}]
    for bad in refused_documents:
        with pytest.raises(FieldError):
            notice_id_from_document(bad)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*FULL, "phrase", "slots", "x"]), json_values))
def test_any_document_is_a_draft_or_a_field_error(change: dict[str, Any]) -> None:
    """No JSON value leads to anything but a draft or a printable `FieldError`."""
    for document in (change, FULL | change):
        sentence = ""
        try:
            read(document)
        except FieldError as error:
            sentence = str(error)
        assert json.dumps(sentence).isprintable()


points = st.builds(Point, st.integers(-9_000_000, 9_000_000), st.integers(-18_000_000, 18_000_000))
altitudes = st.none() | st.builds(
    lambda low, width: Altitude(low, min(30_000, low + width)),
    st.integers(-500, 30_000),
    st.integers(0, 1000),
)
places = st.builds(
    Place, st.tuples(points), radius_m=st.integers(0, 0xFFFF), altitude=altitudes
) | st.builds(Place, st.lists(points, min_size=3, max_size=8).map(tuple), altitude=altitudes)


@given(places, st.integers(0, 71_582_788 - 0xFFFF), st.integers(0, 0xFFFF))
def test_what_is_written_is_read_again(place: Place, start: int, length: int) -> None:
    """Place, window and body of an output document make the same draft when submitted."""
    draft = read(
        SMALL
        | {"place": place_document(place), "window": window_document(Window(start, length))}
        | body_document(Phrase(12, ("A-7", 3, "KILO 4", "M5")))
    )
    assert draft.place == place
    assert draft.window == Window(start, length)
    assert draft.body == Phrase(12, ("A-7", 3, "KILO 4", "M5"))
