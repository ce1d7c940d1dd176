"""A far station that lost what it had receipted: it is told, and what still matters goes again."""

from __future__ import annotations

from gateway.core.effects import AlarmCode
from gateway.model import ActId, AnswerCode, Station
from gateway.sim.world import World
from gateway.store.memory import MemoryStore
from tests.sim.scenes import SECOND, alarms, draft, line, reaches, send

RECEIPT = "MACHINE RECEIPT"
NORTH, SOUTH = 1, 2


def card(world: World, station: int, store: MemoryStore) -> None:
    """The station starts again with another store: a new card, or a backup put back."""
    world.crash(station)
    world.posts[Station(station)].store = store
    world.start(station)


def receipted(world: World, text: str, *, station: int = NORTH) -> ActId:
    notice = send(world, draft(text, to=3 - station), station=station)
    reaches(world, notice, RECEIPT, 30 * SECOND)
    return notice


def at(world: World, station: int) -> list[ActId]:
    """Every time that a notice was handed to the people there, as this store knows."""
    return [publication.notice_id for publication in world.published(station)]


def is_receipted(world: World, act_id: ActId) -> bool:
    row = world.posts[act_id.originator].store._live.rows[act_id]
    return row.is_receipted


def test_what_a_new_card_lacks_goes_again() -> None:
    """Open notices arrive once in the new store, and count as receipted once more."""
    world = line()
    notices = [receipted(world, f"convoy {number}") for number in range(20)]
    card(world, SOUTH, MemoryStore())
    world.run_until(lambda: len(at(world, SOUTH)) == len(notices), 60 * SECOND)
    world.run(30 * SECOND)
    assert sorted(at(world, SOUTH)) == notices
    assert {world.state_of(notice) for notice in notices} == {RECEIPT}
    assert all(is_receipted(world, notice) for notice in notices)
    assert AlarmCode.FAR_ROLLBACK in alarms(world, NORTH)
    assert AlarmCode.ROLLBACK not in alarms(world, SOUTH)


def test_what_an_old_backup_lacks_goes_again_and_nothing_else() -> None:
    """Not what is in the backup, nor what was answered and is closed."""
    world = line()
    kept = receipted(world, "in the backup")
    backup = world.posts[Station(SOUTH)].store.copy()
    closed = receipted(world, "answered")
    lost = receipted(world, "not answered yet")
    world.answer(closed, AnswerCode.ROGER, station=SOUTH)
    reaches(world, closed, "ROGER", 10 * SECOND)
    world.run(10 * SECOND)
    card(world, SOUTH, backup)
    world.run_until(lambda: lost in at(world, SOUTH), 60 * SECOND)
    world.run(60 * SECOND)
    assert at(world, SOUTH) == [kept, lost]
    assert AlarmCode.FAR_ROLLBACK in alarms(world, NORTH)


def test_epochs_that_are_not_in_the_backup_are_lost_too() -> None:
    """We started again since it was made: the backup names older epochs of ours alone."""
    world = line()
    kept = receipted(world, "in the backup")
    backup = world.posts[Station(SOUTH)].store.copy()
    lost: list[ActId] = []
    for number in range(3):
        world.crash(NORTH)
        world.start(NORTH)
        world.run(30 * SECOND)
        lost.append(receipted(world, f"of start {number}"))
    card(world, SOUTH, backup)
    world.run_until(lambda: set(lost) <= set(at(world, SOUTH)), 60 * SECOND)
    world.run(30 * SECOND)
    assert sorted(at(world, SOUTH)) == sorted([kept, *lost])


def test_an_answer_that_was_lost_there_goes_again() -> None:
    """Else their watch would call it overdue, and ours knows that it has answered."""
    world = line()
    notice = receipted(world, "acknowledge")
    backup = world.posts[Station(NORTH)].store.copy()
    world.answer(notice, AnswerCode.ROGER, station=SOUTH)
    reaches(world, notice, "ROGER", 10 * SECOND)
    world.run(10 * SECOND)
    card(world, NORTH, backup)
    reaches(world, notice, "ROGER", 60 * SECOND)
    assert AlarmCode.FAR_ROLLBACK in alarms(world, SOUTH)


def test_a_kill_after_the_loss_was_found_forgets_none_of_it() -> None:
    """The receipt is taken back in the store before a frame goes."""
    world = line()
    notice = receipted(world, "convoy")
    world.unplug("cable")
    world.crash(SOUTH)
    world.posts[Station(SOUTH)].store = MemoryStore()
    world.start(SOUTH)
    world.plug("cable")
    world.run_until(lambda: not is_receipted(world, notice), 60 * SECOND)
    world.unplug("cable")
    world.crash(NORTH)
    world.start(NORTH)
    world.run(30 * SECOND)
    assert at(world, SOUTH) == []
    world.plug("cable")
    world.run_until(lambda: at(world, SOUTH) == [notice], 60 * SECOND)


def test_ordinary_restarts_tell_of_no_loss() -> None:
    """On either side, with power or not, while notices and their receipts are under way."""
    world = line()
    for number in range(8):
        for station in (NORTH, SOUTH):
            for count in range(3):
                send(world, draft(f"{number} {count}", to=3 - station), station=station)
        world.run(number * 200)
        world.crash(1 + number % 2, keep_normal=bool(number & 2))
        world.start(1 + number % 2)
        world.run(20 * SECOND)
        assert not {AlarmCode.FAR_ROLLBACK} & (alarms(world, NORTH) | alarms(world, SOUTH))


def test_an_old_store_of_ours_blames_not_the_far_side() -> None:
    """We are the ones who lost: they hold epochs that we do not know."""
    world = line()
    receipted(world, "in the backup")
    backup = world.posts[Station(NORTH)].store.copy()
    for number in range(2):
        world.crash(NORTH)
        world.start(NORTH)
        world.run(30 * SECOND)
        receipted(world, f"of start {number}")
    card(world, NORTH, backup)
    world.run(60 * SECOND)
    assert alarms(world, NORTH) == {AlarmCode.ROLLBACK}
