"""Load for tests that kill brokers: notices that come in, requests that programs make, and a count.

A request is repeated until it is accepted, as the contract for programs says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

from gateway.core.effects import ConfirmSubmission, RejectRequest
from gateway.core.events import Principal
from gateway.core.records import Write
from gateway.model import ActId, Epoch, NoticeDraft, Precedence, Previous, Serial, Station
from gateway.queues.base import QueueAdapter, QueueEvent
from gateway.runtime.queue_supervisor import QueueSupervisor
from gateway.store.sqlite import SqliteStore
from tests.integration.desk_double import OWN, MemoryDesk

NOTICE_S = 0.02
"""Between two notices that come in: 50 a second."""
WAITING_COUNT_MAX = 200
"""Untaken notices at which no more come: kills shall meet a queue that works, not a backlog."""
REQUEST_S = 0.2
EPOCH_COUNT = 50_000
"""Serials of an epoch; there are 65 535."""
REPEAT_S = 0.5
COMMIT_COUNT = 500
"""Notices of one commit where many come."""

Submit = Callable[[str], Awaitable[None]]
"""Tries once to submit a request of this name; may fail, and may not know whether it did."""


class LoadedDesk(MemoryDesk):
    """Keeps what comes in the real store, as the daemon does; counts what consumers take, repeats
    apart; knows what came in and what was asked.
    """

    store: SqliteStore  # type: ignore[assignment]  # the same questions, of files

    def __init__(self, store: SqliteStore, station: str) -> None:
        super().__init__()
        self.store = store
        self.station = station
        self._writes: list[Write] = []
        self._taken: set[ActId] = set()
        self.came: list[tuple[str, str]] = []
        self.asked: list[str] = []

    async def submit(
        self, principal: Principal, request_id: str, draft: NoticeDraft
    ) -> ConfirmSubmission | RejectRequest:
        answer = await super().submit(principal, request_id, draft)
        await self._settle()
        return answer

    async def taken(self, principal: Principal, notice_id: ActId) -> None:
        await super().taken(principal, notice_id)
        await self._settle()
        self._taken.add(notice_id)

    @property
    def taken_count(self) -> int:
        return len(self._taken)

    @property
    def waiting_count(self) -> int:
        return len(self.came) - len(self._taken)

    async def come(self, count: int = 1, *, precedence: Precedence = Precedence.ROUTINE) -> None:
        """So many notices of the far station."""
        for number in range(1, count + 1):
            notice = self.arrive(precedence=precedence)
            self.came.append((self.station, str(notice.id)))
            if number % COMMIT_COUNT == 0 or number == count:
                await self._settle()

    def _commit(self, *writes: Write) -> None:
        self._writes += writes

    async def _settle(self) -> None:
        writes, self._writes = self._writes, []
        await self.store.commit(writes)
        self._announce()

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
async def loaded_desk(folder: Path, station: str = "NORTH") -> AsyncIterator[LoadedDesk]:
    """Its store is in a folder of the station's name."""
    store = SqliteStore(folder / station, station=OWN)
    try:
        await store.recover()
        yield LoadedDesk(store, station)
    finally:
        await store.close()


@asynccontextmanager
async def loaded_desks(folder: Path, *stations: str) -> AsyncIterator[list[LoadedDesk]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(loaded_desk(folder, name)) for name in stations]


@asynccontextmanager
async def load(desk: LoadedDesk, submit: Submit) -> AsyncIterator[None]:
    """Notices and requests while this is entered; at the end every request is accepted."""
    is_over = asyncio.Event()

    async def bring() -> None:
        while not is_over.is_set():
            if desk.waiting_count < WAITING_COUNT_MAX:
                await desk.come()
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
