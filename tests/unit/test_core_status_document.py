"""The public JSON form of the status: complete, in words, with ages for times."""

from __future__ import annotations

import json
from dataclasses import replace

from gateway.core.effects import (
    Alarm,
    AlarmCode,
    LinkStatus,
    PeerStatus,
    PendingNotice,
    Status,
)
from gateway.core.status_document import line_document, line_stations, status_document
from gateway.model import (
    ActId,
    DeliveryState,
    Epoch,
    Instant,
    LinkName,
    LinkState,
    Operation,
    Precedence,
    Serial,
    Station,
    UtcTime,
)

NAMES = {Station(1): "NORTH", Station(2): "SOUTH"}
NOTICE = ActId(Station(2), Epoch(0x3F2A), Serial(17))
STATUS = Status(
    station=Station(1),
    links=(
        LinkStatus(
            LinkName("radio"),
            Station(2),
            LinkState.UP,
            True,
            "LongFast",
            900,
            Instant(5_959),
            0.12345,
            2,
        ),
        LinkStatus(LinkName("east"), Station(3), LinkState.DOWN, False, "", None, None, None, 0),
    ),
    peers=(PeerStatus(Station(2), True, Instant(5_959), False),),
    pending_in=(
        PendingNotice(
            NOTICE,
            Precedence.FLASH,
            Operation.OPERATION,
            DeliveryState.RECEIPTED,
            Instant(1_000),
            displayed=True,
            overdue=False,
            born=Instant(1_000),
        ),
    ),
    pending_in_count=1,
    pending_out=(),
    pending_out_count=0,
    alarms=(
        Alarm(AlarmCode.NO_LINK, "no link", Station(3), None),
        Alarm(AlarmCode.OVERDUE, "late", None, NOTICE),
    ),
    store_refused=False,
    stopping=False,
    buzzer_silenced=True,
    button_refused_at=None,
    lamp_test_until=None,
    utc=UtcTime(0),
)


def test_the_status_in_full() -> None:
    """Every key and word, as programs read it; a station without a name by its number."""
    pending = {
        "id": "2-3f2a-17",
        "precedence": "FLASH",
        "operation": "OPERATION",
        "state": "MACHINE RECEIPT",
        "waiting_s": 4,
        "goes_in_s": None,
        "displayed": True,
        "overdue": False,
        "late": False,
        "age_unknown": False,
        "freshness_unproven": False,
    }
    document = status_document(STATUS, NAMES, instant=Instant(5_999))
    assert document == {
        "station": "NORTH",
        "time": "1970-01-01T00:00:00Z",
        "dtg": "010000Z JAN 70",
        "lines": [
            {
                "line": "SOUTH",
                "station": "NORTH",
                "far_station": "SOUTH",
                "declared": [],
                "far_gateway": {
                    "confirmed": True,
                    "freshness_proven": True,
                    "generation": 1,
                    "rotating": False,
                    "former_secret": False,
                    "revoked": False,
                    "answers": True,
                    "busy": False,
                    "full": False,
                    "heard_ms_ago": 40,
                },
                "links": [
                    {
                        "name": "radio",
                        "state": "UP",
                        "device_up": True,
                        "detail": "LongFast",
                        "queued": 2,
                        "round_trip_ms": 900,
                        "heard_ms_ago": 40,
                        "failed_opens": 0,
                        "turned_away": 0,
                        "loss": 0.123,
                    }
                ],
                "far_watch": {"waiting_count": 0, "overdue_count": 0, "not_there_count": 0},
                "fault": {
                    "place": "none",
                    "text": "no fault: their gateway answers by every link",
                },
            },
            {
                "line": "STATION 3",
                "station": "NORTH",
                "far_station": "STATION 3",
                "declared": [],
                "far_gateway": None,
                "links": [
                    {
                        "name": "east",
                        "state": "DOWN",
                        "device_up": False,
                        "detail": "",
                        "queued": 0,
                        "round_trip_ms": None,
                        "heard_ms_ago": None,
                        "failed_opens": 0,
                        "turned_away": 0,
                        "loss": None,
                    }
                ],
                "far_watch": {"waiting_count": 0, "overdue_count": 0, "not_there_count": 0},
                "fault": {
                    "place": "our device",
                    "text": "no device of ours works: east: no device yet",
                },
            },
        ],
        "pending_in": [pending],
        "pending_in_count": 1,
        "pending_out": [],
        "pending_out_count": 0,
        "alarms": [
            {
                "name": "no-link.3",
                "code": "no usable link",
                "clearable": False,
                "text": "no link",
                "station": "STATION 3",
                "notice_id": None,
            },
            {
                "name": "overdue.2-3f2a-17",
                "code": "overdue",
                "clearable": False,
                "text": "late",
                "station": None,
                "notice_id": "2-3f2a-17",
            },
        ],
        "store_refused": False,
        "stopping": False,
        "buzzer_silenced": True,
        "button_refused": None,
    }


def test_a_refused_press_is_told_with_its_reason() -> None:
    """And not where none was, or where the last one did something (empty)."""
    refused = replace(STATUS, button_refused_at=Instant(1_000), button_refusal="too soon")
    document = status_document(refused, NAMES, instant=Instant(3_500))
    assert document["button_refused"] == {"text": "too soon", "ms_ago": 2_500}


def test_without_an_instant_ages_are_not_known() -> None:
    """And an instant before the notice's is no negative age."""
    pending = status_document(STATUS, NAMES)["pending_in"]
    assert isinstance(pending, list)
    assert pending[0]["waiting_s"] is None
    early = status_document(STATUS, NAMES, instant=Instant(0))["pending_in"]
    assert isinstance(early, list)
    assert early[0]["waiting_s"] == 0


def test_lines_are_named_by_peers_first() -> None:
    """Each far station once."""
    assert line_stations(STATUS) == [2, 3]
    assert line_document(STATUS, NAMES, Station(2))["far_station"] == "SOUTH"


def test_marks_and_alarms_in_words() -> None:
    """LATE, AGE UNKNOWN, FRESHNESS UNPROVEN and what a person may clear stand in the document."""
    (notice,) = STATUS.pending_in
    marked = replace(
        STATUS,
        pending_in=(replace(notice, late=True, born=None, unproven=True),),
        peers=(replace(STATUS.peers[0], fresh=False),),
        alarms=(
            Alarm(AlarmCode.ROLLBACK, "lost", Station(2)),
            Alarm(AlarmCode.SAME_ID, "two things", Station(2), NOTICE),
            Alarm(AlarmCode.STORE_REBUILT, "damaged"),
        ),
    )
    document = json.loads(json.dumps(status_document(marked, NAMES, instant=Instant(5_999))))
    (pending,) = document["pending_in"]
    assert (pending["late"], pending["age_unknown"], pending["freshness_unproven"]) == (True,) * 3
    assert document["lines"][0]["far_gateway"]["freshness_proven"] is False
    assert [(alarm["name"], alarm["clearable"]) for alarm in document["alarms"]] == [
        ("rollback.2", True),
        ("same-id.2-3f2a-17", True),
        ("store-rebuilt", True),
    ]
