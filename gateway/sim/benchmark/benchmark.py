"""Runs the measures in an order in which they do not disturb each other, and collects figures."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from gateway.sim.bench.process import BenchError
from gateway.sim.benchmark.bed import Options
from gateway.sim.benchmark.delivery import measure_delivery
from gateway.sim.benchmark.fallback import measure_fallback
from gateway.sim.benchmark.figures import Figure
from gateway.sim.benchmark.footprint import measure_footprint
from gateway.sim.benchmark.kills import measure_kills
from gateway.sim.benchmark.noise import measure_noise
from gateway.sim.benchmark.octets import measure_octets
from gateway.sim.benchmark.storing import measure_hold, measure_step, measure_store
from gateway.sim.benchmark.virtual import (
    measure_idle_octets,
    measure_radio_fallback,
    measure_speed,
)
from gateway.sim.benchmark.writing import measure_writing

Measure = Callable[[Options], Awaitable[list[Figure]]]


@dataclass(frozen=True, slots=True)
class Part:
    """A measure and what it costs: alone on the machine, or beside others that wait for lines."""

    name: str
    measure: Measure
    is_alone: bool
    minutes: float
    """About, without `--quick`, on two cores."""


async def _measure_stations(options: Options) -> list[Figure]:
    if find_spec("nats") is None:
        raise BenchError("many stations need nats-py: pip install 'hotline-gateway[nats]'")
    from gateway.sim.benchmark.stations import measure_stations

    return await measure_stations(options)


PARTS: Final = (
    Part("footprint", measure_footprint, True, 2),
    Part("speed", measure_speed, True, 0.5),
    Part("step", measure_step, True, 2),
    Part("store", measure_store, True, 3),
    Part("hold", measure_hold, True, 10),
    Part("writing", measure_writing, True, 5),
    Part("idle", measure_idle_octets, True, 0.1),
    Part("radio", measure_radio_fallback, True, 0.1),
    Part("stations", _measure_stations, True, 4),
    # Tenths of a second are judged in the one, and the other starts gateways all the time.
    Part("fallback", measure_fallback, True, 8),
    Part("kills", measure_kills, True, 4),
    Part("octets", measure_octets, False, 1.5),
    Part("delivery", measure_delivery, False, 21),
    Part("noise", measure_noise, False, 8),
)
NAMES: Final = tuple(part.name for part in PARTS)


LOAD_MAX: Final = 2.0
"""Programs that want a core, before a part begins: with more, times are those of the others."""


async def run_parts(
    options: Options, only: Collection[str], say: Callable[[str], None]
) -> list[Figure]:
    """All parts, or those in `only`, in the order of the table. One that fails is said."""
    wanted = [part for part in PARTS if not only or part.name in only]
    figures: dict[str, list[Figure]] = {}
    for part in wanted:
        if part.is_alone:
            figures[part.name] = await _run(part, options, say)
    together = [part for part in wanted if not part.is_alone]
    async with asyncio.TaskGroup() as group:
        tasks = {part.name: group.create_task(_run(part, options, say)) for part in together}
    figures |= {name: task.result() for name, task in tasks.items()}
    return [figure for part in wanted for figure in figures[part.name]]


def load_text(load: float) -> str:
    """The load of the machine, and what it makes of the figures."""
    busy = "; OTHER PROGRAMS ARE AT WORK: times that are MISSED mean nothing"
    return f"load {load:.1f}{busy if load > LOAD_MAX else ''}"


def first(group: BaseExceptionGroup[BenchError]) -> str:
    """The sentence of the first error of a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)


async def _run(part: Part, options: Options, say: Callable[[str], None]) -> list[Figure]:
    about = "" if options.quick else f", about {part.minutes:g} min"
    say(f"{part.name}: begins{about} ({load_text(os.getloadavg()[0])})")
    try:
        figures = await part.measure(options)
    except* BenchError as group:
        # The others go on: what one part cannot measure is a figure that was missed.
        figures = [Figure(name=part.name, measure=part.name, ours=first(group), is_met=False)]
    for figure in figures:
        say(f"  {figure.measure}: {figure.ours} {figure.verdict}".rstrip())
    return figures
