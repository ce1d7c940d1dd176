"""A radio of a region with 1 %: its own count never refuses a frame, and no notice is given up."""

from __future__ import annotations

import pytest

from gateway.sim.profile import PROFILES, with_duty_share
from gateway.sim.simulate import Options, simulate


@pytest.mark.parametrize("seed", [104, 110])
def test_a_hundredth_of_the_hour_is_never_overspent(seed: int) -> None:
    """Three hours of notices that the budget is too small for, cuts, kills, a mute driver: what the
    radio spent is what the station counts, and after the faults all of it gets through.
    """
    profile = with_duty_share(PROFILES["radio-only"], 0.01)
    assert profile.heal_min == 900
    result = simulate(seed, Options(profile=profile, hours=3.0))
    assert result.violations == []
    assert result.notices >= 10


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 124))
def test_six_hours_with_a_hundredth(seed: int) -> None:
    """The same for longer, with other faults."""
    profile = with_duty_share(PROFILES["radio-only"], 0.01)
    assert simulate(seed, Options(profile=profile, hours=6.0)).violations == []
