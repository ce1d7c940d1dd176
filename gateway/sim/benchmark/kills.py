"""SIGKILL at either side with notices pending: none lost, none twice."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final

from gateway.sim.bench.files import CABLE
from gateway.sim.benchmark.bed import Bed, Options, make_bed, text_of
from gateway.sim.benchmark.figures import Figure

PENDING_COUNT: Final = 10
LIMIT_S: Final = 120.0


async def measure_kills(options: Options) -> list[Figure]:
    rounds = 2 if options.quick else 10
    async with make_bed(options) as bed:
        rng = Random(options.seed)
        sender = [await _kill_sender(bed, rng) for _ in range(rounds)]
        first_count = len(bed.sent)
        receiver = [await _kill_receiver(bed, rng) for _ in range(rounds)]
        parts = (
            ("sender", bed.sent[:first_count], sender),
            ("receiver", bed.sent[first_count:], receiver),
        )
        figures = []
        for side, sent, seconds in parts:
            lost = sum(bed.count_of(one) == 0 or bed.receipt_s(one) is None for one in sent)
            doubled = sum(bed.count_of(one) > 1 for one in sent)
            figures.append(
                Figure(
                    name=f"kill-{side}",
                    measure=f"SIGKILL of the {side} with {PENDING_COUNT} pending, {rounds} times: "
                    "lost, doubled",
                    ours=f"{lost}, {doubled} of {len(sent)} (all there {max(seconds):.1f} s later)",
                    goal="0, 0",
                    is_met=lost == doubled == 0,
                    values={"lost": lost, "doubled": doubled, "longest_s": max(seconds)},
                )
            )
        return figures


async def _kill_sender(bed: Bed, rng: Random) -> float:
    """Ten accepted, none out: the cable is cut. Kill, start, give the cable back."""
    await bed.cables.order(CABLE, "cut")
    await _submit_ten(bed)
    await asyncio.sleep(rng.uniform(0, 0.5))
    return await _restart(bed, "NORTH")


async def _kill_receiver(bed: Bed, rng: Random) -> float:
    """Ten under way; the far side dies at some moment of them."""
    await _submit_ten(bed)
    await asyncio.sleep(rng.uniform(0, 2.0))
    return await _restart(bed, "SOUTH")


async def _submit_ten(bed: Bed) -> None:
    for _ in range(PENDING_COUNT):
        await bed.submit(text_of(100, len(bed.sent)))


async def _restart(bed: Bed, name: str) -> float:
    """Kill and start a side; the seconds until all is receipted."""
    begun_s = asyncio.get_running_loop().time()
    await bed.processes[name].kill()
    await bed.processes[name].start()
    await bed.cables.order(CABLE, "restore")
    await bed.until(
        lambda: all(bed.receipt_s(sent) is not None and bed.count_of(sent) for sent in bed.sent),
        LIMIT_S,
    )
    return asyncio.get_running_loop().time() - begun_s
