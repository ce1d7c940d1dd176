"""What was kept long enough goes: a pass a day, in steps between which commits go on.

The store says what is old, the core how far it goes (`core.outliving`), the engine whether each may
go, and its write removes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, NoReturn, TypeVar

from gateway.core.events import Outlived
from gateway.core.outliving import outlived_before
from gateway.errors import StoreRefusedError
from gateway.model import Now, UtcTime
from gateway.store.outliving import Bounds
from gateway.store.sqlite import SqliteStore

T = TypeVar("T")

CURSOR: Final = "retention"
"""The name under which the store keeps the day (a UTC second) up to which notices went."""
FIRST_PASS_S: Final = 600
PASS_S: Final = 86_400
REST_SHARE: Final = 19
"""A step is followed by a rest of this many times what it took, and of `REST_S` at least."""
REST_S: Final = 0.05


class Retention:
    """The housekeeping of one store that an engine uses."""

    def __init__(
        self,
        store: SqliteStore,
        *,
        keep_days: int,
        queue: str | None,
        now: Callable[[], Now],
        put_cursor: Callable[[str, int], Awaitable[None]],
        deliver: Callable[[Outlived], Awaitable[None]],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`queue` is the consumer's, None: there is none. `put_cursor` and `deliver` go the way of
        all commits, so that the other gateway of a station removes the same.
        """
        self._store = store
        self._keep_s = keep_days * 86_400
        self._queue = queue
        self._now = now
        self._put_cursor = put_cursor
        self._deliver = deliver
        self._pause = pause

    async def run(self) -> NoReturn:
        wait_s = FIRST_PASS_S
        while True:
            begun = self._now().instant
            await self._pause(wait_s)
            # On a full disk the next pass finds the same and more.
            with suppress(StoreRefusedError):
                await self.work((self._now().instant - begun) / 1000)
            wait_s = PASS_S

    async def work(self, elapsed_s: float) -> None:
        """One pass, `elapsed_s` after the one before (or the start)."""
        before = await self._before(elapsed_s)
        if before is not None:
            await self._remove_notices(before)
            await self._remove_publications()
        while await self._step(self._store.give_back()):
            pass

    async def _before(self, elapsed_s: float) -> UtcTime | None:
        """What was closed before this goes now; None: the clock is not trusted, or all is new."""
        now = self._now().utc
        oldest = await self._store.oldest_utc()
        if now is None or oldest is None:
            return None
        last = await self._store.cursor(CURSOR)
        before = outlived_before(
            now, oldest=oldest, last=last, keep_s=self._keep_s, elapsed_s=elapsed_s
        )
        if before is not None:
            await self._put_cursor(CURSOR, before)
        return before

    async def _remove_notices(self, before: UtcTime) -> None:
        after: int | None = 0
        strays = True
        while after is not None:
            found = await self._step(
                self._store.outliving(after, bounds=Bounds(before, self._queue), strays=strays)
            )
            strays = strays and not found.keeps_notice
            after = found.after
            if found.dialogues:
                await self._step(self._deliver(Outlived(found.dialogues, ())))

    async def _remove_publications(self) -> None:
        after: int | None = 0
        while after is not None:
            offsets, after = await self._step(self._store.orphans(after))
            if offsets:
                await self._step(self._deliver(Outlived((), offsets)))

    async def _step(self, work: Awaitable[T]) -> T:
        begun = self._now().instant
        result = await work
        spent_s = (self._now().instant - begun) / 1000
        await self._pause(max(REST_S, spent_s * REST_SHARE))
        return result
