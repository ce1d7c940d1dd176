"""Load for tests that kill brokers: notices that come in, requests that programs make, and a count.

A request is repeated until it is accepted, as the contract for programs says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

from gateway.core.events import Principal
from gateway.model import ActId, Epoch, Previous, Serial, Station
from gateway.queues.base import QueueAdapter, QueueEvent
from gateway.runtime.queue_supervisor import QueueSupervisor
from tests.integration.desk_double import MemoryDesk

NOTICE_S = 0.02
"""Between two notices that come in: 50 a second."""
WAITING_COUNT_MAX = 200
"""Untaken notices at which no more come: kills shall meet a queue that works, not a backlog."""
REQUEST_S = 0.2
EPOCH_COUNT = 50_000
"""Serials of an epoch; there are 65 535."""
REPEAT_S = 0.5

Submit = Callable[[str], Awaitable[None]]
"""Tries once to submit a request of this name; may fail, and may not know whether it did."""


class LoadedDesk(MemoryDesk):
    """Counts what consumers take, repeats apart; keeps what came in and what was asked."""

    def __init__(self, station: str = "NORTH") -> None:
        super().__init__()
        self.station = station
        self._taken: set[ActId] = set()
        self.came: list[tuple[str, str]] = []
        self.asked: list[str] = []

    async def taken(self, principal: Principal, notice_id: ActId) -> None:
        await super().taken(principal, notice_id)
        self._taken.add(notice_id)

    @property
    def taken_count(self) -> int:
        return len(self._taken)

    @property
    def waiting_count(self) -> int:
        return len(self.came) - len(self._taken)

    def come(self, text: str = "hello") -> None:
        """One notice of the far station."""
        self.came.append((self.station, str(self.arrive(text).id)))

    def _next_id(self, station: Station) -> ActId:
        """A new epoch before the serials of one end, as the far station begins."""
        one = super()._next_id(station)
        epochs, serial = divmod(one.serial - 1, EPOCH_COUNT)
        return ActId(station, Epoch(one.epoch + epochs), Serial(serial + 1))

    def _previous(self, station: Station) -> Previous | None:
        return Previous(0, 0) if self._serials[station] % EPOCH_COUNT == 1 else None

    def accepted_ids(self) -> list[str]:
        return [request_id for _, request_id, _ in self.accepted]

    async def until_more(self, count: int, *, deadline_s: float = 60) -> None:
        """So many more notices were taken: everything works again."""
        goal = self.taken_count + count
        async with asyncio.timeout(deadline_s):
            while self.taken_count < goal:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def load(desk: LoadedDesk, submit: Submit) -> AsyncIterator[None]:
    """Notices and requests while this is entered; at the end every request is accepted."""
    is_over = asyncio.Event()

    async def bring() -> None:
        while not is_over.is_set():
            if desk.waiting_count < WAITING_COUNT_MAX:
                desk.come()
            await asyncio.sleep(NOTICE_S)

    async def ask() -> None:
        while not is_over.is_set():
            request_id = f"r-{len(desk.asked)}"
            desk.asked.append(request_id)
            while request_id not in desk.accepted_ids():
                await submit(request_id)
                with suppress(TimeoutError):
                    async with asyncio.timeout(REPEAT_S):
                        while request_id not in desk.accepted_ids():
                            await asyncio.sleep(0.02)
            await asyncio.sleep(REQUEST_S)

    async with asyncio.TaskGroup() as group:
        group.create_task(bring())
        asking = group.create_task(ask())
        try:
            yield
        finally:
            is_over.set()
        async with asyncio.timeout(60):
            await asyncio.wait([asking])


@asynccontextmanager
async def supervised(
    queue: str, make_adapter: Callable[[], QueueAdapter]
) -> AsyncIterator[list[QueueEvent]]:
    """Adapters as the daemon runs them: a fresh one after each outage."""
    events: list[QueueEvent] = []
    supervisor = QueueSupervisor(queue, make_adapter, events.append, rng=Random(1))
    task: asyncio.Task[Any] = asyncio.create_task(supervisor.run())
    try:
        yield events
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
