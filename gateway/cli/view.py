"""How notices, states and answers read on a screen. From the public JSON form to lines and cells.

The documents come from our gateway, but their texts come from a peer: whatever prints these
strings escapes them (`output`), and text of a peer stands in its own column or behind a margin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from gateway.cli.output import Cell, is_terminal, print_block, print_fields, print_table, say
from gateway.cli.text import (
    DTG_UNKNOWN,
    RECEIPT_IS_NOT_CONSENT,
    dtg,
    duration,
    precedence,
    precedence_letter,
    shortened,
    visible,
)
from gateway.core.dialogue import accepted_answers, closing_answers
from gateway.errors import FieldError
from gateway.model import DeliveryState, Kind, Phrase, Response
from gateway.wire.codebook import render

Document = Mapping[str, Any]

_KINDS: Final = {kind.name: kind for kind in Kind}

_TEXT_WIDTH: Final = 120
_FLAGS: Final = {
    "late": "LATE",
    "age_unknown": "AGE UNKNOWN",
    "freshness_unproven": "FRESHNESS UNPROVEN",
    "overdue": "OVERDUE",
}
_NOT_THERE_YET: Final = frozenset(
    {DeliveryState.HELD, DeliveryState.QUEUED, DeliveryState.SENT, DeliveryState.RELAYED}
)


def time_text(value: object) -> str:
    """A time of the JSON form (`2026-11-22T14:30:00Z`) as a DTG; anything else is unknown."""
    if not isinstance(value, str):
        return DTG_UNKNOWN
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return DTG_UNKNOWN
    if moment.tzinfo is None:
        return DTG_UNKNOWN
    return dtg(int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()))


def clock_text(value: object) -> str:
    """The time of day with seconds, `14:30:05Z`, for a list of events; `--:--:--Z` if unknown."""
    text = str(value or "")
    return f"{text[11:19]}Z" if len(text) >= 19 and text[10] == "T" else "--:--:--Z"


def made_text(notice: Document) -> str:
    """The DTG of a notice, with the quality of time where it is not synchronised."""
    shown = str(notice.get("dtg") or DTG_UNKNOWN)
    quality = notice.get("time_quality")
    return f"{shown} (clock set by hand)" if quality == "manual" else shown


def state_text(notice: Document) -> str:
    """The state word and what is wrong with it: `SENT OVERDUE`, `MACHINE RECEIPT LATE`."""
    return " ".join([str(notice.get("state", "UNKNOWN")), *_flags(notice)])


def _flags(notice: Document) -> list[str]:
    return [word for key, word in _FLAGS.items() if notice.get(key)]


def age_text(notice: Document) -> str:
    age = notice.get("age_s")
    return duration(age) if isinstance(age, int) else "AGE UNKNOWN"


def body_text(notice: Document, language: str) -> str:
    """The text, or the phrase in a language of ours; empty when the notice has neither."""
    if notice.get("text") is not None:
        return str(notice["text"])
    if notice.get("phrase") is None:
        return ""
    try:
        phrase = Phrase(notice["phrase"], tuple(notice.get("slots") or ()))
    except (FieldError, TypeError):
        return phrase_code(notice)
    return render(phrase, language, kind=_KINDS.get(str(notice.get("kind"))))


def phrase_code(notice: Document) -> str:
    """What the originator said, in no language: `PHRASE 12: A-7, 3`; empty without a phrase."""
    if notice.get("phrase") is None:
        return ""
    slots = ", ".join(str(slot) for slot in notice.get("slots") or ())
    return f"PHRASE {notice['phrase']}" + (f": {slots}" if slots else "")


def _body_lines(notice: Document, language: str) -> list[str]:
    """The text, and below a phrase its code and slots, which are what its originator said."""
    lines = body_text(notice, language).split("\n")
    code = phrase_code(notice)
    return [*lines, code] if code and code not in lines else lines


def place_text(place: Document) -> str:
    """A circle, a polygon, and the altitude band."""
    if "polygon" in place:
        shown = "polygon " + " ".join(f"{lat:.5f},{lon:.5f}" for lat, lon in place["polygon"])
    else:
        shown = f"{place['latitude']:.5f},{place['longitude']:.5f}"
        if place.get("radius_m"):
            shown += f" within {place['radius_m']} m"
    altitude = place.get("altitude")
    return shown + (f", {altitude['low_m']} to {altitude['high_m']} m" if altitude else "")


def print_notices(notices: Iterable[Document], *, other: str, empty: str, language: str) -> None:
    """A list; `other` is `from` for the inbox and `to` for the outbox. Phrases in `language`.

    On a terminal the whole text is shown, so that a listed notice counts as displayed.
    """
    rows = list(notices)
    if is_terminal():
        columns = ("NOTICE", other.upper(), "WHAT", "STATE", "TEXT")
        print_table(columns, [_stacked(row, other, language) for row in rows], empty=empty)
    else:
        columns_plain = (
            "ID",
            "DTG",
            "P",
            "KIND",
            "OPERATION",
            other.upper(),
            "STATE",
            "AGE",
            "TEXT",
        )
        print_table(columns_plain, [_flat(row, other, language) for row in rows], empty=empty)
    if any(row.get("note") for row in rows):
        say(RECEIPT_IS_NOT_CONSENT)


def _flat_columns(other: str) -> tuple[str, ...]:
    return ("ID", "DTG", "P", "KIND", "OPERATION", other.upper(), "STATE", "AGE", "TEXT")


def _flat(notice: Document, other: str, language: str) -> list[str]:
    return [
        str(notice.get("id", "")),
        str(notice.get("dtg") or DTG_UNKNOWN),
        precedence_letter(notice.get("precedence")),
        str(notice.get("kind", "")),
        str(notice.get("operation", "")),
        str(notice.get(other, "")),
        state_text(notice),
        age_text(notice),
        shortened("\n".join(_body_lines(notice, language)), _TEXT_WIDTH),
    ]


def _stacked(notice: Document, other: str, language: str) -> tuple[Cell, ...]:
    """Few wide columns; a line feed of the text stays inside its own."""
    return (
        (str(notice.get("id")), str(notice.get("dtg") or DTG_UNKNOWN), age_text(notice)),
        str(notice.get(other, "")),
        (
            precedence(notice.get("precedence")),
            str(notice.get("kind", "")),
            str(notice.get("operation", "")),
        ),
        (str(notice.get("state", "UNKNOWN")), *_flags(notice)),
        tuple(_body_lines(notice, language)),
    )


def print_notice(notice: Document, language: str) -> None:
    """One notice in full; a phrase in `language`, with its code and slots among the fields."""
    print_fields(notice_fields(notice))
    body = body_text(notice, language)
    if body:
        spoken = notice.get("language") if notice.get("phrase") is None else language
        say(f"text ({spoken})" if spoken else "text")
        print_block(body)


def notice_fields(notice: Document) -> list[tuple[str, object]]:
    """Everything of a notice but its text, in reading order."""
    place, window = notice.get("place"), notice.get("window")
    expires = notice.get("expires")
    return [
        ("id", notice.get("id")),
        ("from", notice.get("from")),
        ("to", notice.get("to")),
        ("kind", notice.get("kind")),
        ("precedence", precedence(notice.get("precedence"))),
        ("operation", notice.get("operation")),
        ("made", made_text(notice)),
        ("received", time_text(notice["received"]) if notice.get("received") else None),
        ("accepted", time_text(notice["accepted"]) if notice.get("accepted") else None),
        ("released by", notice.get("released_by")),
        ("age", age_text(notice)),
        ("expires", time_text(expires) if expires else _minutes(notice.get("expires_min"))),
        ("reply by", _reply_by(notice)),
        ("reference", notice.get("reference")),
        ("place", place_text(place) if place else None),
        ("window", f"{time_text(window['from'])} to {time_text(window['to'])}" if window else None),
        ("phrase", phrase_code(notice).removeprefix("PHRASE ") or None),
        ("link", notice.get("link")),
        ("state", state_text(notice) if "state" in notice else None),
        ("expects", _expected(notice)),
    ]


def _expected(notice: Document) -> str | None:
    """The answers that would be accepted now; None when nothing more is."""
    try:
        response = Response(notice.get("response"))
        state = DeliveryState(notice.get("state"))
    except ValueError:
        return None
    if response is Response.NONE:
        return "no answer"
    if state in _NOT_THERE_YET:
        state = DeliveryState.RECEIPTED
    accepted = accepted_answers(response, state)
    last = ", ".join([code.name for code in accepted if code in closing_answers(response)])
    first = ", ".join([code.name for code in accepted if code not in closing_answers(response)])
    if last and first:
        return f"{last} (first {first} as you like)"
    return last or first or None


def _minutes(value: object) -> str | None:
    return f"{duration(value * 60)} after it was made" if isinstance(value, int) else None


def _reply_by(notice: Document) -> str | None:
    if notice.get("reply_by"):
        return time_text(notice["reply_by"])
    return _minutes(notice.get("reply_by_min"))


def links_text(status: Document, station: str) -> str:
    """How the links to a station are now: `radio UP, cable DOWN`."""
    for line in status.get("lines") or ():
        if str(line.get("far_station")) == station.upper():
            links = [f"{link.get('name')} {link.get('state')}" for link in line.get("links") or ()]
            return ", ".join(links) or "no link"
    return f"no line to {station} is known here"


def print_history(history: Iterable[Document]) -> None:
    """Each state with its time, link and evidence."""
    rows = [
        (
            clock_text(entry.get("time")),
            state_text(entry),
            str(entry.get("link") or ""),
            str(entry.get("evidence") or ""),
        )
        for entry in history
    ]
    print_table(("TIME", "STATE", "LINK", "EVIDENCE"), rows, empty="No history is kept.")


def print_answers(answers: Iterable[Document]) -> None:
    """The answers of the dialogue in their order."""
    for answer in answers:
        say(f"answer {answer.get('answer')}  {made_text(answer)}  {answer.get('released_by', '')}")
        if answer.get("text"):
            print_block(str(answer["text"]))


def state_line(document: Document) -> str:
    """One line of a followed notice: time, state, link, evidence."""
    parts = [clock_text(document.get("time")), state_text(document)]
    if document.get("link"):
        parts.append(f"by {document['link']}")
    if document.get("evidence"):
        parts.append(f"({document['evidence']})")
    return visible(" ".join(parts))
