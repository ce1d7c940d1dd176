"""The store in the field: one writer thread and one reader thread over a SQLite database.

Commits that wait while another is written share the next transaction and its flush.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from gateway.core.records import Direction, LogHead, Publication, Recovered, StoredAct, Topic, Write
from gateway.errors import StoreFailedError, StoreRefusedError
from gateway.model import ActId, Precedence, Station, UtcTime
from gateway.store import meta, outliving, queries
from gateway.store.base import LogRow, StoredNotice
from gateway.store.changes import PutCursor, StoreWrite
from gateway.store.connection import connect_reader, is_damage
from gateway.store.database import Database
from gateway.store.rows import RowDamagedError

T = TypeVar("T")

GROUP_COUNT_MAX: Final = 256
"""Commits that share one transaction at most."""
SEGMENT_SYNC_S: Final = 60.0
"""The log book files are flushed at most this late (DESIGN, security)."""
FIRST_SYNC_S: Final = 2.0
"""After a start: who is killed within each minute must leave a signed head all the same."""
CLOSE_TIMEOUT_S: Final = 5.0
REPAIR_COUNT_MAX: Final = 16
"""Damaged rows that one query sets aside before it gives up."""


class _IndexDamagedError(StoreFailedError):
    """A query met what is no database; the tables were found sound at the start."""


_Waiting = tuple[tuple[StoreWrite, ...], "asyncio.Future[LogHead | None]"]


class SqliteStore:
    """Satisfies `Store` on the state folder of one station. Belongs to one event loop."""

    def __init__(
        self,
        folder: Path,
        *,
        station: Station,
        sign: Callable[[LogHead], bytes] | None = None,
    ) -> None:
        """Opens nothing yet: `recover` does. `sign` is `Database`'s."""
        self._sign = sign
        self._folder = folder
        self._station = station
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._reader = ThreadPoolExecutor(1, "store-reader")
        self._database: Database | None = None
        self._read_connection: sqlite3.Connection | None = None
        self._waiting: list[_Waiting] = []
        self._is_writing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._sync_timer: asyncio.TimerHandle | None = None
        self._sync_delay_s = FIRST_SYNC_S
        self._failure: StoreFailedError | None = None
        self._refusal = ""
        """Why the last `recover` could not open it; empty: it could."""

    @property
    def notes(self) -> list[str]:
        """What happened to the store itself, one sentence each, for the local log."""
        return [] if self._database is None else self._database.notes

    async def recover(self) -> Recovered:
        """Take the folder, open the database at the first call, read the last committed state.

        Raises `StoreLockedError` (a `ConfigError`), `StoreRefusedError` or `StoreFailedError`.
        """
        try:
            recovered = await self._recover()
        except StoreRefusedError as error:
            self._refusal = str(error)
            raise
        self._refusal = ""
        return recovered

    async def _recover(self) -> Recovered:
        if self._database is None:
            open_database = partial(Database, self._folder, station=self._station, sign=self._sign)
            self._database = await self._in_writer(open_database)
        if self._read_connection is None:
            self._read_connection = await self._open_reader(self._database)
        return await self._in_writer(self._database.recover)

    async def commit(self, writes: Sequence[Write]) -> LogHead | None:
        return await self._commit(tuple(writes))

    async def commit_all(self, writes: Sequence[StoreWrite]) -> LogHead | None:
        """As `commit`, with the store's own writes among them."""
        return await self._commit(tuple(writes))

    async def put_cursor(self, queue: str, offset: int) -> None:
        await self._commit((PutCursor(queue, offset),))

    async def probe(self) -> bool:
        return await self._in_writer(self._opened().probe)

    async def notice(self, notice_id: ActId) -> StoredNotice | None:
        return await self._read(lambda connection: queries.notice(connection, notice_id))

    async def acts(self, ids: Sequence[ActId]) -> list[StoredAct]:
        return await self._read(partial(queries.acts, ids=ids))

    async def notices(
        self, direction: Direction, *, open_only: bool = False, limit: int = 100
    ) -> list[StoredNotice]:
        return await self._read(
            partial(queries.notices, direction=direction, open_only=open_only, limit=limit)
        )

    async def publications(
        self,
        after: int,
        *,
        limit: int = 100,
        topic: Topic | None = None,
        untaken_only: bool = False,
        precedence: Precedence | None = None,
    ) -> list[Publication]:
        return await self._read(
            partial(
                queries.publications,
                after=after,
                limit=limit,
                topic=topic,
                untaken_only=untaken_only,
                precedence=precedence,
            )
        )

    async def feed_floor(self) -> int:
        return await self._read(lambda connection: meta.get(connection, meta.FEED_FLOOR) or 0)

    async def outliving(
        self, after: int, *, bounds: outliving.Bounds, strays: bool
    ) -> outliving.Outliving:
        """See `outliving.outliving`."""
        return await self._read(
            partial(outliving.outliving, after=after, bounds=bounds, strays=strays)
        )

    async def orphans(self, after: int) -> tuple[tuple[int, ...], int | None]:
        """See `outliving.orphans`."""
        return await self._read(partial(outliving.orphans, after=after))

    async def oldest_utc(self) -> UtcTime | None:
        """When the first act that knows it was made."""
        return await self._read(outliving.oldest_utc)

    async def give_back(self) -> bool:
        """Give some free pages of the database to the file system; False: there is nothing to give.

        Raises `StoreFailedError`.
        """
        return await self._in_writer(self._opened().give_back)

    async def cursor(self, queue: str) -> int:
        return await self._read(lambda connection: queries.cursor(connection, queue))

    async def log_entries(self, after: int, *, limit: int = 1000) -> list[LogRow]:
        """Ascending numbers greater than `after`. One that changed on the medium is mended first;
        one that cannot be is given out as it is, for readers to see.
        """
        read = partial(_book_part, after=after, limit=limit)
        entries, broken = await self._read(read)
        if broken is not None:
            await self._in_writer(self._opened().mend_book)
            entries, _ = await self._read(read)
        return entries

    async def signed_head(self) -> bytes | None:
        """Flushes the files of the book first: what is not on the medium is not signed for."""
        database = self._opened()
        await self._in_writer(database.sync_segments)
        return await self._in_writer(database.segments.head)

    async def close(self) -> None:
        """Finish waiting commits, copy the WAL back, let go of the folder; within 5 s."""
        if self._sync_timer is not None:
            self._sync_timer.cancel()
            self._sync_timer = None
        self._failure = self._failure or StoreFailedError("the store is closed")
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._idle.wait()
                if self._read_connection is not None:
                    await self._in_reader(self._read_connection.close)
                if self._database is not None:
                    await self._in_writer(self._database.close)
                    self._database = None
        except TimeoutError as error:
            raise StoreFailedError(
                f"the state folder {self._folder} did not close within {CLOSE_TIMEOUT_S:g} s; "
                "what was committed is kept"
            ) from error
        finally:
            self._writer.shutdown(wait=False)
            self._reader.shutdown(wait=False)

    async def _commit(self, writes: tuple[StoreWrite, ...]) -> LogHead | None:
        if self._failure is not None:
            raise StoreFailedError(str(self._failure))
        self._opened()
        if not writes:
            return None
        loop = asyncio.get_running_loop()
        done: asyncio.Future[LogHead | None] = loop.create_future()
        self._waiting.append((writes, done))
        if not self._is_writing:
            self._is_writing = True
            self._idle.clear()
            # A turn of the loop later, so that all who commit in this turn share the flush.
            loop.call_soon(self._write_group)
        return await done

    def _write_group(self) -> None:
        group = self._waiting[:GROUP_COUNT_MAX]
        del self._waiting[:GROUP_COUNT_MAX]
        job = asyncio.get_running_loop().run_in_executor(
            self._writer, self._opened().commit, [writes for writes, _ in group]
        )
        job.add_done_callback(partial(self._group_written, group))

    def _group_written(
        self, group: list[_Waiting], job: asyncio.Future[list[LogHead | None]]
    ) -> None:
        error = job.exception()
        if error is None:
            for (_, done), head in zip(group, job.result(), strict=True):
                if not done.done():
                    done.set_result(head)
            self._tend()
        else:
            self._reject(group, error)
        if self._waiting:
            self._write_group()
        else:
            self._is_writing = False
            self._idle.set()

    def _reject(self, group: list[_Waiting], error: BaseException) -> None:
        """Tell every waiting commit. Only a refusal leaves the store usable."""
        if not isinstance(error, StoreRefusedError):
            self._failure = StoreFailedError(str(error))
            group = [*group, *self._waiting]
            self._waiting.clear()
        for _, done in group:
            if not done.done():
                # One instance each: a raised exception collects its own traceback.
                own = type(error)(*error.args)
                own.__cause__ = error
                done.set_exception(own)

    def _tend(self) -> None:
        """Housekeeping that no commit waits for, in the writer thread before the next group."""
        database = self._opened()
        loop = asyncio.get_running_loop()
        if database.needs_tending:
            loop.run_in_executor(self._writer, database.tend).add_done_callback(self._tended)
        if database.segments.is_dirty and self._sync_timer is None and self._failure is None:
            self._sync_timer = loop.call_later(self._sync_delay_s, self._sync_segments)

    def _sync_segments(self) -> None:
        self._sync_timer = None
        self._sync_delay_s = SEGMENT_SYNC_S
        job = asyncio.get_running_loop().run_in_executor(self._writer, self._opened().sync_segments)
        job.add_done_callback(self._tended)

    def _tended(self, job: asyncio.Future[None]) -> None:
        error = job.exception()
        if error is not None and not isinstance(error, StoreRefusedError):
            # A flush failed: what the kernel still holds is unknown. The next commit says so.
            self._failure = StoreFailedError(str(error))

    def _opened(self) -> Database:
        if self._refusal:
            raise StoreRefusedError(self._refusal)
        if self._database is None:
            raise StoreFailedError("the store is not open; call recover first")
        return self._database

    async def _in_writer(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, function)

    async def _in_reader(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, function)

    async def _open_reader(self, database: Database) -> sqlite3.Connection:
        try:
            return await self._in_reader(partial(connect_reader, database.path))
        except sqlite3.Error as error:
            raise await self._in_writer(partial(database.meaning, error)) from error

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query; damaged rows that it meets are set aside, and the query asked again."""
        database, connection = self._opened(), self._read_connection
        assert connection is not None
        for _ in range(REPAIR_COUNT_MAX):
            try:
                return await self._in_reader(partial(_snapshot, connection, query))
            except RowDamagedError as error:
                await self._in_writer(partial(database.set_aside_key, error.table, error.key))
            except _IndexDamagedError:
                await self._in_writer(database.make_indexes_anew)
        return await self._in_reader(partial(_snapshot, connection, query))


def _book_part(
    connection: sqlite3.Connection, *, after: int, limit: int
) -> tuple[list[LogRow], int | None]:
    """Entries, and the first of them that does not hold."""
    entries = queries.log_entries(connection, after, limit=limit)
    return entries, queries.first_broken(connection, entries, after=after)


def _snapshot(connection: sqlite3.Connection, query: Callable[[sqlite3.Connection], T]) -> T:
    """All statements of a query see the same commit."""
    try:
        connection.execute("BEGIN")
        try:
            return query(connection)
        finally:
            connection.execute("ROLLBACK")
    except sqlite3.DatabaseError as error:
        failure = _IndexDamagedError if is_damage(error) else StoreFailedError
        raise failure(f"the database cannot be read: {error}") from error
