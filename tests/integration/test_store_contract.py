"""One contract, two stores: what holds for SQLite holds for the simulator's store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from gateway.core.records import (
    DropAlarm,
    DropReceipt,
    Durability,
    PutAct,
    PutAlarm,
    PutDelivery,
    PutEpoch,
    PutKeys,
    PutPeer,
    PutReceipted,
    Recovered,
    Topic,
    Write,
)
from gateway.errors import StoreFailedError
from gateway.logbook.chain import verify
from gateway.logbook.entry import decode_entry
from gateway.model import DeliveryState, UtcTime
from gateway.store.base import Store
from gateway.store.bounds import CLOSED_COUNT_MAX
from gateway.store.memory import MemoryStore
from gateway.store.sqlite import SqliteStore
from tests.integration.store_records import (
    IN,
    OUT,
    OWN,
    PEER,
    act,
    act_id,
    alarm,
    delivery,
    entry,
    line_entry,
    publication,
    random_commits,
    received,
    seen,
    sent,
    station_entry,
    submission,
)

Reopen = Callable[[], Awaitable[Store]]


class Bench:
    """A store that can be stopped and started again."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.folder = folder
        self.store: Store = MemoryStore() if kind == "memory" else SqliteStore(folder, station=OWN)

    async def restart(self) -> Recovered:
        await self.store.close()
        if isinstance(self.store, SqliteStore):
            self.store = SqliteStore(self.folder, station=OWN)
        return await self.store.recover()


@pytest.fixture(params=["memory", "sqlite"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(request.param, tmp_path / "state")
    await made.store.recover()
    yield made
    await made.store.close()


async def test_fresh_store_is_empty(bench: Bench) -> None:
    """A new store recovers to nothing at all, without an alarm."""
    assert await bench.restart() == Recovered()


async def test_everything_comes_back(bench: Bench) -> None:
    """Each kind of record is the same value after a restart."""
    outbound, inbound, answer = act(1), act(1, IN), act(2, IN, signature=None, utc=None)
    dialogue = delivery(
        1, overdue=True, late=True, displayed=True, answers=(answer.id,), state=DeliveryState.WILCO
    )
    taken = delivery(1, IN, taken=True)
    peer = PutPeer(PEER, bytes(range(8)), ((7, 1), (9, 22)))
    keys = PutKeys(PEER, bytes(range(8)))
    await bench.store.commit(
        [
            PutEpoch(PEER, 0x1111),
            PutEpoch(PEER, 0x3F2A),
            PutAct(outbound),
            PutDelivery(dialogue),
            submission(1),
            publication(1, outbound.id),
            line_entry(outbound),
        ]
    )
    head = await bench.store.commit(
        [
            PutAct(inbound),
            PutDelivery(taken),
            PutAct(answer),
            seen(inbound),
            seen(answer),
            peer,
            keys,
        ]
    )
    recovered = await bench.restart()
    assert recovered.acts == (outbound, inbound, answer)
    assert recovered.deliveries == (dialogue, taken)
    assert recovered.seen == ((inbound.id, seen(inbound).sha256), (answer.id, seen(answer).sha256))
    assert recovered.epochs == ((PEER, 0x1111, 0), (PEER, 0x3F2A, 1))
    assert recovered.submissions == (submission(1),)
    assert recovered.peers == (peer,)
    assert recovered.keys == (keys,)
    assert recovered.next_offset == 2
    assert recovered.log_head == head
    assert recovered.utc_last == UtcTime(1_790_000_001)
    assert not recovered.was_rebuilt


async def test_receipt_only_of_a_known_act(bench: Bench) -> None:
    """An own act is receipted once the peer has it; for an unknown act nothing changes."""
    await bench.store.commit([PutAct(act(1)), PutAct(act(2)), PutReceipted(act_id(3))])
    await bench.store.commit([PutReceipted(act_id(2))])
    recovered = await bench.restart()
    assert recovered.receipted == {act_id(2)}
    assert [made.id for made in recovered.acts] == [act_id(1), act_id(2)]


async def test_a_receipt_that_is_taken_back(bench: Bench) -> None:
    """The peer has lost the act: it is not receipted, and is given out for sending it again."""
    await bench.store.commit([PutAct(act(1)), PutReceipted(act_id(1)), PutAct(act(2))])
    await bench.store.commit([DropReceipt(act_id(1)), DropReceipt(act_id(9))])
    assert await bench.store.acts([act_id(2), act_id(9), act_id(1)]) == [act(2), act(1)]
    assert (await bench.restart()).receipted == frozenset()


async def test_alarms_are_kept_until_they_are_dropped(bench: Bench) -> None:
    """One a key, the newest last; what a person cleared is another key for each evidence."""
    own, far, notice = (alarm(number) for number in range(3))
    seen_to = [alarm(1, cleared=evidence) for evidence in ("a", "b")]
    await bench.store.commit([PutAlarm(made) for made in (own, far, notice, *seen_to)])
    assert (await bench.restart()).alarms == (own, far, notice, *seen_to)
    told = replace(far, text="something else", evidence="more")
    await bench.store.commit([PutAlarm(told), DropAlarm(own.key), DropAlarm(seen_to[0].key)])
    assert (await bench.restart()).alarms == (notice, seen_to[1], told)
    await bench.store.commit([DropAlarm(told.key), DropAlarm(own.key)])
    assert (await bench.restart()).alarms == (notice, seen_to[1])


@pytest.mark.parametrize("seed", range(6))
async def test_both_stores_agree(seed: int, tmp_path: Path) -> None:
    """After any history both stores recover and answer the same."""
    rng = Random(seed)
    memory, real = MemoryStore(), SqliteStore(tmp_path, station=OWN)
    await memory.recover()
    await real.recover()
    for commit in random_commits(rng, 80):
        assert await real.commit(commit) == await memory.commit(commit)
    assert await real.recover() == await memory.recover()
    for direction in (OUT, IN):
        for open_only in (True, False):
            for limit in (3, 100):
                assert await real.notices(
                    direction, open_only=open_only, limit=limit
                ) == await memory.notices(direction, open_only=open_only, limit=limit)
        for serial in range(1, 25):
            identity = act_id(serial, direction)
            assert await real.notice(identity) == await memory.notice(identity)
    for topic in (None, *Topic):
        for untaken_only in (True, False):
            for after in (0, 5, 30):
                assert await real.publications(
                    after, limit=7, topic=topic, untaken_only=untaken_only
                ) == await memory.publications(
                    after, limit=7, topic=topic, untaken_only=untaken_only
                )
    assert await real.log_entries(3) == await memory.log_entries(3)
    await real.close()


async def test_notice_with_its_dialogue(bench: Bench) -> None:
    """`notice` gives the act, the delivery, the history in order and the answers in order."""
    answers = (act(5, IN), act(4, IN))
    await bench.store.commit(sent(1, 1))
    await bench.store.commit([PutAct(answer) for answer in answers])
    changed = delivery(
        1, state=DeliveryState.WILCO, answers=(act_id(5, IN), act_id(4, IN), act_id(6, IN))
    )
    await bench.store.commit(
        [entry(1, DeliveryState.RECEIPTED), PutDelivery(changed), entry(1, DeliveryState.WILCO)]
    )
    notice = await bench.store.notice(act_id(1))
    assert notice is not None
    assert (notice.act, notice.delivery, notice.answers) == (act(1), changed, answers)
    assert [past.state for past in notice.history] == [
        DeliveryState.QUEUED,
        DeliveryState.RECEIPTED,
        DeliveryState.WILCO,
    ]
    assert await bench.store.notice(act_id(9)) is None


async def test_notices_newest_first(bench: Bench) -> None:
    """Notices are listed newest first, by direction, open ones alone if asked, up to the limit."""
    for serial in range(1, 7):
        await bench.store.commit(sent(serial, 2 * serial - 1))
        await bench.store.commit(received(serial, 2 * serial))
    await bench.store.commit([PutDelivery(delivery(5, is_open=False))])
    listed = await bench.store.notices(OUT, limit=3)
    assert [notice.act.id.serial for notice in listed] == [6, 5, 4]
    listed = await bench.store.notices(OUT, open_only=True, limit=3)
    assert [notice.act.id.serial for notice in listed] == [6, 4, 3]
    listed = await bench.store.notices(IN)
    assert [notice.act.id for notice in listed] == [
        act_id(serial, IN) for serial in range(6, 0, -1)
    ]


async def test_feed_and_what_is_not_taken(bench: Bench) -> None:
    """The feed goes up by offset; a notice leaves the untaken ones when its delivery is taken."""
    await bench.store.commit(received(1, 1))
    await bench.store.commit(sent(1, 2))
    await bench.store.commit(received(2, 3))
    await bench.store.commit([publication(4, act_id(2, IN))])

    async def offsets(after: int = 0, **ask: object) -> list[int]:
        found = await bench.store.publications(after, **ask)  # type: ignore[arg-type]
        return [publication.offset for publication in found]

    assert await offsets() == [1, 2, 3, 4]
    assert await offsets(1, limit=2) == [2, 3]
    assert await offsets(topic=Topic.NOTICE) == [1, 3]
    assert await offsets(untaken_only=True) == [1, 3]
    await bench.store.commit([PutDelivery(delivery(1, IN, taken=True, is_open=False))])
    assert await offsets(untaken_only=True) == [3]
    assert (await bench.restart()).next_offset == 5
    assert await offsets(untaken_only=True, topic=Topic.NOTICE) == [3]


async def test_cursor_survives(bench: Bench) -> None:
    """A queue's cursor starts at 0 and is kept."""
    assert await bench.store.cursor("mqtt") == 0
    await bench.store.put_cursor("mqtt", 12)
    await bench.store.put_cursor("mqtt", 40)
    await bench.restart()
    assert await bench.store.cursor("mqtt") == 40
    assert await bench.store.cursor("nats") == 0


async def test_head_leaves_only_when_durable(bench: Bench) -> None:
    """A NORMAL commit gives no head; the next FULL one covers its entries and gives theirs."""
    assert await bench.store.commit([station_entry(), station_entry()]) is None
    head = await bench.store.commit([PutEpoch(PEER, 3)])
    assert head is not None
    assert head.number == 2
    later = await bench.store.commit([station_entry("stop", full=True)])
    assert later is not None
    assert later.number == 3
    rows = await bench.store.log_entries(0)
    assert verify(rows) is None
    assert (rows[1].hash, rows[2].hash) == (head.hash, later.hash)
    assert decode_entry(rows[2].octets).event == "stop"
    assert [row.number for row in await bench.store.log_entries(1, limit=1)] == [2]


async def test_empty_commit(bench: Bench) -> None:
    """Nothing to write is nothing to wait for."""
    assert await bench.store.commit([]) is None
    assert await bench.restart() == Recovered()


async def test_closed_ones_are_bounded(bench: Bench) -> None:
    """Recovery gives all open acts and the newest 10 000 closed; the rest can be shown."""
    old: list[Write] = []
    for serial in range(1, CLOSED_COUNT_MAX + 21):
        old += [PutAct(act(serial, IN)), PutDelivery(delivery(serial, IN, is_open=False))]
    waiting = delivery(1, answers=(act_id(3, IN),))
    await bench.store.commit([PutAct(act(1)), PutDelivery(waiting), *old])
    recovered = await bench.restart()
    kept = {made.id.serial for made in recovered.acts if made.direction is IN}
    assert kept == {3, *range(21, CLOSED_COUNT_MAX + 21)}
    assert recovered.deliveries[0] == waiting
    assert await bench.store.notice(act_id(1, IN)) is not None


async def test_waiting_commits_keep_their_order(bench: Bench) -> None:
    """Commits that wait together are written in the order of the calls, each with its own head."""
    writes = [[station_entry(f"event-{number}", full=True)] for number in range(300)]
    heads = await asyncio.gather(*(bench.store.commit(write) for write in writes))
    assert [head and head.number for head in heads] == list(range(1, 301))
    rows = await bench.store.log_entries(0)
    assert [decode_entry(row.octets).event for row in rows] == [f"event-{n}" for n in range(300)]


async def test_an_offset_is_used_once(bench: Bench) -> None:
    """A publication under a used offset is a bug of ours and fails the commit."""
    await bench.store.commit([publication(1, act_id(1))])
    with pytest.raises((StoreFailedError, AssertionError)):
        await bench.store.commit([publication(1, act_id(2))])


async def test_any_full_write_makes_the_commit_full(bench: Bench) -> None:
    """One FULL write among NORMAL ones makes the whole commit FULL."""
    mixed: list[Write] = [station_entry(), PutReceipted(act_id(1), Durability.FULL)]
    head = await bench.store.commit(mixed)
    assert head is not None
    assert head.number == 1
