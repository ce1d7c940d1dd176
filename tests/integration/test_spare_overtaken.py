"""Two stores that both believe to be the active gateway's: the cluster tells one that it is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.model import ActId, Station
from gateway.queues.nats_connection import Access, NatsConnection, ServerRing
from gateway.spare.cluster import SpareCluster
from gateway.spare.copying_store import CopyingStore, OvertakenError, Place
from gateway.store.sqlite import SqliteStore
from tests.integration.live_line import until
from tests.integration.nats_cluster import nats_server, needs_nats
from tests.integration.store_records import received

pytestmark = needs_nats


class Active:
    """One store that hands on its commits, as number `mark` of those that were active."""

    def __init__(self, folder: Path, cluster: SpareCluster, mark: int, *, by_hand: bool) -> None:
        self.is_holder = True
        self.sqlite = SqliteStore(folder, station=Station(1))
        self.told: list[tuple[str, tuple[ActId, ...]]] = []
        self.store = CopyingStore(
            self.sqlite,
            place=Place(),
            mark=mark,
            next_number=1,
            cluster=lambda: cluster,
            name=folder.name,
            may_go_alone=lambda: by_hand,
            is_holder=lambda: self.is_holder,
            told=lambda *told: self.told.append(told),
        )


@asynccontextmanager
async def two_actives(folder: Path, *, by_hand: bool) -> AsyncIterator[tuple[Active, Active, Any]]:
    async with nats_server(folder) as server:
        access = Access((server.url,), "NORTH", replicas=1)
        connection = NatsConnection(access, ServerRing(access), name="test")
        await connection.open()
        cluster = SpareCluster(connection, "NORTH")
        await cluster.prepare()
        both = [
            Active(folder / name, cluster, mark, by_hand=by_hand)
            for mark, name in enumerate(("one", "other"), start=1)
        ]
        for active in both:
            await active.sqlite.recover()
        try:
            yield both[0], both[1], cluster
        finally:
            for active in both:
                await active.sqlite.close()
            await connection.close()


async def test_by_lease_who_was_overtaken_ends(tmp_path: Path) -> None:
    """The first has appended, then the other; what the first commits after it is confirmed to
    nobody, and its time of being active is over.
    """
    async with two_actives(tmp_path, by_hand=False) as (one, other, cluster):
        first = asyncio.ensure_future(one.store.run())
        await one.store.commit(received(1, 1))
        place = one.store.place.place
        assert place > 0
        other.store.place.place = place  # it followed up to here
        second = asyncio.ensure_future(other.store.run())
        await other.store.commit(received(2, 2))
        assert not first.done()
        late = asyncio.ensure_future(one.store.commit(received(3, 3)))
        with pytest.raises(OvertakenError, match="the other gateway"):
            async with asyncio.timeout(30):
                await first
        assert not late.done(), "effects of that commit would follow"
        assert one.store.waiting_count == 1
        assert not second.done()
        _, newest = await cluster.last()
        assert newest.mark == 2
        for task in (late, second):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_by_hand_it_goes_on(tmp_path: Path) -> None:
    """A person's word is above what another appended: who follows it needs a base then."""
    async with two_actives(tmp_path, by_hand=True) as (one, other, cluster):
        tasks = [asyncio.ensure_future(it.store.run()) for it in (one, other)]
        await other.store.commit(received(1, 1))
        await one.store.commit(received(2, 2))

        async def is_there() -> bool:
            _, newest = await cluster.last()
            return bool(newest.mark == 1)

        await until(is_there)
        assert not any(task.done() for task in tasks)
        assert one.store.waiting_count == other.store.waiting_count == 0
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
