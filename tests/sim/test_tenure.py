"""Two gateways of one station: never both transmit, and one of them soon does."""

from __future__ import annotations

import pytest

from gateway.core.tenure import LEASE_MS, RECALL_MS, Hold
from tests.sim.two_gateways import Pair

MINUTE = 60_000
WAIT = LEASE_MS + LEASE_MS // 4
"""From the last renewal until the other takes the lease."""


def test_one_takes_the_lease_and_the_other_stands_by() -> None:
    """With nothing else than the two of them, one is active within a second, for good."""
    pair = Pair(1)
    pair.run(1_000)
    first = pair.active()
    assert first in ("a", "b")
    pair.run(10 * MINUTE)
    assert pair.active() == first
    assert not pair.both_ms
    assert pair.silent_ms_max < 1_000


def test_a_killed_holder_is_followed_after_its_lease() -> None:
    """The other takes the lease when it cannot be good any more, and not before."""
    pair = Pair(2)
    pair.run(MINUTE)
    holder, other = (pair.a, pair.b) if pair.active() == "a" else (pair.b, pair.a)
    holder.kill()
    pair.run(LEASE_MS * 7 // 10)
    assert pair.active() == ""
    pair.run(WAIT)
    assert pair.active() == other.name
    holder.start()
    pair.run(MINUTE)
    assert pair.active() == other.name
    assert not pair.both_ms


def test_a_holder_that_is_cut_off_is_silent_before_the_other_begins() -> None:
    """The two of them are live at once, and never both transmit."""
    pair = Pair(3)
    pair.run(MINUTE)
    holder, other = (pair.a, pair.b) if pair.active() == "a" else (pair.b, pair.a)
    holder.is_cut = True
    pair.run(WAIT + LEASE_MS)
    assert pair.active() == other.name
    holder.is_cut = False
    pair.run(10 * MINUTE)
    assert pair.active() == other.name
    assert not pair.both_ms


def test_a_holder_that_was_stopped_and_goes_on_is_fenced_by_its_clock() -> None:
    """A process frozen for a minute finds its lease over before it can transmit."""
    pair = Pair(4)
    pair.run(MINUTE)
    holder = pair.a if pair.active() == "a" else pair.b
    holder.frozen_until = pair.now_ms + MINUTE
    pair.run(MINUTE + 10_000)
    assert pair.active() not in ("", holder.name)
    assert not pair.both_ms


def test_by_hand_nothing_ends_it_but_a_person() -> None:
    """Promoted by hand, a gateway goes on without the cluster, and after a restart too."""
    pair = Pair(5)
    pair.run(MINUTE)
    holder, other = (pair.a, pair.b) if pair.active() == "a" else (pair.b, pair.a)
    assert other.tenure.promote(other_is_off=False, now=other.now()) is None
    other.turn()
    pair.run(WAIT + LEASE_MS)
    assert pair.active() == other.name
    other.is_cut = holder.is_cut = True
    pair.run(10 * MINUTE)
    assert pair.active() == other.name
    other.kill()
    pair.run(1_000)
    other.start()
    pair.run(3 * RECALL_MS)
    assert pair.active() == other.name
    holder.is_cut = False
    pair.run(10 * MINUTE)
    assert pair.active() == other.name, "a claim by hand is never taken by a lease"
    obstacle = holder.tenure.promote(other_is_off=False, now=holder.now())
    assert obstacle is not None
    assert "by hand" in obstacle.problem
    assert not pair.both_ms


def test_standing_by_hands_over_at_once() -> None:
    """Who stands by gives the claim back, so the other need not wait for the lease's end."""
    pair = Pair(6)
    pair.run(MINUTE)
    holder, other = (pair.a, pair.b) if pair.active() == "a" else (pair.b, pair.a)
    holder.tenure.stand_by(holder.now())
    assert not holder.transmits()
    holder.turn()
    pair.run(LEASE_MS // 2)
    assert pair.active() == other.name
    pair.run(10 * MINUTE)
    assert pair.active() == other.name
    assert not pair.both_ms


def test_the_later_word_of_a_person_counts() -> None:
    """Promoted alone while the other was promoted at the cluster: the first stands by once it
    sees that, and is not told otherwise by its memory.
    """
    pair = Pair(7, by_lease=False)
    pair.run(1_000)
    assert pair.a.tenure.promote(other_is_off=False, now=pair.a.now()) is None
    pair.a.turn()
    pair.run(1_000)
    assert pair.active() == "a"
    pair.a.is_cut = True
    pair.run(MINUTE)
    assert pair.b.tenure.promote(other_is_off=False, now=pair.b.now()) is not None
    assert pair.b.tenure.promote(other_is_off=True, now=pair.b.now()) is None
    pair.b.turn()
    pair.run(MINUTE)
    assert pair.active() == "ab", "a person said that a is off, and it was not"
    pair.a.is_cut = False
    pair.run(MINUTE)
    assert pair.active() == "b"
    pair.a.kill()
    pair.a.is_cut = True
    pair.run(1_000)
    pair.a.start()
    pair.run(MINUTE)
    assert pair.active() == "b"


def test_without_the_cluster_nothing_is_taken_and_a_person_must_vouch() -> None:
    """No entry seen: no lease; promotion only for who says that the other is off."""
    pair = Pair(8)
    for one in (pair.a, pair.b):
        one.kill()
        one.is_cut = True
        one.start()
    pair.run(10 * MINUTE)
    assert pair.active() == ""
    obstacle = pair.a.tenure.promote(other_is_off=False, now=pair.a.now())
    assert obstacle is not None
    assert "--other-is-off" in obstacle.remedy
    assert pair.a.tenure.promote(other_is_off=True, now=pair.a.now()) is None
    assert pair.active() == "a"
    assert pair.a.tenure.hold is Hold.HAND


def test_one_that_is_behind_takes_no_lease() -> None:
    """Whoever lacks what the cluster has waits for a person."""
    pair = Pair(9)
    for one in (pair.a, pair.b):
        one.kill()
    pair.run(1_000)
    pair.entry.claim = None
    pair.a.start()
    pair.a.tenure.set_in_step(False)
    pair.run(MINUTE)
    assert pair.active() == ""
    pair.a.tenure.set_in_step(True)
    pair.run(LEASE_MS)
    assert pair.active() == "a"


@pytest.mark.parametrize("seed", range(16))
def test_never_both_under_any_faults(seed: int) -> None:
    """An hour of losses, cuts, freezes, kills and hand-overs; then one is active again."""
    pair = Pair(seed, loss=0.1)
    rng = pair.rng
    for _ in range(120):
        one = rng.choice((pair.a, pair.b))
        match rng.randrange(6):
            case 0 | 1:
                one.is_cut = not one.is_cut
            case 2:
                one.frozen_until = pair.now_ms + rng.randrange(2 * MINUTE)
            case 3:
                if one.is_off:
                    one.start()
                else:
                    one.kill()
            case 4 if not one.is_off:
                one.tenure.promote(other_is_off=False, now=one.now())
            case _ if not one.is_off and rng.random() < 0.5:
                one.tenure.stand_by(one.now())
            case _:
                pass
        pair.run(rng.randrange(MINUTE))
        assert not pair.both_ms, f"both at {pair.both_ms[0]} ms"
    pair.loss = 0.0
    for one in (pair.a, pair.b):
        one.is_cut, one.frozen_until = False, 0
        if one.is_off:
            one.start()
    if not pair.active():
        one.tenure.promote(other_is_off=True, now=one.now())
    pair.run(3 * MINUTE)
    assert pair.active() in ("a", "b")
