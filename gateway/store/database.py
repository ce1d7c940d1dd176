"""The SQLite database as its one writer sees it: open, commit groups, probe, tend, close.

Synchronous, for one thread. Owns the lock, the ballast and the segment files too.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from gateway.core.records import Durability, LogHead, PutAlarm, Recovered
from gateway.errors import FieldError, GatewayError, StoreFailedError, StoreRefusedError
from gateway.logbook.segment import Record
from gateway.model import Station
from gateway.store import book, bounds, changes, meta, queries, recovery, restoring, rows
from gateway.store.base import LogRow
from gateway.store.connection import INCREMENTAL, UNREADABLE, is_damage
from gateway.store.folder import (
    REFUSED,
    Ballast,
    FolderLock,
    can_write,
    folder_error,
    sync_folder,
)
from gateway.store.mending import make_indexes_anew, mend_book
from gateway.store.opening import Opening, mark_rebuilt

FILE_NAME: Final = "hotline.sqlite"
CHECKPOINT_WRITE_COUNT: Final = 400
"""Writes after which the WAL is copied back: about 1000 pages, SQLite's own measure."""
WAL_FRAME_COUNT_MAX: Final = 16_000
"""Above it a checkpoint waits for readers, so that the WAL starts anew."""

GIVE_BACK_COUNT: Final = 32
"""Pages that one step gives back: 1 ms on the bench."""
FREE_COUNT_KEPT: Final = 256
"""Free pages that stay for what comes next."""

_FLUSH_FAILED: Final = frozenset(
    {sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC, sqlite3.SQLITE_IOERR_DIR_CLOSE}
)
_MAYBE_REFUSED: Final = frozenset(
    {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
)


class Database:
    """One state folder, held until `close`. Make it and use it in one thread."""

    def __init__(
        self,
        folder: Path,
        *,
        station: Station,
        sign: Callable[[LogHead], bytes] | None = None,
    ) -> None:
        """Take the folder and open the database, whatever state it is in.

        `sign` makes what is put beside the log book's files for their last entry.
        Raises `StoreLockedError`, `ConfigError`, `StoreRefusedError` or `StoreFailedError`.
        """
        self.folder = folder
        self.path = folder / FILE_NAME
        self.notes: list[str] = []
        """What happened to the store, for the local log: one sentence each."""
        self.has_refused = False
        """The last commit or probe was refused."""
        self._station = station
        self._sign = sign
        self._signed_number = 0
        self._head: LogHead | None = None
        self._is_rebuilt = False
        self._book_problem = ""
        self._is_restored = False
        self._lock = FolderLock(folder)
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> None:
        self._ballast = Ballast(self.folder)
        self._writes_since_checkpoint = 0
        self._synchronous = Durability.FULL
        try:
            # A WAL database cannot be opened on a full disk: give it room first.
            error = can_write(self.folder)
            if error is not None and error.errno in REFUSED:
                self._ballast.release()
            opening = Opening(self.folder, self.path, station=self._station, notes=self.notes)
            self.connection = opening.connection
            self.segments = opening.segments
            self._segment_number = opening.segment_number
            self._book_problem = opening.book_problem
            self._head = recovery.log_head(self.connection)
            self._copy_to_segments()
            # Debian's SQLite flushes no folder: on some file systems a new database or WAL, and all
            # that was committed into it, would lie under no name after a power cut.
            sync_folder(self.folder)
        except StoreRefusedError:
            self._ballast.release()  # an upgrade without room
            raise
        except sqlite3.Error as error:
            raise self.meaning(error) from error
        except OSError as error:
            raise folder_error(self.folder, error) from error
        self.has_refused = not self._ballast.make()

    def recover(self) -> Recovered:
        """The state after the last commit; damaged rows are set aside and restored if possible."""
        try:
            try:
                reading = recovery.Reading(self.connection, self._station)
                recovered = reading.recovered()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self.make_indexes_anew()
                reading = recovery.Reading(self.connection, self._station)
                recovered = reading.recovered()
            if reading.damaged:
                self.set_aside(reading.damaged)
                recovered = recovery.Reading(self.connection, self._station).recovered()
            self._head = recovered.log_head
            self._is_rebuilt = recovery.is_rebuilt(self.connection)
            self._is_restored = recovery.restored_at(self.connection) is not None
        except sqlite3.Error as error:
            raise self.meaning(error) from error
        return replace(
            recovered,
            was_rebuilt=self._is_rebuilt,
            was_restored=self._is_restored,
            store_refused=self.has_refused,
            book_problem=self._book_problem,
        )

    def make_indexes_anew(self) -> None:
        """Against damage that the check at the start lets pass: it compares an entry of an index
        that is no record any more as if it were one. Raises `StoreFailedError`.
        """
        try:
            with self.connection:
                self.connection.execute("BEGIN IMMEDIATE")
                make_indexes_anew(self.connection)
                what = "an index of the database was damaged and made anew"
                mark_rebuilt(self.connection, self.folder, self.notes, what)
        except sqlite3.Error as error:
            raise self.meaning(error) from error
        self._head = recovery.log_head(self.connection)
        self._copy_to_segments()

    def set_aside(self, damaged: Sequence[tuple[str, int]]) -> None:
        """Move damaged rows away (kept) and restore what the log book holds of them."""
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            for table, number in damaged:
                restoring.set_aside(self.connection, table, number)
            rows_kept = restoring.book_rows(self.connection)
            restored = restoring.restore_acts(self.connection, rows_kept, station=self._station)
            restoring.restore_from_acts(self.connection)
            restoring.after_setting_aside(self.connection, damaged, book_offset=self._book_offset())
            names = ", ".join(f"{table} {number}" for table, number in damaged[:8])
            what = f"{len(damaged)} damaged rows were set aside ({names}); {restored}"
            mark_rebuilt(self.connection, self.folder, self.notes, what)
        self._head = recovery.log_head(self.connection)
        self._copy_to_segments()

    def _book_offset(self) -> int:
        """The lowest free offset of the feed when the newest file of the book was last written."""
        try:
            records, _ = self.segments.tail()
        except OSError as error:
            raise folder_error(self.folder, error) from error
        return max((record.next_offset for record in records), default=1)

    def set_aside_key(self, table: str, key: rows.Value) -> None:
        """As `set_aside`, for a row that a query met. Raises `StoreFailedError`."""
        try:
            number = key
            if table in ("act", "delivery"):
                found = self.connection.execute(
                    "SELECT number FROM act WHERE id = ?", (key,)
                ).fetchone()
                number = found[0] if found else None
            if isinstance(number, int):
                self.set_aside([(table, number)])
        except sqlite3.Error as error:
            raise self.meaning(error) from error

    def mend_book(self) -> None:
        """Make good what a query met, until an entry cannot be. Raises `StoreFailedError`."""
        if self._book_problem:
            return
        try:
            with self.connection:
                self.connection.execute("BEGIN IMMEDIATE")
                found = mend_book(self.connection, self.segments)
                if found.mended:
                    what = f"{found.said} were damaged and made anew"
                    mark_rebuilt(self.connection, self.folder, self.notes, what)
        except sqlite3.Error as error:
            raise self.meaning(error) from error
        except OSError as error:
            raise folder_error(self.folder, error) from error
        self._book_problem = found.broken
        self._head = recovery.log_head(self.connection)
        self._copy_to_segments()

    def commit(self, groups: Sequence[Sequence[changes.StoreWrite]]) -> list[LogHead | None]:
        """All groups in one transaction and at most one flush; see `Store.commit` for each.

        Raises `StoreRefusedError` or `StoreFailedError`, and nothing of any group was kept.
        """
        is_full = any(write.durability is Durability.FULL for group in groups for write in group)
        new: list[LogRow] = []
        heads: list[LogHead | None] = []
        head = self._head
        try:
            self._set_synchronous(Durability.FULL if is_full else Durability.NORMAL)
            self.connection.execute("BEGIN IMMEDIATE")
            for group in groups:
                entries = book.chain(group, head)
                if entries:
                    head = LogHead(entries[-1].number, entries[-1].hash)
                heads.append(head if is_full else None)
                changes.apply(self.connection, group, heads[-1])
                changes.add_log_rows(self.connection, entries)
                new += entries
            is_told = any(isinstance(write, PutAlarm) for group in groups for write in group)
            if is_told and (self._is_rebuilt or self._is_restored):
                recovery.forget_alarms(self.connection)
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise self.meaning(error) from error
        except FieldError as error:
            self._roll_back()
            raise StoreFailedError(f"an entry cannot stand in the log book: {error}") from error
        self._head = head
        if is_told:
            self._is_rebuilt = self._is_restored = False
        self._writes_since_checkpoint += sum(len(group) for group in groups)
        self._copy_to_segments(new)
        return heads

    def probe(self) -> bool:
        """Write for real, after the ballast fitted in again. Raises `StoreFailedError`."""
        if self._try_writing() is not None or not self._ballast.make():
            self.has_refused = True
            return False
        try:
            self._set_synchronous(Durability.FULL)
            self.connection.execute("BEGIN IMMEDIATE")
            count = meta.get(self.connection, meta.PROBE) or 0
            meta.put(self.connection, meta.PROBE, count + 1)
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            meaning = self.meaning(error)
            if isinstance(meaning, StoreRefusedError):
                return False
            raise meaning from error
        self.has_refused = False
        return True

    @property
    def needs_tending(self) -> bool:
        return self._writes_since_checkpoint >= CHECKPOINT_WRITE_COUNT

    def tend(self) -> None:
        """Copy the WAL back when it is due. Raises `StoreFailedError` when a flush fails."""
        if not self.needs_tending:
            return
        try:
            self._set_synchronous(Durability.NORMAL)
            busy, frames, copied = self.connection.execute(
                "PRAGMA wal_checkpoint(PASSIVE)"
            ).fetchone()
            if frames > WAL_FRAME_COUNT_MAX:
                self.connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        except sqlite3.Error as error:
            # On a full disk the WAL keeps everything; the next commit finds out by itself.
            if not isinstance(self.meaning(error), StoreRefusedError):
                raise self.meaning(error) from error
            self._writes_since_checkpoint //= 2
        else:
            is_done = not busy and frames == copied
            self._writes_since_checkpoint = 0 if is_done else CHECKPOINT_WRITE_COUNT * 3 // 4

    def give_back(self) -> bool:
        """Move `GIVE_BACK_COUNT` free pages to the end of the file, which the next copy of the WAL
        cuts off. False: few are free (commits use those first), or this database cannot.

        Raises `StoreFailedError`; on a full disk nothing is moved.
        """
        try:
            (free,) = self.connection.execute("PRAGMA freelist_count").fetchone()
            (mode,) = self.connection.execute("PRAGMA auto_vacuum").fetchone()
            count = min(free - FREE_COUNT_KEPT, GIVE_BACK_COUNT)
            if mode != INCREMENTAL or count <= 0:
                return False
            self._set_synchronous(Durability.NORMAL)
            # It has a row without columns for each page, and `execute` asks for the first only.
            self.connection.executescript(f"PRAGMA incremental_vacuum({count})")
        except sqlite3.Error as error:
            meaning = self.meaning(error)
            if isinstance(meaning, StoreRefusedError):
                return False
            raise meaning from error
        self._writes_since_checkpoint += count
        self.tend()
        return True

    def sync_segments(self) -> None:
        """Flush the log book files. Raises `StoreFailedError`."""
        try:
            self.segments.sync()
        except OSError as error:
            raise folder_error(self.folder, error) from error
        self._put_head()

    def _put_head(self) -> None:
        """Sign the end of the files, once they are flushed. A full disk leaves the old head."""
        head = self._head
        if self._sign is None or head is None or head.number == self._signed_number:
            return
        if head.number != self._segment_number:
            return  # the files are behind: a full disk
        try:
            self.segments.put_head(self._sign(head))
        except OSError as error:
            if error.errno not in REFUSED:
                raise folder_error(self.folder, error) from error
        else:
            self._signed_number = head.number

    def close(self) -> None:
        """Copy the WAL back, flush and let go of the folder."""
        try:
            with suppress(sqlite3.Error):
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            with suppress(GatewayError):
                self.sync_segments()
            with suppress(OSError):
                self.segments.close()
            self.connection.close()
        finally:
            self._lock.release()

    def _set_synchronous(self, durability: Durability) -> None:
        if self._synchronous is not durability:
            self.connection.execute(f"PRAGMA synchronous = {durability.value}")
            self._synchronous = durability

    def _roll_back(self) -> None:
        # SQLite has often rolled back by itself; a failing ROLLBACK leaves nothing committed too.
        with suppress(sqlite3.Error):
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def _copy_to_segments(self, new: Sequence[LogRow] = ()) -> None:
        """Append what the files lack. On a full disk they stay behind until a later commit."""
        head_number = 0 if self._head is None else self._head.number
        if self._segment_number >= head_number:
            return
        rows_left: Sequence[LogRow] = new
        if not new or new[0].number != self._segment_number + 1:
            rows_left = queries.log_entries(
                self.connection, self._segment_number, limit=bounds.LIST_COUNT_MAX
            )
        offset = meta.next_offset(self.connection)
        try:
            while rows_left:
                self.segments.append(
                    [Record(row.number, row.octets, row.hash, offset) for row in rows_left]
                )
                self._segment_number = rows_left[-1].number
                rows_left = queries.log_entries(
                    self.connection, self._segment_number, limit=bounds.LIST_COUNT_MAX
                )
        except OSError as error:
            if error.errno not in REFUSED:
                raise folder_error(self.folder, error) from error

    def _try_writing(self) -> OSError | None:
        """Whether a file as large as the largest of ours may still grow here."""
        try:
            sizes = [path.stat().st_size for path in self.folder.glob(f"{FILE_NAME}*")]
        except OSError as error:
            return error
        return can_write(self.folder, at=max(sizes, default=0))

    def meaning(self, error: sqlite3.Error) -> StoreRefusedError | StoreFailedError:
        """What an error of SQLite means; a full disk gets its ballast released."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        refusal: OSError | None = None
        if code & 0xFF == sqlite3.SQLITE_FULL:
            refusal = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        elif code & 0xFF in _MAYBE_REFUSED and code not in _FLUSH_FAILED | UNREADABLE:
            # SQLite tells only ENOSPC apart; quotas and read-only disks look like broken ones.
            refusal = self._try_writing()
        if refusal is not None and refusal.errno in REFUSED:
            self.has_refused = True
            if refusal.errno != errno.EROFS:
                self._ballast.release()
            meaning = folder_error(self.folder, refusal)
            assert isinstance(meaning, StoreRefusedError)
            return meaning
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        return StoreFailedError(
            f"the database {self.path} fails ({name}: {error}); the gateway stops and starts from "
            "the last commit; if it comes again, replace the card"
        )
