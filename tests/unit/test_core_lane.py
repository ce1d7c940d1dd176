"""A lane's estimate of how many of its receipts get lost."""

from __future__ import annotations

from gateway.core.governor import Governor
from gateway.core.lane import TOLD_COUNT_MAX, Lane
from gateway.core.link_health import LinkHealth
from gateway.core.policy import Policy
from gateway.core.strangers import Strangers
from gateway.model import LinkName


def lane() -> Lane:
    return Lane(LinkName("cable"), LinkHealth(Policy()), Governor(reserve=0.2), Strangers(Policy()))


def arrive(lane: Lane, serial: int) -> int:
    """An act comes in, and its receipt goes; how many copies would follow it."""
    lane.note_arrival(7, serial)
    return lane.receipt_copy_count()


def test_a_receipt_is_copied_while_acts_keep_coming_again() -> None:
    """None at first; one, then two, the more acts come twice; none again when they stop."""
    tested = lane()
    counts = [arrive(tested, serial) for serial in range(1, 20) for _ in range(2)]
    assert counts[0] == 0
    assert sorted(set(counts)) == [0, 1, 2]
    assert counts[-1] == 2
    assert [arrive(tested, serial) for serial in range(20, 60)][-1] == 0


def test_what_comes_twice_before_its_receipt_went_says_nothing() -> None:
    """A medium that repeats frames loses none."""
    tested = lane()
    for serial in range(1, 50):
        tested.note_arrival(7, serial)
        tested.owed.serials[7] = {serial: None}
        tested.note_arrival(7, serial)
        tested.owed.serials.clear()
    assert tested.receipt_copy_count() == 0


def test_only_the_latest_serials_are_remembered() -> None:
    """A peer that counts on for ever costs no memory."""
    tested = lane()
    for serial in range(1, 3 * TOLD_COUNT_MAX):
        tested.note_arrival(7, serial)
    assert len(tested.told) == TOLD_COUNT_MAX
