"""Own acts on their way, and the heap of a link."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.governor import Governor
from gateway.core.lane import Lane, Part
from gateway.core.link_health import LinkHealth
from gateway.core.outgoing import Attempt, OutAct, Outgoing
from gateway.core.policy import Policy
from gateway.core.strangers import Strangers
from gateway.model import ActId, Epoch, Instant, LinkName, Precedence, Serial, Station

OWN = Station(1)
CABLE = LinkName("cable")


def act(serial: int, precedence: Precedence = Precedence.PRIORITY, *, fragments: int = 0) -> OutAct:
    return OutAct(
        id=ActId(OWN, Epoch(7), Serial(serial)),
        precedence=precedence,
        octets=bytes([serial]),
        signature=None,
        born=Instant(0),
        age_known=True,
        fragments=tuple(bytes([index]) for index in range(fragments)),
    )


def outgoing(*acts: OutAct) -> Outgoing:
    out = Outgoing(OWN)
    for one in acts:
        out.add(one)
    return out


def test_the_fastest_waits_in_front_and_equal_ones_in_order() -> None:
    """FLASH before ROUTINE; equal precedence by order of coming; none is left at the end."""
    acts = [act(1, Precedence.ROUTINE), act(2), act(3, Precedence.FLASH), act(4)]
    out = outgoing(*acts)
    order = []
    while (waiting := out.next_waiting()) is not None:
        order.append(waiting.id.serial)
        out.pop_waiting()
    assert order == [3, 2, 4, 1]


def test_what_is_under_way_receipted_or_slowed_down_waits_no_more_in_its_place() -> None:
    """An entry of the heap that is no longer true is passed over."""
    moved, receipted, slowed, plain = (act(n) for n in (1, 2, 3, 4))
    out = outgoing(moved, receipted, slowed, plain)
    moved.attempts[CABLE] = Attempt()
    out.receipt_serials(7, (2,))
    slowed.precedence = Precedence.ROUTINE
    out.wait(slowed)
    assert out.next_waiting() is plain
    out.pop_waiting()
    assert out.next_waiting() is slowed


def test_a_receipt_covers_each_act_once() -> None:
    """Cumulative and bitmap; the second time nothing is new; unknown serials are passed over."""
    out = outgoing(*(act(n) for n in (1, 2, 3, 4, 6)))
    assert [a.id.serial for a in out.receipt(7, 2, 0b1010)] == [1, 2, 4, 6]
    assert out.receipt(7, 2, 0b1010) == []
    assert [a.id.serial for a in out.unreceipted()] == [3]
    assert out.receipt(7, 1, 0) == []
    assert [a.id.serial for a in out.receipt(7, 3, 0)] == [3]


def test_a_receipt_for_more_than_was_given_out_counts_for_what_was() -> None:
    """What a peer claims above it neither costs a look each nor hides what is given out later."""
    out = outgoing(act(1), act(2))
    assert [a.id.serial for a in out.receipt(7, 2**32 - 1, 0)] == [1, 2]
    out.add(act(3))
    assert [a.id.serial for a in out.receipt(7, 3, 0)] == [3]


def test_a_receipted_act_is_parked_no_more() -> None:
    """It left before MINIMIZE held its repeat, and its receipt came late."""
    parked = act(1)
    out = outgoing(parked)
    assert out.next_waiting() is parked
    out.park(parked)
    assert out.receipt(7, 1, 0) == [parked]
    assert not out.is_parked(parked)
    assert out.unpark() == []


def test_an_old_receipt_makes_the_next_one_no_dearer() -> None:
    """It comes by the slower link, after the newer one; there may be 100 000 serials below."""
    looks = Looks()
    out = outgoing()
    out._acts = looks
    for serial in range(1, 101):
        out.add(act(serial))
    out.receipt(7, 99, 0)
    out.receipt(7, 1, 0)
    looks.count = 0
    out.receipt(7, 100, 0)
    assert looks.count == 1


class Looks(dict[ActId, OutAct]):
    """Counts who looked for an act."""

    count = 0

    def pop(self, *arguments: Any) -> Any:
        self.count += 1
        return super().pop(*arguments)


def test_what_was_receipted_before_the_start_costs_no_look() -> None:
    """`restore_receipted` makes the next receipt start above it."""
    out = outgoing(act(5), act(6))
    out.restore_receipted(7, 5)
    assert [a.id.serial for a in out.receipt(7, 6, 0)] == [6]


def test_only_serials_given_out_are_known() -> None:
    """A peer that claims more shows that our store is older than what we said."""
    out = outgoing(act(3))
    out.note_epoch(9, 40)
    out.note_epoch(9, 4)
    assert out.knows(7, 3)
    assert not out.knows(7, 4)
    assert out.knows(9, 40)
    assert not out.knows(8, 1)
    assert dict(out.epochs()) == {7: 3, 9: 40}


def test_a_void_takes_the_place_of_what_never_left_only() -> None:
    """An id means one act for ever."""
    old, new = act(1), act(1)
    out = outgoing(old)
    out.replace(new)
    assert out.get(new.id) is new
    new.has_left = True
    with pytest.raises(AssertionError):
        out.replace(act(1))


def test_missing_fragments_are_those_the_peer_does_not_hold() -> None:
    """Bit i of the bitmap is fragment i."""
    fragmented = act(1, fragments=4)
    fragmented.held_bitmap = 0b0101
    assert fragmented.missing() == [1, 3]


def test_a_dropped_act_leaves_no_part_in_the_heap_of_its_link() -> None:
    """Other acts' parts keep their order."""
    lane = Lane(CABLE, LinkHealth(Policy()), Governor(reserve=0.2), Strangers(Policy()))
    for order, serial in enumerate((1, 2, 1, 3, 2)):
        lane.push(Precedence.ROUTINE, order, Part(act(serial).id, order))
        lane.acts[act(serial).id] = None
    lane.drop(act(1).id)
    assert [part.index for _, _, part in sorted(lane.jobs)] == [1, 3, 4]
    assert list(lane.acts) == [act(2).id, act(3).id]
    lane.clear()
    assert (lane.jobs, lane.acts) == ([], {})


@pytest.mark.parametrize(
    ("known", "lost"),
    [
        pytest.param(((5, 2), (6, 2), (7, 3)), {}, id="all of it"),
        pytest.param(((5, 2), (6, 2), (7, 2)), {}, id="that one is under way"),
        pytest.param(((5, 2), (6, 1), (7, 3)), {6: 1}, id="one of an epoch"),
        pytest.param(((7, 3),), {}, id="it names its newest epochs only"),
        pytest.param(((6, 2),), {7: 0}, id="a later epoch"),
        pytest.param(((5, 1),), {5: 1, 6: 0, 7: 0}, id="all since"),
        pytest.param((), {5: 0, 6: 0, 7: 0}, id="everything"),
        pytest.param(((5, 2), (9, 4)), {7: 0}, id="our own store is old: but this run"),
        pytest.param(((5, 1), (9, 4)), {5: 1, 7: 0}, id="both are"),
        pytest.param(((9, 4), (7, 3)), {}, id="our own store is old, and it has this run"),
        pytest.param(((5, 2), (6, 9), (7, 3)), {}, id="it has more than we know"),
    ],
)
def test_what_a_new_incarnation_lacks(
    known: tuple[tuple[int, int], ...], lost: dict[int, int]
) -> None:
    """Epochs 5 and 6 with two acts each, receipted; two of three of epoch 7."""
    outgoing = Outgoing(OWN)
    for epoch in (5, 6):
        outgoing.note_epoch(epoch, 2)
    for serial in (1, 2, 3):
        outgoing.add(act(serial))
    assert outgoing.receipt(7, 2, 0) != []
    assert outgoing.lost(known) == lost


def test_a_receipt_taken_back_is_looked_for_again() -> None:
    """An act that goes again is receipted by a receipt that would have told nothing new."""
    outgoing = Outgoing(OWN)
    for serial in (1, 2, 3):
        outgoing.add(act(serial))
    outgoing.receipt(7, 3, 0)
    outgoing.forget_receipt(act(2).id)
    outgoing.add(act(2))
    assert [one.id.serial for one in outgoing.receipt(7, 3, 0)] == [2]
