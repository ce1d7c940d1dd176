"""The public form of notices and states, as queues and the API show them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.model import (
    ActId,
    Altitude,
    Answer,
    AnswerCode,
    DeliveryState,
    Epoch,
    Kind,
    Notice,
    Operation,
    Phrase,
    Place,
    Point,
    Precedence,
    Role,
    Serial,
    Station,
    Text,
    TimeQuality,
    UtcTime,
    Window,
)
from gateway.wire.document import NOT_CONSENT, document_text, dtg, notice_document, state_document

NAMES = {Station(1): "NORTH", Station(2): "SOUTH"}
MADE = UtcTime(1_795_357_800)
NOTICE_ID = ActId(Station(1), Epoch(0x3F2A), Serial(17))


def notice(**changes: Any) -> Notice:
    fields: dict[str, Any] = {
        "id": NOTICE_ID,
        "to": Station(2),
        "kind": Kind.REQUEST,
        "precedence": Precedence.IMMEDIATE,
        "operation": Operation.EXERCISE,
        "created": MADE,
        "time_quality": TimeQuality.SYNCHRONISED,
        "lifetime_min": 240,
    }
    return Notice(**(fields | changes))


def document(subject: Notice, **changes: Any) -> dict[str, object]:
    fields: dict[str, Any] = {
        "direction": "in",
        "state": "DISPLAYED",
        "utc": UtcTime(MADE + 12),
        "age_s": 12,
        "late": False,
        "unproven": False,
        "overdue": False,
        "link": "radio",
    }
    return notice_document(subject, names=NAMES, **(fields | changes))


def test_a_full_notice() -> None:
    """Every field of a notice appears under its public name."""
    subject = notice(
        reply_by_min=30,
        reference=ActId(Station(2), Epoch(0x77AB), Serial(4)),
        body=Text("Zażółć\ngęślą", "pl"),
        place=Place((Point(5_435_000, 1_865_001),), 500, Altitude(-10, 300)),
        window=Window(29_922_630, 90),
        released_by=Role.LIAISON_OFFICER,
    )
    assert document(subject) == {
        "id": "1-3f2a-17",
        "direction": "in",
        "from": "NORTH",
        "to": "SOUTH",
        "kind": "REQUEST",
        "precedence": "IMMEDIATE",
        "operation": "EXERCISE",
        "serial": 17,
        "response": "W/U",
        "created": "2026-11-22T14:30:00Z",
        "dtg": "221430Z NOV 26",
        "time_quality": "synchronised",
        "expires": "2026-11-22T18:30:00Z",
        "expires_min": 240,
        "released_by": "liaison_officer",
        "text": "Zażółć\ngęślą",
        "language": "pl",
        "reply_by": "2026-11-22T15:00:00Z",
        "reply_by_min": 30,
        "reference": "2-77ab-4",
        "place": {
            "latitude": 54.35,
            "longitude": 18.65001,
            "radius_m": 500,
            "altitude": {"low_m": -10, "high_m": 300},
        },
        "window": {"from": "2026-11-22T14:30:00Z", "to": "2026-11-22T16:00:00Z"},
        "received": "2026-11-22T14:30:12Z",
        "age_s": 12,
        "state": "DISPLAYED",
        "late": False,
        "freshness_unproven": False,
        "overdue": False,
        "link": "radio",
        "note": NOT_CONSENT,
    }


def test_without_the_originators_clock_the_expiry_comes_from_the_age() -> None:
    """No DTG: `expires` is our own clock less the age; with no clock at all it is null."""
    subject = notice(created=None, time_quality=TimeQuality.NONE)
    shown = document(subject)
    assert (shown["created"], shown["dtg"], shown["time_quality"]) == (None, None, "none")
    assert shown["expires"] == "2026-11-22T18:30:00Z"
    assert document(subject, age_s=None)["expires"] is None
    assert document(subject, utc=None)["expires"] is None


def test_what_is_absent_has_no_key() -> None:
    """A notice without text, place, window or reference has none of their keys."""
    shown = document(notice(body=Phrase(7, ("x", 2))))
    keys = set(shown)
    assert keys.isdisjoint({"text", "language", "place", "window", "reference", "reply_by"})
    assert {"phrase", "slots"} <= keys
    assert shown["phrase_text"] == "PHRASE 7: x, 2"


def test_a_station_without_a_name_is_shown_by_number() -> None:
    """An unknown station reads `STATION n`."""
    assert document(notice(to=Station(9)))["to"] == "STATION 9"


@pytest.mark.parametrize("state", list(DeliveryState))
def test_receipt_is_not_consent(state: DeliveryState) -> None:
    """The words stand where a receipt is shown, and not beside WILCO or AFFIRM."""
    expected = state in {
        DeliveryState.RECEIPTED,
        DeliveryState.DISPLAYED,
        DeliveryState.EXPIRED_RECEIPTED,
        DeliveryState.ROGER,
        DeliveryState.STANDBY,
    }
    assert (document(notice(), state=state.value).get("note") == NOT_CONSENT) is expected


def test_a_state_with_the_answer_that_led_to_it() -> None:
    """A state says when, by which link and on what evidence; the answer is shown whole."""
    answer = Answer(
        id=ActId(Station(2), Epoch(0x77AB), Serial(4)),
        to=Station(1),
        precedence=Precedence.IMMEDIATE,
        operation=Operation.EXERCISE,
        created=UtcTime(MADE + 60),
        time_quality=TimeQuality.MANUAL,
        reference=NOTICE_ID,
        code=AnswerCode.WILCO,
        body=Text("in one hour", "en"),
    )
    shown = state_document(
        notice(),
        names=NAMES,
        direction="out",
        state="WILCO",
        utc=UtcTime(MADE + 61),
        link="cable",
        evidence="answer 2-77ab-4",
        overdue=True,
        answer=answer,
    )
    assert shown == {
        "id": "1-3f2a-17",
        "direction": "out",
        "from": "NORTH",
        "to": "SOUTH",
        "kind": "REQUEST",
        "precedence": "IMMEDIATE",
        "operation": "EXERCISE",
        "state": "WILCO",
        "time": "2026-11-22T14:31:01Z",
        "link": "cable",
        "evidence": "answer 2-77ab-4",
        "overdue": True,
        "answer": {
            "id": "2-77ab-4",
            "answer": "WILCO",
            "created": "2026-11-22T14:31:00Z",
            "dtg": "221431Z NOV 26",
            "time_quality": "manual",
            "released_by": "duty_officer",
            "text": "in one hour",
            "language": "en",
        },
    }


def test_the_text_of_a_document() -> None:
    """JSON keeps characters as they are, escapes controls, and is read back the same."""
    shown = document(notice(body=Text('"é"\n', "en")))
    text = document_text(shown)
    assert "é" in text
    assert "\n" not in text
    assert json.loads(text) == shown


@pytest.mark.parametrize(
    ("utc", "group"),
    [(0, "010000Z JAN 70"), (MADE, "221430Z NOV 26"), (0xFFFFFFFF, "070628Z FEB 06")],
)
def test_date_time_groups(utc: int, group: str) -> None:
    """Day, time, Z, month, year; English months whatever the locale."""
    assert dtg(UtcTime(utc)) == group
