"""What the API, the queues and the command line ask of the database. Reads only; own connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from gateway.core.records import Direction, Publication, StateEntry, StoredAct, Topic
from gateway.logbook.chain import GENESIS, next_hash
from gateway.model import ActId, Precedence
from gateway.packing import pack_id
from gateway.store import bounds, rows
from gateway.store.base import LogRow, StoredNotice

ACT: Final = "id, addressee, direction, octets, signature, boot_id, born, age_known, utc, act_check"
DELIVERY: Final = (
    "id, delivery_direction, state, flags, taken, answers, delivery_open, delivery_check"
)
ALARM: Final = "code, station, notice_id, part, cleared, text, evidence, row_check"
OPEN: Final = "delivery_open = 1"
"""As in the partial index `act_open_listed`."""
UNRECEIPTED: Final = "direction = 1 AND receipted IS NULL"
"""As in the partial index `act_unreceipted`."""

_ACT_COUNT: Final = ACT.count(",") + 1
_NOTICE: Final = f"SELECT {ACT}, {DELIVERY} FROM act WHERE octets IS NOT NULL AND "  # noqa: S608
_BY_ID: Final = _NOTICE + "delivery_direction IS NOT NULL AND id = ?"
_LISTED: Final = _NOTICE + "delivery_direction = ? ORDER BY number DESC LIMIT ?"
_LISTED_OPEN: Final = f"""
    SELECT {ACT}, {DELIVERY} FROM act INDEXED BY act_open_listed
    WHERE octets IS NOT NULL AND delivery_direction = ? AND {OPEN}
    ORDER BY number DESC LIMIT ?"""  # noqa: S608
_ACT_BY_ID: Final = f"SELECT {ACT} FROM act WHERE octets IS NOT NULL AND id = ?"  # noqa: S608
_HISTORY: Final = """
    SELECT notice_id, number, state, utc, link, evidence, row_check FROM state_entry
    WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT ?"""
PUBLICATION: Final = """
    publication.offset, topic, notice_id, precedence, operation, document, row_check"""
_PUBLICATIONS: Final = f"""
    SELECT {PUBLICATION} FROM publication
    WHERE offset > :after AND (:topic IS NULL OR topic = :topic)
        AND (:precedence IS NULL OR precedence = :precedence)
    ORDER BY offset LIMIT :limit"""  # noqa: S608
_UNTAKEN: Final = f"""
    SELECT {PUBLICATION} FROM act INDEXED BY act_untaken
    JOIN publication ON publication.offset = act.notice_offset
    WHERE act.notice_offset > :after AND act.notice_offset IS NOT NULL AND act.taken = 0
        AND (:topic IS NULL OR topic = :topic)
        AND (:precedence IS NULL OR precedence = :precedence)
    ORDER BY act.notice_offset LIMIT :limit"""  # noqa: S608
_CURSOR: Final = "SELECT number, queue, offset, row_check FROM queue_cursor WHERE queue = ?"
_LOG_ROWS: Final = """
    SELECT number, octets, hash FROM log_entry WHERE number > ? ORDER BY number LIMIT ?"""


def notice(connection: sqlite3.Connection, notice_id: ActId) -> StoredNotice | None:
    """Raises `RowDamagedError`, as all of these."""
    row = connection.execute(_BY_ID, (pack_id(notice_id),)).fetchone()
    return None if row is None else _stored_notice(connection, row)


def notices(
    connection: sqlite3.Connection, direction: Direction, *, open_only: bool, limit: int
) -> list[StoredNotice]:
    statement = _LISTED_OPEN if open_only else _LISTED
    bound = max(1, min(limit, bounds.LIST_COUNT_MAX))
    values = (1 if direction is Direction.OUT else 0, bound)
    return [
        _stored_notice(connection, row) for row in connection.execute(statement, values).fetchall()
    ]


def publications(
    connection: sqlite3.Connection,
    after: int,
    *,
    limit: int,
    topic: Topic | None,
    untaken_only: bool,
    precedence: Precedence | None,
) -> list[Publication]:
    values = {
        "after": after,
        "topic": None if topic is None else topic.value,
        "precedence": precedence,
        "limit": max(1, min(limit, bounds.LIST_COUNT_MAX)),
    }
    found = connection.execute(_UNTAKEN if untaken_only else _PUBLICATIONS, values).fetchall()
    return [rows.publication_of(row) for row in found]


def cursor(connection: sqlite3.Connection, queue: str) -> int:
    row = connection.execute(_CURSOR, (queue,)).fetchone()
    if row is None:
        return 0
    try:
        return rows.cursor_of(row[1:])[1]
    except rows.RowDamagedError as error:
        raise rows.RowDamagedError(error.table, row[0]) from error


def log_entries(connection: sqlite3.Connection, after: int, *, limit: int) -> list[LogRow]:
    bound = max(1, min(limit, bounds.LIST_COUNT_MAX))
    return [LogRow(*row) for row in connection.execute(_LOG_ROWS, (after, bound))]


def first_broken(
    connection: sqlite3.Connection, entries: Sequence[LogRow], *, after: int
) -> int | None:
    """The first of the entries after `after` that does not follow from the one before."""
    previous = GENESIS if after == 0 else entry_hash(connection, after)
    for number, entry in enumerate(entries, after + 1):
        follows = previous is not None and next_hash(previous, entry.octets) == entry.hash
        if not follows or entry.number != number:
            return number
        previous = entry.hash
    return None


def entry_hash(connection: sqlite3.Connection, number: int) -> bytes | None:
    """Of this entry of the log book; None: it is not there."""
    found = log_entries(connection, number - 1, limit=1)
    return found[0].hash if found and found[0].number == number else None


def act(connection: sqlite3.Connection, act_id: ActId) -> StoredAct | None:
    row = connection.execute(_ACT_BY_ID, (pack_id(act_id),)).fetchone()
    return None if row is None else rows.act_of(row)


def acts(connection: sqlite3.Connection, ids: Sequence[ActId]) -> list[StoredAct]:
    found = (act(connection, act_id) for act_id in ids)
    return [stored for stored in found if stored is not None]


def _stored_notice(connection: sqlite3.Connection, row: rows.Row) -> StoredNotice:
    delivery = rows.delivery_of(row[_ACT_COUNT:])
    answers = (act(connection, answer) for answer in delivery.answers)
    return StoredNotice(
        act=rows.act_of(row[:_ACT_COUNT]),
        delivery=delivery,
        history=history(connection, delivery.notice_id),
        answers=tuple(answer for answer in answers if answer is not None),
    )


def history(connection: sqlite3.Connection, notice_id: ActId) -> tuple[StateEntry, ...]:
    """The newest `HISTORY_COUNT_MAX` entries of a notice, oldest first."""
    values = (*rows.history_range(pack_id(notice_id)), bounds.HISTORY_COUNT_MAX)
    found: Sequence[rows.Row] = connection.execute(_HISTORY, values).fetchall()
    return tuple(rows.state_entry_of(row) for row in reversed(found))
