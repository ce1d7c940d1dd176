"""What was kept long enough is removed by the engine: never what is open, and no recording brings
it back.
"""

from __future__ import annotations

from gateway.core.events import FrameReceived, Outlived
from gateway.core.life import Record
from gateway.logbook.entry import decode_entry, retired_acts
from gateway.model import ActId, AnswerCode, Kind, LinkName, Station
from gateway.sim.world import World
from tests.sim.scenes import MINUTE, SECOND, alarms, draft, line, reaches, send
from tests.sim.test_engine_hostile import record

CABLE = LinkName("cable")
RECEIPT = "MACHINE RECEIPT"
LIFETIME_MIN = 60


def answered(world: World) -> tuple[ActId, ...]:
    """A notice with its answer, closed at both ends and past its expiry."""
    notice = send(world, draft(kind=Kind.REQUEST, lifetime_min=LIFETIME_MIN))
    reaches(world, notice, RECEIPT, 2 * SECOND)
    world.answer(notice, AnswerCode.WILCO)
    reaches(world, notice, "WILCO", 2 * SECOND)
    return (notice, *records(world)[notice].answers)


def records(world: World) -> dict[ActId, Record]:
    """Of the first station, as its engine has them."""
    engine = world.posts[Station(1)].engine
    assert engine is not None
    return engine._state.ledger.records


def rows(world: World, station: int) -> set[ActId]:
    """What a store holds."""
    return set(world.posts[Station(station)].store._live.rows)


def retired(world: World, station: int) -> list[tuple[ActId, ...]]:
    """What the log book says was removed, an entry each."""
    entries = world.posts[Station(station)].store._live.log
    found = [retired_acts(decode_entry(row.octets)) for row in entries]
    return [gone for gone in found if gone]


def outlived(world: World, *dialogues: tuple[ActId, ...]) -> None:
    for station in (1, 2):
        world.give(Station(station), Outlived(dialogues, ()))


def test_a_recording_of_what_was_removed_is_a_repeat() -> None:
    """Its frames again, at once and after a restart: no notice, no state, no alarm."""
    world = line()
    heard = record(world)
    dialogue = answered(world)
    frames = list(heard)
    world.run((LIFETIME_MIN + 1) * MINUTE)
    outlived(world, dialogue)
    for station in (1, 2):
        assert not rows(world, station) & set(dialogue)
        assert retired(world, station) == [dialogue]
    count = len(world.published(2))
    for _ in range(2):
        for far, octets in frames:
            world.give(far, FrameReceived(CABLE, octets))
        world.run(5 * SECOND)
        for station in (1, 2):
            assert not rows(world, station) & set(dialogue)
            world.crash(station)
            world.start(station)
        world.run(30 * SECOND)
    assert len(world.published(2)) == count
    assert not alarms(world, 1) | alarms(world, 2)
    after = send(world, draft("after"))
    reaches(world, after, RECEIPT, 10 * SECOND)


def test_what_is_open_or_may_be_in_force_stays() -> None:
    """Open, without a receipt, or before its expiry: nothing of its dialogue goes."""
    world = line()
    open_ = send(world, draft(kind=Kind.REQUEST))
    reaches(world, open_, RECEIPT, 2 * SECOND)
    valid = answered(world)
    world.paths[CABLE].deaf.add(Station(2))
    unreceipted = send(world, draft(lifetime_min=1))
    world.run(2 * MINUTE)
    assert not records(world)[unreceipted].is_open
    before = rows(world, 1)
    outlived(world, (open_,), valid, (unreceipted,))
    assert rows(world, 1) == before
    assert retired(world, 1) == []
    assert set(valid) <= rows(world, 2)
    world.paths[CABLE].deaf.clear()
    world.run((LIFETIME_MIN + 1) * MINUTE)
    outlived(world, valid, (unreceipted,))
    assert not {*valid, unreceipted} & rows(world, 1)


def test_highest_serials_outlive_what_is_removed() -> None:
    """After a restart the far side is told the true end of the last epoch: no ROLLBACK."""
    world = line()
    dialogue = answered(world)
    world.run((LIFETIME_MIN + 1) * MINUTE)
    outlived(world, dialogue)
    world.crash(1)
    assert world.posts[Station(1)].store.recovered().epochs[0][2] >= dialogue[0].serial
    world.start(1)
    world.run(30 * SECOND)
    assert not alarms(world, 1) | alarms(world, 2)


def test_a_store_that_refuses_removes_nothing() -> None:
    """In STORE REFUSED nothing is written."""
    world = line()
    dialogue = answered(world)
    world.run((LIFETIME_MIN + 1) * MINUTE)
    world.fill_disk(1)
    before = rows(world, 1)
    world.give(Station(1), Outlived((dialogue,), (1,)))
    assert rows(world, 1) == before


def test_what_is_in_no_memory_any_more_goes_by_the_word_of_the_store() -> None:
    """Of old notices the engine knows nothing; to be told twice is harmless."""
    world = line()
    dialogue = answered(world)
    world.run((LIFETIME_MIN + 1) * MINUTE)
    for _ in range(2):
        outlived(world, dialogue)
    assert retired(world, 1) == [dialogue, dialogue]
    assert not rows(world, 1) & set(dialogue)
    entries = len(world.posts[Station(1)].store._live.log)
    world.give(Station(1), Outlived((), ()))
    assert len(world.posts[Station(1)].store._live.log) == entries
