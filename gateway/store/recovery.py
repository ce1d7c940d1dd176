"""Reading the last state: every row checked, what is damaged set aside, what is lost restored.

Runs on the writer's connection, inside a transaction that the caller began.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, TypeVar

from gateway.core.records import (
    Direction,
    LogHead,
    PutAct,
    PutEpoch,
    PutSeen,
    PutSubmission,
    Recovered,
    StoredAct,
    StoredDelivery,
)
from gateway.errors import DecodeError
from gateway.logbook.chain import ChainRow, next_hash
from gateway.logbook.entry import ADDRESSEE_FIELD, RETIRED, Entry, decode_entry, retired_acts
from gateway.model import ActId, Instant, Station, UtcTime
from gateway.packing import pack_id, unpack_ids
from gateway.store import bounds, changes, meta, rows
from gateway.store.base import LogRow
from gateway.store.queries import ACT, DELIVERY, OPEN, UNRECEIPTED

T = TypeVar("T")

OFFSET_MARGIN: Final = 10_000
"""Added to the last known offset of a lost feed, so that no offset is ever used twice."""
_CHUNK: Final = 500

# Where the parts of a row of `_ROW` begin or stand.
_ACT_AT: Final = 2
_DELIVERY_AT: Final = _ACT_AT + ACT.count(",") + 1
_ACT_CHECK: Final = _DELIVERY_AT - 1
_DELIVERY_ANSWERS, _DELIVERY_OPEN, _DELIVERY_CHECK = -3, -2, -1

_ROW: Final = f"SELECT number, receipted, {ACT}, {DELIVERY} FROM act"  # noqa: S608
_OPEN_ROWS: Final = f"""
    {_ROW} INDEXED BY act_open_listed WHERE {OPEN}
    UNION ALL
    {_ROW} INDEXED BY act_unreceipted WHERE {UNRECEIPTED} AND ({OPEN}) IS NOT TRUE"""
_CLOSED_ROWS: Final = f"""
    {_ROW} WHERE ({OPEN}) IS NOT TRUE AND ({UNRECEIPTED}) IS NOT TRUE
    ORDER BY number DESC LIMIT ?"""
_ROWS_BY_ID: Final = f"{_ROW} WHERE id IN (%s)"
_HIGHEST: Final = """
    SELECT id & 65535 FROM act
    WHERE id BETWEEN ? AND ? AND direction = 1 AND addressee = ? ORDER BY id DESC LIMIT 1"""


@dataclass(frozen=True, slots=True)
class Restored:
    """How many acts came back from the book, and how many could not: their addressee is unknown."""

    count: int
    lost_count: int

    def __str__(self) -> str:
        lost = f", {self.lost_count} could not be restored" if self.lost_count else ""
        return f"{self.count} acts were restored from the log book{lost}"


@dataclass(slots=True)
class Reading:
    """One pass over the tables; `damaged` says which rows failed their check."""

    connection: sqlite3.Connection
    station: Station
    damaged: list[tuple[str, int]] = field(default_factory=list)
    """(table, rowid); `act`, `delivery` and `receipt` are parts of a row of table `act`."""

    def recovered(self) -> Recovered:
        """The state of the intact rows. Raises `sqlite3.DatabaseError`."""
        self._rows("queue_cursor", "queue, offset, row_check", rows.cursor_of)
        self._rows("meta", "name, value, row_check", rows.meta_of)
        acts, deliveries, receipted = self._read_acts()
        return Recovered(
            acts=acts,
            deliveries=deliveries,
            receipted=receipted,
            seen=self._seen(),
            epochs=self._epochs(),
            submissions=self._submissions(),
            peers=tuple(self._rows("peer", "peer, incarnation, previous, row_check", rows.peer_of)),
            keys=tuple(self._rows("line_keys", "peer, confirmed, row_check", rows.keys_of)),
            next_offset=meta.next_offset(self.connection),
            log_head=log_head(self.connection),
            airtime=tuple(
                self._rows("airtime", "link, boot_id, minute, spent_ms, row_check", rows.airtime_of)
            ),
            airtime_lost_count=meta.get(self.connection, meta.AIRTIME_LOST) or 0,
            boots=tuple(
                self._rows(
                    "boot", "boot_id, began, zero_first_ms, zero_last_ms, row_check", rows.boot_of
                )
            ),
            utc_last=self._utc_last(acts),
        )

    def _read_acts(
        self,
    ) -> tuple[tuple[StoredAct, ...], tuple[StoredDelivery, ...], frozenset[ActId]]:
        """Acts and deliveries in the order in which they became known; own acts receipted."""
        acts: list[StoredAct] = []
        deliveries: list[StoredDelivery] = []
        receipted: list[ActId] = []
        for row in self._act_rows():
            if row[_DELIVERY_CHECK] is not None:
                delivery = self._read("delivery", row[0], rows.delivery_of, row[_DELIVERY_AT:])
                if delivery is not None:
                    deliveries.append(delivery)
            if row[_ACT_CHECK] is not None:
                act = self._read("act", row[0], rows.act_of, row[_ACT_AT:_DELIVERY_AT])
                if act is None:
                    continue
                acts.append(act)
                if row[1] is not None:
                    # A mark that does not fit is not believed: the peer is asked once more.
                    if row[1] == rows.receipt_mark(row[_ACT_AT]):
                        receipted.append(act.id)
                    else:
                        self.damaged.append(("receipt", row[0]))
        return tuple(acts), tuple(deliveries), frozenset(receipted)

    def _act_rows(self) -> list[rows.Row]:
        """Open rows, the newest closed ones, and the answers that open deliveries name."""
        execute = self.connection.execute
        found: list[rows.Row] = execute(_OPEN_ROWS).fetchall()
        dialogues = [row for row in found if row[_DELIVERY_ANSWERS] and row[_DELIVERY_OPEN]]
        found += execute(_CLOSED_ROWS, (bounds.CLOSED_COUNT_MAX,)).fetchall()
        if dialogues:
            known = {row[_ACT_AT] for row in found}
            answers = (
                pack_id(answer)
                for row in dialogues
                for answer in unpack_ids(row[_DELIVERY_ANSWERS])
            )
            wanted = list(dict.fromkeys(answer for answer in answers if answer not in known))
            for start in range(0, len(wanted), _CHUNK):
                chunk = wanted[start : start + _CHUNK]
                found += execute(_ROWS_BY_ID % ", ".join("?" * len(chunk)), chunk).fetchall()
        return sorted(found, key=itemgetter(0))

    def _seen(self) -> tuple[tuple[ActId, bytes], ...]:
        found = self._rows(
            "seen", "id, sha256, row_check", rows.seen_of, newest=bounds.SEEN_COUNT_MAX
        )
        seen: dict[ActId, bytes] = {}
        for act_id, sha256 in found:
            seen.pop(act_id, None)
            seen[act_id] = sha256
        return tuple(seen.items())

    def _submissions(self) -> tuple[PutSubmission, ...]:
        found = self._rows(
            "submission",
            "principal, request_id, sha256, act_id, row_check",
            rows.submission_of,
            newest=bounds.SUBMISSION_COUNT_MAX,
        )
        submissions: dict[tuple[str, str], PutSubmission] = {}
        for submission in found:
            key = (submission.principal, submission.request_id)
            submissions.pop(key, None)
            submissions[key] = submission
        return tuple(submissions.values())

    def _epochs(self) -> tuple[tuple[Station, int, int], ...]:
        found = self._rows(
            "epoch", "peer, epoch, highest, row_check", rows.epoch_of, newest=bounds.EPOCH_COUNT_MAX
        )
        epochs: list[tuple[Station, int, int]] = []
        for peer, epoch, removed in found:
            low = self.station << 32 | epoch << 16
            row = self.connection.execute(_HIGHEST, (low, low | 0xFFFF, peer)).fetchone()
            epochs.append((peer, epoch, max(removed, row[0] if row else 0)))
        return tuple(epochs)

    def _utc_last(self, acts: Iterable[StoredAct]) -> UtcTime | None:
        newest = self.connection.execute(
            "SELECT octets FROM log_entry ORDER BY number DESC LIMIT ?", (bounds.HISTORY_COUNT_MAX,)
        )
        for (octets,) in newest:
            entry = _entry_of(octets)
            if entry is not None and entry.utc is not None:
                return entry.utc
        return next((act.utc for act in reversed(tuple(acts)) if act.utc is not None), None)

    def _rows(
        self, table: str, columns: str, convert: Callable[[rows.Row], T], *, newest: int = -1
    ) -> list[T]:
        """The intact rows of a table, oldest first; `newest` at most (-1: all)."""
        statement = f"SELECT rowid, {columns} FROM {table} ORDER BY rowid DESC LIMIT ?"  # noqa: S608
        found = self.connection.execute(statement, (newest,)).fetchall()
        read = (self._read(table, row[0], convert, row[1:]) for row in reversed(found))
        return [value for value in read if value is not None]

    def _read(
        self, table: str, number: int, convert: Callable[[rows.Row], T], row: rows.Row
    ) -> T | None:
        try:
            return convert(row)
        except rows.RowDamagedError:
            self.damaged.append((table, number))
            return None


def log_head(connection: sqlite3.Connection) -> LogHead | None:
    row = connection.execute(
        "SELECT number, hash FROM log_entry ORDER BY number DESC LIMIT 1"
    ).fetchone()
    return None if row is None else LogHead(*row)


def is_rebuilt(connection: sqlite3.Connection) -> bool:
    """Whether the state was rebuilt and no commit followed yet."""
    return meta.get(connection, meta.REBUILT) is not None


def restored_at(connection: sqlite3.Connection) -> int | None:
    """The last entry of the backup that this database was; None: no start from one is untold."""
    return meta.get(connection, meta.RESTORED)


def forget_alarms(connection: sqlite3.Connection) -> None:
    """The engine knows, and has committed: the next start is one as any other."""
    names = (meta.REBUILT, meta.RESTORED, meta.AIRTIME_LOST)
    connection.execute("DELETE FROM meta WHERE name IN (?, ?, ?)", names)


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
        entry = _entry_of(row.octets)
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
    found = (_entry_of(row.octets) for row in entries if name in row.octets)
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


def _entry_of(octets: bytes) -> Entry | None:
    try:
        return decode_entry(octets)
    except DecodeError:
        return None


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
