"""Two gateways of one station: never both transmit, and one of them soon does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.claim import Claim, Copy, Hold, Memory, Put, Read
from gateway.core.promotion import RECALL_MS, WISH_MS
from gateway.core.takeover import ALONE_MS, CHASE_MS, Start, Takeover
from gateway.core.tenure import LEASE_MS, PAUSE_MS, RESUME_COUNT_MAX, STEADY_MS, Tenure
from gateway.model import Instant
from tests.sim.two_gateways import Gateway, Pair

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
    pair.a.tenure.read(None, 0, pair.a.now())
    pair.a.tenure.unanswered()
    assert pair.a.tenure.promote(other_is_off=False, now=pair.a.now()) == obstacle
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
    pair.a.tenure.set_copy(Copy.OTHER, pair.a.now())
    pair.run(MINUTE)
    assert pair.active() == ""
    pair.a.tenure.set_copy(Copy.WHOLE, pair.a.now())
    pair.run(LEASE_MS)
    assert pair.active() == "a"


@pytest.mark.parametrize("theirs_ms", [LEASE_MS // 3, LEASE_MS, 2 * LEASE_MS])
def test_a_lease_is_taken_a_quarter_after_its_end(theirs_ms: int) -> None:
    """The longer one of the two: of a renewal that was seen now, and not a millisecond earlier."""
    seen_at = Instant(1_000)
    tenure = Tenure(name="b", run="0b", memory=Memory(), now=seen_at, by_lease=True)
    tenure.set_copy(Copy.WHOLE, seen_at)
    tenure.read(Claim(4, "a", "0a", Hold.LEASE, theirs_ms), 9, seen_at)
    longer_ms = max(theirs_ms, LEASE_MS)
    due = Instant(seen_at + longer_ms + longer_ms // 4)
    assert isinstance(tenure.order(Instant(due - 1)), Read)
    order = tenure.order(due)
    assert order == Put(Claim(5, "b", "0b", Hold.LEASE, LEASE_MS), 9)


def holder_and_other(pair: Pair) -> tuple[Gateway, Gateway]:
    """After a minute."""
    pair.run(MINUTE)
    return (pair.a, pair.b) if pair.active() == "a" else (pair.b, pair.a)


def watch_the_other(pair: Pair, other: Gateway, for_ms: int) -> bool:
    """Whether it was the active one at any time."""
    until = pair.now_ms + for_ms
    while pair.now_ms < until:
        pair.run(250)
        if other.transmits():
            return True
    return False


@pytest.mark.parametrize("away_ms", [500, 2_000, 10_000])
def test_a_crash_that_systemd_heals_changes_no_roles(away_ms: int) -> None:
    """Killed and started again on its machine, the holder goes on at once."""
    pair = Pair(10)
    holder, other = holder_and_other(pair)
    holder.kill()
    pair.run(away_ms)
    assert pair.active() == ""
    holder.start()
    pair.run(1_000)
    assert pair.active() == holder.name
    assert not watch_the_other(pair, other, 10 * MINUTE)


def test_a_reboot_proves_nothing_of_the_run_before() -> None:
    """A copied card remembers as much: the lease must end first, and then is the other's."""
    pair = Pair(11)
    holder, other = holder_and_other(pair)
    holder.reboot()
    pair.run(1_000)
    holder.start()
    pair.run(LEASE_MS * 7 // 10)
    assert pair.active() == ""
    pair.run(WAIT)
    assert pair.active() in (holder.name, other.name)
    assert not pair.both_ms


@pytest.mark.parametrize("has_other", [False, True])
def test_a_copied_card_waits_for_the_lease(has_other: bool) -> None:
    """Under one name, and the true one lives: it is not taken for a run that ended."""
    pair = Pair(12)
    holder, other = holder_and_other(pair)
    if not has_other:
        other.kill()
    pair.run(1_000)
    copy = Gateway(pair, holder.name, by_lease=True, lease_ms=LEASE_MS)
    copy.memory = replace(holder.memory, run="", resume_count=0)
    copy.generation = 1_000
    copy.start()
    for _ in range(4 * 60):
        pair.run(250)
        assert not copy.transmits()
    assert pair.active() == holder.name


def test_an_upgrade_changes_no_roles_and_an_end_does_soon() -> None:
    """Stopped in order: for `PAUSE_MS` the lease is its own still, then the other's."""
    pair = Pair(13)
    pair.late = 0.0
    holder, other = holder_and_other(pair)
    holder.stop()
    assert pair.active() == ""
    pair.run(6_000)
    holder.start()
    pair.run(1_000)
    assert pair.active() == holder.name
    assert not watch_the_other(pair, other, MINUTE)
    holder.stop()
    pair.run(PAUSE_MS * 9 // 10)
    assert pair.active() == ""
    pair.run(PAUSE_MS // 10 + LEASE_MS // 4 + 1_000)
    assert pair.active() == other.name
    assert not pair.both_ms


def test_who_ends_again_and_again_leaves_it_to_the_other() -> None:
    """A few starts take the lease up; the next one gives it back, and keeps out of the way."""
    pair = Pair(14)
    holder, other = holder_and_other(pair)
    crash_count = 0
    while not other.transmits():
        if holder.transmits():
            pair.run(2_000)
            holder.kill()
            crash_count += 1
            pair.run(3_000)
            holder.start()
        pair.run(250)
        assert pair.now_ms < 3 * MINUTE
    assert crash_count == RESUME_COUNT_MAX + 1
    pair.run(10 * MINUTE)
    assert pair.active() == other.name
    assert not pair.both_ms


def test_crashes_far_apart_are_no_such_row() -> None:
    """Between two of them it was the active one for long enough."""
    pair = Pair(15)
    holder, other = holder_and_other(pair)
    for _ in range(2 * RESUME_COUNT_MAX):
        holder.kill()
        pair.run(2_000)
        holder.start()
        assert not watch_the_other(pair, other, STEADY_MS + 5_000)
    assert pair.active() == holder.name


def test_whose_engine_stands_still_loses_the_lease() -> None:
    """The loop turns and could renew it for ever."""
    pair = Pair(16)
    holder, other = holder_and_other(pair)
    holder.tenure.set_well(False)
    pair.run(WAIT + LEASE_MS // 4 + 2_000)
    assert pair.active() == other.name
    assert not pair.both_ms


def test_who_cannot_write_gives_way_at_once_and_may_come_back() -> None:
    """No wait for the end of its lease; nor does it keep it from the other, or from itself."""
    pair = Pair(18)
    holder, other = holder_and_other(pair)
    holder.tenure.give_way(holder.now())
    assert not holder.transmits()
    holder.turn()
    pair.run(LEASE_MS // 2)
    assert pair.active() == other.name
    other.tenure.set_copy(Copy.UNSEEN, other.now())
    other.tenure.give_way(other.now())
    other.turn()
    pair.run(LEASE_MS // 2)
    assert pair.active() == holder.name
    assert not pair.both_ms


def test_by_hand_nothing_gives_way() -> None:
    """A person's word is not for a full disk to take back."""
    tenure = holding(Hold.HAND)
    tenure.give_way(NOW)
    assert tenure.hold is Hold.HAND


@pytest.mark.parametrize("leases_ms", [(5_000, 60_000), (60_000, 5_000)])
def test_the_longer_lease_counts(leases_ms: tuple[int, int]) -> None:
    """Two configurations that differ cost time, and never make two transmit."""
    pair = Pair(17, leases_ms=leases_ms)
    holder, other = holder_and_other(pair)
    holder.is_cut = True
    pair.run(60_000 * 3 // 2)
    assert pair.active() == other.name
    assert not pair.both_ms


NOW = Instant(1_000_000)


def holding(hold: Hold, *, was_by_hand: bool = False) -> Tenure:
    """One that has just begun to hold the claim so, at `NOW`."""
    memory = Memory(by_hand=was_by_hand)
    tenure = Tenure(name="a", run="1", memory=memory, now=NOW, by_lease=True)
    if hold is Hold.HAND:
        assert tenure.promote(other_is_off=True, now=NOW) is None
    else:
        tenure.read(None, 0, NOW)
        tenure.set_copy(Copy.WHOLE, NOW)
        order = tenure.order(NOW)
        assert isinstance(order, Put)
        tenure.put(order, 1, asked_at=NOW, now=NOW)
    assert tenure.hold is hold
    return tenure


@pytest.mark.parametrize("hold", [Hold.HAND, Hold.LEASE])
@pytest.mark.parametrize("copy", list(Copy))
@pytest.mark.parametrize("waited_ms", [0, ALONE_MS - 1, ALONE_MS, CHASE_MS - 1, CHASE_MS])
def test_every_takeover(hold: Hold, copy: Copy, waited_ms: int) -> None:
    """What one does that holds the claim, by how its store compares and how long it waited."""
    tenure = holding(hold)
    by_hand = hold is Hold.HAND
    match copy:
        case Copy.WHOLE | Copy.AHEAD:
            expected = Takeover(Start.APPEND)
        case Copy.OTHER | Copy.EMPTIED:
            expected = Takeover(Start.APPEND, is_behind=True) if by_hand else Takeover(Start.LEAVE)
        case Copy.UNSEEN if by_hand and waited_ms >= ALONE_MS:
            expected = Takeover(Start.ALONE, is_behind=True)
        case Copy.BEHIND if by_hand and waited_ms >= CHASE_MS:
            expected = Takeover(Start.ALONE, is_behind=True)
        case _:
            expected = Takeover(Start.WAIT)
    assert tenure.takeover(copy, Instant(NOW + waited_ms)) == expected
    assert tenure.hold is (Hold.NONE if expected.start is Start.LEAVE else hold)


def test_a_lease_counts_from_when_it_was_asked_for() -> None:
    """Taken and renewed, however late the answer: the other counts from what the cluster has."""
    late_ms = LEASE_MS // 5
    tenure = Tenure(name="a", run="1", memory=Memory(), now=NOW, by_lease=True)
    tenure.read(None, 0, NOW)
    tenure.set_copy(Copy.WHOLE, NOW)
    asked_at = NOW
    for revision in range(1, 4):
        order = tenure.order(asked_at)
        assert isinstance(order, Put)
        answered_at = Instant(asked_at + late_ms)
        tenure.put(order, revision, asked_at=asked_at, now=answered_at)
        ends_at = Instant(asked_at + LEASE_MS)
        assert tenure.may_transmit(answered_at)
        assert tenure.may_transmit(Instant(ends_at - 1))
        assert not tenure.may_transmit(ends_at)
        asked_at = Instant(answered_at + LEASE_MS // 4)


def test_alone_after_a_restart_it_has_all_that_it_said() -> None:
    """Who was promoted by hand before needs no alarm that it may lack something."""
    tenure = Tenure(name="a", run="2", memory=Memory(by_hand=True, term=1), now=NOW, by_lease=True)
    tenure.pass_time(Instant(NOW + RECALL_MS))
    later = Instant(NOW + RECALL_MS + ALONE_MS)
    assert tenure.takeover(Copy.UNSEEN, later) == Takeover(Start.ALONE, is_behind=False)


def test_a_store_that_does_not_go_on_gives_the_lease_back() -> None:
    """And takes none again before it is whole."""
    tenure = holding(Hold.LEASE)
    assert tenure.takeover(Copy.OTHER, NOW).start is Start.LEAVE
    order = tenure.order(NOW)
    assert isinstance(order, Put)
    assert order.claim.hold is Hold.NONE
    tenure.put(order, 2, asked_at=NOW, now=NOW)
    later = Instant(NOW + 10 * WAIT)
    assert isinstance(tenure.order(later), Read)
    tenure.set_copy(Copy.WHOLE, later)
    assert isinstance(tenure.order(later), Put)


def test_a_claim_by_hand_that_nobody_wants_is_given_back() -> None:
    """The cluster took it and its answer was lost; then a person made this one stand by."""
    tenure = Tenure(name="a", run="1", memory=Memory(), now=NOW, by_lease=True)
    tenure.read(None, 0, NOW)
    assert tenure.promote(other_is_off=False, now=NOW) is None
    order = tenure.order(NOW)
    assert isinstance(order, Put)
    tenure.stand_by(NOW)
    tenure.order(NOW)
    tenure.read(order.claim, 1, NOW)
    given = tenure.order(NOW)
    assert isinstance(given, Put)
    assert given.claim.hold is Hold.NONE


def test_a_claim_by_hand_under_its_own_name_is_left_time_to_come_back() -> None:
    """Of an earlier run that was made to stand by, or of a copied card, which transmits until it
    sees that its claim was given back: no lease is taken before that one had the time to see it.
    """
    tenure = Tenure(name="a", run="2", memory=Memory(), now=NOW, by_lease=True)
    tenure.set_copy(Copy.WHOLE, NOW)
    tenure.read(Claim(3, "a", "1", Hold.HAND), 5, NOW)
    given = tenure.order(NOW)
    assert isinstance(given, Put)
    assert given.claim.hold is Hold.NONE
    tenure.put(given, 6, asked_at=NOW, now=NOW)
    assert not isinstance(tenure.order(Instant(NOW + WAIT - 1)), Put)
    taken = tenure.order(Instant(NOW + WAIT + LEASE_MS))
    assert isinstance(taken, Put)
    assert taken.claim.hold is Hold.LEASE


@pytest.mark.parametrize("is_behind", [False, True])
def test_who_says_that_the_other_is_off_needs_no_majority(is_behind: bool) -> None:
    """The leader still answers, and takes nothing any more: after `ALONE_MS` his word counts, and
    waits no second time; killed before that, it is kept.
    """
    held = Claim(8, "a", "9", Hold.HAND)
    tenure = Tenure(name="b", run="1", memory=Memory(), now=NOW, by_lease=False)
    tenure.read(held, 5, NOW)
    assert tenure.promote(other_is_off=True, now=NOW) is None
    began_at = NOW
    assert isinstance(tenure.order(NOW), Put)
    if is_behind:
        later = Instant(NOW + 1_000)
        tenure = Tenure(name="b", run="2", memory=tenure.memory(NOW), now=later, by_lease=False)
        tenure.read(held, 5, later)
    last = Instant(began_at + ALONE_MS - 1)
    tenure.pass_time(last)
    assert tenure.hold is Hold.NONE
    assert not tenure.memory(last).by_hand
    due = Instant(last + 1)
    assert tenure.next_deadline(last) <= due
    tenure.pass_time(due)
    assert tenure.may_transmit(due)
    assert tenure.memory(due).by_hand
    assert tenure.takeover(Copy.UNSEEN, due) == Takeover(Start.ALONE, is_behind=True)
    order = tenure.order(due)
    assert isinstance(order, Put)
    assert order.claim.term == 10


def stuck_pair(seed: int) -> Pair:
    """Without leases; the cluster has just lost its majority, when b is promoted."""
    pair = Pair(seed, by_lease=False)
    pair.late = 0.0
    pair.run(MINUTE)
    pair.is_stuck = True
    assert pair.b.tenure.promote(other_is_off=False, now=pair.b.now()) is None
    pair.b.turn()
    pair.run(1_000)
    assert pair.held, "the promotion was asked for"
    return pair


@pytest.mark.parametrize("takes_late", [False, True])
@pytest.mark.parametrize("is_off", [False, True])
def test_a_promotion_that_nobody_took_overrides_no_later_one(
    takes_late: bool, is_off: bool
) -> None:
    """It is void after `WISH_MS`; and where the cluster takes it then after all, it moves nobody
    who was promoted since, whether or not its gateway is there to give it back.
    """
    pair = stuck_pair(21)
    assert 0 < pair.b.tenure.promotion.pending_ms(pair.b.now()) <= WISH_MS
    pair.run(WISH_MS * 21 // 20)
    assert not pair.b.tenure.promotion.pending_ms(pair.b.now())
    assert pair.b.memory.wish is None
    if is_off:
        pair.b.kill()
    assert pair.a.tenure.promote(other_is_off=True, now=pair.a.now()) is None
    pair.a.turn()
    pair.run(MINUTE)
    assert pair.active() == "a"
    pair.unstick(takes_late=takes_late)
    for _ in range(4 * 60):
        pair.run(250)
        assert pair.active() == "a"
    assert pair.entry.claim is not None
    assert (pair.entry.claim.name, pair.entry.claim.is_asked) == ("a", False)


def test_a_promotion_ends_when_the_other_one_is_promoted_meanwhile() -> None:
    """It sees that claim, which is the later word, and asks for nothing more."""
    pair = stuck_pair(22)
    assert pair.a.tenure.promote(other_is_off=False, now=pair.a.now()) is None
    pair.held.clear()
    pair.is_stuck = False
    pair.b.frozen_until = pair.now_ms + 1_000
    pair.a.turn()
    pair.run(MINUTE)
    assert pair.active() == "a"
    assert pair.b.memory.wish is None


def test_the_other_one_s_renewal_shows_that_it_is_not_off() -> None:
    """Who said so was wrong: the lease is waited for, as without that word."""
    tenure = Tenure(name="b", run="1", memory=Memory(), now=NOW, by_lease=True)
    lease = Claim(8, "a", "9", Hold.LEASE, LEASE_MS)
    tenure.read(lease, 5, NOW)
    assert tenure.promote(other_is_off=True, now=NOW) is None
    seen_at = Instant(NOW + 1_000)
    tenure.read(lease, 6, seen_at)
    order = tenure.order(Instant(NOW + 2 * ALONE_MS))
    assert isinstance(order, Put)
    assert tenure.hold is Hold.NONE
    tenure.put(order, 7, asked_at=seen_at, now=Instant(NOW + 2 * ALONE_MS))
    assert not tenure.may_transmit(Instant(seen_at + WAIT - 1))
    assert tenure.may_transmit(Instant(seen_at + WAIT))


@pytest.mark.parametrize("is_taken", [False, True])
@pytest.mark.parametrize("is_answered", [False, True])
@pytest.mark.parametrize("is_reboot", [False, True])
def test_a_person_s_word_outlives_an_end_before_it_counts(
    is_taken: bool, is_answered: bool, is_reboot: bool
) -> None:
    """Promoted while the other has the lease, and killed at any point: it goes on, and waits for
    that lease anew. A reboot ends only what the cluster had not taken.
    """
    if is_answered and not is_taken:
        return
    memory = Memory()
    tenure = Tenure(name="b", run="1", memory=memory, now=NOW, by_lease=True, lease_ms=5_000)
    lease = Claim(8, "a", "9", Hold.LEASE, LEASE_MS)
    tenure.read(lease, 5, NOW)
    assert tenure.promote(other_is_off=False, now=NOW) is None
    order = tenure.order(NOW)
    assert isinstance(order, Put)
    assert order.claim.term == 9, "above what the entry shows"
    memory = tenure.memory(NOW)
    assert memory.wish is not None
    if is_answered:
        tenure.put(order, 6, asked_at=NOW, now=NOW)
        memory = tenure.memory(NOW)
        assert memory.by_hand
    if is_reboot:
        wish = None if memory.wish is None else replace(memory.wish, said_at=None)
        memory = replace(memory, run="", wish=wish)
    back = Instant(NOW + 4_000)
    tenure = Tenure(name="b", run="2", memory=memory, now=back, by_lease=True, lease_ms=5_000)
    assert tenure.memory(back).by_hand == is_answered
    tenure.read(order.claim if is_taken else lease, 6 if is_taken else 5, back)
    again = tenure.order(back)
    if is_reboot and not is_taken:
        assert isinstance(again, Read)
        assert tenure.memory(back).wish is None
        return
    assert isinstance(again, Put)
    assert again.claim.hold is Hold.HAND
    tenure.put(again, 7, asked_at=back, now=back)
    assert not tenure.may_transmit(Instant(back + WAIT - 1))
    assert tenure.may_transmit(Instant(back + WAIT))
    assert tenure.memory(back).by_hand
    assert tenure.memory(back).wait_ms == WAIT
    assert not tenure.memory(Instant(back + WAIT)).wait_ms


def test_killed_while_it_waits_and_alone_it_waits_anew() -> None:
    """Its word was taken, and the cluster is away after the restart."""
    memory = Memory(by_hand=True, wait_ms=WAIT, term=9)
    tenure = Tenure(name="b", run="2", memory=memory, now=NOW, by_lease=True)
    alone_at = Instant(NOW + RECALL_MS)
    tenure.pass_time(alone_at)
    assert tenure.hold is Hold.HAND
    assert not tenure.may_transmit(Instant(NOW + WAIT - 1))
    assert tenure.may_transmit(Instant(NOW + WAIT))
    assert tenure.takeover(Copy.UNSEEN, Instant(NOW + WAIT)).is_behind


def test_a_claim_by_hand_of_an_earlier_run_is_the_same_word() -> None:
    """By hand before; asked again after a start, taken, the answer lost, and a start again, with or
    without a reboot: it is no other's.
    """
    for run in ("2", ""):
        memory = Memory(by_hand=True, term=3, run=run)
        tenure = Tenure(name="a", run="3", memory=memory, now=NOW, by_lease=False)
        tenure.read(Claim(4, "a", "2", Hold.HAND, is_asked=True), 6, NOW)
        order = tenure.order(NOW)
        assert order == Put(Claim(5, "a", "3", Hold.HAND, is_asked=True), 6)


def test_made_to_stand_by_while_its_claim_is_under_way() -> None:
    """By lease or without: the claim that the cluster takes then is given back, and no frame goes
    out by it.
    """
    tenure = Tenure(name="a", run="1", memory=Memory(), now=NOW, by_lease=True)
    tenure.read(None, 0, NOW)
    assert tenure.promote(other_is_off=False, now=NOW) is None
    order = tenure.order(NOW)
    assert isinstance(order, Put)
    tenure.stand_by(NOW)
    tenure.put(order, 1, asked_at=NOW, now=NOW)
    assert tenure.hold is Hold.NONE
    assert not tenure.memory(NOW).by_hand
    given = tenure.order(NOW)
    assert isinstance(given, Put)
    assert given.claim.hold is Hold.NONE


def test_what_was_asked_for_is_said_again_when_it_is_taken() -> None:
    """So a claim that came late is told from one whose gateway is the active one; its answer may
    be lost, and the entry shows it.
    """
    for is_answered in (False, True):
        tenure = Tenure(name="a", run="1", memory=Memory(), now=NOW, by_lease=False)
        tenure.read(None, 0, NOW)
        assert tenure.promote(other_is_off=False, now=NOW) is None
        order = tenure.order(NOW)
        assert order == Put(Claim(1, "a", "1", Hold.HAND, is_asked=True), 0)
        if is_answered:
            tenure.put(order, 1, asked_at=NOW, now=NOW)
        else:
            tenure.read(order.claim, 1, NOW)
        assert tenure.may_transmit(NOW)
        said = tenure.order(NOW)
        assert said == Put(Claim(1, "a", "1", Hold.HAND), 1)
        tenure.put(said, 2, asked_at=NOW, now=NOW)
        assert not isinstance(tenure.order(Instant(NOW + MINUTE)), Put)


def test_each_lease_has_a_term_of_its_own() -> None:
    """Above all that were, and remembered: who was the active one by lease knows a later word."""
    tenure = holding(Hold.LEASE)
    assert (tenure.term, tenure.memory(NOW).term) == (1, 1)
    tenure.give_way(NOW)
    tenure.read(Claim(6, "b", "9", Hold.NONE), 7, NOW)
    later = Instant(NOW + WAIT)
    order = tenure.order(later)
    assert isinstance(order, Put)
    tenure.put(order, 8, asked_at=later, now=later)
    assert order.claim.term == 7
    assert tenure.memory(later).term == 7
    renewal = tenure.order(Instant(later + LEASE_MS // 4))
    assert isinstance(renewal, Put)
    assert renewal.claim.term == 7


def test_a_person_s_word_outlives_the_lease_of_the_one_he_said_it_to() -> None:
    """Promoted while it holds the lease and the cluster takes nothing: the lease ends, the wish
    does not; a stop in order keeps it too.
    """
    tenure = holding(Hold.LEASE)
    assert tenure.promote(other_is_off=False, now=NOW) is None
    tenure.leave(NOW)
    assert not tenure.owes_word, "no pause is said: the next run goes on by hand"
    assert tenure.memory(NOW).wish is not None
    over = Instant(NOW + LEASE_MS)
    tenure.pass_time(over)
    assert tenure.hold is Hold.NONE
    order = tenure.order(over)
    assert isinstance(order, Put)
    assert order.claim.hold is Hold.HAND


def promote_alone(pair: Pair, one: Gateway) -> None:
    """The other one is off, and stays so until the cluster knows. Said again where a late claim of
    that one looked like a later word.
    """
    assert one.tenure.promote(other_is_off=True, now=one.now()) is None
    pair.run(pair.rng.randrange(MINUTE))
    pair.unstick(takes_late=True)
    one.is_cut, one.frozen_until = False, 0
    for _ in range(10):
        one.tenure.promote(other_is_off=True, now=one.now())
        pair.run(LEASE_MS)
        if pair.entry.claim is not None and pair.entry.claim.name == one.name:
            return
    raise AssertionError("the cluster never knew")


@pytest.mark.parametrize("seed", [*range(16), 139, 426])
def test_never_both_under_any_faults(seed: int) -> None:
    """An hour of losses, cuts, freezes, kills, restarts, hand-overs, a cluster that takes nothing
    or late, and persons who say that the other one is off where it is; then one is active.
    """
    pair = Pair(seed, loss=0.1, leases_ms=(LEASE_MS, 5_000 if seed % 3 == 0 else LEASE_MS))
    rng = pair.rng
    for _ in range(120):
        one = rng.choice((pair.a, pair.b))
        other = pair.b if one is pair.a else pair.a
        match rng.randrange(12):
            case 6 if not one.is_off:
                one.kill()
                pair.run(rng.randrange(10_000))
                one.start()
            case 7 if not one.is_off:
                rng.choice((one.reboot, one.stop, lambda one=one: one.tenure.give_way(one.now())))()
            case 8:
                one.tenure.set_well(rng.random() < 0.5)
            case 9 if pair.is_stuck:
                pair.unstick(takes_late=rng.random() < 0.5)
            case 9:
                pair.is_stuck = True
            case 10 if not one.is_off:
                one.tenure.promote(other_is_off=False, now=one.now())
                one.turn()
                pair.run(rng.randrange(200))
                rng.choice((one.reboot, one.kill))()
                pair.run(rng.randrange(WAIT))
                one.start()
            case 11 if not one.is_off and other.is_off:
                if not other.memory.by_hand and other.memory.wish is None:
                    promote_alone(pair, one)
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
    pair.unstick(takes_late=True)
    for one in (pair.a, pair.b):
        one.is_cut, one.frozen_until = False, 0
        if one.is_off:
            one.start()
        one.tenure.set_well(True)
    if not pair.active():
        one.tenure.promote(other_is_off=True, now=one.now())
    pair.run(3 * MINUTE)
    assert pair.active() in ("a", "b")
