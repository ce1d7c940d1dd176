"""One that stands by takes over only what continues its own store, and any doubt is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.claim import Copy
from gateway.core.records import LogHead, Write
from gateway.errors import DecodeError
from gateway.model import Station
from gateway.spare import base
from gateway.spare.batch import Batch, Parcel
from gateway.spare.cluster import BASES
from gateway.spare.copying_store import Place
from gateway.spare.follower import Follower
from gateway.store.changes import StoreWrite
from gateway.store.database import FILE_NAME
from gateway.store.sqlite import SqliteStore
from tests.integration.memory_cluster import memory_cluster
from tests.integration.store_records import IN, act_id, received

OURS, THEIRS = 7, 8


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(folder, station=Station(1))
    await store.recover()
    try:
        yield store
    finally:
        await store.close()


def writes(number: int) -> tuple[Write, ...]:
    return received(number, number)


def batch(number: int, previous_mark: int, head: LogHead | None = None) -> Batch:
    previous = number - 1
    return Batch(number, previous, previous_mark if previous else 0, writes(number), head)


@pytest.mark.parametrize("mark", [OURS, THEIRS])
async def test_a_commit_follows_one_of_the_same_number_and_mark(tmp_path: Path, mark: int) -> None:
    """Another gateway's commit 1 was before this commit 2: our store does not hold that one."""
    cluster, _ = memory_cluster()
    async with opened(tmp_path) as store:
        follower = Follower(store, Place(), "b")
        place = await cluster.append(Parcel(OURS, (batch(1, 0),)), after=0)
        assert place is not None
        assert await follower.catch_up(cluster) is Copy.WHOLE
        await cluster.append(Parcel(THEIRS, (batch(2, mark),)), after=place)
        copy = await follower.catch_up(cluster)
        assert copy is (Copy.WHOLE if mark == OURS else Copy.OTHER)
        assert (follower.place.number == 2) is (mark == OURS)


@pytest.mark.parametrize("is_same", [True, False])
async def test_after_a_commit_both_log_books_are_the_same(tmp_path: Path, is_same: bool) -> None:
    """The head that the active one told is compared with ours after each FULL commit."""
    cluster, _ = memory_cluster()
    async with opened(tmp_path / "a") as active:
        head = await active.commit(writes(1))
    assert head is not None
    told = head if is_same else replace(head, hash=bytes(len(head.hash)))
    async with opened(tmp_path / "b") as store:
        await cluster.append(Parcel(OURS, (batch(1, 0, told),)), after=0)
        follower = Follower(store, Place(), "b")
        assert await follower.catch_up(cluster) is (Copy.WHOLE if is_same else Copy.OTHER)
        assert ("log book here is another one" in follower.problem) is not is_same
        again = Follower(store, await Place.of(store), "b")
        assert await again.catch_up(cluster) is (Copy.WHOLE if is_same else Copy.OTHER)


class CutError(Exception):
    """The process ends here."""


class ShortStore(SqliteStore):
    """Is cut after its first commit."""

    commit_count = 0

    async def commit_all(self, writes: Sequence[StoreWrite]) -> LogHead | None:
        self.commit_count += 1
        if self.commit_count > 1:
            raise CutError
        return await super().commit_all(writes)


async def test_another_log_book_is_never_whole(tmp_path: Path) -> None:
    """A cut behind the very commit that shows it leaves the store out of step, too."""
    cluster, _ = memory_cluster()
    async with opened(tmp_path / "a") as active:
        head = await active.commit(writes(1))
    assert head is not None
    told = replace(head, hash=bytes(len(head.hash)))
    await cluster.append(Parcel(OURS, (batch(1, 0, told),)), after=0)
    store = ShortStore(tmp_path / "b", station=Station(1))
    await store.recover()
    with suppress(CutError):
        await Follower(store, Place(), "b").catch_up(cluster)
    assert store.commit_count >= 1
    await store.close()
    async with opened(tmp_path / "b") as again:
        assert await again.notice(act_id(1, IN)) is not None
        follower = Follower(again, await Place.of(again), "b")
        assert (follower.place.number, follower.place.mark) == (1, 0)
        assert await follower.catch_up(cluster) is Copy.OTHER


@pytest.mark.parametrize("is_damaged", [True, False])
async def test_a_damaged_base_is_not_written(tmp_path: Path, is_damaged: bool) -> None:
    """One octet of one part changed on its way."""
    cluster, connection = memory_cluster()
    target = tmp_path / "b" / FILE_NAME
    target.parent.mkdir()
    async with opened(tmp_path / "a") as active:
        await active.commit(writes(1))
        asked = await base.ask(cluster)
        assert not await base.receive(cluster, target, after=asked)
        assert await base.send(cluster, tmp_path / "a", after=asked)
    if is_damaged:
        stream, subject, payload = connection.rows[-1]
        assert stream == BASES
        connection.rows[-1] = (stream, subject, payload[:-1] + bytes([payload[-1] ^ 1]))
        with pytest.raises(DecodeError, match="damaged"):
            await base.receive(cluster, target, after=asked)
        assert not target.exists()
        return
    assert await base.receive(cluster, target, after=asked)
    async with opened(target.parent) as copy:
        assert await copy.notice(act_id(1, IN)) is not None
