"""Log book writes of a commit as chained rows, the same for every store."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.records import AddLogEntry, EntryKind, LogHead, PutAct
from gateway.logbook.chain import GENESIS, next_hash
from gateway.logbook.entry import ADDRESSEE_FIELD, Entry, encode_entry
from gateway.model import ActId, Station
from gateway.store.base import LogRow


def chain(writes: Sequence[object], head: LogHead | None) -> list[LogRow]:
    """The log book's new rows after `head`. Raises `FieldError`.

    A line entry whose act is put in the same commit gets the addressee among its fields.
    """
    entries = [write for write in writes if isinstance(write, AddLogEntry)]
    if not entries:
        return []
    addressees = {write.act.id: write.act.to for write in writes if isinstance(write, PutAct)}
    number, previous = (head.number, head.hash) if head else (0, GENESIS)
    rows: list[LogRow] = []
    for write in entries:
        number += 1
        octets = encode_entry(_entry(write, number, addressees))
        previous = next_hash(previous, octets)
        rows.append(LogRow(number, octets, previous))
    return rows


def _entry(write: AddLogEntry, number: int, addressees: dict[ActId, Station]) -> Entry:
    fields = write.fields
    is_line = write.kind is EntryKind.ACT
    if (
        is_line
        and write.act_id in addressees
        and all(name != ADDRESSEE_FIELD for name, _ in fields)
    ):
        fields = ((ADDRESSEE_FIELD, addressees[write.act_id]), *fields)
    return Entry(
        number=number,
        is_line=is_line,
        event=write.event,
        utc=write.utc,
        time_quality=write.time_quality,
        fields=fields,
        act_id=write.act_id,
        octets=write.octets,
        signature=write.signature,
    )
