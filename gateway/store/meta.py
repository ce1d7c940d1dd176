"""What the store notes about itself, in table `meta`: a name and a number each, with a checksum."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Final

from gateway.store import rows

NEXT_OFFSET: Final = "next_offset"
"""No publication may get a lower offset."""
FEED_FLOOR: Final = "feed_floor"
"""The highest offset of a publication that was removed: who read up to less has missed it."""
RESTORED: Final = "restored"
"""In a backup: the number of the last entry in the log book that it holds."""
REBUILT: Final = "rebuilt"
"""The state was rebuilt, and no commit followed yet."""
AIRTIME_LOST: Final = "airtime_lost"
"""Minutes of airtime that were set aside and the engine has not counted yet."""
PROBE: Final = "probe"


def next_offset(connection: sqlite3.Connection) -> int:
    (newest,) = connection.execute("SELECT max(offset) FROM publication").fetchone()
    return max((newest or 0) + 1, get(connection, NEXT_OFFSET) or 1)


def get(connection: sqlite3.Connection, name: str) -> int | None:
    """None: there is none of this name, or it does not match its check."""
    row = connection.execute(
        "SELECT name, value, row_check FROM meta WHERE name = ?", (name,)
    ).fetchone()
    with suppress(rows.RowDamagedError):
        return None if row is None else rows.meta_of(row)[1]
    return None


def put(connection: sqlite3.Connection, name: str, value: int) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO meta (name, value, row_check) VALUES (?, ?, ?)",
        (name, value, rows.check(name, value)),
    )
