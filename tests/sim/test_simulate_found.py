"""What the simulation found in the engine, each as the smallest scene that shows it."""

from __future__ import annotations

from gateway.core.delivery import ROGER_CLOSES, DeliveryInput, advance
from gateway.model import AnswerCode, DeliveryState, Kind, LinkName, Precedence, Station
from gateway.sim.world import World
from tests.sim.scenes import MINUTE, SECOND, draft, line, reaches, send

RECEIPT = "MACHINE RECEIPT"


def test_roger_after_standby_closes_what_expects_a_roger() -> None:
    """A REPORT answered STANDBY, then ROGER, is closed on both sides (seed calm 1)."""
    world = line()
    notice = send(world, draft(kind=Kind.REPORT))
    reaches(world, notice, RECEIPT, 2 * SECOND)
    world.answer(notice, AnswerCode.STANDBY)
    reaches(world, notice, "STANDBY", 2 * SECOND)
    world.answer(notice, AnswerCode.ROGER)
    reaches(world, notice, "ROGER", 2 * SECOND)
    assert world.state_of(notice, 2) == "ROGER"
    assert world.posts[Station(1)].status.pending_out_count == 0  # type: ignore[union-attr]


def test_a_standby_that_comes_late_does_not_open_it_again() -> None:
    """The closing ROGER overtook the STANDBY before it: it stays closed."""
    assert (DeliveryState.ROGER, DeliveryInput.STANDBY) in ROGER_CLOSES
    late = advance(DeliveryState.ROGER, DeliveryInput.STANDBY, roger_closes=True)
    assert late is DeliveryState.ROGER
    request = advance(DeliveryState.ROGER, DeliveryInput.STANDBY)
    assert request is DeliveryState.STANDBY, "a REQUEST still waits for more"


def test_flash_finds_a_place_where_slower_ones_fill_the_window() -> None:
    """A dead line with its window full of IMMEDIATE ones: FLASH leaves all the same."""
    world: World = line(radio=True, cable=False)
    world.paths[LinkName("radio")].deaf.update((Station(1), Station(2)))
    world.run(30 * MINUTE)
    for _ in range(12):
        send(world, draft(precedence=Precedence.IMMEDIATE))
    world.run(2 * MINUTE)
    flash = send(world, draft(precedence=Precedence.FLASH))
    world.run(2 * MINUTE)
    assert world.state_of(flash) == "SENT"
