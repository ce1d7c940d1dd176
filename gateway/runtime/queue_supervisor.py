"""Keeps a queue served: runs a fresh adapter for ever, with a capped backoff between two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Final, NoReturn

from gateway.core.events import QueueDown, QueueUp
from gateway.errors import QueueUnavailableError
from gateway.queues.base import EmitQueue, QueueAdapter, QueueEvent

BACKOFF_FIRST_S: Final = 0.25
BACKOFF_MAX_S: Final = 30.0


class QueueSupervisor:
    """Serves one queue; tells the engine when it goes and comes."""

    def __init__(
        self, queue: str, make_adapter: Callable[[], QueueAdapter], emit: EmitQueue, *, rng: Random
    ) -> None:
        self._queue = queue
        self._make_adapter = make_adapter
        self._emit_outside = emit
        self._rng = rng
        self._reason: str | None = ""
        """Why it is down, as last told; None while it is up."""

    async def run(self) -> NoReturn:
        """Run adapters until cancelled. Whatever is not an outage is a bug and is raised."""
        delay_s = BACKOFF_FIRST_S
        while True:
            try:
                await _apart(self._make_adapter().run(self._emit))
            except QueueUnavailableError as error:
                if self._reason is None:
                    delay_s = BACKOFF_FIRST_S
                if self._reason != str(error):
                    self._emit_outside(QueueDown(self._queue, str(error)))
                self._reason = str(error)
            else:
                raise AssertionError(f"the adapter of queue {self._queue} ended without an error")
            await asyncio.sleep(delay_s * self._rng.uniform(0.75, 1.25))
            delay_s = min(2 * delay_s, BACKOFF_MAX_S)

    def _emit(self, event: QueueEvent) -> None:
        if isinstance(event, QueueUp):
            self._reason = None
            self._emit_outside(event)


async def _apart(serving: Coroutine[Any, Any, None]) -> None:
    """Run the adapter in a task of its own, so that a stop is ours alone.

    Before Python 3.13 the adapter's task group would drop a stop that meets an outage.
    """
    task = asyncio.ensure_future(serving)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # it is ended, and so is what it had to say
        raise
    await task
