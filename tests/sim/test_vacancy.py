"""Where no gateway of a station is active, each that stands by finds it, and soon."""

from __future__ import annotations

import pytest

from gateway.core.claim import Claim, Copy, Hold, Memory
from gateway.core.tenure import LEASE_MS, Tenure
from gateway.core.vacancy import FREE_MS, OVER_MS, Vacant, Vigil, Want, has_successor
from gateway.model import Instant
from tests.sim.two_gateways import Pair

MINUTE = 60_000
WAIT = LEASE_MS + LEASE_MS // 4
STEP_MS = 250


class Bench:
    """Gateway a, which stands by, and what the cluster shows it."""

    def __init__(self, *, by_lease: bool = True) -> None:
        self.ms = MINUTE
        self.tenure = Tenure(
            name="a", run="0a", memory=Memory(), now=Instant(self.ms), by_lease=by_lease
        )
        self.vigil = Vigil(by_lease=by_lease, now=Instant(self.ms))

    def look(self) -> Vacant | None:
        self.tenure.order(Instant(self.ms))
        return self.vigil.look(self.tenure, Instant(self.ms))

    def read(self, claim: Claim | None, revision: int = 1) -> None:
        self.tenure.read(claim, revision, Instant(self.ms))

    def found_after(
        self, claim: Claim | None, limit_ms: int, *, is_seen: bool = True
    ) -> tuple[int, Vacant] | None:
        """The cluster shows this, again and again where `is_seen`: when and what is found."""
        start = self.ms
        self.read(claim)
        while self.ms <= start + limit_ms:
            if is_seen:
                self.read(claim)
            if (found := self.look()) is not None:
                return self.ms - start, found
            self.ms += STEP_MS
        return None


LEASE = Claim(3, "b", "0b", Hold.LEASE, LEASE_MS)
HAND = Claim(3, "b", "0b", Hold.HAND)


@pytest.mark.parametrize("copy", [Copy.OTHER, Copy.UNSEEN, Copy.EMPTIED])
def test_a_lease_that_is_over_beside_a_copy_that_is_not_whole(copy: Copy) -> None:
    """The other one is dead, and this one may not take over by itself."""
    bench = Bench()
    bench.tenure.set_copy(copy, Instant(bench.ms))
    found = bench.found_after(LEASE, 2 * MINUTE)
    assert found == (WAIT + OVER_MS, Vacant(Want.OVER, Instant(bench.ms), "b"))
    bench.read(LEASE, 2)  # renewed after all
    assert bench.look() is None


def test_with_a_whole_copy_it_takes_over_instead() -> None:
    """Nothing is told of an ordinary takeover: the lease is asked for in time."""
    bench = Bench()
    bench.tenure.set_copy(Copy.WHOLE, Instant(bench.ms))
    assert bench.found_after(LEASE, WAIT + OVER_MS - STEP_MS) is None


@pytest.mark.parametrize("by_lease", [True, False])
@pytest.mark.parametrize("claim", [None, Claim(3, "b", "0b", Hold.NONE)])
def test_a_claim_that_nobody_holds(by_lease: bool, claim: Claim | None) -> None:
    """Given back, or never taken; a hand-over by a person has half a minute."""
    bench = Bench(by_lease=by_lease)
    found = bench.found_after(claim, 2 * MINUTE)
    assert found == (FREE_MS, Vacant(Want.FREE, Instant(bench.ms)))
    bench.read(HAND, 2)
    assert bench.look() is None


def test_a_lost_cluster_by_lease() -> None:
    """No lease outlives it; told since when it does not answer."""
    bench = Bench()
    found = bench.found_after(LEASE, 2 * MINUTE, is_seen=False)
    assert found == (LEASE_MS + OVER_MS, Vacant(Want.UNSEEN, Instant(MINUTE)))
    again = Bench()
    again.ms += OVER_MS
    assert again.look() is None
    again.ms += OVER_MS
    assert again.look() == Vacant(Want.UNSEEN, Instant(MINUTE)), "never seen at all"


@pytest.mark.parametrize("is_seen", [True, False])
@pytest.mark.parametrize("by_lease", [True, False])
def test_a_persons_word_outlives_the_cluster(is_seen: bool, by_lease: bool) -> None:
    """The other one was promoted by hand: it is the active one, seen or not."""
    bench = Bench(by_lease=by_lease)
    assert bench.found_after(HAND, 10 * MINUTE, is_seen=is_seen) is None
    assert has_successor(bench.tenure, Instant(bench.ms))


def test_by_hand_without_a_cluster_nothing_is_known() -> None:
    """A station without one: the other may be active, and that one may not."""
    bench = Bench(by_lease=False)
    bench.look()
    bench.ms += 10 * MINUTE
    assert bench.look() is None


def test_both_cut_off_find_it_and_one_that_is_followed_does_not() -> None:
    """By lease, with the two of them: within the lease and six seconds, on both."""
    pair = Pair(3)
    pair.run(MINUTE)
    both = (pair.a, pair.b)
    vigils = [Vigil(by_lease=True, now=it.now()) for it in both]

    def look() -> list[Want | None]:
        found = [vigil.look(it.tenure, it.now()) for vigil, it in zip(vigils, both, strict=True)]
        return [None if it is None else it.want for it in found]

    for _ in range(MINUTE // 1000):
        pair.run(1_000)
        assert look() == [None, None]
    pair.a.is_cut = pair.b.is_cut = True
    for _ in range((LEASE_MS + 2 * OVER_MS) // 1000):
        pair.run(1_000)
        look()
    assert look() == [Want.UNSEEN, Want.UNSEEN]
    assert not has_successor(pair.a.tenure, pair.a.now()) or not has_successor(
        pair.b.tenure, pair.b.now()
    )
    pair.a.is_cut = pair.b.is_cut = False
    pair.run(MINUTE)
    assert look() == [None, None]
    assert pair.active()
