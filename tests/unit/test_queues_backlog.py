"""The order in which untaken notices are handed on again."""

from __future__ import annotations

from gateway.core.records import Publication, Topic
from gateway.model import ActId, Epoch, Operation, Precedence, Serial, Station
from gateway.queues.backlog import Backlog, UnderWay

SIZE = 3


def row(offset: int, precedence: Precedence) -> Publication:
    act_id = ActId(Station(2), Epoch(1), Serial(offset))
    return Publication(offset, Topic.NOTICE, act_id, precedence, Operation.TEST, "{}")


def find(backlog: Backlog, waiting: list[Publication]) -> list[Publication]:
    """What a store gives for the round."""
    found = [
        one
        for one in waiting
        if one.precedence is backlog.precedence and one.offset > backlog.position
    ]
    return found[:SIZE]


def a_pass(backlog: Backlog, waiting: list[Publication]) -> list[int]:
    offsets: list[int] = []
    while not backlog.is_over or not offsets:
        rows = find(backlog, waiting)
        backlog.take(rows)
        offsets += [one.offset for one in rows]
        if backlog.was_empty:
            break
    return offsets


def test_the_most_urgent_first_then_by_offset() -> None:
    """Whatever came before it: a FLASH does not wait behind routine."""
    waiting = [row(offset, Precedence.ROUTINE) for offset in range(1, 8)]
    waiting += [row(8, Precedence.PRIORITY), row(9, Precedence.FLASH)]
    backlog = Backlog(SIZE)
    assert a_pass(backlog, waiting) == [9, 8, 1, 2, 3, 4, 5, 6, 7]
    assert backlog.is_over
    assert not backlog.was_empty
    assert (backlog.precedence, backlog.position) == (Precedence.FLASH, 0)


def test_a_pass_that_finds_nothing_says_so() -> None:
    """The adapter then waits for a notice."""
    backlog = Backlog(SIZE)
    assert a_pass(backlog, []) == []
    assert backlog.is_over
    assert backlog.was_empty


def test_who_comes_back_gets_the_most_urgent_first() -> None:
    """In the middle of a pass too."""
    waiting = [row(offset, Precedence.ROUTINE) for offset in range(1, 8)]
    backlog = Backlog(SIZE)
    for _ in range(4):
        backlog.take(find(backlog, waiting))
    assert (backlog.precedence, backlog.position) == (Precedence.ROUTINE, 3)
    backlog.restart()
    assert (backlog.precedence, backlog.position) == (Precedence.FLASH, 0)


def test_what_a_later_one_overtook_is_under_way_no_more() -> None:
    """A broker hands on in order: what went before one that was taken was taken, or dropped."""
    under_way = UnderWay(count_max=10)
    first, second, third, foreign = (row(n, Precedence.ROUTINE).notice_id for n in (1, 2, 3, 9))
    for notice_id in (first, second, third):
        under_way.add(notice_id)
    under_way.take(foreign)
    assert len(under_way) == 3
    under_way.take(second)
    assert [it in under_way for it in (first, second, third)] == [False, False, True]
    under_way.add(first)
    under_way.take(third)
    assert (first in under_way, len(under_way)) == (True, 1)
    under_way.clear()
    assert not len(under_way)


def test_of_too_many_under_way_the_oldest_are_forgotten() -> None:
    """Nobody takes them, and the feed goes on."""
    under_way = UnderWay(count_max=2)
    ids = [row(n, Precedence.ROUTINE).notice_id for n in (1, 2, 3)]
    for notice_id in (*ids, ids[1]):
        under_way.add(notice_id)
    assert [it in under_way for it in ids] == [False, True, True]
