"""Which acts a database holds that a copy in its place does not: they were accepted here alone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.logbook.entry import decode_entry
from gateway.model import ActId
from gateway.packing import pack_id
from gateway.store.connection import observing

COUNT_MAX: Final = 1_000

_ENTRIES: Final = "SELECT number, octets, hash FROM log_entry ORDER BY number DESC"
_SAME: Final = "SELECT EXISTS (SELECT 1 FROM log_entry WHERE number = ? AND hash = ?)"
_IS_THERE: Final = "SELECT EXISTS (SELECT 1 FROM act WHERE id = ?)"


def acts_left(database: Path, copy: Path) -> tuple[ActId, ...]:
    """Ours and the far side's, oldest first, the newest `COUNT_MAX` at most: entered into the log
    book after the last entry that both have, and not known to the copy by another way.

    Acts that were removed because they were kept long enough are none: both entered that they had
    them. Raises `sqlite3.Error`, or `DecodeError` for a damaged entry.
    """
    found: dict[ActId, None] = {}
    with observing(database) as ours, observing(copy) as theirs:
        for number, octets, digest in ours.execute(_ENTRIES):
            if theirs.execute(_SAME, (number, digest)).fetchone()[0] or len(found) >= COUNT_MAX:
                break
            entry = decode_entry(octets)
            act_id = entry.act_id
            if act_id is None or entry.octets is None:
                continue
            if not theirs.execute(_IS_THERE, (pack_id(act_id),)).fetchone()[0]:
                found[act_id] = None
    return tuple(reversed(found))
