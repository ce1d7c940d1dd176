"""Writes as SQL on schema 6, inside a transaction that the caller began."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from gateway.core.records import (
    AddLogEntry,
    AddPublication,
    AddStateEntry,
    DropAlarm,
    DropOutlived,
    DropReceipt,
    Durability,
    LogHead,
    PutAct,
    PutAirtime,
    PutAlarm,
    PutBoot,
    PutDelivery,
    PutEpoch,
    PutKeys,
    PutPeer,
    PutReceipted,
    PutSeen,
    PutSubmission,
    StateEntry,
    StoredAlarm,
    StoredDelivery,
    Topic,
    Write,
)
from gateway.model import ActId
from gateway.packing import pack_id
from gateway.store import bounds, meta, rows
from gateway.store.base import LogRow


@dataclass(frozen=True, slots=True)
class PutCursor:
    """How far a queue adapter has handed on; the store's own write."""

    queue: str
    offset: int
    durability: Durability = Durability.NORMAL


@dataclass(frozen=True, slots=True)
class PutCursorAt:
    """As `PutCursor`; but 0 where a FULL commit leaves the log book with another head."""

    queue: str
    offset: int
    head: LogHead
    durability: Durability = Durability.NORMAL


StoreWrite = Write | PutCursor | PutCursorAt


def _insert(table: str, columns: str, *, replace: bool = False) -> str:
    marks = ", ".join("?" * len(columns.split(",")))
    verb = "INSERT OR REPLACE" if replace else "INSERT"
    return f"{verb} INTO {table} ({columns}) VALUES ({marks})"


def _upsert_act(columns: str) -> str:
    updates = ", ".join(f"{name.strip()} = excluded.{name.strip()}" for name in columns.split(","))
    return f"{_insert('act', 'id, ' + columns)} ON CONFLICT (id) DO UPDATE SET {updates}"


_PUT_ACT: Final = _upsert_act(
    "addressee, direction, octets, signature, boot_id, born, age_known, utc, act_check"
)
_PUT_DELIVERY: Final = _upsert_act(
    "delivery_direction, state, flags, taken, answers, delivery_open, delivery_check"
)
_INDEXED: Final = "SELECT delivery_direction, taken, delivery_open FROM act WHERE id = ?"
_CHANGE_DELIVERY: Final = """
    UPDATE act SET state = :state, flags = :flags, answers = :answers, delivery_check = :check"""
_PUT_NOTICE_OFFSET: Final = _upsert_act("notice_offset")
_PUT_RECEIPTED: Final = "UPDATE act SET receipted = ? WHERE id = ?"
_DROP_RECEIPT: Final = "UPDATE act SET receipted = NULL WHERE id = ?"
_STATE_KEY: Final = "SELECT max(key) FROM state_entry WHERE key BETWEEN ? AND ?"
_ADD_STATE_ENTRY: Final = _insert(
    "state_entry", "key, state, utc, link, evidence, row_check", replace=True
)
_PUT_SEEN: Final = _insert("seen", "id, sha256, row_check")
_PUT_SUBMISSION: Final = _insert("submission", "principal, request_id, sha256, act_id, row_check")
_PUT_EPOCH: Final = _insert("epoch", "peer, epoch, highest, row_check")
_PUT_KEYS: Final = _insert("line_keys", "peer, confirmed, row_check", replace=True)
_PUT_PEER: Final = _insert("peer", "peer, incarnation, previous, row_check", replace=True)
_ADD_PUBLICATION: Final = _insert(
    "publication", "offset, topic, notice_id, precedence, operation, document, row_check"
)
# Not REPLACE: that would write the index of the names each time.
_PUT_CURSOR: Final = (
    _insert("queue_cursor", "queue, offset, row_check")
    + " ON CONFLICT (queue) DO UPDATE SET offset = excluded.offset, row_check = excluded.row_check"
)
_ADD_LOG_ROW: Final = _insert("log_entry", "number, octets, hash")
_PUT_AIRTIME: Final = (
    _insert("airtime", "link, boot_id, minute, spent_ms, row_check")
    + " ON CONFLICT (link, boot_id, minute) DO UPDATE SET spent_ms = excluded.spent_ms,"
    " row_check = excluded.row_check RETURNING number"
)
_DROP_AIRTIME: Final = "DELETE FROM airtime WHERE number <= ?"
_PUT_BOOT: Final = (
    _insert("boot", "boot_id, began, zero_first_ms, zero_last_ms, row_check")
    + " ON CONFLICT (boot_id) DO UPDATE SET zero_first_ms = excluded.zero_first_ms,"
    " zero_last_ms = excluded.zero_last_ms, row_check = excluded.row_check RETURNING number"
)
_DROP_BOOTS: Final = "DELETE FROM boot WHERE number <= ?"
_PUT_ALARM: Final = _insert(
    "alarm", "code, station, notice_id, part, cleared, text, evidence, row_check"
)
_DROP_ALARM: Final = """
    DELETE FROM alarm WHERE code = ? AND station IS ? AND notice_id IS ? AND part = ?
        AND cleared IS ?"""


_DROP_ACT: Final = """
    DELETE FROM act WHERE id = ? AND delivery_open IS NOT 1
        AND (direction IS NOT 1 OR receipted IS NOT NULL)
    RETURNING direction, addressee"""
_DROP_HISTORY: Final = "DELETE FROM state_entry WHERE key BETWEEN ? AND ?"
_DROP_PUBLICATION: Final = "DELETE FROM publication WHERE offset = ?"
_EPOCH: Final = "SELECT number, highest FROM epoch WHERE peer = ? AND epoch = ?"
_PUT_HIGHEST: Final = "UPDATE epoch SET highest = ?, row_check = ? WHERE number = ?"
_BEYOND: Final = """
    DELETE FROM {table} WHERE number <= (SELECT max(number) - {count_max} FROM {table})
        AND number < (SELECT min(number) + {step} FROM {table})"""
_DROP_BEYOND: Final = tuple(
    _BEYOND.format(table=table, count_max=count_max, step=bounds.DROP_COUNT_MAX)
    for table, count_max in (
        ("seen", bounds.SEEN_COUNT_MAX),
        ("submission", bounds.SUBMISSION_COUNT_MAX),
    )
)
"""What no start reads any more."""


def apply(
    connection: sqlite3.Connection, writes: Sequence[StoreWrite], head: LogHead | None = None
) -> None:
    """Everything but the log book, which has `head` then, if a FULL commit covers that.

    Raises `sqlite3.Error`; the caller rolls back.
    """
    execute = connection.execute
    for write in writes:
        match write:
            case PutAct(act):
                execute(_PUT_ACT, _with_check(rows.act_columns(act)))
            case PutDelivery(delivery):
                _put_delivery(connection, delivery)
            case AddStateEntry(entry):
                _add_state_entry(connection, entry)
            case PutSeen(act_id, sha256):
                execute(_PUT_SEEN, _with_check((pack_id(act_id), sha256)))
            case PutReceipted(act_id):
                number = pack_id(act_id)
                execute(_PUT_RECEIPTED, (rows.receipt_mark(number), number))
            case DropReceipt(act_id):
                execute(_DROP_RECEIPT, (pack_id(act_id),))
            case PutEpoch(peer, epoch):
                execute(_PUT_EPOCH, _with_check((peer, epoch, 0)))
            case PutSubmission():
                execute(_PUT_SUBMISSION, _with_check(rows.submission_columns(write)))
            case PutPeer():
                execute(_PUT_PEER, _with_check(rows.peer_columns(write)))
            case PutKeys():
                execute(_PUT_KEYS, _with_check(rows.keys_columns(write)))
            case AddPublication(publication):
                execute(_ADD_PUBLICATION, _with_check(rows.publication_columns(publication)))
                if publication.topic is Topic.NOTICE:
                    number = pack_id(publication.notice_id)
                    execute(_PUT_NOTICE_OFFSET, (number, publication.offset))
            case AddLogEntry():
                pass  # `book.chain` and `add_log_rows` keep these.
            case PutAirtime():
                _put_airtime(connection, write)
            case PutBoot():
                _put_boot(connection, write)
            case DropOutlived(acts, offsets):
                drop(connection, acts, offsets)
            case PutAlarm(alarm):
                _put_alarm(connection, alarm)
            case DropAlarm(key):
                execute(_DROP_ALARM, rows.alarm_key_columns(key))
            case PutCursor(queue, offset):
                execute(_PUT_CURSOR, _with_check((queue, offset)))
            case PutCursorAt(queue, offset, wanted):
                fits = head is None or head == wanted
                execute(_PUT_CURSOR, _with_check((queue, offset if fits else 0)))
            case _:
                assert_never(write)


def add_log_rows(connection: sqlite3.Connection, new: Sequence[LogRow]) -> None:
    for row in new:
        connection.execute(_ADD_LOG_ROW, (row.number, row.octets, row.hash))


def _with_check(columns: tuple[rows.Value, ...]) -> tuple[rows.Value, ...]:
    return (*columns, rows.check(*columns))


def _put_delivery(connection: sqlite3.Connection, delivery: StoredDelivery) -> None:
    columns = _with_check(rows.delivery_columns(delivery))
    act_id, direction, state, flags, taken, answers, is_open, row_check = columns
    before = connection.execute(_INDEXED, (act_id,)).fetchone()
    if before is None or before[0] is None:
        connection.execute(_PUT_DELIVERY, columns)
        return
    # SQLite rewrites every index of a column that a statement names, changed or not; so only what
    # changed is named, which saves up to three pages of the card a time.
    statement = _CHANGE_DELIVERY
    if direction != before[0]:
        statement += ", delivery_direction = :direction"
    if taken != before[1]:
        statement += ", taken = :taken"
    if is_open != before[2]:
        statement += ", delivery_open = :is_open"
    values = {
        "id": act_id,
        "direction": direction,
        "state": state,
        "flags": flags,
        "taken": taken,
        "answers": answers,
        "is_open": is_open,
        "check": row_check,
    }
    connection.execute(statement + " WHERE id = :id", values)


def _add_state_entry(connection: sqlite3.Connection, entry: StateEntry) -> None:
    low, high = rows.history_range(pack_id(entry.notice_id))
    (newest,) = connection.execute(_STATE_KEY, (low, high)).fetchone()
    # One history that is full loses its newest entry for the next: never the room of another.
    key = min((newest or low) + 1, high)
    columns = _with_check(rows.state_entry_columns(entry, key - low))
    connection.execute(_ADD_STATE_ENTRY, (key, *columns[2:]))


def _put_airtime(connection: sqlite3.Connection, write: PutAirtime) -> None:
    columns = _with_check(rows.airtime_columns(write))
    (number,) = connection.execute(_PUT_AIRTIME, columns).fetchone()
    if number > bounds.AIRTIME_COUNT_MAX:
        connection.execute(_DROP_AIRTIME, (number - bounds.AIRTIME_COUNT_MAX,))


def _put_boot(connection: sqlite3.Connection, boot: PutBoot) -> None:
    columns = _with_check(rows.boot_columns(boot))
    (number,) = connection.execute(_PUT_BOOT, columns).fetchone()
    if number > bounds.BOOT_COUNT_MAX:
        connection.execute(_DROP_BOOTS, (number - bounds.BOOT_COUNT_MAX,))


def _put_alarm(connection: sqlite3.Connection, alarm: StoredAlarm) -> None:
    key = rows.alarm_key_columns(alarm.key)
    connection.execute(_DROP_ALARM, key)
    connection.execute(_PUT_ALARM, _with_check((*key, alarm.text, alarm.evidence)))


def drop(connection: sqlite3.Connection, acts: Sequence[ActId], offsets: Sequence[int]) -> None:
    """Remove acts that are closed and receipted, with their history, and publications.

    What they leave behind: their ids in `seen`, the highest own serial of each epoch, up to which
    offset the feed has holes, and that no offset is free below. The log book is not touched.
    """
    execute = connection.execute
    for act_id in acts:
        number = pack_id(act_id)
        found = execute(_DROP_ACT, (number,)).fetchall()
        if not found:
            continue
        execute(_DROP_HISTORY, rows.history_range(number))
        direction, addressee = found[0]
        if direction == 1:
            keep_highest(connection, addressee, act_id)
    if offsets:
        free = meta.next_offset(connection)
        connection.executemany(_DROP_PUBLICATION, [(offset,) for offset in offsets])
        if meta.next_offset(connection) < free:
            meta.put(connection, meta.NEXT_OFFSET, free)
        floor = max(*offsets, meta.get(connection, meta.FEED_FLOOR) or 0)
        meta.put(connection, meta.FEED_FLOOR, floor)
    for statement in _DROP_BEYOND:
        execute(statement)


def keep_highest(connection: sqlite3.Connection, peer: int, act_id: ActId) -> None:
    """The serial of an own act without a row counts as used all the same."""
    found = connection.execute(_EPOCH, (peer, act_id.epoch)).fetchall()
    for number, highest in found:
        if highest < act_id.serial:
            columns = (peer, act_id.epoch, act_id.serial)
            connection.execute(_PUT_HIGHEST, (act_id.serial, rows.check(*columns), number))
