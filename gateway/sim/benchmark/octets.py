"""What one message and its receipt cost on a warm line without loss, both directions."""

from __future__ import annotations

import statistics
from typing import Final

from gateway.sim.bench.process import BenchError
from gateway.sim.benchmark.bed import Bed, Options, make_bed, text_of
from gateway.sim.benchmark.figures import Figure

GOALS: Final = {48: 183, 100: 238, 180: 324}
"""By octets of text, signed (DESIGN, budgets)."""
ROUNDS: Final = 5


async def measure_octets(options: Options) -> list[Figure]:
    figures: list[Figure] = []
    async with make_bed(options) as bed:
        await _one(bed, 20, 0)
        for size, goal in GOALS.items():
            octets, seconds = await _several(bed, size)
            figures += [
                Figure(
                    name=f"octets-{size}",
                    measure=f"octets, message + receipt, {size} octets of text, signed",
                    ours=f"{octets:.0f}",
                    goal=f"<= {goal}",
                    is_met=octets <= goal,
                    values={"octets": octets},
                ),
                _time("time", size, 9600, seconds),
            ]
    async with make_bed(options, bit_rate=1200) as bed:
        await _one(bed, 20, 0)
        for size in GOALS:
            _, seconds = await _several(bed, size)
            figures.append(_time("slow", size, 1200, seconds))
    return figures


def _time(name: str, size: int, bit_rate: int, seconds: float) -> Figure:
    return Figure(
        name=f"{name}-{size}",
        measure=f"submission to machine receipt, {size} octets of text, {bit_rate} bit/s",
        ours=f"{seconds:.2f} s",
        values={"seconds": seconds},
    )


async def _several(bed: Bed, size: int) -> tuple[float, float]:
    """Medians of octets and seconds."""
    outcomes = [await _one(bed, size, number) for number in range(ROUNDS)]
    return (
        statistics.median(octets for octets, _ in outcomes),
        statistics.median(seconds for _, seconds in outcomes),
    )


async def _one(bed: Bed, size: int, number: int) -> tuple[float, float]:
    sent = await bed.submit(text_of(size, number))
    if not await bed.receipted(sent):
        raise BenchError(f"no machine receipt on a line without loss; see {bed.folder}")
    # The frame of the receipt is told by the process of the cables a moment later.
    await bed.until(lambda: False, 0.3)
    seconds = bed.receipt_s(sent)
    assert seconds is not None
    return bed.octets_of(sent), seconds
