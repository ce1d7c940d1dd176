"""From options of `hotline send` to the public JSON form."""

from __future__ import annotations

from typing import Any

import click
import pytest

from gateway.cli.draft import (
    DurationType,
    PointType,
    PrecedenceType,
    TimeType,
    WordType,
    check_draft,
    draft_document,
    size_text,
)
from gateway.errors import FieldError
from gateway.model import Kind, Operation, Phrase, Precedence


def options(**given: Any) -> dict[str, Any]:
    base = {"to": "SOUTH", "kind": "NOTIFY", "precedence": "PRIORITY", "operation": "TEST"}
    return {**base, "language": "en", **given}


@pytest.mark.parametrize(
    ("word", "minutes"), [("90", 90), ("90m", 90), ("2H", 120), ("1 d", 1440), ("5min", 5)]
)
def test_durations(word: str, minutes: int) -> None:
    """Minutes, hours and days are understood."""
    assert DurationType().convert(word, None, None) == minutes


def test_durations_in_seconds() -> None:
    """A waiting time takes seconds, and a bare number means them."""
    kind = DurationType(in_seconds=True)
    assert [kind.convert(word, None, None) for word in ("30", "30s", "2m")] == [30, 30, 120]


@pytest.mark.parametrize("word", ["", "h", "30s", "-5", "1.5h", "5 weeks", "123456"])
def test_bad_durations_are_refused(word: str) -> None:
    """Anything else is a usage error that shows how to write it."""
    with pytest.raises(click.BadParameter, match="write 90m, 2h or 1d"):
        DurationType().convert(word, None, None)


@pytest.mark.parametrize(
    ("word", "time"),
    [
        ("221430Z NOV 26", "2026-11-22T14:30Z"),
        ("221430Znov26", "2026-11-22T14:30Z"),
        ("2026-11-22T14:30Z", "2026-11-22T14:30Z"),
        ("2026-11-22T16:30+02:00", "2026-11-22T14:30Z"),
    ],
)
def test_times(word: str, time: str) -> None:
    """A DTG and ISO with a zone give the same minute in UTC."""
    assert TimeType().convert(word, None, None) == time


@pytest.mark.parametrize("word", ["now", "321430Z NOV 26", "2026-11-22T14:30", "221430Z FOO 26"])
def test_bad_times_are_refused(word: str) -> None:
    """No zone, no such day, no such month: a usage error."""
    with pytest.raises(click.BadParameter):
        TimeType().convert(word, None, None)


def test_points() -> None:
    """Latitude and longitude in degrees; off the globe is refused."""
    assert PointType().convert("35.1, 38.75", None, None) == (35.1, 38.75)
    for word in ("35.1", "95,0", "a,b", "nan,0"):
        with pytest.raises(click.BadParameter):
            PointType().convert(word, None, None)


def test_words_in_any_case() -> None:
    """A letter stands for its precedence, a blank for `_`; an unknown word gets the list."""
    assert PrecedenceType().convert("o", None, None) == "IMMEDIATE"
    assert PrecedenceType().convert("flash", None, None) == "FLASH"
    assert WordType(["LINE_STATE"]).convert("line state", None, None) == "LINE_STATE"
    with pytest.raises(click.BadParameter, match=r"use one of FLASH \(Z\), IMMEDIATE \(O\)"):
        PrecedenceType().convert("urgent", None, None)


def test_a_full_draft_is_what_the_gateway_takes() -> None:
    """Every option ends in the document, and the document passes the gateway's own reader."""
    document = draft_document(
        options(
            text="Convoy",
            expires_min=90,
            reply_by_min=30,
            reference="1-3f2a-17",
            point=(35.1, 38.75),
            radius_m=500,
            altitude=(0, 3000),
            window=("2026-11-22T14:30Z", "2026-11-22T16:00Z"),
            released_by="COMMANDER",
        )
    )
    draft = check_draft(document)
    assert (draft.kind, draft.precedence, draft.operation) == (
        Kind.NOTIFY,
        Precedence.PRIORITY,
        Operation.TEST,
    )
    assert draft.lifetime_min == 90
    assert draft.place is not None
    assert draft.place.radius_m == 500
    assert draft.window is not None
    assert draft.window.length_min == 90


def test_phrase_with_slots() -> None:
    """A slot goes as the type that its phrase wants: a count as a number, a road as a word."""
    given = {"slots": ("a-7", "3", "4", "m5"), "window": ("2026-11-22T14:30Z", "2026-11-22T16:00Z")}
    document = draft_document(options(phrase=12, **given))
    assert document["slots"] == ["A-7", 3, "4", "M5"]
    assert "language" not in document
    check_draft(document)


@pytest.mark.parametrize(
    ("given", "body"),
    [
        ({"line_state": "OPEN"}, Phrase(90)),
        ({"line_state": "SUSPENDED"}, Phrase(91)),
        ({"line_state": "CLOSED"}, Phrase(93)),
        ({"minimize": "IMMEDIATE"}, Phrase(96, ("IMMEDIATE",))),
        ({"minimize": "OFF"}, Phrase(95)),
    ],
)
def test_a_line_state_is_its_phrase(given: dict[str, Any], body: Phrase) -> None:
    """--state and --minimize are the phrases that every gateway reads."""
    document = draft_document(options(kind="LINE_STATE", **given))
    assert check_draft(document).body == body


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "NOTIFY", "line_state": "OPEN"},
        {"kind": "LINE_STATE", "line_state": "OPEN", "minimize": "OFF"},
        {"kind": "LINE_STATE", "minimize": "FLASH", "phrase": 94},
        {"point": (1.0, 2.0), "polygon": ((1.0, 2.0),)},
        {"radius_m": 5},
        {"altitude": (0, 5)},
    ],
)
def test_contradictions_are_refused(given: dict[str, Any]) -> None:
    """Options that exclude or need each other are a usage error."""
    with pytest.raises(click.UsageError):
        draft_document(options(**given))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x" * 1025, "1024"),
        ("a\x07b", "control character U\\+0007"),
        ("a\u202eb", "bidirectional override U\\+202E"),
    ],
)
def test_bad_text_is_refused_before_the_gateway_is_asked(text: str, words: str) -> None:
    """Too long, control characters, overrides: one sentence, from the model itself."""
    with pytest.raises(FieldError, match=words):
        check_draft(draft_document(options(text=text)))


def test_size_is_shown_before_release() -> None:
    """48 octets in one radio frame; 400 octets in several."""
    small = size_text(check_draft(draft_document(options(text="x" * 48))))
    large = size_text(check_draft(draft_document(options(text="x" * 400))))
    assert small.startswith("48 octets of text; about 1")
    assert small.endswith("one radio frame")
    assert large.endswith("several radio frames")
