"""The link in use fails while a second one is there: how much later is the next notice received?"""

from __future__ import annotations

import asyncio
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from gateway.model import ActId
from gateway.sim.bench.files import CABLE, SPARE
from gateway.sim.bench.process import BenchError
from gateway.sim.benchmark.bed import Bed, Options, Sent, make_bed, text_of
from gateway.sim.benchmark.figures import Figure

TEXT_SIZE: Final = 100
RETURN_S: Final = 90.0
RETURN_INTERVAL_S: Final = 1.0
USUAL_COUNT: Final = 7


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail."""

    name: str
    measure: str
    goal_s: float
    order: str
    sender: str | None = None


FAULTS: Final = (
    Fault("silent", "silent cut", 1.0, "cut"),
    Fault("one-way", "one-way cut, our frames are lost", 1.0, "cut", "a"),
    Fault("one-way-back", "one-way cut, their receipts are lost", 1.0, "cut", "b"),
    Fault("unplug", "unplugged", 0.2, "unplug", "a"),
)


async def measure_fallback(options: Options) -> list[Figure]:
    rounds = 2 if options.quick else 6
    extra: dict[str, list[float]] = {fault.name: [] for fault in FAULTS}
    receipts: dict[str, list[float]] = {fault.name: [] for fault in FAULTS}
    back: dict[str, list[float]] = {fault.name: [] for fault in FAULTS}
    async with make_bed(options, links=(CABLE, SPARE)) as bed:
        rng = Random(options.seed)
        usual = await _usual(bed)
        for _ in range(rounds):
            for fault in FAULTS:
                received_s, receipt_s = await _one(bed, fault, rng)
                extra[fault.name].append(received_s - usual[0])
                receipts[fault.name].append(receipt_s - usual[1])
                back[fault.name].append(await _return(bed, fault))
        lost = sum(bed.count_of(sent) == 0 for sent in bed.sent)
        doubled = sum(bed.count_of(sent) > 1 for sent in bed.sent)
    figures = [_figure(fault, extra[fault.name], receipts[fault.name], usual) for fault in FAULTS]
    figures.append(_back_figure(back, lost, doubled))
    return figures


def _back_figure(back: Mapping[str, list[float]], lost: int, doubled: int) -> Figure:
    spent = [seconds for one in back.values() for seconds in one]
    failed = [name for name, one in back.items() if math.inf in one]
    longest = max(spent)
    away = f"; NOT after {', '.join(failed)}" if failed else ""
    return Figure(
        name="fallback-return",
        measure=f"back to the healed first link, {len(spent)} times: seconds; lost, doubled",
        ours=f"{statistics.median(spent):.1f} s (longest {longest:.1f}), {lost}, {doubled}{away}",
        goal="0 lost, 0 doubled",
        is_met=lost == doubled == 0 and not failed,
        values={
            "median_s": statistics.median(spent),
            "longest_s": longest,
            "lost": lost,
            "doubled": doubled,
        },
    )


def _figure(
    fault: Fault, extra: list[float], receipts: list[float], usual: tuple[float, float]
) -> Figure:
    longest = max(extra)
    return Figure(
        name=f"fallback-{fault.name}",
        measure=f"two cables, 9600 bit/s, {fault.measure}: next notice received later by",
        ours=f"{statistics.median(extra):.2f} s (longest {longest:.2f}; "
        f"receipt {max(receipts):.2f})",
        goal=f"<= {fault.goal_s:g} s",
        is_met=longest <= fault.goal_s,
        values={
            "median_s": statistics.median(extra),
            "longest_s": longest,
            "receipt_longest_s": max(receipts),
            "usual_s": usual[0],
            "usual_receipt_s": usual[1],
        },
    )


async def _usual(bed: Bed) -> tuple[float, float]:
    """Median seconds to the far feed and to the receipt."""
    outcomes = []
    for number in range(USUAL_COUNT):
        outcomes.append(await _times(bed, await bed.submit(text_of(TEXT_SIZE, number))))
        await asyncio.sleep(0.5)
    return (
        statistics.median(received for received, _ in outcomes),
        statistics.median(receipt for _, receipt in outcomes),
    )


async def _times(bed: Bed, sent: Sent) -> tuple[float, float]:
    done = await bed.until(
        lambda: bed.receipt_s(sent) is not None and bed.received_s(sent) is not None, 60
    )
    received_s, receipt_s = bed.received_s(sent), bed.receipt_s(sent)
    if not done or received_s is None or receipt_s is None:
        raise BenchError("a notice had no receipt for 60 s with one link down")
    return received_s, receipt_s


async def _one(bed: Bed, fault: Fault, rng: Random) -> tuple[float, float]:
    """Fail the first link, at once or up to 2 s before the next notice."""
    words = {} if fault.sender is None else {"sender": fault.sender}
    await bed.cables.order(CABLE, fault.order, **words)
    await asyncio.sleep(rng.choice((0.0, rng.uniform(0, 2))))
    return await _times(bed, await bed.submit(text_of(TEXT_SIZE, len(bed.sent))))


async def _return(bed: Bed, fault: Fault) -> float:
    """Heal the first link and send until it carries a notice again; the seconds it took.

    Infinite: it was not used again, though it was UP or not.
    """
    loop = asyncio.get_running_loop()
    words = {} if fault.sender is None or fault.order == "cut" else {"sender": fault.sender}
    await bed.cables.order(CABLE, "replug" if fault.order == "unplug" else "restore", **words)
    begun_s = loop.time()
    while loop.time() < begun_s + RETURN_S:
        sent = await bed.submit(text_of(TEXT_SIZE, len(bed.sent)))
        await _times(bed, sent)
        if bed.receipt_link(sent) == CABLE and set(_links(bed, sent)) == {CABLE}:
            spent_s = loop.time() - begun_s
            await bed.until_up((CABLE, SPARE))
            await asyncio.sleep(1.0)
            return spent_s
        await asyncio.sleep(RETURN_INTERVAL_S)
    return math.inf


def _links(bed: Bed, sent: Sent) -> dict[str, int]:
    """The links that carried a notice, as the taps saw it."""
    traffic = bed.ledger.traffic.get(ActId.parse(sent.notice_id))
    return {} if traffic is None else traffic.frames
