"""A step costs the same whatever is open; deadlines that come together are run in turns."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from gateway.core.events import NoticeDisplayed
from gateway.core.policy import Policy
from gateway.model import AnswerCode, Kind, Operation, Precedence, Station
from gateway.sim.world import World
from tests.sim.scenes import MINUTE, SECOND, draft, line, reaches, send

FEW, MANY = 10, 400


def lines_run(action: Callable[[], None]) -> int:
    """Lines of Python that an action runs: unlike its time, the same on every machine."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return count


def standing(open_count: int) -> World:
    """A line with exercise notices of station 1 that its peer has and nobody answered."""
    world = line()
    for _ in range(open_count):
        notice = send(world, draft(kind=Kind.REQUEST, operation=Operation.EXERCISE))
        reaches(world, notice, "MACHINE RECEIPT", 10 * SECOND)
    return world


def dialogue(world: World) -> None:
    """A notice and its answers, and an UPDATE that crosses the last one."""
    notice = send(world, draft(kind=Kind.REQUEST, precedence=Precedence.ROUTINE))
    reaches(world, notice, "MACHINE RECEIPT", 10 * SECOND)
    world.give(Station(2), NoticeDisplayed(notice))
    world.answer(notice, AnswerCode.ROGER)
    reaches(world, notice, "ROGER", 10 * SECOND)
    change = draft("instead", kind=Kind.UPDATE, precedence=Precedence.ROUTINE, reference=notice)
    world.answer(notice, AnswerCode.WILCO)
    send(world, change)
    world.run(SECOND)
    world.submit(change)
    world.run(SECOND)


def test_a_dialogue_costs_the_same_with_few_and_many_open() -> None:
    """Nothing searches what is open: no status, candidate, crossing, refusal or receipt."""
    few, many = standing(FEW), standing(MANY)
    for world, count in ((few, FEW), (many, MANY)):
        status = world.posts[Station(2)].status
        assert status is not None
        assert status.pending_in_count == count
    base = lines_run(lambda: dialogue(few))
    # Pending lists hold 32: so far it may grow.
    assert lines_run(lambda: dialogue(many)) < base * 1.25


def test_limits_that_pass_together_are_run_in_turns() -> None:
    """After a long power-off a step runs so many and asks to be called again at once."""
    world = line(policy=Policy(timeout_count=4))
    world.paths[next(iter(world.paths))].deaf.add(Station(2))
    notices = [send(world, draft(lifetime_min=1)) for _ in range(20)]
    world.crash(1)
    world.run(5 * MINUTE)
    world.start(1)
    engine = world.posts[Station(1)].engine
    assert engine is not None
    steps = 0
    handle = engine.handle_timeout

    def counted(**given: Any) -> Any:
        nonlocal steps
        steps += 1
        return handle(**given)

    engine.handle_timeout = counted  # type: ignore[method-assign]
    world.run(1)
    assert [world.state_of(notice) for notice in notices] == ["EXPIRED"] * 20
    assert steps >= 20 // 4
