"""An MQTT adapter that runs for a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.core.events import Principal, Rights
from gateway.errors import QueueUnavailableError
from gateway.model import Operation, Precedence, Role
from gateway.queues.base import QueueEvent
from gateway.queues.mqtt import MqttAdapter, MqttOptions
from tests.integration.desk_double import MemoryDesk
from tests.integration.mosquitto import DEADLINE_S

ALL_RIGHTS = Rights(frozenset(Operation), Precedence.FLASH, answer=True)


def principal(rights: Rights = ALL_RIGHTS) -> Principal:
    return Principal("mqtt", "broker", Role.AUTOMATIC, rights)


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
async def running(url: str, desk: MemoryDesk, **options: Any) -> AsyncIterator[Adapter]:
    """An adapter that is connected; stopped as the daemon stops it, if it still runs."""
    who = options.pop("principal", principal())
    adapter = MqttAdapter(MqttOptions(url, "NORTH", who, **options), desk, desk.store)
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


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)
