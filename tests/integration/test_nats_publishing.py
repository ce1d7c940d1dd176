"""A connection to one of several servers, and what it publishes goes to its stream or nowhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.errors import QueueUnavailableError
from gateway.queues.nats_connection import Access, NatsConnection, ServerRing
from tests.integration.nats_cluster import free_ports, nats_server, needs_nats, program

pytestmark = needs_nats

STREAM = "HOTLINE_NOTICE"
SUBJECT = "hotline.v1.NORTH.notice.test.flash"


@asynccontextmanager
async def connected(*servers: str) -> AsyncIterator[NatsConnection]:
    access = Access(servers, "NORTH", replicas=1)
    connection = NatsConnection(access, ServerRing(access), name="test")
    try:
        await connection.open()
        yield connection
    finally:
        await connection.close()


async def test_servers_that_are_dead_are_passed_by(tmp_path: Path) -> None:
    """Wherever in the list the one that lives is: the connection works, and for long."""
    dead = [f"nats://127.0.0.1:{port}" for port in free_ports(2)]
    async with nats_server(tmp_path) as server:
        for place in range(3):
            servers = [*dead[:place], server.url, *dead[place:]]
            async with connected(*servers) as connection:
                assert connection.server == server.url
                await connection.prepare_stream(STREAM)
                await connection.publish(STREAM, SUBJECT, b"{}", {})


async def test_what_is_published_is_in_no_other_stream(tmp_path: Path) -> None:
    """Somebody gave our subject to another one: it takes nothing of ours, and we say so."""
    async with nats_server(tmp_path) as server, program(server.url) as client:
        manager = client.jetstream()
        await manager.add_stream(name="OTHER", subjects=[SUBJECT])
        async with connected(server.url) as connection:
            with pytest.raises(QueueUnavailableError):
                await connection.publish(STREAM, SUBJECT, b"{}", {})
        assert (await manager.stream_info("OTHER")).state.messages == 0
