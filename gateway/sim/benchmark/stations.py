"""Many stations into one cluster of three NATS servers: how many notices a second, how late.

Each far end hands notices over; they cross a simulated line, are receipted, published by the real
adapter into the stream, and come to one program at headquarters by its durable consumer.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.errors import Error

from gateway.core.effects import RejectRequest
from gateway.core.events import Principal, Rights
from gateway.model import Operation, Precedence, Role
from gateway.queues.nats import QUEUE, NatsAdapter, NatsOptions
from gateway.queues.nats_connection import Access, ServerRing
from gateway.queues.streams import NOTICES, STREAMS, program_consumer, stream_config
from gateway.runtime.clock import processor_s
from gateway.runtime.queue_supervisor import QueueSupervisor
from gateway.sim.bench.process import BenchError
from gateway.sim.benchmark.bed import Options
from gateway.sim.benchmark.figures import Figure, quantile
from gateway.sim.benchmark.nats_servers import Servers, nats_servers
from gateway.sim.benchmark.posts import NEAR, Post, make_line, start
from gateway.sim.benchmark.processes import cpu_s_of, memory_of
from gateway.sim.benchmark.virtual import draft_of
from gateway.sim.world import OPERATOR

FEW: Final = 10
MANY: Final = 50
BURST_COUNT: Final = 20
"""Notices of each station, all at once."""
REPEAT_COUNT: Final = 3
"""Bursts; the one that cost least counts. Other work on the machine makes processor time dearer too
(caches), and not by the same share in both courses.
"""
PACED_COUNT: Final = 6
PACE_S: Final = 5.0
"""Between two notices of a station while the time is taken: 10 a second from fifty."""
IDLE_S: Final = 8.0
LIMIT_S: Final = 300.0
GROWTH_MAX: Final = 1.25
"""What a notice may cost more with five times the stations: noise, not a search."""
_TEXT_SIZE: Final = 100
_RIGHTS: Final = Rights(frozenset(Operation), Precedence.FLASH, answer=True)


@dataclass(slots=True)
class Course:
    """What one number of stations showed."""

    count: int
    burst_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    server_mb: float = 0.0
    server_cpu_s: float = 0.0
    """Of all three, in the burst."""
    own_cpu_s: float = 0.0
    """Of both ends of all lines and of headquarters, in the burst."""
    idle_share: float = 0.0
    """Processors that all of them need while nothing is sent."""

    @property
    def per_s(self) -> float:
        return self.count * BURST_COUNT / self.burst_s

    @property
    def cost_ms(self) -> float:
        """Processor time of everybody for a notice, above what they need while nothing is sent."""
        spent_s = self.server_cpu_s + self.own_cpu_s - self.idle_share * self.burst_s
        return spent_s / (self.count * BURST_COUNT) * 1000


class Headquarters:
    """The program: when each notice came, and how often."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.came_s: dict[tuple[str, str], float] = {}
        self.counts: Counter[tuple[str, str]] = Counter()

    async def run(self) -> None:
        durable = str(program_consumer()["durable_name"])
        pull = await self._client.jetstream().pull_subscribe_bind(durable, NOTICES)
        time = asyncio.get_running_loop().time
        while True:
            with suppress(Error, TimeoutError):
                for message in await pull.fetch(100, timeout=2):
                    key = (message.subject.split(".")[2], msgspec.json.decode(message.data)["id"])
                    self.came_s.setdefault(key, time())
                    self.counts[key] += 1
                    await message.ack()


async def measure_stations(options: Options) -> list[Figure]:
    """Ten and fifty stations (4 and 8 by `--quick`), each on a fresh cluster."""
    few, many = (4, 8) if options.quick else (FEW, MANY)
    courses = [await _course(count) for count in (few, many)]
    first, last = courses
    growth = last.cost_ms / first.cost_ms
    lost, doubled = (sum(getattr(it, name) for it in courses) for name in ("lost", "doubled"))
    p50, p95 = (quantile(last.latencies_s, share) for share in (0.5, 0.95))
    return [
        Figure(
            name="stations-nats",
            measure=f"{many} stations into 3 NATS servers: notices a second from the far ends to "
            f"headquarters, {BURST_COUNT} from each at once, best of {REPEAT_COUNT}; p50, p95 at "
            f"one each {PACE_S:g} s",
            ours=f"{last.per_s:.0f}/s; {p50:.2f} s, {p95:.2f} s; lost {lost}, doubled {doubled}",
            goal="lost 0, doubled 0",
            is_met=lost == doubled == 0,
            values={
                "per_s": last.per_s,
                "p50_s": p50,
                "p95_s": p95,
                "servers_resident_mb": last.server_mb,
                "servers_cpu_ms_a_notice": last.server_cpu_s / (many * BURST_COUNT) * 1000,
            },
        ),
        Figure(
            name="stations-growth",
            measure=f"processor time for a notice in that burst, {many} stations against {few}",
            ours=f"x {growth:.2f} ({first.cost_ms:.1f} -> {last.cost_ms:.1f} ms; idle "
            f"{first.idle_share:.0%} -> {last.idle_share:.0%} of a processor; "
            f"servers {first.server_mb:.0f} MB, {last.server_mb:.0f} MB)",
            goal=f"linear (<= x {GROWTH_MAX})",
            is_met=growth <= GROWTH_MAX,
            values={
                "ratio": growth,
                "cost_few_ms": first.cost_ms,
                "cost_many_ms": last.cost_ms,
                "per_s_few": first.per_s,
                "idle_share_few": first.idle_share,
                "idle_share_many": last.idle_share,
            },
        ),
    ]


async def _course(count: int) -> Course:
    folder = Path(tempfile.mkdtemp(prefix="hotline-bm-"))
    try:
        async with nats_servers(folder) as servers, AsyncExitStack() as stack:
            client = Client()
            await client.connect(list(servers.urls), max_reconnect_attempts=-1)
            stack.push_async_callback(client.close)
            await _make_streams(client)
            hq = Headquarters(client)
            lines = [make_line(number) for number in range(1, count + 1)]
            tasks = [asyncio.create_task(hq.run())]
            stack.push_async_callback(_end, tasks)
            for near, far in lines:
                for post in (near, far):
                    await start(post)
                    tasks.append(asyncio.create_task(post.loop.run()))
                tasks.append(asyncio.create_task(_supervisor(near, servers).run()))
            return await _measure(lines, hq, servers)
    except TimeoutError as error:
        raise BenchError(f"{count} stations: not all notices came within {LIMIT_S:g} s") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(lines: list[tuple[Post, Post]], hq: Headquarters, servers: Servers) -> Course:
    course = Course(len(lines))
    time = asyncio.get_running_loop().time
    sent: dict[tuple[str, str], float] = {}

    async def submit(near: Post, far: Post, number: int) -> None:
        begun_s = time()
        draft = draft_of(number, _TEXT_SIZE, NEAR)
        outcome = await far.desk.submit(OPERATOR, f"r-{number}", draft)
        if isinstance(outcome, RejectRequest):
            raise BenchError(f"{far.name} refused a notice: {outcome.problem}")
        sent[near.name, str(outcome.notice_id)] = begun_s

    async def until_all() -> None:
        async with asyncio.timeout(LIMIT_S):
            while not sent.keys() <= hq.came_s.keys():  # noqa: ASYNC110 (a process acts)
                await asyncio.sleep(0.02)

    for near, far in lines:  # all lines and adapters work
        await submit(near, far, 0)
    await until_all()
    sent.clear()
    idle_s = _cpu_s(servers) + processor_s()
    await asyncio.sleep(IDLE_S)
    course.idle_share = (_cpu_s(servers) + processor_s() - idle_s) / IDLE_S
    numbers = itertools.count(1)
    burst: dict[tuple[str, str], float] = {}
    bursts: list[Course] = []
    for _ in range(REPEAT_COUNT):
        cpu_s, own_cpu_s, begun_s = _cpu_s(servers), processor_s(), time()
        async with asyncio.TaskGroup() as group:
            for number in itertools.islice(numbers, BURST_COUNT):
                for near, far in lines:
                    group.create_task(submit(near, far, number))
        await until_all()
        bursts.append(
            replace(
                course,
                burst_s=max(hq.came_s[key] for key in sent) - begun_s,
                server_cpu_s=_cpu_s(servers) - cpu_s,
                own_cpu_s=processor_s() - own_cpu_s,
            )
        )
        burst |= sent
        sent.clear()
    course = min(bursts, key=lambda one: one.cost_ms)
    course.server_mb = sum(memory_of(it.pid).resident_mb for it in servers.processes)
    for number in itertools.islice(numbers, PACED_COUNT):
        for near, far in lines:
            await submit(near, far, number)
            await asyncio.sleep(PACE_S / len(lines))
    await until_all()
    course.latencies_s = [hq.came_s[key] - at_s for key, at_s in sent.items()]
    course.lost = sum(key not in hq.counts for key in (burst | sent))
    course.doubled = sum(count > 1 for count in hq.counts.values())
    return course


def _supervisor(post: Post, servers: Servers) -> QueueSupervisor:
    access = Access(servers.urls, post.name)
    options = NatsOptions(access, Principal(QUEUE, "benchmark", Role.AUTOMATIC, _RIGHTS))
    ring = ServerRing(access)
    return QueueSupervisor(
        QUEUE,
        lambda: NatsAdapter(options, ring, post.desk, post.store),
        post.inbox.put,
        rng=Random(post.name),
    )


async def _make_streams(client: Client) -> None:
    """As an administrator does; the cluster may not have its leader yet."""
    wanted = [(f"STREAM.CREATE.{name}", stream_config(name, 3)) for name in STREAMS]
    config = program_consumer()
    durable = f"CONSUMER.DURABLE.CREATE.{NOTICES}.{config['durable_name']}"
    wanted.append((durable, {"stream_name": NOTICES, "config": config}))
    async with asyncio.timeout(LIMIT_S):
        for subject, document in wanted:
            while True:
                with suppress(Error, TimeoutError):
                    payload = msgspec.json.encode(document)
                    answer = await client.request(f"$JS.API.{subject}", payload, timeout=5)
                    if "error" not in msgspec.json.decode(answer.data):
                        break
                await asyncio.sleep(0.2)


def _cpu_s(servers: Servers) -> float:
    return sum(cpu_s_of(process.pid) for process in servers.processes)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
