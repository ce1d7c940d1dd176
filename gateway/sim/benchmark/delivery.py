"""Delivery while whole frames are lost each way: how many, how fast, for how many octets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from gateway.sim.benchmark.bed import Bed, Options, make_bed, text_of
from gateway.sim.benchmark.figures import Figure, quantile
from gateway.sim.benchmark.virtual import VirtualDelivery, deliver_virtually

TEXT_SIZE: Final = 100
TAIL_S: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One line of the table."""

    name: str
    bit_rate: int
    loss: float
    count: int
    interval_s: float
    p95_goal_s: float | None = None
    octets_goal: int | None = None


COURSES: Final = (
    Course(name="0", bit_rate=9600, loss=0.0, count=200, interval_s=4),
    Course(name="10", bit_rate=9600, loss=0.1, count=200, interval_s=4),
    Course(name="30", bit_rate=9600, loss=0.3, count=200, interval_s=4, p95_goal_s=3),
    Course(
        name="50", bit_rate=9600, loss=0.5, count=200, interval_s=4, p95_goal_s=8, octets_goal=900
    ),
    Course(name="slow", bit_rate=1200, loss=0.3, count=100, interval_s=12),
)
QUICK_COUNT: Final = 40
QUICK_INTERVAL_S: Final = {9600: 1.0, 1200: 4.0}


def courses(options: Options) -> list[Course]:
    """The courses of DESIGN; `--quick` has 40 notices at a shorter interval."""
    if not options.quick:
        return list(COURSES)
    return [
        Course(
            name=one.name,
            bit_rate=one.bit_rate,
            loss=one.loss,
            count=QUICK_COUNT,
            interval_s=QUICK_INTERVAL_S[one.bit_rate],
            p95_goal_s=one.p95_goal_s,
            octets_goal=one.octets_goal,
        )
        for one in COURSES
    ]


async def measure_delivery(options: Options) -> list[Figure]:
    """All courses at once, each on a line of its own; then again in virtual time."""
    wanted = courses(options)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_run(options, course)) for course in wanted]
    figures: list[Figure] = []
    for course, task in zip(wanted, tasks, strict=True):
        virtual = deliver_virtually(
            options.seed,
            bit_rate=course.bit_rate,
            loss=course.loss,
            count=course.count,
            interval_s=course.interval_s,
        )
        figures.append(_figure(course, task.result(), virtual))
    return figures


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one course."""

    seconds: list[float]
    """From submission to machine receipt, of those that have one."""
    octets: float
    """Those that serve notices, of both directions."""
    all_octets: int
    """With beats and hellos, from the first submission to the last receipt."""
    lost: int
    doubled: int


async def _run(options: Options, course: Course) -> Outcome:
    async with make_bed(options, bit_rate=course.bit_rate, loss=course.loss) as bed:
        before = bed.octet_count
        await _send_all(bed, course)
        await bed.until(lambda: all(bed.receipt_s(one) is not None for one in bed.sent), TAIL_S)
        receipts = [bed.receipt_s(sent) for sent in bed.sent]
        return Outcome(
            seconds=[one for one in receipts if one is not None],
            octets=sum(bed.octets_of(sent) for sent in bed.sent),
            all_octets=bed.octet_count - before,
            lost=sum(bed.count_of(sent) == 0 for sent in bed.sent),
            doubled=sum(bed.count_of(sent) > 1 for sent in bed.sent),
        )


async def _send_all(bed: Bed, course: Course) -> None:
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    for number in range(course.count):
        await asyncio.sleep(max(0.0, begun_s + number * course.interval_s - loop.time()))
        await bed.submit(text_of(TEXT_SIZE, number))


def _figure(course: Course, outcome: Outcome, virtual: VirtualDelivery) -> Figure:
    delivered = len(outcome.seconds)
    median, p95 = quantile(outcome.seconds, 0.5), quantile(outcome.seconds, 0.95)
    octets = outcome.octets / max(delivered, 1)
    is_met = delivered == course.count and outcome.doubled == 0
    goal = f"{course.count}/{course.count}"
    if course.p95_goal_s is not None:
        goal += f", p95 <= {course.p95_goal_s:g} s"
        is_met = is_met and p95 <= course.p95_goal_s
    if course.octets_goal is not None:
        goal += f", <= {course.octets_goal} octets"
        is_met = is_met and octets <= course.octets_goal
    return Figure(
        name=f"delivery-{course.name}",
        measure=f"{course.loss:.0%} lost each way, {course.bit_rate} bit/s, {course.count} notices "
        f"of {TEXT_SIZE}, one each {course.interval_s:g} s: receipted, median/p95, octets each",
        goal=goal,
        is_met=is_met,
        ours=f"{delivered}/{course.count}, {median:.2f}/{p95:.2f} s, {octets:.0f}"
        + (f", doubled {outcome.doubled}" if outcome.doubled else ""),
        virtual=f"{virtual.delivered}/{course.count}, {virtual.median_s:.2f}/"
        f"{virtual.p95_s:.2f} s, {virtual.octets:.0f}",
        values={
            "sent": course.count,
            "delivered": delivered,
            "median_s": median,
            "p95_s": p95,
            "longest_s": max(outcome.seconds, default=None),
            "octets_each": octets,
            "octets_each_with_beats": outcome.all_octets / max(delivered, 1),
            "lost": outcome.lost,
            "doubled": outcome.doubled,
            "virtual_p95_s": virtual.p95_s,
            "virtual_octets_each": virtual.octets,
        },
    )
