"""Countersigns: each side keeps the other's signed word on where both log books stand."""

from __future__ import annotations

from gateway.core.policy import Policy
from gateway.logbook.entry import decode_entry
from gateway.model import AnswerCode, Countersign, Kind, Operation, Station
from gateway.sim.world import World
from gateway.wire.notice import decode_act
from tests.sim.books import log_rows
from tests.sim.scenes import MINUTE, SECOND, draft, line, reaches, send

HOUR = 60 * MINUTE


def countersigns(world: World, station: int, *, of: int) -> list[Countersign]:
    """Those of a station, as the book of a station holds them."""
    found = []
    for row in log_rows(world.posts[Station(station)]):
        entry = decode_entry(row.octets)
        if entry.act_id is None or entry.act_id.originator != of:
            continue
        act = decode_act(entry.octets or b"", originator=Station(of), to=Station(3 - of))
        if isinstance(act, Countersign):
            found.append(act)
    return found


def test_daily_from_half_an_hour_after_the_start() -> None:
    """A line without traffic: one each half an hour after the start, then one a day."""
    world = line()
    world.run(25 * MINUTE)
    assert countersigns(world, 1, of=2) == []
    world.run(10 * MINUTE)
    assert len(countersigns(world, 1, of=2)) == len(countersigns(world, 2, of=1)) == 1
    world.run(23 * HOUR)
    assert len(countersigns(world, 1, of=2)) == 1
    world.run(HOUR)
    assert len(countersigns(world, 1, of=2)) == len(countersigns(world, 2, of=1)) == 2


def test_its_head_is_that_of_the_book_and_goes_on_to_the_far_one() -> None:
    """The hash is that of the entry; the far side says it again, and names what came."""
    world = line()
    notice = send(world, draft(), station=1)
    reaches(world, notice, "MACHINE RECEIPT", MINUTE)
    world.run(49 * HOUR)
    rows = log_rows(world.posts[Station(1)])
    own = countersigns(world, 2, of=1)
    assert len(own) == 3
    for act in own:
        assert rows[act.head.number - 1].hash == act.head.hash
    last = countersigns(world, 1, of=2)[-1]
    assert last.far_head is not None
    assert last.far_head in [(act.head.number, act.head.hash[:16]) for act in own]
    (received,) = last.received
    assert (received.epoch, received.serial) == (notice.epoch, 1 + len(own[:-1]))


def test_a_hand_over_brings_one() -> None:
    """The watch that goes leaves a signed state of the books behind."""
    world = line()
    send(world, draft("watch B has the duty", kind=Kind.HANDOVER))
    world.run(MINUTE)
    assert len(countersigns(world, 2, of=1)) == 1
    assert countersigns(world, 1, of=2) == []


def test_much_traffic_brings_one_sooner() -> None:
    """Both count the acts of the line, said and heard; a countersign alone never brings another."""
    world = line(policy=Policy(countersign_act_count=10))
    for _ in range(5):
        notice = send(world, draft())
        reaches(world, notice, "MACHINE RECEIPT", MINUTE)
        world.answer(notice, AnswerCode.ROGER)
        reaches(world, notice, "ROGER", MINUTE)
    world.run(10 * SECOND)
    assert len(countersigns(world, 2, of=1)) == 1
    assert len(countersigns(world, 1, of=2)) == 1
    send(world, draft())
    world.run(10 * MINUTE)
    assert len(countersigns(world, 2, of=1)) == 1


def test_one_that_waits_is_not_doubled_and_nobody_sees_it() -> None:
    """A line that is dead for a week holds one; it lights nothing and is published nowhere."""
    world = line()
    world.unplug("cable")
    world.run(7 * 24 * HOUR)
    assert len(countersigns(world, 1, of=1)) == 1
    world.plug("cable")
    world.run(10 * MINUTE)
    assert len(countersigns(world, 2, of=1)) == 1
    for station in (1, 2):
        status = world.posts[Station(station)].status
        assert status is not None
        assert status.pending_in == ()
        assert world.published(station) == []


def test_it_outlives_a_kill_of_either_side() -> None:
    """Said before a power cut it still arrives; after one the far head is told again."""
    world = line()
    world.run(29 * MINUTE)
    world.unplug("cable")
    world.run(5 * MINUTE)
    world.crash(1)
    world.run(MINUTE)
    world.start(1)
    world.plug("cable")
    world.run(5 * MINUTE)
    assert len(countersigns(world, 2, of=1)) == 1
    notice = send(world, draft(operation=Operation.TEST))
    reaches(world, notice, "MACHINE RECEIPT", MINUTE)
    world.run(25 * HOUR)
    last = countersigns(world, 1, of=2)[-1]
    assert last.far_head is not None
