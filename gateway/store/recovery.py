"""Reading the state after the last commit: every row checked, what is damaged named.

Runs on the writer's connection. What becomes of damaged rows: `restoring`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, TypeVar

from gateway.core.records import (
    LogHead,
    PutSubmission,
    Recovered,
    StoredAct,
    StoredDelivery,
)
from gateway.errors import DecodeError
from gateway.logbook.entry import Entry, decode_entry
from gateway.model import ActId, Station, UtcTime
from gateway.packing import pack_id, unpack_ids
from gateway.store import bounds, meta, rows
from gateway.store.queries import ACT, ALARM, DELIVERY, OPEN, UNRECEIPTED

T = TypeVar("T")

GAP_MAX: Final = 1_000
"""Between the numbers of the two newest rows; rows that were set aside leave smaller ones."""
PLACE: Final = " place"
"""Behind a table's name in `Reading.damaged`: not what the row says changed, but its number."""
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
_STRAY_HISTORY: Final = """
    SELECT notice_id, number, state, utc, link, evidence, row_check FROM state_entry
    WHERE notice_id NOT IN (SELECT id FROM act WHERE delivery_direction IS NOT NULL)"""
_HIGHEST: Final = """
    SELECT id & 65535 FROM act
    WHERE id BETWEEN ? AND ? AND direction = 1 AND addressee = ? ORDER BY id DESC LIMIT 1"""


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
        self._examine_strays()
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
            alarms=tuple(self._rows("alarm", ALARM, rows.alarm_of)),
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

    def _examine_strays(self) -> None:
        """An entry whose place changed may be in no notice's history: no query would meet it.

        0.15 s for 100 000 notices on the bench.
        """
        for row in self.connection.execute(_STRAY_HISTORY):
            self._read("state_entry", row[0], rows.state_entry_of, row)

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
            entry = entry_of(octets)
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
        values = [value for value in read if value is not None]
        # No check has the number. Rows beyond a bound go by it: all the others would.
        has_leapt = newest != -1 and len(found) > 1 and found[0][0] - found[1][0] > GAP_MAX
        if has_leapt and (table, found[0][0]) not in self.damaged:
            self.damaged.append((table + PLACE, found[0][0]))
        return values

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
    """What was to be lit is a row of table `alarm`, and lit until a person clears it."""
    names = (meta.REBUILT, meta.RESTORED, meta.AIRTIME_LOST)
    connection.execute("DELETE FROM meta WHERE name IN (?, ?, ?)", names)


def entry_of(octets: bytes) -> Entry | None:
    """Of the log book; None: it is none."""
    try:
        return decode_entry(octets)
    except DecodeError:
        return None
