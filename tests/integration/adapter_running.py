"""A queue adapter that runs for a test, whatever its broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.errors import QueueUnavailableError
from gateway.queues.base import QueueAdapter, QueueEvent

DEADLINE_S = 60


class Adapter:
    """A running adapter; `end` waits for its outage."""

    def __init__(self, task: asyncio.Task[None], events: list[QueueEvent]) -> None:
        self.task = task
        self.events = events

    async def end(self) -> QueueUnavailableError:
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(QueueUnavailableError) as caught:
                await self.task
        return caught.value


@asynccontextmanager
async def connected(adapter: QueueAdapter) -> AsyncIterator[Adapter]:
    """One that has connected, or failed to; stopped as the daemon stops it, if it still runs."""
    events: list[QueueEvent] = []
    up = asyncio.Event()

    def emit(event: QueueEvent) -> None:
        events.append(event)
        up.set()

    task: asyncio.Task[None] = asyncio.create_task(adapter.run(emit))
    waiting = asyncio.create_task(up.wait())
    try:
        await asyncio.wait([task, waiting], timeout=DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
        yield Adapter(task, events)
    finally:
        waiting.cancel()
        if not task.done():
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)
