"""What the API answers with: stored notices, publications and log entries as JSON documents."""

from __future__ import annotations

import msgspec

from gateway.core.records import Direction, Publication, StateEntry, StoredAct
from gateway.errors import DecodeError
from gateway.logbook.entry import decode_entry
from gateway.model import Act, Answer, Notice, Now, Station
from gateway.queues.base import Desk
from gateway.store.base import LogRow, StoredNotice
from gateway.wire.document import answer_document, dtg, iso_time, notice_document
from gateway.wire.notice import decode_act


def stored_notice_document(
    stored: StoredNotice, desk: Desk, *, now: Now, boot_id: str
) -> dict[str, object]:
    """A notice of the store as it is now. One that cannot be read says so in `problem`."""
    act = _act_of(stored.act)
    delivery = stored.delivery
    if not isinstance(act, Notice):
        return {
            "id": str(delivery.notice_id),
            "direction": delivery.direction.value,
            "state": delivery.state.value,
            "problem": "the stored octets cannot be read; keep the store and report it",
        }
    return notice_document(
        act,
        names=_names(desk, act.id.originator, act.to),
        direction=delivery.direction.value,
        state=delivery.state.value,
        utc=stored.act.utc,
        age_s=_age_s(stored.act, now, boot_id),
        late=delivery.late,
        unproven=delivery.unproven,
        overdue=delivery.overdue,
        link=_link(stored),
    ) | {"displayed": delivery.displayed, "taken": delivery.taken, "open": delivery.is_open}


def full_notice_document(
    stored: StoredNotice, desk: Desk, *, now: Now, boot_id: str
) -> dict[str, object]:
    """The same with its history and the answers of its dialogue."""
    answers = [_act_of(act) for act in stored.answers]
    return stored_notice_document(stored, desk, now=now, boot_id=boot_id) | {
        "history": [_state_entry(entry) for entry in stored.history],
        "answers": [answer_document(act) for act in answers if isinstance(act, Answer)],
    }


def publication_document(publication: Publication) -> dict[str, object]:
    """A line of the feed; the document goes as it was committed."""
    return {
        "offset": publication.offset,
        "topic": publication.topic.value,
        "id": str(publication.notice_id),
        "document": msgspec.Raw(publication.document.encode()),
    }


def log_row_document(row: LogRow) -> dict[str, object]:
    """An entry of the log book, read for people; `octets` are what the chain covers."""
    document: dict[str, object] = {
        "number": row.number,
        "hash": row.hash.hex(),
        "octets": row.octets.hex(),
    }
    try:
        entry = decode_entry(row.octets)
    except DecodeError:
        return document | {
            "problem": "cannot be read: damaged, or changed by hand; compare it with the far book"
        }
    return document | {
        "kind": "line" if entry.is_line else "station",
        "event": entry.event,
        "time": iso_time(entry.utc),
        "dtg": dtg(entry.utc),
        "time_quality": entry.time_quality.name.lower(),
        "fields": {
            name: value.hex() if isinstance(value, bytes) else value for name, value in entry.fields
        },
        "act": None if entry.act_id is None else str(entry.act_id),
    }


def _names(desk: Desk, *stations: Station) -> dict[Station, str]:
    return {station: desk.station_name(station) for station in stations}


def _act_of(stored: StoredAct) -> Act | None:
    try:
        return decode_act(stored.octets, originator=stored.id.originator, to=stored.to)
    except DecodeError:
        return None


def _age_s(stored: StoredAct, now: Now, boot_id: str) -> int | None:
    """Seconds since its making: by the boot clock of this boot, else by our trusted wall clock.

    None, AGE UNKNOWN, where the far gateway did not know it either, whatever time it names.
    """
    if not stored.age_known:
        return None
    if stored.boot_id == boot_id:
        return max(0, (now.instant - stored.born) // 1000)
    if stored.utc is not None and now.utc is not None:
        return max(0, now.utc - stored.utc)
    return None


def _link(stored: StoredNotice) -> str | None:
    """The link it came by, or, for an own one, the last that carried it."""
    links = [entry.link for entry in stored.history if entry.link is not None]
    if not links:
        return None
    return links[0] if stored.delivery.direction is Direction.IN else links[-1]


def _state_entry(entry: StateEntry) -> dict[str, object]:
    return {
        "state": entry.state.value,
        "time": iso_time(entry.utc),
        "dtg": dtg(entry.utc),
        "link": entry.link,
        "evidence": entry.evidence,
    }
