"""A NATS adapter that runs for a test, and a program that listens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from nats.aio.client import Client
from nats.aio.msg import Msg

from gateway.core.events import Principal, Rights
from gateway.model import Operation, Precedence, Role
from gateway.queues.nats import NatsAdapter, NatsOptions
from gateway.queues.nats_connection import Access, ServerRing
from tests.integration.adapter_running import Adapter, connected, until
from tests.integration.desk_double import MemoryDesk

ALL_RIGHTS = Rights(frozenset(Operation), Precedence.FLASH, answer=True)


def options_of(
    *urls: str,
    station: str = "NORTH",
    rights: Rights = ALL_RIGHTS,
    replicas: int = 1,
    **access: Any,
) -> NatsOptions:
    """What the configuration would say."""
    who = Principal("nats", "broker", Role.AUTOMATIC, rights)
    return NatsOptions(Access(urls, station, replicas=replicas, **access), who)


@asynccontextmanager
async def running(
    *urls: str, desk: MemoryDesk, availability_s: float = 30.0, look_s: float = 10.0, **access: Any
) -> AsyncIterator[Adapter]:
    """An adapter that is connected; stopped as the daemon stops it, if it still runs."""
    plain = options_of(*urls, **access)
    options = NatsOptions(plain.access, plain.principal, availability_s, look_s)
    adapter = NatsAdapter(options, ServerRing(options.access), desk, desk.store)
    async with connected(adapter) as running_adapter:
        yield running_adapter


class Listener:
    """`heard` grows as messages come."""

    def __init__(self) -> None:
        self.heard: list[Msg] = []

    async def _hear(self, message: Msg) -> None:
        self.heard.append(message)

    @classmethod
    async def on(cls, client: Client, subject: str) -> Self:
        """What is published from now on."""
        listener = cls()
        await client.subscribe(subject, cb=listener._hear)
        await client.flush()
        return listener

    @classmethod
    async def stored(cls, client: Client, stream: str, subject: str) -> Self:
        """What the stream has, from its beginning."""
        listener = cls()
        await client.jetstream().subscribe(
            subject, stream=stream, cb=listener._hear, ordered_consumer=True
        )
        return listener

    async def until(self, part: str, *, count: int = 1) -> list[Msg]:
        """Wait for `count` messages whose subject contains `part`; give them all."""
        await until(lambda: sum(part in one.subject for one in self.heard) >= count)
        return [one for one in self.heard if part in one.subject]
