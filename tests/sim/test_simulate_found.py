"""What the simulation found in the engine, each as the smallest scene that shows it."""

from __future__ import annotations

from gateway.core.delivery import ROGER_CLOSES, DeliveryInput, advance
from gateway.core.effects import AlarmCode
from gateway.core.events import FrameReceived
from gateway.model import AnswerCode, DeliveryState, Kind, LinkName, Precedence, Station
from gateway.sim.world import Path, World
from tests.sim.scenes import MINUTE, SECOND, alarms, draft, line, reaches, send

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


def test_a_change_that_is_changed_before_it_left_still_arrives() -> None:
    """UPDATE of an UPDATE while the cable is out: the far watch must not go on by the first."""
    world = line()
    notice = send(world, draft())
    reaches(world, notice, RECEIPT, 2 * SECOND)
    world.unplug("cable")
    first = send(world, draft(kind=Kind.UPDATE, reference=notice))
    second = send(world, draft(kind=Kind.UPDATE, reference=first))
    world.plug("cable")
    reaches(world, second, RECEIPT, 5 * SECOND)
    reaches(world, notice, "SUPERSEDED", 5 * SECOND, at=2)
    assert world.state_of(first, 2) == "SUPERSEDED"


def test_a_cancel_that_expires_before_it_left_still_arrives() -> None:
    """Its own time is over, but what it cancels must not stay in force there."""
    world = line()
    notice = send(world, draft())
    reaches(world, notice, RECEIPT, 2 * SECOND)
    world.unplug("cable")
    send(world, draft(kind=Kind.CANCEL, reference=notice, lifetime_min=1))
    world.run(3 * MINUTE)
    world.plug("cable")
    reaches(world, notice, "CANCELLED", 5 * SECOND, at=2)


def test_old_frames_played_to_a_restarted_station_light_no_lamp() -> None:
    """Frames of before its restart, by an incarnation that is proven again, are no sign of life."""
    world = line()
    recorded: list[FrameReceived] = []
    arrive = world._arrive

    def record(path: Path, far: Station, received: FrameReceived) -> None:
        if far == 2:
            recorded.append(received)
        arrive(path, far, received)

    world._arrive = record  # type: ignore[method-assign]
    world.run(MINUTE)
    world.crash(2)
    world.start(2)
    world.run(MINUTE)
    world.crash(1)
    for received in recorded[:12]:
        world.run(10 * SECOND)
        world.give(Station(2), received)
    assert AlarmCode.FAR_GATEWAY_SILENT in alarms(world, 2)


def test_a_standby_after_the_expiry_opens_nothing_again() -> None:
    """It is shown on both sides, but no lamp waits without a limit; WILCO still counts
    (seeds hostile 11 and everything 1 of 24 h).
    """
    world = line()
    notice = send(world, draft(kind=Kind.REQUEST, lifetime_min=10))
    for station in (1, 2):
        reaches(world, notice, "EXPIRED, MACHINE RECEIPT", 11 * MINUTE, at=station)
    world.answer(notice, AnswerCode.STANDBY)
    world.run(2 * SECOND)
    for post in world.posts.values():
        row = post.store._live.rows[notice]
        assert row.delivery is not None
        assert len(row.delivery.answers) == 1
        assert not row.delivery.is_open
        assert post.status is not None
        assert post.status.pending_out_count == post.status.pending_in_count == 0
    world.answer(notice, AnswerCode.WILCO)
    for station in (1, 2):
        reaches(world, notice, "WILCO", 2 * SECOND, at=station)


def test_a_cable_that_is_plugged_again_is_no_sign_of_life() -> None:
    """The far station went off meanwhile: an alarm is lit without a pause (cable-only 3004)."""
    world = line()
    world.unplug("cable")
    world.crash(2)
    world.run(15 * MINUTE)
    assert AlarmCode.NO_LINK in alarms(world, 1)
    world.plug("cable")
    assert AlarmCode.FAR_GATEWAY_SILENT in alarms(world, 1)
    world.start(2)
    world.run(10 * SECOND)
    assert not alarms(world, 1)


def test_a_driver_that_says_nothing_lets_flash_have_its_turn() -> None:
    """Each frame takes the guard then: hellos that come due meanwhile must not take all of them
    (seed everything 4000).
    """
    world: World = line(radio=True, cable=False)
    world.crash(2)
    world.crash(1)
    world.start(1)
    world.run(5 * MINUTE)
    world.paths[LinkName("radio")].mute.add(Station(1))
    world.run(5 * MINUTE)
    flash = send(world, draft(precedence=Precedence.FLASH))
    lane = world.posts[Station(1)].engine._state.lines[Station(2)].lanes[LinkName("radio")]  # type: ignore[union-attr]
    world.run_until(
        lambda: lane.busy is not None and any(part.act_id == flash for part in lane.busy.parts),
        2 * MINUTE,
    )
