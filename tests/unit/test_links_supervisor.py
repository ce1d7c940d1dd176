"""The supervisor and its outbox: order, bounds, what is reported when a driver fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest

from gateway.core.airtime import SerialAirtime
from gateway.core.effects import Transmit
from gateway.core.events import (
    FrameRefused,
    FrameSent,
    LinkDown,
    LinkTold,
    LinkTraits,
    LinkUp,
    Refusal,
)
from gateway.errors import DeviceSilentError, LinkLostError
from gateway.links.base import Emit, LinkEvent, Outbox
from gateway.links.supervisor import STUCK_S, Backoff, PriorityOutbox, Supervisor
from gateway.model import LinkName, Precedence, Station

Life = Callable[[Emit, Outbox], Awaitable[None]]
CABLE = LinkName("cable")
TRAITS = LinkTraits(1024, SerialAirtime(9600))
FAST = Backoff(first_s=0.001, cap_s=0.002)


def transmit(number: int, precedence: Precedence = Precedence.ROUTINE) -> Transmit:
    return Transmit(CABLE, number, Station(2), b"frame", precedence, want_ack=False)


class ScriptedDriver:
    """A driver whose one life is a function of the test."""

    def __init__(self, life: Callable[[Emit, Outbox], Awaitable[None]]) -> None:
        self._life = life

    async def run(self, emit: Emit, outbox: Outbox) -> None:
        await self._life(emit, outbox)


class Stage:
    """A supervisor, the events it emitted, and a way to wait for them."""

    def __init__(self, *lives: Life, count_max: int = 8) -> None:
        self.events: list[LinkEvent] = []
        self._changed = asyncio.Event()
        self._lives = list(lives)
        self.supervisor = Supervisor(
            CABLE, self._next, self._emit, rng=Random(1), backoff=FAST, outbox_count_max=count_max
        )

    def _next(self) -> ScriptedDriver:
        return ScriptedDriver(self._lives.pop(0) if self._lives else wait_for_ever)

    def _emit(self, event: LinkEvent) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, condition: Callable[[list[LinkEvent]], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition(self.events):
                self._changed.clear()
                await self._changed.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Supervisor]:
        task = asyncio.create_task(self.supervisor.run())
        try:
            yield self.supervisor
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def wait_for_ever(emit: Emit, outbox: Outbox) -> None:
    await asyncio.Event().wait()


async def up_for_ever(emit: Emit, outbox: Outbox) -> None:
    emit(LinkUp(CABLE, TRAITS))
    await asyncio.Event().wait()


def failing(reason: str) -> Callable[[Emit, Outbox], Awaitable[None]]:
    async def life(emit: Emit, outbox: Outbox) -> None:
        raise LinkLostError(reason)

    return life


def downs(events: list[LinkEvent]) -> list[LinkDown]:
    return [event for event in events if isinstance(event, LinkDown)]


def tolds(events: list[LinkEvent]) -> list[LinkTold]:
    return [event for event in events if isinstance(event, LinkTold)]


async def test_a_gateway_that_is_fenced_hands_no_frame_to_a_driver() -> None:
    """Asked when the driver takes it, not when the engine gave it: what waited is dropped."""
    taken: list[int] = []
    may_transmit = False
    is_up, has_taken = asyncio.Event(), asyncio.Event()

    async def take_all(emit: Emit, outbox: Outbox) -> None:
        emit(LinkUp(CABLE, TRAITS))
        is_up.set()
        while True:
            taken.append((await outbox.get()).transmission)
            has_taken.set()

    supervisor = Supervisor(
        CABLE,
        lambda: ScriptedDriver(take_all),
        lambda _: None,
        rng=Random(1),
        may_transmit=lambda: may_transmit,
    )
    task = asyncio.create_task(supervisor.run())
    async with asyncio.timeout(10):
        await is_up.wait()
    for number in (1, 2):
        supervisor.submit(transmit(number))
    for _ in range(20):
        await asyncio.sleep(0)
    assert taken == []
    may_transmit = True
    supervisor.submit(transmit(3))
    async with asyncio.timeout(10):
        await has_taken.wait()
    assert taken == [3]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_outbox_gives_the_fastest_first_and_keeps_order_within_a_precedence() -> None:
    """FLASH overtakes; equals stay first in, first out."""
    outbox = PriorityOutbox()
    for number, precedence in enumerate(
        [Precedence.ROUTINE, Precedence.FLASH, Precedence.ROUTINE, Precedence.FLASH]
    ):
        outbox.put(transmit(number, precedence))
    assert [(await outbox.get()).transmission for _ in range(4)] == [1, 3, 0, 2]


async def test_full_outbox_drops_the_slowest_and_newest() -> None:
    """At the bound a faster frame displaces the newest of the slowest; a slow one is refused."""
    outbox = PriorityOutbox(2)
    assert outbox.put(transmit(1)) is None
    assert outbox.put(transmit(2)) is None
    displaced = outbox.put(transmit(3, Precedence.FLASH))
    assert displaced is not None
    assert displaced.transmission == 2
    refused = outbox.put(transmit(4))
    assert refused is not None
    assert refused.transmission == 4
    assert [entry.transmission for entry in outbox.take_all()] == [3, 1]


async def test_cancelled_get_loses_no_frame() -> None:
    """A driver that gives up waiting in the very turn a frame comes does not take it with it."""
    outbox = PriorityOutbox()
    waiting = asyncio.create_task(outbox.get())
    await asyncio.sleep(0)
    outbox.put(transmit(1))
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (await outbox.get()).transmission == 1


async def test_frame_for_a_link_that_is_down_is_refused_at_once() -> None:
    """Before `LinkUp` and after `LinkDown` nothing waits silently."""
    stage = Stage()
    stage.supervisor.submit(transmit(7))
    assert stage.events == [FrameRefused(CABLE, 7, Refusal.LINK_LOST)]


async def test_refused_full_outbox_is_reported() -> None:
    """The frame that finds no room comes back as QUEUE_FULL."""
    stage = Stage(up_for_ever, count_max=1)
    async with stage.running() as supervisor:
        await stage.until(bool)
        supervisor.submit(transmit(1))
        supervisor.submit(transmit(2))
    assert stage.events[1:] == [FrameRefused(CABLE, 2, Refusal.QUEUE_FULL)]


async def test_failure_reports_link_down_then_every_unfinished_frame() -> None:
    """Taken but unreported, or still waiting: back as LINK_LOST; a sent one is not."""
    cut = asyncio.Event()

    async def life(emit: Emit, outbox: Outbox) -> None:
        emit(LinkUp(CABLE, TRAITS))
        emit(FrameSent(CABLE, (await outbox.get()).transmission))
        await outbox.get()
        await cut.wait()
        raise LinkLostError("unplugged")

    stage = Stage(life)
    async with stage.running() as supervisor:
        await stage.until(lambda events: len(events) == 1)
        for number in (1, 2, 3):
            supervisor.submit(transmit(number))
        await stage.until(lambda events: len(events) == 2)
        await asyncio.sleep(0)
        cut.set()
        await stage.until(lambda events: len(events) == 5)
    assert stage.events[1:] == [
        FrameSent(CABLE, 1),
        LinkDown(CABLE, "unplugged"),
        FrameRefused(CABLE, 2, Refusal.LINK_LOST),
        FrameRefused(CABLE, 3, Refusal.LINK_LOST),
    ]


async def test_link_down_comes_once_for_the_first_failure_and_once_for_each_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Retries of a missing device are quiet: status shows why once, the log each new reason."""

    async def up_then_lost(emit: Emit, outbox: Outbox) -> None:
        emit(LinkUp(CABLE, TRAITS))
        raise LinkLostError("gone")

    lives = [failing("no port"), failing("no port"), up_then_lost, failing("busy"), up_for_ever]
    stage = Stage(*lives)
    with caplog.at_level(logging.WARNING, logger="gateway.links"):
        async with stage.running():
            await stage.until(
                lambda events: events[-1:] == [LinkUp(CABLE, TRAITS)] and len(events) == 5
            )
    assert downs(stage.events) == [LinkDown(CABLE, "no port"), LinkDown(CABLE, "gone")]
    assert tolds(stage.events) == [LinkTold(CABLE, "busy")]
    assert [record.getMessage() for record in caplog.records] == [
        "link cable: no port",
        "link cable: gone",
        "link cable: busy",
    ]


async def test_a_frozen_device_keeps_its_name_while_it_is_opened_again() -> None:
    """What people read is what was found while it served, and what was tried since."""

    async def freezes(emit: Emit, outbox: Outbox) -> None:
        emit(LinkUp(CABLE, TRAITS))
        raise DeviceSilentError("it is frozen")

    async def nobody(emit: Emit, outbox: Outbox) -> None:
        raise DeviceSilentError("no radio here; check the port")

    stage = Stage(freezes, nobody, nobody, up_for_ever)
    async with stage.running():
        await stage.until(lambda events: sum(isinstance(each, LinkUp) for each in events) == 2)
    assert downs(stage.events) == [LinkDown(CABLE, "it is frozen")]
    assert [told.detail for told in tolds(stage.events)] == [
        "it is frozen; it is opened again",
        "it is frozen, opened once in 0 s in vain; it is opened again",
        "it is frozen, opened 2 times in 0 s in vain; it is opened again",
    ]


async def test_bug_in_a_driver_ends_the_supervisor() -> None:
    """Only a lost device is retried; our own fault must crash the daemon, not loop in silence."""

    async def buggy(emit: Emit, outbox: Outbox) -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        await Stage(buggy).supervisor.run()


async def test_driver_that_just_ends_is_a_bug() -> None:
    """A driver that returns has broken its contract."""

    async def ends(emit: Emit, outbox: Outbox) -> None:
        return

    with pytest.raises(AssertionError):
        await Stage(ends).supervisor.run()


def test_backoff_doubles_to_its_cap_with_jitter() -> None:
    """0.25 s doubling to 15 s, each within 25 %, however often it failed."""
    backoff, rng = Backoff(), Random(5)
    for count in range(1, 200):
        middle = min(0.25 * 2 ** (count - 1), 15.0)
        assert 0.75 * middle <= backoff.delay_s(count, rng) <= 1.25 * middle
    assert len({backoff.delay_s(10, rng) for _ in range(5)}) == 5


async def test_discarded_frames_are_gone_without_a_report() -> None:
    """After the engine was rebuilt nobody knows these frames any more."""
    stage = Stage(up_for_ever)
    async with stage.running() as supervisor:
        await stage.until(bool)
        supervisor.submit(transmit(1))
        supervisor.discard()
        assert supervisor.queued_count == 0
    assert stage.events == [LinkUp(CABLE, TRAITS)]


async def test_link_that_flaps_is_tried_ever_less_often() -> None:
    """Up for a moment is no recovery: the pause doubles until the link was up for `stable_s`."""

    async def flap(emit: Emit, outbox: Outbox) -> None:
        emit(LinkUp(CABLE, TRAITS))
        raise LinkLostError("flapping")

    stage = Stage(flap, flap, flap, flap, up_for_ever)
    stage.supervisor._backoff = Backoff(first_s=0.02, cap_s=1.0)
    loop = asyncio.get_running_loop()
    start = loop.time()
    async with stage.running():
        await stage.until(lambda events: len(events) == 9)
    assert loop.time() - start >= 0.75 * (0.02 + 0.04 + 0.08 + 0.16)


async def test_link_that_was_stable_is_tried_again_at_once() -> None:
    """One unplugging after days of service starts again from the first pause."""

    async def serve(emit: Emit, outbox: Outbox) -> None:
        emit(LinkUp(CABLE, TRAITS))
        raise LinkLostError("unplugged")

    stage = Stage(*[failing("no port")] * 4, *[serve] * 9, up_for_ever)
    stage.supervisor._backoff = Backoff(first_s=0.01, cap_s=60.0, stable_s=0.0)
    async with stage.running():
        await stage.until(lambda events: sum(isinstance(each, LinkUp) for each in events) == 10)


async def test_a_quiet_link_and_a_dead_one_are_never_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to do is no fault: neither while the link is up nor between two drivers."""
    quiet, dead = Stage(up_for_ever), Stage(*[failing("pulled")] * 3)
    dead.supervisor._backoff = Backoff(first_s=1000.0, cap_s=1000.0)
    loop = asyncio.get_running_loop()
    async with quiet.running() as up, dead.running() as down:
        await quiet.until(bool)
        await dead.until(lambda events: bool(downs(events)))
        later = loop.time() + 100 * STUCK_S
        with monkeypatch.context() as patched:
            patched.setattr(loop, "time", lambda: later)
            assert not up.is_stuck
            assert not down.is_stuck


async def test_a_driver_that_leaves_a_frame_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """It took one, or left it waiting, and says nothing of it; each sign of life counts anew."""
    stage = Stage(up_for_ever)
    loop = asyncio.get_running_loop()
    async with stage.running() as supervisor:
        await stage.until(bool)
        begun = float(round(loop.time()) + 10 * STUCK_S)  # what is added to a fraction is rounded
        now = begun
        with monkeypatch.context() as patched:
            patched.setattr(loop, "time", lambda: now)
            supervisor.submit(transmit(1))
            now = begun + STUCK_S / 2
            supervisor.submit(transmit(2))
            assert not supervisor.is_stuck
            now = begun + STUCK_S
            assert supervisor.is_stuck
            supervisor._emit(FrameSent(CABLE, 1))
            assert not supervisor.is_stuck


async def test_a_driver_that_neither_comes_up_nor_ends_is_stuck(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A missing device ends a driver; one that waits for ever without a word is a fault of ours."""
    is_called = asyncio.Event()

    async def hang(emit: Emit, outbox: Outbox) -> None:
        is_called.set()
        await asyncio.Event().wait()

    stage = Stage(hang)
    loop = asyncio.get_running_loop()
    async with stage.running() as supervisor:
        await is_called.wait()
        assert not supervisor.is_stuck
        later = loop.time() + STUCK_S
        with monkeypatch.context() as patched:
            patched.setattr(loop, "time", lambda: later)
            assert supervisor.is_stuck
