"""What becomes of rows that the medium changed: kept aside, and their content restored.

From the log book, or from other rows that say the same. Runs on the writer's connection, inside a
transaction that the caller began.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gateway.core.records import Direction, PutAct, PutEpoch, PutSeen, StoredAct
from gateway.logbook.chain import ChainRow, next_hash
from gateway.logbook.entry import ADDRESSEE_FIELD, RETIRED, Entry, retired_acts
from gateway.model import ActId, Instant, Station
from gateway.packing import pack_id
from gateway.store import changes, meta, rows
from gateway.store.base import LogRow
from gateway.store.queries import ACT
from gateway.store.recovery import PLACE, entry_of

OFFSET_MARGIN: Final = 10_000
"""Added to the last known offset of a lost feed, so that no offset is ever used twice."""


@dataclass(frozen=True, slots=True)
class Restored:
    """How many acts came back from the book, and how many could not: their addressee is unknown."""

    count: int
    lost_count: int

    def __str__(self) -> str:
        lost = f", {self.lost_count} could not be restored" if self.lost_count else ""
        return f"{self.count} acts were restored from the log book{lost}"


def after_setting_aside(
    connection: sqlite3.Connection, damaged: Iterable[tuple[str, int]], *, book_offset: int
) -> None:
    """Where a row is lost whose loss is no harmless default, assume the worst of it.

    Any of `meta` may have been the lowest offset that is free; `book_offset` is the one that the
    log book's files tell. A lost minute of airtime counts as a whole one for every link.
    """
    tables = [table for table, _ in damaged]
    if "meta" in tables:
        base = max(meta.next_offset(connection), book_offset) + OFFSET_MARGIN
        meta.put(connection, meta.NEXT_OFFSET, base)
        # Nor is it known any more whether the feed had holes.
        meta.put(connection, meta.FEED_FLOOR, base - 1)
    if "airtime" in tables:
        lost_count = tables.count("airtime") + (meta.get(connection, meta.AIRTIME_LOST) or 0)
        meta.put(connection, meta.AIRTIME_LOST, lost_count)


_PART: Final = {
    "act": "addressee, direction, octets, signature, boot_id, born, age_known, utc, act_check",
    "delivery": "delivery_direction, state, flags, answers, delivery_open, delivery_check",
    "receipt": "receipted",
}


def set_aside(connection: sqlite3.Connection, table: str, number: int) -> None:
    """Move a damaged row, or part of one, to the table `set_aside`."""
    if table == "state_entry":
        _set_aside_history(connection, number)
        return
    if table.endswith(PLACE):
        _put_behind_the_others(connection, table.removesuffix(PLACE), number)
        return
    source = "act" if table in _PART else table
    row = connection.execute(
        f"SELECT * FROM {source} WHERE rowid = ?",  # noqa: S608
        (number,),
    ).fetchone()
    connection.execute(
        "INSERT INTO set_aside (origin, content) VALUES (?, ?)", (f"{table} {number}", repr(row))
    )
    part = _PART.get(table)
    if part is None:
        connection.execute(f"DELETE FROM {source} WHERE rowid = ?", (number,))  # noqa: S608
        return
    nulls = ", ".join(f"{name} = NULL" for name in part.split(", "))
    connection.execute(f"UPDATE act SET {nulls} WHERE number = ?", (number,))  # noqa: S608
    connection.execute(
        "DELETE FROM act WHERE number = ? AND octets IS NULL AND state IS NULL", (number,)
    )


def _put_behind_the_others(connection: sqlite3.Connection, table: str, number: int) -> None:
    connection.execute(
        f"UPDATE {table} SET number = (SELECT max(number) + 1 FROM {table} WHERE number < ?1) "  # noqa: S608
        "WHERE number = ?1",
        (number,),
    )


def _set_aside_history(connection: sqlite3.Connection, notice_id: int) -> None:
    found = connection.execute(
        "SELECT key, notice_id, number, state, utc, link, evidence, row_check FROM state_entry "
        "WHERE key BETWEEN ? AND ?",
        rows.history_range(notice_id),
    ).fetchall()
    for key, *row in found:
        if rows.check(*row[:-1]) != row[-1]:
            connection.execute(
                "INSERT INTO set_aside (origin, content) VALUES (?, ?)",
                ("state_entry", repr(tuple(row))),
            )
            connection.execute("DELETE FROM state_entry WHERE key = ?", (key,))


def restore_acts(
    connection: sqlite3.Connection, entries: Iterable[ChainRow], *, station: Station
) -> Restored:
    """Bring back every act that the book holds and the table `act` lacks, but for those that were
    kept long enough: of these only that they were said.

    Their deliveries are gone: the engine makes new ones for acts that come without. Ages are
    unknown.
    """
    count = lost_count = 0
    kept = tuple(entries)
    retired = retired_in(kept)
    seen: set[int] = set()
    if retired:
        seen.update(number for (number,) in connection.execute("SELECT id FROM seen"))
    for row in _unbroken(kept):
        entry = entry_of(row.octets)
        if entry is None or not entry.is_line or entry.act_id is None or entry.octets is None:
            continue
        held = connection.execute(
            "SELECT 1 FROM act WHERE id = ? AND octets IS NOT NULL", (pack_id(entry.act_id),)
        ).fetchone()
        if held is not None:
            continue
        if entry.act_id in retired:
            _restore_trace(connection, entry, station, seen)
            continue
        act = _act_of(connection, entry, station)
        if act is None:
            lost_count += 1
        else:
            changes.apply(connection, [PutAct(act)])
            count += 1
    return Restored(count, lost_count)


def retired_in(entries: Iterable[ChainRow]) -> frozenset[ActId]:
    """The acts that the book says were removed from the store."""
    name = RETIRED.encode()
    found = (entry_of(row.octets) for row in entries if name in row.octets)
    return frozenset(
        act_id for entry in found if entry is not None for act_id in retired_acts(entry)
    )


def _restore_trace(
    connection: sqlite3.Connection, entry: Entry, station: Station, seen: set[int]
) -> None:
    """An act that was removed: its id stays used, and a recording of it a repeat. `seen` has the
    ids that are known.
    """
    assert entry.act_id is not None
    assert entry.octets is not None
    if entry.act_id.originator != station:
        number = pack_id(entry.act_id)
        if number not in seen:
            seen.add(number)
            sha256 = hashlib.sha256(entry.octets).digest()
            changes.apply(connection, [PutSeen(entry.act_id, sha256)])
        return
    to = entry.field(ADDRESSEE_FIELD)
    if not isinstance(to, int):
        return
    known = connection.execute(
        "SELECT 1 FROM epoch WHERE peer = ? AND epoch = ?", (to, entry.act_id.epoch)
    ).fetchone()
    if known is None:
        changes.apply(connection, [PutEpoch(Station(to), entry.act_id.epoch)])
    changes.keep_highest(connection, to, entry.act_id)


def restore_from_acts(connection: sqlite3.Connection) -> None:
    """Know again the own epochs in which acts were said, and the inbound ids that were seen."""
    lost = connection.execute(
        "SELECT addressee, id >> 16 & 65535 AS own FROM act "
        "WHERE direction = 1 AND octets IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM epoch WHERE peer = addressee AND epoch = own) "
        "GROUP BY 1, 2 ORDER BY min(number)"
    ).fetchall()
    for peer, epoch in lost:
        changes.apply(connection, [PutEpoch(Station(peer), epoch)])
    lost = connection.execute(
        f"SELECT {ACT} FROM act WHERE direction = 0 AND octets IS NOT NULL "  # noqa: S608
        "AND id NOT IN (SELECT id FROM seen) ORDER BY number"
    ).fetchall()
    for row in lost:
        # A damaged one among old rows is set aside when it is met.
        with suppress(rows.RowDamagedError):
            act = rows.act_of(row)
            changes.apply(connection, [PutSeen(act.id, rows.act_sha256(act))])


def book_rows(connection: sqlite3.Connection) -> Iterator[LogRow]:
    """The whole log book of the database."""
    found = connection.execute("SELECT number, octets, hash FROM log_entry ORDER BY number")
    return (LogRow(*row) for row in found)


def _unbroken(entries: Iterable[ChainRow]) -> Iterator[ChainRow]:
    """Without the rows whose hash does not follow from the row before."""
    before: ChainRow | None = None
    for row in entries:
        is_next = before is not None and row.number == before.number + 1
        if before is None or not is_next or next_hash(before.hash, row.octets) == row.hash:
            yield row
        before = row


def _act_of(connection: sqlite3.Connection, entry: Entry, station: Station) -> StoredAct | None:
    """The act of a line entry; None for an own act whose addressee is not known any more."""
    assert entry.act_id is not None
    assert entry.octets is not None
    is_out = entry.act_id.originator == station
    to = entry.field(ADDRESSEE_FIELD) if is_out else station
    if not isinstance(to, int):
        row = connection.execute(
            "SELECT peer FROM epoch WHERE epoch = ?", (entry.act_id.epoch,)
        ).fetchone()
        if row is None:
            return None
        to = row[0]
    return StoredAct(
        id=entry.act_id,
        to=Station(to),
        direction=Direction.OUT if is_out else Direction.IN,
        octets=entry.octets,
        signature=entry.signature,
        boot_id="",
        born=Instant(0),
        age_known=False,
        utc=entry.utc,
    )
