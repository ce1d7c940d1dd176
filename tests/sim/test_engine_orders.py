"""LINE STATE and MINIMIZE in virtual time: who is held, until when, and what lifts it."""

from __future__ import annotations

import pytest

from gateway.core.effects import Declared
from gateway.model import (
    ActId,
    AnswerCode,
    Kind,
    LineState,
    NoticeDraft,
    Operation,
    Phrase,
    Precedence,
    Station,
)
from gateway.sim.world import World
from tests.sim.scenes import MINUTE, SECOND, alarms, draft, line, reaches, send

RECEIPT = "MACHINE RECEIPT"
SUSPENDED = Phrase(91)
MINIMIZE_UNNAMED = Phrase(94)
LIFTED = Phrase(95)


def minimize(precedence: Precedence) -> Phrase:
    return Phrase(96, (precedence.name,))


def order(
    body: Phrase,
    *,
    to: int = 2,
    operation: Operation = Operation.OPERATION,
    lifetime_min: int | None = None,
) -> NoticeDraft:
    return NoticeDraft(
        to=Station(to),
        kind=Kind.LINE_STATE,
        precedence=Precedence.ROUTINE,
        operation=operation,
        body=body,
        lifetime_min=lifetime_min,
    )


def ordered(world: World, *args: object, **kwargs: object) -> ActId:
    """An order of station 1 that both ends know."""
    notice = send(world, order(*args, **kwargs))  # type: ignore[arg-type]
    reaches(world, notice, RECEIPT, 10 * SECOND)
    return notice


def declared(world: World, station: int) -> tuple[Declared, ...]:
    status = world.posts[Station(station)].status
    assert status is not None
    return status.peers[0].declared


@pytest.mark.parametrize("station", [1, 2])
def test_minimize_holds_what_is_slower_at_both_ends(station: int) -> None:
    """At IMMEDIATE, PRIORITY and ROUTINE are HELD and IMMEDIATE goes; the order itself, ROUTINE,
    goes too.
    """
    world = line()
    ordered(world, minimize(Precedence.IMMEDIATE))
    far = 3 - station
    held = [
        send(world, draft(to=far, precedence=precedence), station=station)
        for precedence in (Precedence.ROUTINE, Precedence.PRIORITY)
    ]
    goes = send(world, draft(to=far, precedence=Precedence.IMMEDIATE), station=station)
    reaches(world, goes, RECEIPT, 10 * SECOND, at=station)
    world.run(10 * MINUTE)
    assert [world.state_of(notice, station) for notice in held] == ["HELD", "HELD"]
    evidence = [
        str(note.fields["evidence"])
        for note in world.posts[Station(station)].observed
        if note.fields.get("state") == "HELD"
    ]
    assert "MINIMIZE 1-" in evidence[0]
    assert "when it is lifted" in evidence[0]


def test_lifting_releases_at_once_fastest_first() -> None:
    """MINIMIZE off: what was held leaves in order of precedence, not of acceptance."""
    world = line()
    ordered(world, MINIMIZE_UNNAMED)
    slow = send(world, draft(precedence=Precedence.ROUTINE))
    fast = send(world, draft(precedence=Precedence.PRIORITY))
    world.run(MINUTE)
    send(world, order(LIFTED))
    reaches(world, slow, RECEIPT, 5 * SECOND)
    arrived = [
        str(note.fields["notice_id"])
        for note in world.posts[Station(2)].observed
        if note.event == "notice_received"
    ]
    assert arrived.index(str(fast)) < arrived.index(str(slow))
    assert declared(world, 1) == declared(world, 2) == ()


def test_cancel_and_expiry_lift_it() -> None:
    """An order that is cancelled, or whose time is over, holds nothing at either end."""
    world = line()
    first = ordered(world, minimize(Precedence.FLASH))
    held = send(world, draft())
    back = send(world, draft(to=1), station=2)
    world.run(MINUTE)
    assert world.state_of(held) == world.state_of(back, 2) == "HELD"
    send(world, draft(kind=Kind.CANCEL, reference=first))
    reaches(world, held, RECEIPT, 5 * SECOND)
    reaches(world, back, RECEIPT, 5 * SECOND, at=2)

    ordered(world, minimize(Precedence.FLASH), lifetime_min=30)
    held = send(world, draft())
    world.run(29 * MINUTE)
    assert world.state_of(held) == "HELD"
    reaches(world, held, RECEIPT, MINUTE + 5 * SECOND)


def test_only_its_giver_lifts_an_order() -> None:
    """The far party's MINIMIZE off ends the far party's order only."""
    world = line()
    ordered(world, minimize(Precedence.IMMEDIATE))
    lifted = send(world, order(LIFTED, to=1), station=2)
    reaches(world, lifted, RECEIPT, 5 * SECOND, at=2)
    held = send(world, draft())
    world.run(MINUTE)
    assert world.state_of(held) == "HELD"


def test_it_survives_a_restart_of_either_end_even_answered() -> None:
    """A ROGER closes the notice, not the order; a kill releases nothing."""
    world = line()
    first = ordered(world, minimize(Precedence.IMMEDIATE))
    world.answer(first, AnswerCode.ROGER)
    reaches(world, first, "ROGER", 5 * SECOND)
    held = send(world, draft())
    back = send(world, draft(to=1), station=2)
    for station in (1, 2):
        world.crash(station)
        world.run(SECOND)
        world.start(station)
    world.run(5 * MINUTE)
    assert world.state_of(held) == world.state_of(back, 2) == "HELD"
    send(world, order(LIFTED))
    reaches(world, held, RECEIPT, 10 * SECOND)
    reaches(world, back, RECEIPT, 10 * SECOND, at=2)


def test_limits_in_time_go_on_while_it_is_held() -> None:
    """A held notice gets OVERDUE as ever, which does not send it; expiry ends it."""
    world = line()
    ordered(world, minimize(Precedence.IMMEDIATE))
    held = send(world, draft(lifetime_min=60))
    world.run(31 * MINUTE)
    assert any(alarm.value == "overdue" for alarm in alarms(world, 1))
    assert world.state_of(held) == "HELD"
    reaches(world, held, "EXPIRED", 30 * MINUTE)


def test_answers_and_cancels_pass() -> None:
    """What the far watch says to a notice, and a CANCEL of what it has, are never held."""
    world = line()
    before = send(world, draft())
    asked = send(world, draft())
    reaches(world, asked, RECEIPT, 5 * SECOND)
    ordered(world, minimize(Precedence.FLASH))
    world.answer(asked, AnswerCode.ROGER)
    reaches(world, asked, "ROGER", 5 * SECOND)
    cancel = send(world, draft(kind=Kind.CANCEL, reference=before))
    reaches(world, cancel, RECEIPT, 5 * SECOND)
    assert world.state_of(before, 2) == "CANCELLED"


@pytest.mark.parametrize("indicator", [Operation.EXERCISE, Operation.TEST])
def test_an_exercise_never_holds_what_is_meant_in_earnest(indicator: Operation) -> None:
    """It holds its own indicator only; an order of OPERATION holds an exercise as well."""
    world = line()
    ordered(world, minimize(Precedence.FLASH), operation=indicator)
    earnest = send(world, draft())
    played = send(world, draft(operation=indicator))
    reaches(world, earnest, RECEIPT, 5 * SECOND)
    world.run(MINUTE)
    assert world.state_of(played) == "HELD"
    ordered(world, minimize(Precedence.FLASH))
    played = send(world, draft(operation=Operation.SIMULATION))
    world.run(MINUTE)
    assert world.state_of(played) == "HELD"


def test_a_suspended_line_says_so_and_carries_all_the_same() -> None:
    """The declared state is shown at both ends, and no link cares."""
    world = line()
    first = ordered(world, SUSPENDED)
    notice = send(world, draft())
    reaches(world, notice, RECEIPT, 5 * SECOND)
    for station in (1, 2):
        (shown,) = declared(world, station)
        assert (shown.notice_id, shown.state, shown.minimize) == (first, LineState.SUSPENDED, None)
