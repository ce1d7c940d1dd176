"""The public JSON form of notices, answers and states: plain dicts, str, int, bool and None.

API, MQTT and the command line speak this form; `wire.submission` reads it, this module writes it
and offers both. Octets of JSON and CBOR are left to the adapters; `document_text` serves the core.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from gateway.model import (
    Answer,
    DeliveryState,
    Notice,
    Phrase,
    Place,
    Station,
    Text,
    UtcTime,
    Window,
)
from gateway.wire import codebook
from gateway.wire.submission import (
    LANGUAGE_DEFAULT,
    REQUEST_ID_SIZE_MAX,
    answer_from_document,
    check_request_id,
    draft_from_document,
    notice_id_from_document,
    request_id_from_document,
)

if TYPE_CHECKING:
    # The command line writes documents too, and shall not load the codec for it.
    from gateway.wire.head import NoticeHead

__all__ = [
    "LANGUAGE_DEFAULT",
    "NOT_CONSENT",
    "REQUEST_ID_SIZE_MAX",
    "answer_document",
    "answer_from_document",
    "body_document",
    "check_request_id",
    "document_text",
    "draft_from_document",
    "dtg",
    "iso_time",
    "notice_document",
    "notice_id_from_document",
    "place_document",
    "request_id_from_document",
    "state_document",
    "station_text",
    "window_document",
]

NOT_CONSENT: Final = "RECEIPT IS NOT CONSENT"
"""Printed wherever a receipt is shown (UN OCHA: acknowledgement is not consent)."""

_RECEIPTS: Final = frozenset(
    state.value
    for state in (
        DeliveryState.RECEIPTED,
        DeliveryState.DISPLAYED,
        DeliveryState.EXPIRED_RECEIPTED,
        DeliveryState.ROGER,
        DeliveryState.STANDBY,
    )
)
_MONTHS: Final = (
    *("JAN", "FEB", "MAR", "APR", "MAY", "JUN"),
    *("JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
)


def iso_time(utc: UtcTime | None) -> str | None:
    """`2026-11-22T14:30:00Z`; None while the time is unknown."""
    if utc is None:
        return None
    return datetime.fromtimestamp(utc, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def dtg(utc: UtcTime | None) -> str | None:
    """The date-time group, `221430Z NOV 26`; None while the time is unknown."""
    if utc is None:
        return None
    moment = datetime.fromtimestamp(utc, tz=UTC)
    return f"{moment:%d%H%M}Z {_MONTHS[moment.month - 1]} {moment:%y}"


def document_text(document: Mapping[str, object]) -> str:
    """The JSON text of a document: compact, UTF-8 characters as they are, keys in their order."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def body_document(body: Text | Phrase | None) -> dict[str, object]:
    match body:
        case Text():
            return {"text": body.text, "language": body.language}
        case Phrase():
            return {"phrase": body.code, "slots": list(body.slots)}
        case None:
            return {}


def place_document(place: Place) -> dict[str, object]:
    """The place in the form that a submission has."""
    if len(place.points) == 1:
        point = place.points[0]
        document: dict[str, object] = {
            "latitude": point.latitude_e5 / 100_000,
            "longitude": point.longitude_e5 / 100_000,
            "radius_m": place.radius_m,
        }
    else:
        document = {
            "polygon": [[p.latitude_e5 / 100_000, p.longitude_e5 / 100_000] for p in place.points]
        }
    if place.altitude is not None:
        document["altitude"] = {"low_m": place.altitude.low_m, "high_m": place.altitude.high_m}
    return document


def window_document(window: Window) -> dict[str, object]:
    end = window.start_min + window.length_min
    return {
        "from": iso_time(UtcTime(window.start_min * 60)),
        "to": iso_time(UtcTime(end * 60)),
    }


def answer_document(answer: Answer) -> dict[str, object]:
    """An answer as `notice_document` and `state_document` carry it."""
    return {
        "id": str(answer.id),
        "answer": answer.code.name,
        "created": iso_time(answer.created),
        "dtg": dtg(answer.created),
        "time_quality": answer.time_quality.name.lower(),
        "released_by": answer.released_by.name.lower(),
        **body_document(answer.body),
    }


def notice_document(
    notice: Notice,
    *,
    names: Mapping[Station, str],
    direction: str,
    state: str,
    utc: UtcTime | None,
    age_s: int | None,
    late: bool,
    unproven: bool,
    overdue: bool,
    link: str | None,
) -> dict[str, object]:
    """A notice as it is now. `utc` is when we accepted or received it; `age_s` its age, if known.

    What the notice does not carry (text, place ...) is absent; what is not known is null.
    """
    made = notice.created
    if made is None and utc is not None and age_s is not None:
        made = UtcTime(max(0, utc - age_s))
    document: dict[str, object] = {
        **_identity(notice, names, direction),
        "serial": notice.id.serial,
        "response": notice.kind.response.value,
        "created": iso_time(notice.created),
        "dtg": dtg(notice.created),
        "time_quality": notice.time_quality.name.lower(),
        "expires": _later(made, notice.lifetime_min),
        "expires_min": notice.lifetime_min,
        "released_by": notice.released_by.name.lower(),
        **body_document(notice.body),
    }
    if isinstance(notice.body, Phrase):
        # A convenience for programs: what the originator signed is the code and the slots.
        document["phrase_text"] = codebook.render(notice.body, LANGUAGE_DEFAULT, kind=notice.kind)
    if notice.reply_by_min is not None:
        document["reply_by"] = _later(made, notice.reply_by_min)
        document["reply_by_min"] = notice.reply_by_min
    if notice.reference is not None:
        document["reference"] = str(notice.reference)
    if notice.place is not None:
        document["place"] = place_document(notice.place)
    if notice.window is not None:
        document["window"] = window_document(notice.window)
    document |= {
        "accepted" if direction == "out" else "received": iso_time(utc),
        "age_s": age_s,
        "state": state,
        "late": late,
        "freshness_unproven": unproven,
        "overdue": overdue,
        "link": link,
    }
    return document | _note(state)


def state_document(
    notice: Notice | NoticeHead,
    *,
    names: Mapping[Station, str],
    direction: str,
    state: str,
    utc: UtcTime | None,
    link: str | None,
    evidence: str,
    overdue: bool,
    answer: Answer | None,
) -> dict[str, object]:
    """A notice entered `state` at `utc`; `answer` is the one that led to it, if one did."""
    document: dict[str, object] = {
        **_identity(notice, names, direction),
        "state": state,
        "time": iso_time(utc),
        "link": link,
        "evidence": evidence,
        "overdue": overdue,
    }
    if answer is not None:
        document["answer"] = answer_document(answer)
    return document | _note(state)


def _identity(
    notice: Notice | NoticeHead, names: Mapping[Station, str], direction: str
) -> dict[str, object]:
    return {
        "id": str(notice.id),
        "direction": direction,
        "from": station_text(names, notice.id.originator),
        "to": station_text(names, notice.to),
        "kind": notice.kind.name,
        "precedence": notice.precedence.name,
        "operation": notice.operation.name,
    }


def station_text(names: Mapping[Station, str], station: Station) -> str:
    """The configured name, or `STATION n` for a station that has none."""
    return names.get(station, f"STATION {station}")


def _later(made: UtcTime | None, minutes: int) -> str | None:
    return None if made is None else iso_time(UtcTime(made + minutes * 60))


def _note(state: str) -> dict[str, object]:
    return {"note": NOT_CONSENT} if state in _RECEIPTS else {}
