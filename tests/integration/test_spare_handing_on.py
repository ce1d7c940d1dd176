"""What the active one commits goes to the cluster in order, as long as it holds the claim."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import pytest

from gateway.core.claim import Copy
from gateway.model import ActId, Station
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
    """By lease, or by hand; nothing is handed on until `handing_on`."""

    def __init__(self, folder: Path, *, by_hand: bool) -> None:
        self.told: list[tuple[str, tuple[ActId, ...]]] = []
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
            may_go_alone=lambda: by_hand,
            is_holder=lambda: self.is_holder,
            told=lambda *told: self.told.append(told),
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
async def active_in(folder: Path, *, by_hand: bool = False) -> AsyncIterator[Active]:
    active = Active(folder, by_hand=by_hand)
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


@pytest.mark.parametrize("by_hand", [True, False])
async def test_by_lease_what_is_accepted_is_at_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_hand: bool
) -> None:
    """However long that takes. By hand it goes on after its patience, and says so."""
    monkeypatch.setattr(copying_store, "PATIENCE_S", 0.05)
    monkeypatch.setattr(copying_store, "AGAIN_S", 0.01)
    async with active_in(tmp_path, by_hand=by_hand) as active, asyncio.timeout(30):
        committing = asyncio.ensure_future(active.store.commit(received(1, 1)))
        await asyncio.wait({committing}, timeout=30 if by_hand else 1)
        assert committing.done() is by_hand, "effects of that commit follow"
        assert bool(active.told) is by_hand
        async with active.handing_on():
            await committing
            await active.store.drained()
        assert await numbers_at(active.cluster) == [1]
        assert active.store.problem == ""


async def test_it_is_whole_again_when_the_last_commit_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand the cluster was away, and takes what waited in several parcels: until the last one
    is there, acts are here alone.
    """
    monkeypatch.setattr(copying_store, "PATIENCE_S", 0.0)
    monkeypatch.setattr(copying_store, "PARCEL_COUNT_MAX", 1)
    async with active_in(tmp_path, by_hand=True) as active, asyncio.timeout(30):
        store, connection = active.store, active.connection
        for number in (1, 2):
            await store.commit(received(number, number))
        seen: list[tuple[bool, int]] = []

        async def look() -> None:
            seen.append((bool(store.problem), store.waiting_count))
            connection.meanwhile["append", COMMITS] = look

        connection.meanwhile["append", COMMITS] = look
        async with active.handing_on():
            await store.drained()
        assert seen == [(True, 2), (True, 1)]
        assert [bool(problem) for problem, _ in active.told] == [True, False]


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
