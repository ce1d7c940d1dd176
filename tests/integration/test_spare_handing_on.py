"""What the active one commits goes to the cluster in order, as long as it holds the claim."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import pytest

from gateway.core.claim import Copy
from gateway.model import Station
from gateway.runtime.keeper import Keeper
from gateway.runtime.understudy import SteppedDownError, leave_when_fenced
from gateway.spare import copying_store
from gateway.spare.cluster import COMMITS, SpareCluster
from gateway.spare.copying_store import CopyingStore, OvertakenError, Place
from gateway.spare.follower import Follower
from gateway.store.sqlite import SqliteStore
from tests.integration.memory_cluster import MemoryConnection, memory_cluster
from tests.integration.store_records import received


class Active:
    """By lease; nothing is handed on until `handing_on`."""

    def __init__(self, folder: Path) -> None:
        self.cluster, self.connection = memory_cluster()
        self.is_holder = True
        self.sqlite = SqliteStore(folder, station=Station(1))
        self.store = CopyingStore(
            self.sqlite,
            place=Place(),
            mark=7,
            next_number=1,
            cluster=lambda: self.cluster,
            name="a",
            may_go_alone=lambda: False,
            is_holder=lambda: self.is_holder,
            told=lambda *_: None,
        )

    @asynccontextmanager
    async def handing_on(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.ensure_future(self.store.run())
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, OvertakenError):
                await task


@asynccontextmanager
async def active_in(folder: Path) -> AsyncIterator[Active]:
    active = Active(folder)
    await active.sqlite.recover()
    try:
        yield active
    finally:
        await active.sqlite.close()


async def numbers_at(cluster: SpareCluster) -> list[int]:
    """Of the commits there."""
    found, place = [], 0
    while (one := await cluster.next(place)) is not None:
        place, parcel = one
        found += [batch.number for batch in parcel.batches]
    return found


@pytest.mark.parametrize("is_holder", [True, False])
async def test_the_first_commit_of_a_stream_needs_the_claim(
    tmp_path: Path, is_holder: bool
) -> None:
    """An empty stream takes it from anybody, so it fences nobody."""
    async with active_in(tmp_path) as active:
        active.is_holder = is_holder
        committing = asyncio.ensure_future(active.store.commit(received(1, 1)))
        async with active.handing_on() as run, asyncio.timeout(30):
            await asyncio.wait({run, committing}, return_when=asyncio.FIRST_COMPLETED)
            assert committing.done() is is_holder, "effects of that commit follow"
            assert run.done() is not is_holder
            if not is_holder:
                with pytest.raises(OvertakenError, match="lease ended"):
                    await run
        committing.cancel()


async def test_a_stream_that_lost_its_end_takes_the_next_commit(tmp_path: Path) -> None:
    """Of what it had acknowledged, nothing is sent or waited for again."""
    async with active_in(tmp_path) as active, active.handing_on(), asyncio.timeout(30):
        for number in (1, 2, 3):
            await active.store.commit(received(number, number))
        del active.connection.rows[-1]
        await active.store.commit(received(4, 4))
        assert await numbers_at(active.cluster) == [1, 2, 4]
        active.connection.purge(COMMITS)
        await active.store.commit(received(5, 5))
        assert await numbers_at(active.cluster) == [5]
        assert active.store.waiting_count == 0


async def test_beyond_the_bound_the_oldest_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster was away for long: who follows sees a hole, and needs the whole store."""
    monkeypatch.setattr(copying_store, "BACKLOG_COUNT_MAX", 3)
    async with active_in(tmp_path / "a") as active, active_in(tmp_path / "b") as other:
        for number in range(1, 6):
            await active.store.put_cursor("queue", number)
        async with active.handing_on(), asyncio.timeout(30):
            await active.store.drained()
        assert await numbers_at(active.cluster) == [3, 4, 5]
        follower = Follower(other.sqlite, Place(), "b")
        assert await follower.catch_up(active.cluster) is Copy.OTHER


class Fenced:
    """The keeper of one that lost its claim, and sees the cluster."""

    cluster = MemoryConnection()

    def may_transmit(self, _number: int) -> bool:
        return False


async def test_who_steps_down_hands_on_what_it_has(tmp_path: Path) -> None:
    """It spares the other one a whole base."""
    async with active_in(tmp_path) as active:
        await active.store.put_cursor("queue", 1)
        async with active.handing_on():
            with pytest.raises(SteppedDownError):
                await leave_when_fenced(cast("Keeper", Fenced()), active.store, 1)
            assert await numbers_at(active.cluster) == [1]
