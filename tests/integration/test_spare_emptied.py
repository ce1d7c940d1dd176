"""The cluster lost the commits of a station: both gateways go on, and neither on a guess."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from gateway.core.claim import Copy
from gateway.core.copying import Begun
from gateway.model import Station
from gateway.queues.nats_connection import Access, NatsConnection, ServerRing
from gateway.queues.streams import stream_config
from gateway.spare.cluster import COMMITS, SpareCluster
from gateway.spare.copying_store import CopyingStore, OvertakenError, Place
from gateway.spare.follower import Follower
from gateway.store.sqlite import SqliteStore
from tests.integration.live_line import until
from tests.integration.nats_cluster import nats_server, needs_nats, program
from tests.integration.store_records import received

pytestmark = needs_nats


class Pair:
    """Gateway a is the active one by lease, b follows."""

    def __init__(self, folder: Path, cluster: SpareCluster, admin: Client) -> None:
        self.cluster = cluster
        self.admin = admin
        self.holds = True
        self.a, self.b = (SqliteStore(folder / name, station=Station(1)) for name in "ab")
        self.active = CopyingStore(
            self.a,
            place=Place(),
            mark=1,
            next_number=1,
            cluster=lambda: cluster,
            name="a",
            may_go_alone=lambda: False,
            is_holder=lambda: self.holds,
            told=lambda *_: None,
        )
        self.follower = Follower(self.b, Place(), "b")

    async def becomes(self, copy: Copy) -> None:
        """Until the follower says so."""

        async def is_so() -> bool:
            return await self.follower.catch_up(self.cluster) is copy

        await until(is_so, deadline_s=20)

    async def copy_at_a_start(self, store: SqliteStore, name: str) -> Copy:
        return await Follower(store, await Place.of(store), name).catch_up(self.cluster)

    async def ask(self, subject: str, document: object = None) -> None:
        payload = b"" if document is None else json.dumps(document).encode()
        answer = await self.admin.request(f"$JS.API.STREAM.{subject}.{COMMITS}", payload)
        assert "error" not in json.loads(answer.data), answer.data


@asynccontextmanager
async def pair_of(folder: Path) -> AsyncIterator[Pair]:
    async with nats_server(folder) as server, program(server.url) as admin:
        access = Access((server.url,), "NORTH", replicas=1)
        connection = NatsConnection(access, ServerRing(access), name="test")
        await connection.open()
        cluster = SpareCluster(connection, "NORTH")
        await cluster.prepare()
        pair = Pair(folder, cluster, admin)
        for store in (pair.a, pair.b):
            await store.recover()
        try:
            yield pair
        finally:
            for store in (pair.a, pair.b):
                await store.close()
            await connection.close()


@asynccontextmanager
async def serving(pair: Pair) -> AsyncIterator[list[asyncio.Task[Any]]]:
    tasks = [asyncio.create_task(it) for it in (pair.active.run(), pair.active.tend())]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError, OvertakenError):
                await task


async def test_the_active_one_adds_a_commit_and_the_other_goes_on(tmp_path: Path) -> None:
    """Purged; made anew, so that it counts from 1 again; purged of what the other had not read yet.

    An empty stream proves nothing: not even who was in step a moment ago takes it for whole.
    """
    async with pair_of(tmp_path) as pair:
        async with serving(pair):
            for number in range(1, 6):
                await pair.active.commit(received(number, number))
            await pair.becomes(Copy.WHOLE)
            await pair.ask("PURGE")
            assert await pair.follower.catch_up(pair.cluster) is Copy.EMPTIED
            await pair.becomes(Copy.WHOLE)
            assert pair.follower.place.number == 6
            await pair.ask("DELETE")
            await pair.ask("CREATE", stream_config(COMMITS, 1))

            async def has_commit() -> bool:
                return await pair.cluster.last() is not None

            await until(has_commit, deadline_s=20)  # the follower has not looked meanwhile
            await pair.becomes(Copy.WHOLE)
            await pair.active.commit(received(6, 6))
            assert await pair.follower.catch_up(pair.cluster) is Copy.WHOLE
            assert pair.follower.place.number == 8
        await pair.ask("PURGE")
        assert await pair.copy_at_a_start(pair.a, "a") is Copy.WHOLE
        assert await pair.copy_at_a_start(pair.b, "b") is Copy.EMPTIED
        async with serving(pair):
            await pair.active.commit(received(7, 7))
            await pair.ask("PURGE")
            await pair.becomes(Copy.OTHER)
            assert pair.follower.problem == "commit 10 follows 9, and this store has 8"


async def test_an_emptied_stream_lets_no_fenced_gateway_accept(tmp_path: Path) -> None:
    """Its lease is over, and nothing is there that would refuse its commit."""
    async with pair_of(tmp_path) as pair, serving(pair) as (run, _):
        await pair.active.commit(received(1, 1))
        pair.holds = False
        await pair.ask("PURGE")
        late = asyncio.ensure_future(pair.active.commit(received(2, 2)))
        with pytest.raises(OvertakenError, match="lease ended"):
            async with asyncio.timeout(20):
                await run
        assert not late.done(), "effects of that commit would follow"
        assert await pair.cluster.last() is None
        late.cancel()


async def test_who_reads_that_another_began_ends(tmp_path: Path) -> None:
    """Though the stream does not say so any more."""
    async with pair_of(tmp_path) as pair, serving(pair) as (_, tend):
        await pair.active.commit(received(1, 1))

        async def is_said() -> bool:
            begun, _ = await pair.cluster.begun()
            return begun is not None and begun.name == "a"

        await until(is_said, deadline_s=20)
        _, revision = await pair.cluster.begun()
        assert await pair.cluster.put_begun(Begun("b", 9, 2), revision)
        assert not await pair.cluster.put_begun(Begun("c", 9, 3), revision)
        with pytest.raises(OvertakenError, match="gateway b has begun"):
            async with asyncio.timeout(20):
                await tend
