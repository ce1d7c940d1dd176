"""What a start makes of a state folder: a sound database that ends where the book's files end.

A damaged database is set aside (kept) and made anew from the log book; a book that somebody cut,
an old or foreign database and a restored backup are noticed and told.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import Final

from gateway.core.records import AddLogEntry, EntryKind, LogHead
from gateway.logbook.chain import GENESIS, next_hash
from gateway.logbook.entry import DIFFERS, HEAD_FIELD
from gateway.logbook.segment import Record
from gateway.model import Station, TimeQuality
from gateway.store import book, changes, meta, queries, recovery, restoring
from gateway.store.base import LogRow
from gateway.store.connection import VACUUM_SIZE_MAX, connect, is_damage, make_vacuumable
from gateway.store.folder import keep_newest, set_aside
from gateway.store.mending import make_indexes_anew, mend_book
from gateway.store.segments import Segments
from gateway.store.soundness import check_trees
from gateway.store.vouched import contradiction

DAMAGED: Final = "damaged"
DAMAGED_COUNT_MAX: Final = 3
"""Of the damaged databases the newest stay: a card that fails again and again is not filled."""


class _Tail(Enum):
    """What the newest file of the log book is to the database."""

    SAME = auto()
    TORN = auto()
    """Something in it is no record, or does not follow: a power cut, a full disk, a changed bit."""
    OTHER = auto()
    """It tells another history."""


class Opening:
    """Opens at once; then `connection` is that of the writer."""

    def __init__(self, folder: Path, path: Path, *, station: Station, notes: list[str]) -> None:
        """`notes` get a sentence each. Raises what `connect` raises."""
        self._folder = folder
        self._path = path
        self._station = station
        self._notes = notes
        self._was_damaged = False
        self._is_new = not path.exists()
        self._mended: list[str] = []
        self.book_problem = ""
        """How the log book contradicts what vouches for it, a sentence."""
        self.segment_number = 0
        """The last entry that the files hold."""
        self.segments = Segments(folder / "logbook")
        self._had_files = bool(self.segments.files())
        vouched = self.segments.head()  # before anything moves the files
        self.connection = self._connect_sound()
        self._mend_book()
        self._reconcile()
        self._compare(vouched)
        self._note_restored()

    def _connect_sound(self) -> sqlite3.Connection:
        """A sound database: the one that is there, or a new one when that is damaged."""
        problem = ""
        for may_mend in (False, True):
            # A read that failed once is no damage; what a second look finds too is.
            try:
                connection = connect(self._path, notes=self._notes)
                try:
                    problem = self._examine(connection, may_mend=may_mend)
                except BaseException:
                    connection.close()
                    raise
                if not problem:
                    return connection
                connection.close()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                problem = str(error)
        kept = set_aside(self._path, DAMAGED)
        with suppress(OSError):
            keep_newest(self._path, DAMAGED, DAMAGED_COUNT_MAX)
        self._was_damaged = True
        self._notes.append(
            f"the database {self._path} is damaged ({problem[:200]}); it is kept as {kept.name} "
            "and a new one is made from the log book; have the card checked"
        )
        return connect(self._path)

    def _examine(self, connection: sqlite3.Connection, *, may_mend: bool) -> str:
        """What is wrong with a database; empty: it is sound, perhaps with its indexes mended."""
        found = check_trees(connection)
        if found and may_mend and _mend_indexes(connection):
            self._mended.append("the indexes of the database")
            found = check_trees(connection)
        if not found and not make_vacuumable(connection, size_max=VACUUM_SIZE_MAX):
            self._notes.append(
                f"the database {self._path} cannot get smaller yet, it was made by an"
                " older version; stop the gateway once and run: sudo hotline vacuum"
            )
        return "; ".join(found)

    def _mend_book(self) -> None:
        """Entries that do not follow from the one before are taken from the files, if they hold."""
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            found = mend_book(self.connection, self.segments)
            if found.mended:
                self._mended.append(found.said)
            self.book_problem = found.broken
            if self._mended:
                what = f"{' and '.join(self._mended)} were damaged and made anew"
                mark_rebuilt(self.connection, self._folder, self._notes, what)

    def _reconcile(self) -> None:
        """Bring database and segment files to the same end of the same book."""
        head = recovery.log_head(self.connection)
        number = 0 if head is None else head.number
        if number and not self._had_files and recovery.restored_at(self.connection) is None:
            self._notes.append(
                f"the log book's files in {self._folder / 'logbook'} were gone; they are written"
                f" again from the database (entries 1 to {number}); find out who removed them"
            )
        records, is_whole = self.segments.tail()
        tail = self._judge(records, number) if is_whole else _Tail.TORN
        behind: list[Record] = []
        if records and records[-1].number > number:
            behind = [record for record in self.segments.records() if record.number > number]
            if head is not None or not (self._was_damaged or self._is_new):
                # Without the database a book with a hole is better than none.
                behind = _following(behind, head or LogHead(0, GENESIS))
                if not behind and tail is _Tail.SAME:
                    tail = _Tail.OTHER
        if tail is _Tail.OTHER:
            self._abandon_segments()
            records, behind = [], []
        elif tail is _Tail.TORN:
            self._set_newest_aside()
            records, _ = self.segments.tail()
        self.segment_number = records[-1].number if records else 0
        if behind:
            self._adopt(behind)
        elif self._was_damaged:
            with self.connection:
                self.connection.execute("BEGIN IMMEDIATE")
                what = "no log book was found: the state is empty"
                mark_rebuilt(self.connection, self._folder, self._notes, what)

    def _judge(self, records: Sequence[Record], number: int) -> _Tail:
        """Whether a file goes with the database, whose last entry is `number`."""
        before: Record | None = None
        for at, record in enumerate(records):
            if before is None:
                follows = self._begins(record, records[at + 1 : at + 2])
            else:
                follows = _follows(record, before)
            if record.number <= number and not self._holds(record):
                return _Tail.OTHER if follows else _Tail.TORN
            if before is not None and not follows:
                return _Tail.TORN
            before = record
        return _Tail.SAME

    def _begins(self, first: Record, after: Sequence[Record]) -> bool:
        """Whether the first record of a file is as it was written, as far as that can be proven.

        What a power cut left of it may still be a record, with another hash or other octets.
        """
        if first.number == 1:
            return next_hash(GENESIS, first.octets) == first.hash
        if self._hash_of(first.number) == first.hash:
            return False
        return any(_follows(record, first) for record in after)

    def _holds(self, record: Record) -> bool:
        found = queries.log_entries(self.connection, record.number - 1, limit=1)
        return found == [LogRow(record.number, record.octets, record.hash)]

    def _compare(self, vouched: bytes | None) -> None:
        """Judge the book by the signed head of the run before; what differs goes into the book."""
        problem = self.book_problem
        if vouched is not None:
            head = recovery.log_head(self.connection)
            last = 0 if head is None else head.number
            problem = (
                contradiction(vouched, station=self._station, last=last, hash_of=self._hash_of)
                or problem
            )
        if not problem:
            return
        self.book_problem = problem
        self._notes.append(f"{problem}; compare both sides' log books")
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            add_entry(self.connection, DIFFERS, ("what", problem), (HEAD_FIELD, vouched))

    def _hash_of(self, number: int) -> bytes | None:
        return queries.entry_hash(self.connection, number)

    def _note_restored(self) -> None:
        """A database that was a backup says so until the engine commits; in the book, once."""
        number = recovery.restored_at(self.connection)
        if number is None:
            return
        what = f"from a backup made at entry {number}"
        self._notes.append(f"the database {self._path} was restored {what}")
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            add_entry(self.connection, "store_restored", ("what", what))

    def _abandon_segments(self) -> None:
        kept = self.segments.abandon()
        self.book_problem = f"the log book files told another history; they are kept in {kept}"
        self._notes.append(
            f"the log book files of {self._folder} tell another history than the database; they "
            f"are kept in {kept}; find out who put an old or foreign database here"
        )

    def _set_newest_aside(self) -> None:
        kept = self.segments.set_aside_newest()
        self._notes.append(
            "the newest file of the log book did not end as it was written, as after a power cut;"
            f" it is kept as {kept}, and what the database has of it is written again"
        )

    def _adopt(self, records: Sequence[Record]) -> None:
        """Take entries into the database that only the segment files have kept."""
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            changes.add_log_rows(
                self.connection,
                [LogRow(record.number, record.octets, record.hash) for record in records],
            )
            base = max(record.next_offset for record in records)
            if base > meta.next_offset(self.connection):
                base += restoring.OFFSET_MARGIN
                meta.put(self.connection, meta.NEXT_OFFSET, base)
            restored = restoring.restore_acts(self.connection, records, station=self._station)
            if self._was_damaged or restored.count or restored.lost_count:
                restoring.restore_from_acts(self.connection)
                mark_rebuilt(self.connection, self._folder, self._notes, str(restored))


def _mend_indexes(connection: sqlite3.Connection) -> bool:
    """Whether only what finds the rows was damaged: the rows' own checks tell the rest."""
    if check_trees(connection, without_indexes=True):
        return False
    try:
        make_indexes_anew(connection)
    except sqlite3.IntegrityError:
        return False  # two rows say that they are the same act
    return True


def mark_rebuilt(connection: sqlite3.Connection, folder: Path, notes: list[str], what: str) -> None:
    """Say so to the engine until it commits again, in the book and to people."""
    meta.put(connection, meta.REBUILT, 1)
    notes.append(f"the state in {folder} was rebuilt: {what}")
    add_entry(connection, "store_rebuilt", ("what", what))


def add_entry(
    connection: sqlite3.Connection, event: str, *fields: tuple[str, str | bytes | None]
) -> None:
    """A station entry of the store's own, in the transaction of the caller."""
    writes = [AddLogEntry(EntryKind.STATION, event, None, TimeQuality.NONE, fields)]
    changes.add_log_rows(connection, book.chain(writes, recovery.log_head(connection)))


def _following(records: Sequence[Record], head: LogHead) -> list[Record]:
    """Those that follow without a hole; a power cut may have taken what joined the rest."""
    found: list[Record] = []
    before: LogHead | Record = head
    for record in records:
        if not _follows(record, before):
            break
        found.append(record)
        before = record
    return found


def _follows(record: Record, before: LogHead | Record) -> bool:
    is_next = record.number == before.number + 1
    return is_next and next_hash(before.hash, record.octets) == record.hash
