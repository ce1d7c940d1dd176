"""Keeps a queue served: runs a fresh adapter for ever, with a capped backoff between two.

A broker that takes connections and nothing else would come and go for ever. So after a connection
that broke soon the queue counts as up only when the next one has handed something on, or has held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final, NoReturn

from gateway.core.events import QueueDown, QueueUp
from gateway.errors import QueueUnavailableError
from gateway.queues.base import EmitQueue, QueueAdapter, QueueEvent
from gateway.runtime.apart import apart

BACKOFF_FIRST_S: Final = 0.25
BACKOFF_MAX_S: Final = 30.0
HELD_S: Final = 75.0
"""Longer than the wait for a PUBACK, and than the backoff of another gateway that has our name."""
REASON_COUNT_MAX: Final = 8
"""So many reasons of one outage are told within `RETELL_S`, each of them once."""
RETELL_S: Final = 600.0


class QueueSupervisor:
    """Serves one queue; tells the engine when it goes and comes."""

    def __init__(
        self, queue: str, make_adapter: Callable[[], QueueAdapter], emit: EmitQueue, *, rng: Random
    ) -> None:
        self._queue = queue
        self._make_adapter = make_adapter
        self._emit_outside = emit
        self._rng = rng
        self._delay_s = BACKOFF_FIRST_S
        self._problem: str | None = ""
        """Why it is down, as last told; None while it is told to be up."""
        self._told_s: dict[str, float] = {}
        """When each reason of this outage was told."""
        self._holding: asyncio.TimerHandle | None = None
        """Until the connection has held; None: there is none."""
        self._is_doubtful = False
        """The last connection has not held, or not yet."""

    async def run(self) -> NoReturn:
        """Run adapters until cancelled. Whatever is not an outage is a bug and is raised."""
        while True:
            try:
                await apart(self._make_adapter().run(self._emit))
            except QueueUnavailableError as error:
                self._tell_down(error)
            else:
                raise AssertionError(f"the adapter of queue {self._queue} ended without an error")
            finally:
                if self._holding is not None:
                    self._holding.cancel()
                    self._holding = None
            await asyncio.sleep(self._delay_s * self._rng.uniform(0.75, 1.25))
            self._delay_s = min(2 * self._delay_s, BACKOFF_MAX_S)

    def _emit(self, event: QueueEvent) -> None:
        if not isinstance(event, QueueUp):
            return
        if self._holding is None:
            self._holding = asyncio.get_running_loop().call_later(HELD_S, self._held)
            if self._is_doubtful:
                return
            self._is_doubtful = True
        self._tell_up()

    def _held(self) -> None:
        self._is_doubtful = False
        self._tell_up()

    def _tell_up(self) -> None:
        if self._problem is None:
            return
        self._problem = None
        self._told_s.clear()
        self._delay_s = BACKOFF_FIRST_S
        self._emit_outside(QueueUp(self._queue))

    def _tell_down(self, error: QueueUnavailableError) -> None:
        """Once for each reason: they may take turns, as the servers of a cluster do."""
        now_s = asyncio.get_running_loop().time()
        told_s = {it: at_s for it, at_s in self._told_s.items() if now_s - at_s < RETELL_S}
        self._told_s = told_s
        problem = error.problem
        if problem in (self._problem, *told_s) or len(told_s) >= REASON_COUNT_MAX:
            return
        told_s[problem] = now_s
        self._problem = problem
        self._emit_outside(QueueDown(self._queue, str(error)))
