"""An MQTT adapter that runs for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.core.events import Principal, Rights
from gateway.model import Operation, Precedence, Role
from gateway.queues.mqtt import MqttAdapter, MqttOptions
from tests.integration.adapter_running import Adapter, connected
from tests.integration.desk_double import MemoryDesk

ALL_RIGHTS = Rights(frozenset(Operation), Precedence.FLASH, answer=True)


def principal(rights: Rights = ALL_RIGHTS) -> Principal:
    return Principal("mqtt", "broker", Role.AUTOMATIC, rights)


@asynccontextmanager
async def running(url: str, desk: MemoryDesk, **options: Any) -> AsyncIterator[Adapter]:
    """An adapter that is connected; stopped as the daemon stops it, if it still runs."""
    who = options.pop("principal", principal())
    adapter = MqttAdapter(MqttOptions(url, "NORTH", who, **options), desk, desk.store)
    async with connected(adapter) as running_adapter:
        yield running_adapter
