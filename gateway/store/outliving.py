"""Which closed notices and publications were kept long enough. Reads only; small windows of rows.

A notice goes with the acts of its dialogue, when all of them may. How long it has been closed says
the last entry of its history that has a time, else when it was made, else the next act that has a
time: a station whose clock was never trusted keeps everything.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from gateway.core.records import StoredDelivery
from gateway.model import ActId, UtcTime
from gateway.packing import pack_id, unpack_id
from gateway.store import queries, rows
from gateway.store.queries import ACT, DELIVERY

WINDOW_COUNT: Final = 32
"""Rows of table `act` that one window looks at: with their histories 3 ms on the bench."""
FEED_WINDOW_COUNT: Final = 100

_ACT_COUNT: Final = ACT.count(",") + 1
_WINDOW: Final = f"""
    SELECT number, receipted, notice_offset, {ACT}, {DELIVERY} FROM act
    WHERE number > ? ORDER BY number LIMIT ?"""  # noqa: S608
_NEXT_UTC: Final = """
    SELECT utc FROM act WHERE number > ? AND utc IS NOT NULL ORDER BY number LIMIT 1"""
_OLDEST_UTC: Final = "SELECT utc FROM act WHERE utc IS NOT NULL ORDER BY number LIMIT 1"
_RECEIPTED: Final = "SELECT direction, receipted FROM act WHERE id = ?"
_ORPHANS: Final = """
    SELECT offset, EXISTS (SELECT 1 FROM act WHERE act.id = notice_id)
    FROM publication WHERE offset > ? ORDER BY offset LIMIT ?"""


@dataclass(frozen=True, slots=True)
class Outliving:
    """What one window found."""

    dialogues: tuple[tuple[ActId, ...], ...]
    """Each may go as a whole; the notice first."""
    after: int | None
    """Where the next window begins; None: this was the last one."""
    keeps_notice: bool
    """A notice of the window stays: an answer behind it may be its own."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What goes and what does not."""

    before: UtcTime
    """What was closed earlier goes."""
    queue: str | None
    """A consumer's queue: what it has not taken, or was not handed, stays. None: there is none."""


def outliving(
    connection: sqlite3.Connection, after: int, *, bounds: Bounds, strays: bool
) -> Outliving:
    """Look at the rows behind the number `after`. `strays`: acts that belong to no notice may go.

    Raises `RowDamagedError`: what is judged by is proven first.
    """
    found = connection.execute(_WINDOW, (after, WINDOW_COUNT)).fetchall()
    handed_on = None if bounds.queue is None else queries.cursor(connection, bounds.queue)
    dialogues: list[tuple[ActId, ...]] = []
    keeps_notice = False
    for number, receipted, offset, *columns in found:
        act, delivery = columns[:_ACT_COUNT], columns[_ACT_COUNT:]
        act_id = unpack_id(act[0])
        if delivery[-1] is None:
            if queries.history(connection, act_id):
                keeps_notice = True  # its delivery was set aside; the next start makes it anew
                continue
            may_go = strays and not keeps_notice and _may_go(act, receipted)
            if may_go and _closed_at(connection, number, act, None) < bounds.before:
                dialogues.append((act_id,))
            continue
        judged = rows.delivery_of(delivery)
        is_out = not judged.is_open and _may_go(act, receipted)
        if is_out and handed_on is not None:
            is_inbound = offset is not None
            is_out = judged.taken or not is_inbound
            is_out = is_out and (offset or 0) <= handed_on
        is_out = is_out and _closed_at(connection, number, act, judged) < bounds.before
        if is_out and all(_is_settled(connection, answer) for answer in judged.answers):
            dialogues.append((act_id, *judged.answers))
        else:
            keeps_notice = True
    is_last = len(found) < WINDOW_COUNT
    return Outliving(tuple(dialogues), None if is_last else found[-1][0], keeps_notice)


def orphans(connection: sqlite3.Connection, after: int) -> tuple[tuple[int, ...], int | None]:
    """Offsets of publications whose notice was removed, and where the next window begins (None:
    this was the last one).
    """
    found = connection.execute(_ORPHANS, (after, FEED_WINDOW_COUNT)).fetchall()
    gone = tuple(offset for offset, has_notice in found if not has_notice)
    return gone, None if len(found) < FEED_WINDOW_COUNT else found[-1][0]


def oldest_utc(connection: sqlite3.Connection) -> UtcTime | None:
    """When the first act that knows it was made."""
    row = connection.execute(_OLDEST_UTC).fetchone()
    return None if row is None else UtcTime(row[0])


def _may_go(act: rows.Row, receipted: bytes | None) -> bool:
    """An act from outside, or one of ours that the far side is proven to have."""
    if act[-1] is None:
        return True  # set aside, and not in the book: only its delivery is left
    rows.act_of(act)
    return act[2] == 0 or receipted == rows.receipt_mark(act[0])


def _is_settled(connection: sqlite3.Connection, answer: ActId) -> bool:
    number = pack_id(answer)
    row = connection.execute(_RECEIPTED, (number,)).fetchone()
    return row is None or row[0] != 1 or row[1] == rows.receipt_mark(number)


def _closed_at(
    connection: sqlite3.Connection, number: int, act: rows.Row, delivery: StoredDelivery | None
) -> UtcTime:
    """Not before it; far in the future where nothing tells."""
    times: list[int] = []
    if delivery is not None:
        history = queries.history(connection, delivery.notice_id)
        times = [entry.utc for entry in history if entry.utc is not None]
    if act[-2] is not None:
        times.append(act[-2])
    if not times:
        row = connection.execute(_NEXT_UTC, (number,)).fetchone()
        times = [row[0]] if row else [1 << 40]
    return UtcTime(max(times))
