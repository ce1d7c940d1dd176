"""The bound on what a far station may have open here: its share, BUSY, the reserve for FLASH."""

from __future__ import annotations

import dataclasses

from gateway.core.alarms import ALARM_COUNT_MAX
from gateway.core.effects import AlarmCode
from gateway.core.policy import Policy
from gateway.core.status_document import status_document
from gateway.model import (
    ActId,
    AnswerCode,
    Kind,
    LinkName,
    Notice,
    Operation,
    Precedence,
    Previous,
    Station,
    TimeQuality,
)
from gateway.sim.world import World
from tests.sim.by_hand import ByHand, id_of
from tests.sim.scenes import MINUTE, SECOND, alarms, draft, line, reaches, send

RECEIPT = "MACHINE RECEIPT"
LIAR, JUDGE, THIRD = 1, 2, 3
SMALL = Policy(inbound_notice_count=10, closed_notice_count=4)
"""Of the ten a share of nine is for what is slower than FLASH, where there is one line."""


def flooded(*, radio: bool = False, count: int = 14) -> tuple[World, list[ActId]]:
    """Station 1 handed more notices over than 2 takes of it; those that were receipted."""
    world = line(policy=SMALL, radio=radio, cable=not radio)
    sent = [send(world, draft(precedence=Precedence.ROUTINE)) for _ in range(count)]
    world.run(5 * MINUTE if radio else 20 * SECOND)
    return world, sent


def receipted(world: World, acts: list[ActId]) -> list[ActId]:
    return [act for act in acts if world.state_of(act) == RECEIPT]


def is_busy(world: World, station: int = LIAR) -> bool:
    """Whether a station shows that its peer said BUSY."""
    status = world.posts[Station(station)].status
    assert status is not None
    return any(peer.busy for peer in status.peers)


def test_what_is_above_the_share_is_not_kept_and_the_sender_is_told_busy() -> None:
    """Nine of fourteen are receipted; the rest stay with their originator, whose people see BUSY;
    here alarm and status name the far station. Answers make room, and all of it comes.
    """
    world, sent = flooded()
    taken = receipted(world, sent)
    assert len(taken) == 9
    assert len(world.published(JUDGE)) == 9
    assert {world.state_of(act) for act in sent if act not in taken} == {"SENT"}
    assert is_busy(world)
    assert AlarmCode.TOO_MANY_OPEN in alarms(world, JUDGE)
    status = world.posts[Station(JUDGE)].status
    assert status is not None
    assert status_document(status, {})["lines"][0]["far_gateway"]["full"] is True  # type: ignore[index]
    for act in taken:
        world.answer(act, AnswerCode.ROGER)
    left = [act for act in sent if act not in taken]
    world.run_until(lambda: len(receipted(world, left)) == len(left), 10 * SECOND)
    world.run(10 * SECOND)
    assert not is_busy(world)
    assert AlarmCode.TOO_MANY_OPEN not in alarms(world, JUDGE)


def test_flash_has_a_reserve_and_changes_and_answers_always_have_room() -> None:
    """The tenth place is FLASH's, the eleventh nobody's; a CANCEL ends a notice and an answer of
    the flooding station closes ours though it is BUSY here.
    """
    world, sent = flooded()
    flash = send(world, draft(precedence=Precedence.FLASH))
    reaches(world, flash, RECEIPT, 2 * SECOND)
    beyond = send(world, draft(precedence=Precedence.FLASH))
    world.run(20 * SECOND)
    assert world.state_of(beyond) == "SENT"
    ours = send(world, draft(to=LIAR), station=JUDGE)
    reaches(world, ours, RECEIPT, 5 * SECOND)
    world.answer(ours, AnswerCode.ROGER, station=LIAR)
    reaches(world, ours, "ROGER", 30 * SECOND)
    cancel = send(world, draft(kind=Kind.CANCEL, reference=receipted(world, sent)[0]))
    reaches(world, cancel, RECEIPT, 30 * SECOND)


def test_a_flood_on_one_line_takes_nothing_from_another() -> None:
    """Station 3 has its own share of open and closed ones: its notice is taken, and the follow-up
    to one closed long ago still finds it.
    """
    world = World(1, stations=3, policy=dataclasses.replace(SMALL, inbound_notice_count=20))
    world.add_path("cable", (LIAR, JUDGE))
    world.add_path("other", (JUDGE, THIRD))
    world.start()
    world.run(30 * SECOND)
    request = send(world, draft(kind=Kind.REQUEST), station=THIRD)
    reaches(world, request, RECEIPT, 5 * SECOND)
    world.answer(request, AnswerCode.WILCO)
    reaches(world, request, "WILCO", 5 * SECOND)
    for _ in range(20):
        send(world, draft(kind=Kind.SERVICE, precedence=Precedence.ROUTINE))
        send(world, draft(precedence=Precedence.ROUTINE))
    world.run(30 * SECOND)
    assert AlarmCode.TOO_MANY_OPEN in alarms(world, JUDGE)
    assert not is_busy(world, THIRD)
    engine = world.posts[Station(JUDGE)].engine
    assert engine is not None
    assert len(engine._state.ledger._closed) <= SMALL.closed_notice_count
    reaches(world, send(world, draft(), station=THIRD), RECEIPT, 2 * SECOND)
    world.answer(request, AnswerCode.HAVCO)
    reaches(world, request, "HAVCO", 5 * SECOND)


def test_cancels_of_notices_that_never_come_are_bounded_too() -> None:
    """They open a dialogue and end none: twice the share in all, then BUSY for them as well."""
    world = ByHand(1, policy=SMALL)
    world.add_path("cable")
    world.start()
    world.run(10 * SECOND)
    cancel = Notice(
        id=id_of(1, 9, 1),
        to=Station(JUDGE),
        kind=Kind.CANCEL,
        precedence=Precedence.ROUTINE,
        operation=Operation.OPERATION,
        created=None,
        time_quality=TimeQuality.NONE,
        lifetime_min=60,
        previous=Previous(0, 0),
        reference=id_of(1, 8, 1),
    )
    for serial in range(1, 41):
        act = dataclasses.replace(
            cancel,
            id=id_of(1, 9, serial),
            reference=id_of(1, 8, serial),
            previous=Previous(0, 0) if serial == 1 else None,
        )
        world.say([world.signed(act)])
    assert world.state(JUDGE).ledger.open_from(Station(LIAR)) == 20
    assert is_busy(world) or world.run_until(lambda: is_busy(world), 10 * SECOND)


def test_a_restart_keeps_the_bound() -> None:
    """Open ones are counted anew from the store: a tenth is refused again, and BUSY said again."""
    world, sent = flooded()
    world.crash(JUDGE)
    world.start(JUDGE)
    world.run(30 * SECOND)
    assert len(receipted(world, sent)) == 9
    assert AlarmCode.TOO_MANY_OPEN in alarms(world, JUDGE)
    assert is_busy(world)


def test_a_radio_that_is_told_busy_keeps_its_airtime() -> None:
    """Five notices that find no room: an attempt or three a minute, not one each three seconds; a
    FLASH goes as fast as ever.
    """
    world, _ = flooded(radio=True)
    path = world.paths[LinkName("radio")]
    before = path.spent_ms(Station(LIAR), world.now_ms)
    world.run(5 * MINUTE)
    spent = path.spent_ms(Station(LIAR), world.now_ms) - before
    assert 0 < spent < 25 * SECOND
    flash = send(world, draft(precedence=Precedence.FLASH))
    reaches(world, flash, RECEIPT, 15 * SECOND)


def test_busy_and_its_end_are_told_at_once() -> None:
    """By a radio, whose beats are five minutes apart, and whose notices rest a minute."""
    world = line(policy=SMALL, radio=True, cable=False)
    sent = [send(world, draft(precedence=Precedence.ROUTINE)) for _ in range(12)]
    world.run_until(lambda: len(receipted(world, sent)) == 9, MINUTE)
    assert world.run_until(lambda: is_busy(world), MINUTE) < 10 * SECOND
    world.run(15 * SECOND)
    for act in receipted(world, sent)[:3]:
        world.answer(act, AnswerCode.ROGER)
    left = [act for act in sent if world.state_of(act) == "SENT"]
    assert len(left) == 3
    world.run_until(lambda: len(receipted(world, left)) == 3, 25 * SECOND)


def test_alarms_that_a_far_station_can_multiply_push_out_each_other() -> None:
    """64 ids that mean two things: another alarm is lit all the same, and OVERDUE ones stay."""
    world = line()
    engine = world.posts[Station(JUDGE)].engine
    assert engine is not None
    watch = engine._state.watch
    watch.raise_alarm(AlarmCode.OVERDUE, "w", notice_id=ActId(Station(THIRD), 1, 1))  # type: ignore[arg-type]
    for serial in range(1, 2 * ALARM_COUNT_MAX):
        watch.raise_alarm(AlarmCode.SAME_ID, "x", notice_id=ActId(Station(LIAR), 9, serial))  # type: ignore[arg-type]
    assert len(watch._alarms) == ALARM_COUNT_MAX
    assert [key[0] for key in watch._alarms].count(AlarmCode.OVERDUE) == 1
    watch.clear_alarm(AlarmCode.OVERDUE, notice_id=ActId(Station(THIRD), 1, 1))  # type: ignore[arg-type]
    watch.raise_alarm(AlarmCode.SAME_ID, "x", notice_id=ActId(Station(LIAR), 8, 1))  # type: ignore[arg-type]
    assert watch.raise_alarm(AlarmCode.STORE_REFUSED, "y")
