"""Noise on the cable: whatever comes, it never stays dead."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from gateway.sim.bench.files import CABLE
from gateway.sim.benchmark.bed import Bed, Options, Sent, make_bed, text_of
from gateway.sim.benchmark.figures import Figure

TEXT_SIZE: Final = 100
LIMIT_S: Final = 60.0
AFTER_S: Final = 10.0
"""A notice after the noise must be through in this time, or the link counts as dead."""
GAP_MS: Final = 300
BIT_ERROR_RATE: Final = 1e-4
STRAYS: Final = (b"\x7e", b"\x00", b"\x7e\x7e\x00", b"\x11\x13\xff", b"UUUUUUUU")


async def measure_noise(options: Options) -> list[Figure]:
    """The four kinds at once, each on a line of its own."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(options)) for one in (_stray, _errors, _gap, _disturbed)]
    return [task.result() for task in tasks]


async def _stray(options: Options) -> Figure:
    count = 20 if options.quick else 100

    async def disturb(bed: Bed, rng: Random) -> None:
        for sender in ("a", "b"):
            octets = rng.choice((*STRAYS, rng.randbytes(rng.randrange(1, 40))))
            await bed.cables.order(CABLE, "inject", sender=sender, octets=octets.hex())
        await _notice(bed)

    what = f"stray octets before each of {count} notices, both ways"
    return await _figure(options, "stray", what, count, disturb)


async def _errors(options: Options) -> Figure:
    count = 40 if options.quick else 300

    async def disturb(bed: Bed, _rng: Random) -> None:
        await bed.cables.order(CABLE, "errors", share=BIT_ERROR_RATE)
        await _notice(bed)

    what = f"bit error rate {BIT_ERROR_RATE:g}, {count} notices"
    return await _figure(options, "errors", what, count, disturb)


async def _gap(options: Options) -> Figure:
    count = 10 if options.quick else 50

    async def disturb(bed: Bed, rng: Random) -> None:
        sending = asyncio.create_task(_notice(bed))
        await asyncio.sleep(rng.uniform(0.02, 0.15))
        await bed.cables.order(CABLE, "stall", sender="a", duration_ms=GAP_MS)
        await sending

    what = f"a gap of {GAP_MS} ms inside the frame of each of {count} notices"
    return await _figure(options, "gap", what, count, disturb)


async def _disturbed(options: Options) -> Figure:
    count = 100 if options.quick else 1000

    async def disturb(bed: Bed, rng: Random) -> None:
        if rng.random() < 0.15:
            await bed.submit(text_of(TEXT_SIZE, len(bed.sent)))
        await _disturb(bed, rng)
        await asyncio.sleep(rng.uniform(0, 0.4))

    what = f"{count} random disturbances: octets, flips, losses, gaps, cuts"
    return await _figure(options, "disturbances", what, count, disturb)


async def _disturb(bed: Bed, rng: Random) -> None:
    """One disturbance of 0 to 300 ms."""
    sender = rng.choice("ab")
    order = bed.cables.order
    match rng.choice(("inject", "errors", "octet_loss", "stall", "cut", "loss")):
        case "inject":
            octets = rng.randbytes(rng.choice((1, 3, 40, 300, 1200)))
            await order(CABLE, "inject", sender=sender, octets=octets.hex())
        case "stall":
            await order(CABLE, "stall", sender=sender, duration_ms=rng.uniform(10, 500))
        case "cut":
            await order(CABLE, "cut", sender=sender)
            await asyncio.sleep(rng.uniform(0, 0.3))
            await order(CABLE, "restore")
        case kind:
            await order(CABLE, kind, share=rng.choice((0.001, 0.01, 0.1)))
            await asyncio.sleep(rng.uniform(0, 0.3))
            await order(CABLE, kind, share=0.0)


async def _notice(bed: Bed) -> None:
    await bed.receipted(await bed.submit(text_of(TEXT_SIZE, len(bed.sent))), LIMIT_S)


async def _figure(
    options: Options,
    name: str,
    what: str,
    count: int,
    disturb: Callable[[Bed, Random], Awaitable[None]],
) -> Figure:
    async with make_bed(options) as bed:
        rng = Random(options.seed)
        for _ in range(count):
            await disturb(bed, rng)
        await bed.cables.order(CABLE, "errors", share=0.0)
        last = await bed.submit(text_of(TEXT_SIZE, len(bed.sent)))
        is_alive = await bed.receipted(last, AFTER_S)
        await bed.until(lambda: all(bed.receipt_s(one) is not None for one in bed.sent), LIMIT_S)
        return _judge(name, what, bed, last if is_alive else None)


def _judge(name: str, what: str, bed: Bed, last: Sent | None) -> Figure:
    times = [bed.receipt_s(one) for one in bed.sent]
    delivered = sum(one is not None for one in times)
    doubled = sum(bed.count_of(one) > 1 for one in bed.sent)
    longest = max((one for one in times if one is not None), default=0.0)
    after_s = None if last is None else bed.receipt_s(last)
    state = "DEAD" if after_s is None else f"then {after_s:.2f} s"
    return Figure(
        name=f"noise-{name}",
        measure=f"noise: {what}",
        ours=f"{delivered}/{len(times)}, longest {longest:.1f} s, {state}",
        goal="never stays dead",
        is_met=after_s is not None and delivered == len(times) and doubled == 0,
        values={
            "sent": len(times),
            "delivered": delivered,
            "doubled": doubled,
            "longest_s": longest,
            "after_s": after_s,
        },
    )
