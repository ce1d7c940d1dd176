"""A history with its speed: virtual time by processor time, which other programs do not change."""

from __future__ import annotations

from gateway.runtime.clock import processor_s
from gateway.sim.drawing import draw_plan
from gateway.sim.plan import Plan
from gateway.sim.profile import PROFILES
from gateway.sim.simulate import Options, Result, simulate


def simulate_timed(
    seed: int,
    profile: str,
    hours: float,
    loss: float | None = None,
    only: tuple[int, ...] | None = None,
) -> Result:
    """One history of a named profile."""
    options = Options(profile=PROFILES[profile], hours=hours, loss=loss, only=only)
    begin = processor_s()
    result = simulate(seed, options)
    result.speed = round(result.hours * 3_600 / max(processor_s() - begin, 1e-6), 1)
    return result


def plan_of(seed: int, profile: str, hours: float) -> Plan:
    return draw_plan(seed, PROFILES[profile], hours)
