"""Queues that go and come, in virtual time: what is told of them and when they are tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from random import Random

import pytest

from gateway.core.events import QueueDown, QueueUp
from gateway.errors import QueueUnavailableError
from gateway.queues.base import EmitQueue, QueueEvent
from gateway.runtime.queue_supervisor import (
    BACKOFF_FIRST_S,
    BACKOFF_MAX_S,
    HELD_S,
    REASON_COUNT_MAX,
    RETELL_S,
    QueueSupervisor,
)
from gateway.sim.virtual_loop import run_virtual

SHORT_S = 0.1
LONG_S = HELD_S + 1.0
UP = QueueUp("q")


class Adapter:
    """Connects, hands on, and lasts so long; `up_s` None: it does not connect."""

    def __init__(
        self,
        up_s: float | None,
        reason: str = "full",
        *,
        problem: str = "",
        hands_on: bool = False,
    ) -> None:
        self._up_s = up_s
        self._error = QueueUnavailableError(reason, problem=problem)
        self._hands_on = hands_on

    async def run(self, emit: EmitQueue) -> None:
        if self._up_s is not None:
            emit(UP)
            if self._hands_on:
                await asyncio.sleep(0.01)
                emit(UP)
            await asyncio.sleep(self._up_s)
        raise self._error


class Course:
    """What became of a row of adapters; the last one stands for all that follow."""

    def __init__(self, adapters: Sequence[Adapter], duration_s: float) -> None:
        self.told: list[tuple[float, QueueEvent]] = []
        self.started_s: list[float] = []
        run_virtual(self._run(adapters, duration_s))

    @property
    def events(self) -> list[QueueEvent]:
        return [event for _, event in self.told]

    async def _run(self, adapters: Sequence[Adapter], duration_s: float) -> None:
        time = asyncio.get_running_loop().time

        def make() -> Adapter:
            self.started_s.append(time())
            return adapters[min(len(self.started_s), len(adapters)) - 1]

        supervisor = QueueSupervisor(
            "q", make, lambda event: self.told.append((time(), event)), rng=Random(1)
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(duration_s):
                await supervisor.run()


def down(reason: str = "full") -> QueueDown:
    return QueueDown("q", reason)


def test_a_queue_that_takes_nothing_is_one_outage() -> None:
    """It connects each time: told up at the start, and then down once for a whole day."""
    course = Course([Adapter(SHORT_S)], 24 * 3600.0)
    assert course.events == [UP, down()]
    assert 2300 < len(course.started_s) < 24 * 3600 / BACKOFF_MAX_S * 1.4


def test_the_delay_doubles_to_its_cap() -> None:
    """While it cannot be reached; with jitter, so that not all come back at once."""
    course = Course([Adapter(None)], 600.0)
    waits = [b - a for a, b in zip(course.started_s, course.started_s[1:], strict=False)]
    for index, wait_s in enumerate(waits):
        wanted_s = min(BACKOFF_FIRST_S * 2**index, BACKOFF_MAX_S)
        assert 0.75 * wanted_s <= wait_s <= 1.25 * wanted_s
    assert len(waits) > 15
    assert len(set(waits)) == len(waits), "without jitter all come back at once"


def test_a_broker_that_was_restarted_is_up_at_once() -> None:
    """Its connection had held, so the next one is believed, and tried soon."""
    course = Course([Adapter(LONG_S, "gone"), Adapter(None, "gone"), Adapter(LONG_S)], LONG_S + 10)
    assert course.events == [UP, down("gone"), UP]
    assert course.told[-1][0] < LONG_S + 2


def test_a_broker_that_comes_late_is_up_at_once() -> None:
    """The first connection is believed, however long it took."""
    course = Course([Adapter(None, "no"), Adapter(None, "no"), Adapter(LONG_S)], 10.0)
    assert course.events == [down("no"), UP]
    assert course.told[-1][0] < 2


def test_it_is_up_once_something_was_handed_on() -> None:
    """However soon that is: the stream was mended."""
    course = Course([Adapter(SHORT_S), Adapter(SHORT_S), Adapter(LONG_S, hands_on=True)], 10.0)
    assert course.events == [UP, down(), UP]
    assert course.told[-1][0] == pytest.approx(course.started_s[-1] + 0.01)


def test_it_is_up_once_the_connection_has_held() -> None:
    """Where there is nothing to hand on; and it starts with the first delay again."""
    rows = [*[Adapter(SHORT_S)] * 8, Adapter(LONG_S), Adapter(LONG_S)]
    course = Course(rows, 1000.0)
    assert course.events[:4] == [UP, down(), UP, down()]
    held_from_s = course.started_s[8]
    assert course.told[2][0] == pytest.approx(held_from_s + HELD_S)
    assert course.started_s[9] <= held_from_s + LONG_S + 1.25 * BACKOFF_FIRST_S


def test_what_did_not_hold_starts_no_clock_for_the_next() -> None:
    """Two connections that are each too short are not one that held."""
    course = Course([Adapter(SHORT_S), Adapter(HELD_S - 1)], 20 * HELD_S)
    assert course.events == [UP, down()]


@pytest.mark.parametrize("hands_on", [False, True])
def test_one_that_breaks_again_is_told_again(hands_on: bool) -> None:
    """The same reason after it was up is another outage."""
    course = Course([Adapter(SHORT_S), Adapter(LONG_S, hands_on=hands_on), Adapter(None)], 100.0)
    assert course.events == [UP, down(), UP, down()]


def test_servers_that_say_the_same_in_turn_are_one_reason() -> None:
    """A cluster: each connection asks the next server, and its name is in the text."""
    turns = [Adapter(None, f"server {it % 3} has it unsafe", problem="unsafe") for it in range(90)]
    assert Course(turns, 1000.0).events == [down("server 0 has it unsafe")]


def test_reasons_that_take_turns_are_told_now_and_then() -> None:
    """Another reason is told at once; one that comes back, when the last telling is long ago."""
    turns = [Adapter(None, "away" if it % 2 else "denied") for it in range(1000)]
    assert Course(turns, RETELL_S - 60).events == [down("denied"), down("away")]
    told = Course(turns, 10 * RETELL_S).told
    assert 10 < len(told) < 24
    assert len({str(event) for _, event in told}) == 2


def test_reasons_that_never_repeat_have_a_bound() -> None:
    """Else an error with a number in it would fill the log book."""
    course = Course([Adapter(None, f"error {it}") for it in range(1000)], RETELL_S - 1)
    assert course.events == [down(f"error {it}") for it in range(REASON_COUNT_MAX)]


def test_an_adapter_that_ends_is_a_bug() -> None:
    """It serves until it fails: an end without an error is no outage."""

    class Ending:
        async def run(self, emit: EmitQueue) -> None:
            pass

    async def supervise() -> None:
        await QueueSupervisor("q", Ending, lambda _: None, rng=Random(1)).run()

    with pytest.raises(AssertionError, match="queue q ended"):
        run_virtual(supervise())
