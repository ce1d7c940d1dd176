"""What was kept long enough goes, and only that: acts, history, feed; replay and cursors hold."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import pytest

from gateway.core.events import Outlived
from gateway.core.records import (
    AddPublication,
    AddStateEntry,
    DropOutlived,
    Publication,
    PutAct,
    PutDelivery,
    PutEpoch,
    PutReceipted,
    Recovered,
    StateEntry,
    Topic,
    Write,
)
from gateway.errors import StoreFailedError
from gateway.logbook.entry import decode_entry, retired_acts
from gateway.model import (
    ActId,
    DeliveryState,
    Instant,
    Now,
    Operation,
    Precedence,
    TimeQuality,
    UtcTime,
)
from gateway.packing import pack_id
from gateway.runtime.retention import CURSOR, Retention
from gateway.store import outliving, soundness
from gateway.store.base import Store
from gateway.store.database import FILE_NAME, FREE_COUNT_KEPT, GIVE_BACK_COUNT, Database
from gateway.store.folder import StoreLockedError
from gateway.store.memory import MemoryStore
from gateway.store.outliving import Bounds
from gateway.store.sqlite import SqliteStore
from gateway.store.vacuum import Vacuumed, vacuum
from tests.integration.store_records import (
    IN,
    OUT,
    OWN,
    PEER,
    act,
    act_id,
    delivery,
    line_entry,
    publication,
    received,
    retired,
    seen,
    sent,
    station_entry,
)

IN_MEMORY = Path("/dev/shm")
DAY = 86_400
MADE = 1_790_000_000
"""UTC of the acts of `store_records`, about."""
ALL = Bounds(UtcTime(MADE + 1000 * DAY), None)


def closed(serial: int, direction: object = OUT) -> list[Write]:
    """A notice of either way that is over, its own act receipted."""
    if direction is OUT:
        over = delivery(serial, state=DeliveryState.ROGER, is_open=False)
        return [PutReceipted(act_id(serial)), PutDelivery(over)]
    return [PutDelivery(delivery(serial, IN, state=DeliveryState.ROGER, is_open=False))]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = SqliteStore(tmp_path, station=OWN)
    await made.recover()
    await made.commit([PutEpoch(PEER, 0x3F2A)])
    yield made
    await made.close()


async def found(store: SqliteStore, bounds: Bounds = ALL) -> list[ActId]:
    """All that may go, of all windows."""
    acts: list[ActId] = []
    after: int | None = 0
    strays = True
    while after is not None:
        window = await store.outliving(after, bounds=bounds, strays=strays)
        acts += [act_id for dialogue in window.dialogues for act_id in dialogue]
        strays = strays and not window.keeps_notice
        after = window.after
    return acts


async def test_only_what_is_over_and_old_goes(store: SqliteStore) -> None:
    """Open, unreceipted, young, or with an answer on its way: it stays, whatever its age."""
    await store.commit([*sent(1, 1), *closed(1)])
    await store.commit(sent(2, 2))  # open
    await store.commit([*sent(3, 3), PutDelivery(delivery(3, is_open=False))])  # no receipt
    await store.commit([*received(4, 4), *closed(4, IN)])
    answered = delivery(5, IN, state=DeliveryState.WILCO, is_open=False, answers=(act_id(6),))
    await store.commit([*received(5, 5), PutAct(act(6)), PutDelivery(answered)])
    assert await found(store) == [act_id(1), act_id(4, IN)]
    await store.commit([PutReceipted(act_id(6))])
    assert await found(store) == [act_id(1), act_id(4, IN), act_id(5, IN), act_id(6)]
    young = Bounds(UtcTime(MADE + 4), None)
    assert await found(store, young) == [act_id(1)]


async def test_what_a_consumer_lacks_stays(store: SqliteStore) -> None:
    """With a broker: notices that nobody took, and whatever was not handed on yet."""
    await store.commit([*received(1, 1), *closed(1, IN)])
    over = delivery(2, IN, state=DeliveryState.ROGER, is_open=False, taken=True)
    await store.commit([*received(2, 2), PutDelivery(over)])
    bounds = Bounds(ALL.before, "mqtt")
    assert await found(store, bounds) == []
    await store.put_cursor("mqtt", 2)
    assert await found(store, bounds) == [act_id(2, IN)]


async def test_acts_that_belong_to_no_notice_go_when_all_before_them_went(
    store: SqliteStore,
) -> None:
    """One behind a notice that stays may be an answer to it."""
    await store.commit([PutAct(act(1)), PutReceipted(act_id(1))])
    await store.commit(sent(2, 1))
    await store.commit([PutAct(act(3)), PutReceipted(act_id(3))])
    assert await found(store) == [act_id(1)]
    await store.commit(closed(2))
    assert await found(store) == [act_id(1), act_id(2), act_id(3)]


async def test_a_bit_that_changed_opens_nothing_for_removal(
    store: SqliteStore, tmp_path: Path
) -> None:
    """An open notice whose row says closed is set aside and restored, not removed."""
    await store.commit(sent(1, 1))
    await store.commit([PutReceipted(act_id(1))])
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        connection.execute("UPDATE act SET delivery_open = 0")
    assert await found(store) == []
    assert any("delivery" in note for note in store.notes)


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
async def test_what_is_removed_leaves_its_traces(kind: str, tmp_path: Path) -> None:
    """Same of both stores: seen ids, used serials, offsets and the log book are kept."""
    store: Store = MemoryStore() if kind == "memory" else SqliteStore(tmp_path, station=OWN)
    await store.recover()
    await store.commit([PutEpoch(PEER, 0x3F2A)])
    await store.commit([*sent(1, 1), *closed(1)])
    await store.commit([*received(1, 2), *closed(1, IN)])
    await store.commit([*sent(2, 3), *closed(2)])
    before = await store.log_entries(0)
    gone = (act_id(1), act_id(1, IN), act_id(2))
    await store.commit([DropOutlived(gone), retired(gone)])
    await store.commit([DropOutlived((), (1, 2, 3))])
    assert [await store.notice(act_id) for act_id in gone] == [None, None, None]
    assert await store.publications(0) == []
    assert await store.feed_floor() == 3
    recovered = await store.recover()
    assert (recovered.acts, recovered.deliveries) == ((), ())
    assert recovered.seen == (seen_pair(1),)
    assert recovered.epochs == ((PEER, 0x3F2A, 2),)
    assert recovered.next_offset == 4
    entries = await store.log_entries(0)
    assert entries[: len(before)] == before
    assert retired_acts(decode_entry(entries[-1].octets)) == gone
    await store.close()


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
async def test_the_feeds_floor_never_sinks(kind: str, tmp_path: Path) -> None:
    """A late removal further down takes no hole back that a reader was told of."""
    store: Store = MemoryStore() if kind == "memory" else SqliteStore(tmp_path, station=OWN)
    await store.recover()
    for number in (1, 2, 3):
        await store.commit([*sent(number, number), *closed(number)])
    await store.commit([DropOutlived((), (3,))])
    await store.commit([DropOutlived((), (1,))])
    assert await store.feed_floor() == 3
    await store.close()


async def test_a_history_goes_with_its_notice(tmp_path: Path) -> None:
    """Nobody would ever find its rows again, and they are most of a database; others' stay."""
    store = SqliteStore(tmp_path, station=OWN)
    await store.recover()
    for number in (1, 2, 3):
        await store.commit([*sent(number, number), *closed(number)])
    before = histories(tmp_path)
    assert set(before) == {pack_id(act_id(number)) for number in (1, 2, 3)}
    await store.commit([DropOutlived((act_id(1), act_id(3)))])
    assert histories(tmp_path) == {pack_id(act_id(2)): before[pack_id(act_id(2))]}
    await store.close()


def histories(folder: Path) -> dict[int, int]:
    """How many rows each notice has."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        rows = connection.execute("SELECT notice_id, count(*) FROM state_entry GROUP BY 1")
        return dict(rows.fetchall())


def seen_pair(serial: int) -> tuple[ActId, bytes]:
    write = seen(act(serial, IN))
    return write.id, write.sha256


async def test_nothing_open_is_removed_whatever_is_asked(store: SqliteStore) -> None:
    """The write proves it again: a notice that opened, or lost its receipt, stays."""
    await store.commit(sent(1, 1))
    await store.commit([*sent(2, 2), PutDelivery(delivery(2, is_open=False))])
    await store.commit([DropOutlived((act_id(1), act_id(2)))])
    assert await store.notice(act_id(1)) is not None
    assert await store.notice(act_id(2)) is not None


async def test_what_was_removed_does_not_come_back(tmp_path: Path) -> None:
    """A database made anew, and a damaged row: the log book knows what was kept long enough, and
    what is left of it is enough to refuse a recording.
    """
    store = SqliteStore(tmp_path, station=OWN)
    await store.recover()
    await store.commit([PutEpoch(PEER, 0x3F2A)])
    await store.commit([*sent(1, 1), *closed(1), *received(1, 2), *closed(1, IN)])
    await store.commit([*sent(2, 3), *closed(2), *received(2, 4)])
    gone = (act_id(1), act_id(1, IN), act_id(2))
    await store.commit([DropOutlived(gone), retired(gone)])
    await store.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        connection.execute("UPDATE seen SET sha256 = zeroblob(32) WHERE number = 1")
        connection.execute("UPDATE epoch SET highest = 9")
    assert_traces(await restarted(tmp_path))
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 1000)
    assert_traces(await restarted(tmp_path))


async def restarted(folder: Path) -> Recovered:
    store = SqliteStore(folder, station=OWN)
    recovered = await store.recover()
    await store.close()
    return recovered


def assert_traces(recovered: Recovered) -> None:
    assert recovered.was_rebuilt
    assert [made.id for made in recovered.acts] == [act_id(2, IN)]
    assert set(recovered.seen) == {seen_pair(1), seen_pair(2)}
    assert recovered.epochs == ((PEER, 0x3F2A, 2),)


class House:
    """A store, its retention, and a clock that a test moves."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.utc: int | None = MADE
        self.instant_ms = 0
        self.rests: list[float] = []
        self.retention = Retention(
            store,
            keep_days=50,
            queue=None,
            now=self.now,
            put_cursor=store.put_cursor,
            deliver=self.deliver,
            pause=self.pause,
        )

    def now(self) -> Now:
        utc = None if self.utc is None else UtcTime(self.utc)
        return Now(Instant(self.instant_ms), utc, TimeQuality.SYNCHRONISED)

    async def pause(self, wait_s: float) -> None:
        self.rests.append(wait_s)

    async def deliver(self, event: Outlived) -> None:
        """As the engine does, that has none of them open."""
        acts = tuple(act_id for dialogue in event.dialogues for act_id in dialogue)
        assert len(event.dialogues) <= outliving.WINDOW_COUNT
        await self.store.commit([DropOutlived(acts, event.offsets), retired(acts)])

    def wait(self, days: float) -> Awaitable[None]:
        """Pass a day at a time, the clock being right or not trusted."""

        async def passing() -> None:
            for _ in range(round(days)):
                self.instant_ms += DAY * 1000
                if self.utc is not None:
                    self.utc += DAY
                await self.retention.work(DAY)

        return passing()


async def test_a_notice_goes_when_its_days_are_over(store: SqliteStore, tmp_path: Path) -> None:
    """Not before; with all that hangs on it; the rest and the tables' checks are as they were."""
    for serial in range(1, 41):
        utc = UtcTime(MADE + DAY * (serial % 2) * 20)
        over: list[Write] = [
            PutAct(act(serial, utc=utc)),
            PutDelivery(delivery(serial, state=DeliveryState.ROGER, is_open=False)),
            PutReceipted(act_id(serial)),
            publication(serial, act_id(serial)),
        ]
        await store.commit(over)
    house = House(store)
    await house.wait(50)
    assert len(await store.notices(OUT)) == 40
    await house.wait(10)
    assert [kept.act.id.serial % 2 for kept in await store.notices(OUT)] == [1] * 20
    assert [row.offset % 2 for row in await store.publications(0)] == [1] * 20
    assert await store.feed_floor() == 40
    await house.wait(20)
    assert await store.notices(OUT) == []
    assert (await store.recover()).epochs == ((PEER, 0x3F2A, 40),)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        assert list(soundness.faults(connection)) == []


async def test_a_clock_that_jumps_removes_nothing_young(store: SqliteStore) -> None:
    """Ten years ahead for a day: 24 days of what is kept at most; not trusted: nothing."""
    for serial, days in ((1, 0), (2, 20), (3, 40)):
        utc = UtcTime(MADE + DAY * days)
        over = delivery(serial, state=DeliveryState.ROGER, is_open=False)
        made = PutAct(act(serial, utc=utc))
        await store.commit([made, PutDelivery(over), PutReceipted(act_id(serial))])
    house = House(store)
    house.utc = None
    await house.wait(100)
    assert await store.cursor(CURSOR) == 0
    house.utc = MADE + 41 * DAY + 3650 * DAY
    await house.wait(1)
    assert [kept.act.id.serial for kept in await store.notices(OUT)] == [3]
    house.utc = MADE + 42 * DAY
    await house.wait(20)
    assert [kept.act.id.serial for kept in await store.notices(OUT)] == [3]
    await house.wait(40)
    assert await store.notices(OUT) == []


async def test_steps_rest_between(store: SqliteStore) -> None:
    """Each step is followed by a rest, so that commits have the store for nearly all the time."""
    for serial in range(1, 200):
        await store.commit([*sent(serial, serial), *closed(serial)])
    house = House(store)
    house.utc = MADE + 51 * DAY
    await house.retention.work(10 * DAY)
    assert len(house.rests) > 2 * 199 // outliving.WINDOW_COUNT
    assert min(house.rests) >= 0.05


async def test_a_step_gives_back_what_it_says(tmp_path: Path) -> None:
    """32 pages, not one, and never those that stay free."""
    database = Database(tmp_path, station=OWN)
    database.recover()
    database.commit([[AddPublication(large(offset))] for offset in range(1, 401)])
    database.commit([[DropOutlived((), tuple(range(1, 401)))]])
    counts = [free_count(database)]
    while database.give_back():
        counts.append(free_count(database))
    database.close()
    assert counts[0] > FREE_COUNT_KEPT + 2 * GIVE_BACK_COUNT
    assert counts[1] == counts[0] - GIVE_BACK_COUNT
    assert counts[-1] == FREE_COUNT_KEPT


def large(offset: int) -> Publication:
    """A publication of more than a page."""
    document = Random(offset).randbytes(1200).hex()
    return Publication(
        offset, Topic.STATE, act_id(offset), Precedence.FLASH, Operation.TEST, document
    )


def free_count(database: Database) -> int:
    (count,) = database.connection.execute("PRAGMA freelist_count").fetchone()
    return int(count)


class Watched(Database):
    """Notes how long each step held the writer: milliseconds of processor, and of the clock."""

    held: ClassVar[list[tuple[float, float]]] = []

    def commit(self, groups: Any) -> Any:
        return self._timed(super().commit, groups)

    def give_back(self) -> bool:
        return bool(self._timed(super().give_back))

    def tend(self) -> None:
        self._timed(super().tend)

    def _timed(self, work: Callable[..., Any], *given: Any) -> Any:
        cpu, wall = time.thread_time(), time.perf_counter()
        try:
            return work(*given)
        finally:
            took = (time.thread_time() - cpu) * 1000, (time.perf_counter() - wall) * 1000
            self.held.append(took)


@pytest.mark.soak
async def test_a_hundred_thousand_notices_go_while_commits_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step holds the writer for more than 10 ms of processor; loop and commits are measured."""
    monkeypatch.setattr("gateway.store.sqlite.Database", Watched)
    with TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else tmp_path) as made:
        folder = Path(made)
        store = SqliteStore(folder, station=OWN)
        await store.recover()
        for epoch in range(1, 21):
            await store.commit([PutEpoch(PEER, epoch)])
            for start in range(1, 5001, 500):
                numbers = range(start, start + 500)
                await store.commit([write for one in numbers for write in over(one, epoch)])
        size_before = (folder / FILE_NAME).stat().st_size
        house = House(store)
        house.utc = MADE + 51 * DAY
        house.retention._pause = lambda wait_s: asyncio.sleep(min(wait_s, 0.005))
        await measured(store, asyncio.sleep(20), "nothing else")
        await measured(store, house.retention.work(10 * DAY), "100 000 notices removed")
        worst_ms = max(cpu for cpu, _ in Watched.held)
        assert await store.notices(OUT) == []
        await store.close()
        size = (folder / FILE_NAME).stat().st_size
    print(f"{size_before / 1e6:.0f} MB before, {size / 1e6:.0f} MB after")
    assert size < size_before / 1.5
    assert worst_ms < 10


def over(serial: int, epoch: int) -> list[Write]:
    """All that is kept of an own notice that is over."""
    made = act(serial, epoch=epoch)
    closing = delivery(serial, epoch=epoch, state=DeliveryState.ROGER, is_open=False)
    offset = 2 * ((epoch - 1) * 5000 + serial)
    states = (DeliveryState.SENT, DeliveryState.ROGER)
    return [
        PutAct(made),
        PutDelivery(closing),
        PutReceipted(made.id),
        *(AddStateEntry(StateEntry(made.id, state, None, None, "frame")) for state in states),
        *(publication(at, made.id) for at in (offset - 1, offset)),
        line_entry(made),
    ]


async def measured(store: SqliteStore, work: Awaitable[None], name: str) -> None:
    """Print how late the loop and commits were, and how long the writer was held, meanwhile."""
    late: list[float] = []
    commits: list[float] = []

    async def tick() -> None:
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(0.002)
            late.append((time.perf_counter() - begun) * 1000 - 2)

    async def commit() -> None:
        while True:
            begun = time.perf_counter()
            await store.commit([station_entry(full=True)])
            commits.append((time.perf_counter() - begun) * 1000)
            await asyncio.sleep(0.02)

    Watched.held.clear()
    begun = time.perf_counter()
    beside = [asyncio.create_task(tick()), asyncio.create_task(commit())]
    await work
    for task in beside:
        task.cancel()
    await asyncio.wait(beside)
    print(f"{name}: {time.perf_counter() - begun:.0f} s")
    for what, values in (
        ("loop late", late),
        ("commit", commits),
        ("writer held", [wall for _, wall in Watched.held]),
        ("writer's processor", [cpu for cpu, _ in Watched.held]),
    ):
        values.sort()
        percentile = values[len(values) * 99 // 100]
        print(f"  {what}: {values[-1]:.1f} ms at most, p99 {percentile:.1f}, of {len(values)}")


async def test_room_is_given_back(tmp_path: Path) -> None:
    """What 2000 notices took is the file system's again, but for a few pages that stay free."""
    store = SqliteStore(tmp_path, station=OWN)
    await store.recover()
    for start in range(1, 2001, 100):
        writes: list[Write] = []
        for serial in range(start, start + 100):
            writes += [*sent(serial, serial), *closed(serial)]
        await store.commit(writes)
    house = House(store)
    house.utc = MADE + 51 * DAY
    await house.retention.work(10 * DAY)
    await store.close()
    size = (tmp_path / FILE_NAME).stat().st_size
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        (entry_size,) = connection.execute("SELECT sum(length(octets)) FROM log_entry").fetchone()
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    assert free <= 300
    assert size < 2 * entry_size + 1_000_000


@pytest.mark.parametrize("is_large", [False, True])
async def test_an_old_database_learns_to_shrink(
    is_large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small one at its start; a large one says how, and `vacuum` does it with nothing lost."""
    store = SqliteStore(tmp_path, station=OWN)
    await store.recover()
    for serial in range(1, 30):
        await store.commit(sent(serial, serial))
    await store.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("VACUUM")
        before = list(connection.iterdump())
    if is_large:
        monkeypatch.setattr("gateway.store.opening.VACUUM_SIZE_MAX", 1024)
    store = SqliteStore(tmp_path, station=OWN)
    recovered = await store.recover()
    assert not recovered.was_rebuilt
    assert ["sudo hotline vacuum" in note for note in store.notes] == [True] * is_large
    assert not await store.give_back()
    with pytest.raises(StoreLockedError):
        vacuum(tmp_path)
    await store.close()
    for is_first in (True, False):
        size = (tmp_path / FILE_NAME).stat().st_size
        if is_large or not is_first:
            assert vacuum(tmp_path) == Vacuumed(size, (tmp_path / FILE_NAME).stat().st_size)
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
            assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
            assert sorted(connection.iterdump()) == sorted(before)
    again = await restarted(tmp_path)
    assert (again.acts, again.was_rebuilt) == (recovered.acts, False)


async def test_what_is_damaged_is_not_written_anew(tmp_path: Path) -> None:
    """A vacuum would heal an index unseen: the start has to tell."""
    store = SqliteStore(tmp_path, station=OWN)
    await store.recover()
    await store.commit(sent(1, 1))
    await store.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'act_unreceipted'")
    with pytest.raises(StoreFailedError, match="start the gateway"):
        vacuum(tmp_path)
