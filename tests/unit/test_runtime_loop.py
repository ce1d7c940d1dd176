"""The loop's order: commit before effects, in order; and its way through STORE REFUSED."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.core.airtime import SerialAirtime
from gateway.core.effects import (
    ConfirmSubmission,
    Level,
    LinkStatus,
    Observe,
    PeerStatus,
    Publish,
    RejectCode,
    RejectRequest,
    RequestActs,
    RequestEntropy,
    ShowHeard,
    ShowStatus,
    Step,
    Transmit,
)
from gateway.core.events import (
    ActsArrived,
    EntropyArrived,
    Event,
    FrameReceived,
    FrameSent,
    LinkDown,
    LinkTold,
    LinkTraits,
    LinkUp,
    LogHeadCommitted,
    NoticeSubmitted,
    Principal,
    Rights,
    Started,
    StoreHealed,
)
from gateway.core.records import LogHead, PutEpoch, Recovered, StoredAct, Write
from gateway.errors import StoreFailedError, StoreRefusedError
from gateway.model import (
    ActId,
    DeliveryState,
    Epoch,
    Instant,
    Kind,
    LinkName,
    LinkState,
    NoticeDraft,
    Now,
    Operation,
    Precedence,
    Role,
    Serial,
    Station,
    UtcTime,
)
from gateway.runtime.desk import RuntimeDesk
from gateway.runtime.inbox import Inbox
from gateway.runtime.loop import EngineLoop, Outlets
from gateway.runtime.standby_words import nothing_to_show
from tests.integration.store_records import act

RADIO = LinkName("radio")
LINK_UP = LinkUp(RADIO, LinkTraits(200, SerialAirtime(9600)))
DUTY = Principal("api", "duty", Role.DUTY_OFFICER, Rights(frozenset(Operation), answer=True))
DRAFT = NoticeDraft(
    to=Station(2), kind=Kind.NOTIFY, precedence=Precedence.FLASH, operation=Operation.TEST
)
NOTICE_ID = ActId(Station(1), Epoch(7), Serial(1))
WRITE = PutEpoch(Station(2), 7)


def transmit(number: int) -> Transmit:
    return Transmit(RADIO, number, Station(2), b"frame", Precedence.FLASH, want_ack=False)


@dataclass
class TableEngine:
    """An engine that answers events from a table."""

    recovered: Recovered
    answer: Callable[[Event], Step]
    handled: list[Event] = field(default_factory=list)
    deadline: Instant | None = None
    timeouts: int = 0

    def next_deadline(self) -> Instant | None:
        return self.deadline

    def handle(self, event: Event, *, now: Now) -> Step:
        self.handled.append(event)
        return self.answer(event)

    def handle_timeout(self, *, now: Now) -> Step:
        self.timeouts += 1
        self.deadline = None
        return Step()


class FaultyStore:
    """A store that keeps batches and fails on order."""

    def __init__(self, trace: list[str]) -> None:
        self.trace = trace
        self.batches: list[tuple[Write, ...]] = []
        self.fault: Exception | None = None
        self.head: LogHead | None = None

    async def recover(self) -> Recovered:
        return Recovered(next_offset=len(self.batches) + 1)

    async def commit(self, writes: Sequence[Write]) -> LogHead | None:
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        self.trace.append(f"commit {len(writes)}")
        self.batches.append(tuple(writes))
        head, self.head = self.head, None
        return head

    async def acts(self, ids: Sequence[ActId]) -> list[StoredAct]:
        return [act(act_id.serial) for act_id in ids]

    async def probe(self) -> bool:
        return self.fault is None

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the loop has no business with {name}")


@dataclass
class FixedClock:
    instant: int = 1_000

    def now(self) -> Now:
        return Now(Instant(self.instant))

    def boot_id(self) -> str:
        return "boot"


class House:
    """A loop with its surroundings; `answer` is the engine's table."""

    def __init__(self, answer: Callable[[Event], Step]) -> None:
        self.trace: list[str] = []
        self.engines: list[TableEngine] = []
        self.sent: list[Transmit] = []
        self.store = FaultyStore(self.trace)
        self.inbox = Inbox(frame_count_max=4)
        self.desk = RuntimeDesk(self.inbox, {Station(1): "NORTH", Station(2): "SOUTH"})
        self.clock = FixedClock()
        self.discarded = 0

        def make_engine(recovered: Recovered) -> TableEngine:
            self.engines.append(TableEngine(recovered, answer))
            return self.engines[-1]

        self.loop = EngineLoop(
            store=self.store,
            make_engine=make_engine,
            clock=self.clock,
            inbox=self.inbox,
            desk=self.desk,
            outlets=Outlets(
                transmit={RADIO: self._transmit},
                show=lambda _status: self.trace.append("show"),
                observe=lambda line: self.trace.append(f"observe {line.event}"),
                entropy=bytes,
                discard=self._discard,
            ),
            version="test",
        )

    def _transmit(self, effect: Transmit) -> None:
        self.sent.append(effect)
        self.trace.append(f"transmit {effect.transmission}")

    def _discard(self) -> None:
        self.discarded += 1

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.loop.start()
        task = asyncio.ensure_future(self.loop.run())
        try:
            async with asyncio.timeout(20):
                yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def table(*rows: tuple[type, Step | Callable[[Any], Step]]) -> Callable[[Event], Step]:
    def answer(event: Event) -> Step:
        for kind, step in rows:
            if isinstance(event, kind):
                return step if isinstance(step, Step) else step(event)
        return Step()

    return answer


def accept(event: NoticeSubmitted) -> Step:
    confirm = ConfirmSubmission(event.token, NOTICE_ID, DeliveryState.QUEUED, repeated=False)
    return Step((WRITE,), (transmit(1), confirm))


async def test_started_comes_first() -> None:
    """The first event is Started with the boot id, 128 octets of entropy and the version."""
    house = House(table())
    async with house.running():
        await house.inbox.deliver(LINK_UP)
    assert house.engines[0].handled == [Started("boot", bytes(128), "test"), LINK_UP]


async def test_commit_comes_before_effects_in_order() -> None:
    """Several events share one commit; only then their effects happen, in order."""
    steps = {
        b"1": Step((WRITE,), (transmit(1), Observe(Level.INFO, "one", {}))),
        b"2": Step((WRITE, WRITE), (transmit(2),)),
    }
    house = House(table((FrameReceived, lambda event: steps[event.octets])))
    await house.loop.start()
    house.inbox.put(FrameReceived(RADIO, b"1"))
    house.inbox.put(FrameReceived(RADIO, b"2"))
    async with house.running():
        await house.inbox.deliver(None)
    assert house.trace == ["commit 3", "transmit 1", "observe one", "transmit 2"]


async def test_submission_returns_after_commit() -> None:
    """`submit` gives the confirmation, and the commit is before it."""
    house = House(table((NoticeSubmitted, accept)))
    async with house.running():
        outcome = await house.desk.submit(DUTY, "r1", DRAFT)
    assert outcome == ConfirmSubmission(1, NOTICE_ID, DeliveryState.QUEUED, repeated=False)
    assert house.trace == ["commit 1", "transmit 1"]


async def test_publish_wakes_those_who_wait() -> None:
    """`changed` returns once a publication is committed, and not before."""
    house = House(table((FrameReceived, Step((WRITE,), (Publish(1),)))))
    async with house.running():
        waiter = asyncio.ensure_future(house.desk.changed(0))
        await house.inbox.deliver(None)
        assert not waiter.done()
        house.inbox.put(FrameReceived(RADIO, b"x"))
        assert await waiter == 1
    assert house.store.batches


async def test_what_is_heard_is_told_to_who_asks_and_wakes_nobody() -> None:
    """The desk's status is fresh, a link without a device still says why, no lamp is told."""
    far = Station(2)
    down = LinkStatus(
        name=LinkName("cable"),
        station=far,
        state=LinkState.DOWN,
        device_up=False,
        detail="",
        round_trip_ms=None,
        heard_at=None,
        loss=None,
        queued=0,
    )
    link = dataclasses.replace(down, name=RADIO, state=LinkState.UP, device_up=True)
    status = dataclasses.replace(
        nothing_to_show(Station(1)),
        links=(link, down),
        peers=(PeerStatus(far, confirmed=False, heard_at=None, busy=False),),
        pending_out_count=3,
    )
    peer = PeerStatus(far, confirmed=True, heard_at=Instant(900), busy=False)
    heard = dataclasses.replace(link, heard_at=Instant(900), round_trip_ms=40)
    house = House(
        table(
            (LinkDown, Step((), (ShowStatus(status),))),
            (FrameReceived, Step((), (ShowHeard(peer, (heard, down), UtcTime(7)),))),
        )
    )
    async with house.running():
        await house.inbox.deliver(LinkDown(LinkName("cable"), "no device; plug it in"))
        change = await house.desk.changed(0)
        waiter = asyncio.ensure_future(house.desk.changed(change))
        shown = house.trace.count("show")
        await house.inbox.deliver(FrameReceived(RADIO, b"x"))
        assert house.desk.status() == dataclasses.replace(
            status,
            links=(heard, dataclasses.replace(down, detail="no device; plug it in")),
            peers=(peer,),
            utc=UtcTime(7),
        )
        assert house.desk.status() is house.desk.status()
        assert house.trace.count("show") == shown
        assert not waiter.done()
        await house.inbox.deliver(LinkDown(LinkName("cable"), "no device; plug it in"))
        assert await waiter > change
        late = house.desk.status()
        assert late is not None
        assert late.peers == status.peers
        assert house.trace.count("show") == shown + 1


async def test_entropy_comes_as_an_event() -> None:
    """RequestEntropy leads to EntropyArrived of that size."""
    house = House(table((FrameReceived, Step((), (RequestEntropy(8),)))))
    async with house.running():
        await house.inbox.deliver(FrameReceived(RADIO, b"x"))
        await house.inbox.deliver(None)
    assert EntropyArrived(bytes(8)) in house.engines[0].handled


async def test_acts_of_the_store_come_as_an_event() -> None:
    """RequestActs leads to ActsArrived with what the store has of them."""
    wanted = (ActId(Station(1), Epoch(7), Serial(1)), ActId(Station(1), Epoch(7), Serial(2)))
    house = House(table((FrameReceived, Step((), (RequestActs(wanted),)))))
    async with house.running():
        await house.inbox.deliver(FrameReceived(RADIO, b"x"))
        await house.inbox.deliver(None)
    assert ActsArrived((act(1), act(2))) in house.engines[0].handled


async def test_committed_head_is_told() -> None:
    """A head that a FULL commit covers enters the engine as LogHeadCommitted."""
    house = House(table((FrameReceived, Step((WRITE,)))))
    house.store.head = LogHead(3, bytes(32))
    async with house.running():
        await house.inbox.deliver(FrameReceived(RADIO, b"x"))
        await house.inbox.deliver(None)
    assert LogHeadCommitted(LogHead(3, bytes(32))) in house.engines[0].handled


async def test_deadline_turns_the_engine() -> None:
    """A deadline that has come calls handle_timeout without any event."""
    house = House(table())
    await house.loop.start()
    house.engines[0].deadline = Instant(999)
    async with house.running():
        house.engines[-1].deadline = Instant(999)
        await house.inbox.deliver(None)
    assert house.engines[-1].timeouts == 1


async def test_refused_store_rejects_and_rebuilds() -> None:
    """Nothing of the refused step is seen; the request is rejected; a new engine knows it."""
    house = House(table((NoticeSubmitted, accept)))
    async with house.running():
        await house.inbox.deliver(LINK_UP)
        house.store.fault = StoreRefusedError("disk full")
        outcome = await house.desk.submit(DUTY, "r1", DRAFT)
        assert isinstance(outcome, RejectRequest)
        assert outcome.code is RejectCode.STORE_REFUSED
        await house.inbox.deliver(None)
        house.store.fault = None
        while not any(isinstance(event, StoreHealed) for event in house.engines[-1].handled):
            await house.inbox.deliver(None)
            await asyncio.sleep(0.01)
    before, after = house.engines
    assert not house.sent
    assert not before.recovered.store_refused
    assert after.recovered.store_refused
    assert after.handled == [Started("boot", bytes(128), "test"), LINK_UP, StoreHealed()]
    assert house.discarded == 1


async def test_a_rebuilt_engine_knows_what_was_told_of_a_device() -> None:
    """Mute or not, and the words: as the driver told it last."""
    house = House(table((NoticeSubmitted, accept)))
    async with house.running():
        await house.inbox.deliver(LINK_UP)
        await house.inbox.deliver(LinkTold(RADIO, "no chip", needs_person=True, is_mute=True))
        house.store.fault = StoreRefusedError("disk full")
        await house.desk.submit(DUTY, "r1", DRAFT)
        house.store.fault = None
        await house.inbox.deliver(None)
    traits = dataclasses.replace(LINK_UP.traits, detail="no chip", is_mute=True)
    assert LinkUp(RADIO, traits) in house.engines[1].handled


async def test_reports_of_a_dropped_engine_are_dropped() -> None:
    """After a rebuild old transmission numbers never name new transmissions."""
    send = Step((), (transmit(1),))
    house = House(table((FrameReceived, send), (NoticeSubmitted, accept)))
    async with house.running():
        await house.inbox.deliver(FrameReceived(RADIO, b"x"))
        house.store.fault = StoreRefusedError("disk full")
        await house.desk.submit(DUTY, "r1", DRAFT)
        house.store.fault = None
        await house.inbox.deliver(FrameReceived(RADIO, b"x"))
        await house.inbox.deliver(FrameSent(RADIO, 1))
        await house.inbox.deliver(FrameSent(RADIO, 2))
    assert [effect.transmission for effect in house.sent] == [1, 2]
    assert house.engines[1].handled[-1] == FrameSent(RADIO, 1)
    assert FrameSent(RADIO, 0) not in house.engines[1].handled


async def test_failed_store_ends_the_loop() -> None:
    """A commit that fails otherwise ends the loop before any effect."""
    house = House(table((FrameReceived, Step((WRITE,), (transmit(1),)))))
    await house.loop.start()
    house.store.fault = StoreFailedError("fsync")
    house.inbox.put(FrameReceived(RADIO, b"x"))
    with pytest.raises(StoreFailedError):
        await asyncio.wait_for(house.loop.run(), 10)
    assert not house.sent


async def test_frames_beyond_the_bound_are_dropped_and_counted() -> None:
    """A flood of frames costs frames only; everything else gets in."""
    inbox = Inbox(frame_count_max=4)
    for _ in range(6):
        inbox.put(FrameReceived(RADIO, b"x"))
    inbox.put(LINK_UP)
    assert inbox.dropped_frame_count == 2
    assert [entry.event for entry in inbox.take(9)][-1] == LINK_UP
    inbox.put(FrameReceived(RADIO, b"x"))
    assert len(inbox) == 1


async def test_requests_beyond_the_bound_are_rejected() -> None:
    """The desk takes a stated number of requests at a time, then says FULL."""
    inbox = Inbox()
    desk = RuntimeDesk(inbox, {}, request_count_max=1)
    first = asyncio.ensure_future(desk.submit(DUTY, "r1", DRAFT))
    await asyncio.sleep(0)
    second = await desk.submit(DUTY, "r2", DRAFT)
    assert isinstance(second, RejectRequest)
    assert second.code is RejectCode.FULL
    desk.close()
    outcome = await first
    assert isinstance(outcome, RejectRequest)
    assert outcome.code is RejectCode.STOPPING


async def test_station_names() -> None:
    """Names are found in any case; an unknown station is told by its number."""
    desk = RuntimeDesk(Inbox(), {Station(2): "SOUTH"})
    assert desk.station_number("south") == Station(2)
    assert desk.station_number("WEST") is None
    assert desk.station_name(Station(9)) == "STATION 9"
