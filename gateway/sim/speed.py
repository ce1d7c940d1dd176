"""A history with its speed, and its shrinking within a budget: by processor time, which other
programs do not change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.runtime.clock import processor_s
from gateway.sim.drawing import draw_plan
from gateway.sim.plan import Plan
from gateway.sim.profile import PROFILES, Profile, with_duty_share
from gateway.sim.shrink import Places, gist, moment_s, shrink
from gateway.sim.simulate import Options, Result, StoppedError, simulate

SHRINK_S_MAX: Final = 120.0
"""Processor time for shrinking one history; what is left then is told."""
_TELL_S: Final = 10.0
_LATER_H: Final = 1.0
"""A smaller plan may fail this much later than the whole one did."""
_SLACK_MS: Final = 60_000


def simulate_timed(
    seed: int,
    profile: str,
    hours: float,
    loss: float | None = None,
    only: tuple[int, ...] | None = None,
    duty_share: float | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> Result:
    """One history of a named profile; `progress` as in `Options`."""
    options = Options(
        _profile(profile, duty_share), hours=hours, loss=loss, only=only, progress=progress
    )
    begin = processor_s()
    result = simulate(seed, options)
    result.speed = round(result.hours * 3_600 / max(processor_s() - begin, 1e-6), 1)
    return result


def _profile(name: str, duty_share: float | None) -> Profile:
    profile = PROFILES[name]
    return profile if duty_share is None else with_duty_share(profile, duty_share)


def plan_of(seed: int, profile: str, hours: float) -> Plan:
    return draw_plan(seed, PROFILES[profile], hours)


def shrink_timed(
    seed: int,
    profile: str,
    hours: float,
    loss: float | None,
    places: Places,
    violation: str,
    tell: Callable[[str], None],
    duty_share: float | None = None,
) -> Places:
    """Leave actions out of a plan while it still breaks the same promise.

    Each history is run only as far as that violation; `tell` hears of the progress.
    """
    plan = plan_of(seed, profile, hours)
    wanted, broken_s = gist(violation), moment_s(violation)
    begin = told_at = processor_s()

    def is_over() -> bool:
        return processor_s() - begin >= SHRINK_S_MAX

    def is_wanted(told: str) -> bool:
        return gist(told) == wanted

    def check(simulated_h: float, _of_h: float) -> None:
        if is_over() or simulated_h > broken_s / 3_600 + _LATER_H:
            raise StoppedError("it did not fail in time")

    def fails(candidate: Places) -> bool:
        options = Options(_profile(profile, duty_share), hours, loss, candidate, progress=check)
        options.stops = is_wanted
        return any(is_wanted(told) for told in simulate(seed, options).violations)

    def note(runs: int, left: int) -> None:
        nonlocal told_at
        if processor_s() - told_at >= _TELL_S:
            told_at = processor_s()
            tell(
                f"{runs} smaller plans tried, {told_at - begin:.0f} of {SHRINK_S_MAX:.0f} s,"
                f" {left} of {len(places)} actions left"
            )

    early = tuple(p for p in places if plan[p].at_ms <= broken_s * 1_000 + _SLACK_MS)
    if len(early) == len(places) or not fails(early):
        early = places
    return shrink(early, fails, is_over=is_over, tell=note)
