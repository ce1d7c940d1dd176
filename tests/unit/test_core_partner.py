"""What the active gateway knows of the other one, and when it lets that one have the lease."""

from __future__ import annotations

import pytest

from gateway.core.claim import Copy
from gateway.core.partner import AWAY_MS, FRESH_MS, REFUSED_MS, REPORT_MS, Partner, Report
from gateway.model import Instant

NOW = Instant(1_000_000)
WHOLE = Report("b", Copy.WHOLE)


def later(ms: int) -> Instant:
    return Instant(NOW + ms)


def heard_of(report: Report) -> Partner:
    """At `NOW`, after a first look."""
    partner = Partner("a", NOW)
    partner.heard(None, 0, NOW)
    partner.heard(report, 1, NOW)
    return partner


@pytest.mark.parametrize("copy", list(Copy))
def test_gives_way_to_one_that_is_in_step(copy: Copy) -> None:
    """After the grace, and as long as its report is fresh."""
    partner = heard_of(Report("b", copy))
    in_step = copy in (Copy.WHOLE, Copy.BEHIND)
    assert not partner.gives_way(REFUSED_MS - 1, NOW)
    assert partner.gives_way(REFUSED_MS, NOW) is in_step
    assert partner.gives_way(REFUSED_MS, later(FRESH_MS - 1)) is in_step
    assert not partner.gives_way(10 * REFUSED_MS, later(FRESH_MS))


def test_a_report_of_unknown_age_proves_nothing() -> None:
    """The first that is seen, the first after the cluster was away, the same again, our own."""
    partner = Partner("a", NOW)
    partner.heard(WHOLE, 7, NOW)
    partner.heard(WHOLE, 7, NOW)
    partner.heard(Report("a", Copy.WHOLE), 8, NOW)
    assert not partner.is_in_step(NOW)
    partner.lost_sight()
    partner.heard(WHOLE, 9, NOW)
    assert not partner.is_in_step(NOW)
    partner.heard(WHOLE, 10, NOW)
    assert partner.is_in_step(NOW)


def test_one_that_was_never_heard_of() -> None:
    """The alarm waits for a start and a base."""
    partner = Partner("a", NOW)
    assert partner.problem(later(AWAY_MS - 1)) == ""
    assert "was not heard of" in partner.problem(later(AWAY_MS))


def test_one_that_falls_silent_and_comes_back() -> None:
    """From its last report on."""
    partner = heard_of(WHOLE)
    assert partner.problem(later(AWAY_MS - 1)) == ""
    assert partner.problem(later(AWAY_MS)) == "gateway b is not heard of any more"
    partner.heard(WHOLE, 2, later(AWAY_MS))
    assert partner.problem(later(AWAY_MS)) == ""


def test_one_that_lives_and_is_out_of_step() -> None:
    """From its last good report on; why, in its own words."""
    partner = heard_of(WHOLE)
    for revision, ms in enumerate(range(REPORT_MS, AWAY_MS + 1, REPORT_MS), start=2):
        assert partner.problem(later(ms - 1)) == ""
        partner.heard(Report("b", Copy.OTHER, "commit 4 is another one"), revision, later(ms))
    assert partner.problem(later(AWAY_MS)) == "gateway b is out of step: commit 4 is another one"
