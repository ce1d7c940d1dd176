"""From standing by to being the active one: what is taken over first, and what people are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.cli.spare_text import spare_text
from gateway.core.claim import Claim, Copy, Hold, Put
from gateway.core.copying import Rebasing
from gateway.core.effects import Alarm, AlarmCode
from gateway.core.takeover import ALONE_MS
from gateway.core.tenure import LEASE_MS
from gateway.model import Instant, Station
from gateway.runtime.keeper import Keeper
from gateway.runtime.spare_control import SpareControl
from gateway.runtime.understudy import OTHER_WRITES, PromotedError, Turn, Understudy
from gateway.spare.batch import Batch, Parcel
from gateway.spare.cluster import CLAIMS, COMMITS
from gateway.spare.copying_store import Place
from gateway.spare.follower import Follower
from gateway.spare.twin import Twin
from gateway.store.sqlite import SqliteStore
from tests.integration.live_line import until
from tests.integration.memory_cluster import memory_cluster
from tests.integration.store_records import IN, act_id, received

THEIRS = 7


class Bench:
    """Gateway b without its daemon, on a clock that a test moves; a writes to the cluster."""

    def __init__(self, folder: Path) -> None:
        self.ms = 0
        self.shown: list[Alarm | None] = []
        self.keeper = Keeper(
            name="b",
            by_lease=False,
            lease_s=LEASE_MS // 1000,
            folder=folder,
            access=None,
            twin=Twin("b", "1.0", "00", {}, "hand", 15),
            instant=lambda: Instant(self.ms),
            observe=lambda *_, **__: None,
        )
        self.cluster, self.connection = memory_cluster()
        self.store = SqliteStore(folder, station=Station(1))
        self.understudy = Understudy(
            self.keeper,
            self.store,
            folder,
            lambda *_, **__: None,
            Rebasing(),
            is_refused=False,
        )

    async def other_writes(self, number: int) -> None:
        last = await self.cluster.last()
        mark = THEIRS if number > 1 else 0
        parcel = Parcel(THEIRS, (Batch(number, number - 1, mark, received(number, number)),))
        place = await self.cluster.append(parcel, after=0 if last is None else last[0])
        assert place is not None

    async def promoted(self) -> Turn:
        async with asyncio.timeout(30):
            try:
                await self.understudy.run(self.shown.append)
            except PromotedError as error:
                return error.turn

    async def is_told(self, words: str) -> None:
        """As an alarm, and where people ask which of the two this is."""

        async def is_shown() -> bool:
            alarm = self.shown[-1] if self.shown else None
            return alarm is not None and words in alarm.text

        await until(is_shown)
        alarm = self.shown[-1]
        assert alarm is not None
        assert alarm.code is AlarmCode.NOT_ACTIVE
        control = SpareControl(self.keeper, serves=False, problem=lambda: self.understudy.problem)
        text = spare_text(control.document())
        assert text.startswith("GATEWAY b is taking over, and not active yet: ")
        assert words in text


@asynccontextmanager
async def bench_in(folder: Path) -> AsyncIterator[Bench]:
    folder.mkdir(exist_ok=True)
    bench = Bench(folder)
    await bench.store.recover()
    keeping = asyncio.ensure_future(bench.keeper.run())
    try:
        yield bench
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        await bench.store.close()


@pytest.mark.parametrize("before", [("stored", CLAIMS), ("append", COMMITS)])
async def test_what_came_meanwhile_is_taken_over_first(
    tmp_path: Path, before: tuple[str, str]
) -> None:
    """The other one's commit arrives between the last look and our own."""
    async with bench_in(tmp_path) as bench:
        await bench.other_writes(1)
        assert await bench.keeper.promote(other_is_off=True) is None
        bench.keeper.cluster = bench.cluster
        bench.connection.meanwhile[before] = lambda: bench.other_writes(2)
        turn = await bench.promoted()
        assert (turn.place.number, turn.next_number, turn.is_behind) == (3, 4, False)
        assert await bench.store.notice(act_id(2, IN)) is not None
        last = await bench.cluster.last()
        assert last is not None
        place, parcel = last
        assert parcel == Parcel(turn.mark, (Batch(3, 2, THEIRS, ()),))
        assert place == turn.place.place
        assert next(it.text for it in bench.shown if it is not None).endswith(OTHER_WRITES)


async def test_numbers_rise_whoever_writes(tmp_path: Path) -> None:
    """Out of step, b goes on beyond what it lacks: a, which wrote that, sees at once that its own
    store is another one.
    """
    async with bench_in(tmp_path / "b") as bench, bench_in(tmp_path / "a") as other:
        follower = Follower(other.store, Place(), "a")
        for number in (1, 2, 3):
            await bench.other_writes(number)
        assert await follower.catch_up(bench.cluster) is Copy.WHOLE
        bench.connection.rows[0] = ("", "", b"")  # pushed out before b read it
        assert await bench.keeper.promote(other_is_off=True) is None
        bench.keeper.cluster = bench.cluster
        turn = await bench.promoted()
        assert turn.is_behind
        assert await follower.catch_up(bench.cluster) is Copy.OTHER
        assert follower.problem == "commit 4 follows 0, and this store has 3"


async def test_promoted_without_the_cluster_it_says_so_and_goes_on(tmp_path: Path) -> None:
    """After five seconds of its clock."""
    async with bench_in(tmp_path) as bench:
        assert await bench.keeper.promote(other_is_off=True) is None
        promoted = asyncio.ensure_future(bench.promoted())
        await bench.is_told("no cluster: this station has no [nats]")
        bench.ms += ALONE_MS - 1
        seen = len(bench.shown)
        await until(lambda: _are(len(bench.shown) > seen + 1))
        assert not promoted.done()
        bench.ms += 1
        assert (await promoted).is_behind


async def test_until_the_lease_of_the_other_is_over_it_says_so(tmp_path: Path) -> None:
    """Promoted while a, by lease, may transmit: nothing before that lease must be over."""
    async with bench_in(tmp_path) as bench:
        keeper, tenure = bench.keeper, bench.keeper.tenure
        keeper.cluster = bench.cluster
        revision = await bench.cluster.put_claim(Claim(1, "a", "0a", Hold.LEASE, LEASE_MS), 0)
        assert revision is not None
        assert await keeper.promote(other_is_off=False) is None
        order = tenure.order(keeper.now())
        assert isinstance(order, Put)
        tenure.put(order, revision + 1, asked_at=keeper.now(), now=keeper.now())
        promoted = asyncio.ensure_future(bench.promoted())
        await bench.is_told("the lease of the other gateway may be good still")
        bench.ms += LEASE_MS + LEASE_MS // 4 - 1
        seen = len(bench.shown)
        await until(lambda: _are(len(bench.shown) > seen + 1))
        assert not promoted.done()
        bench.ms += 1
        assert not (await promoted).is_behind


async def _are(value: bool) -> bool:
    return value
