"""What most measures stand on: two `hotline run` daemons, joined by cables in a third process."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.model import ActId
from gateway.sim.bench.files import CABLE, SPARE, STATIONS, LineOptions, write_line
from gateway.sim.bench.http_client import ApiUnreachableError
from gateway.sim.bench.ledger import Ledger
from gateway.sim.bench.media import ports_of
from gateway.sim.bench.process import BenchError, GatewayProcess
from gateway.sim.bench.record import RECEIPT
from gateway.sim.bench.submit import ApiQueue
from gateway.sim.bench.watch import FeedWatch
from gateway.sim.benchmark.cables import CablePlan, Cables, Passed

UP_S: Final = 60.0
POLL_S: Final = 0.02
STATUS_POLL_S: Final = 0.2
READY_S: Final = 60.0
"""Many beds start at once on two cores."""
SENTENCES: Final = (
    "Convoy of six vehicles moves north on road M5, then east to the river crossing near the mill; "
    "two helicopters follow at low height for a medical transport and return by the same way. "
)
"""Realistic words, so that a dictionary neither gains nor loses by the benchmark."""


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured: `--quick` gives a first idea, not the figures of the goals."""

    seed: int
    quick: bool = False
    with_peers: bool = False


@dataclass(slots=True)
class Sent:
    """One notice of a bed; times by the loop's clock."""

    notice_id: str
    sender: str
    submitted_s: float


@dataclass(slots=True)
class Bed:
    """What a measure drives."""

    folder: Path
    cables: Cables
    ledger: Ledger
    processes: dict[str, GatewayProcess]
    feeds: dict[str, FeedWatch]
    queue: ApiQueue
    octet_count: int = 0
    """Everything put on the cables, beats and hellos included."""
    frame_count: int = 0
    sent: list[Sent] = field(default_factory=list)

    async def submit(self, text: str, *, sender: str = "NORTH") -> Sent:
        """Hand over a notice; the time counts from before the request."""
        (far,) = set(STATIONS) - {sender}
        document = {
            "to": far,
            "kind": "NOTIFY",
            "precedence": "ROUTINE",
            "operation": "EXERCISE",
            "text": text,
            "language": "en",
        }
        begun_s = asyncio.get_running_loop().time()
        sent = Sent(await self.queue.submit(sender, document), sender, begun_s)
        self.sent.append(sent)
        return sent

    def receipt_s(self, sent: Sent) -> float | None:
        """From submission to the machine receipt at the originator."""
        for seen in self.feeds[sent.sender].states.get(sent.notice_id, ()):
            if seen.state == RECEIPT:
                return seen.at_s - sent.submitted_s
        return None

    def receipt_link(self, sent: Sent) -> str | None:
        for seen in self.feeds[sent.sender].states.get(sent.notice_id, ()):
            if seen.state == RECEIPT:
                return seen.link
        return None

    def received_s(self, sent: Sent) -> float | None:
        """From submission to its publication at the far station."""
        at_s = self.feeds[self.far(sent)].inbound_at_s.get(sent.notice_id)
        return None if at_s is None else at_s - sent.submitted_s

    def count_of(self, sent: Sent) -> int:
        """How often it came in at the far station."""
        return self.feeds[self.far(sent)].inbound_ids[sent.notice_id]

    def octets_of(self, sent: Sent) -> float:
        return self.ledger.traffic[ActId.parse(sent.notice_id)].octets

    @staticmethod
    def far(sent: Sent) -> str:
        (far,) = set(STATIONS) - {sent.sender}
        return far

    async def until(self, is_true: Callable[[], bool], timeout_s: float) -> bool:
        """Wait for what the feeds tell; whether it came in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while not is_true():  # noqa: ASYNC110 (another process acts)
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            return False
        return True

    async def receipted(self, sent: Sent, timeout_s: float = 30.0) -> bool:
        return await self.until(lambda: self.receipt_s(sent) is not None, timeout_s)

    async def until_up(self, links: Sequence[str], timeout_s: float = UP_S) -> None:
        """Wait until both gateways say that these links are UP. Raises `BenchError`."""
        for process in self.processes.values():
            try:
                async with asyncio.timeout(timeout_s):
                    while not await are_up(process, links):
                        process.check()
                        await asyncio.sleep(STATUS_POLL_S)
            except TimeoutError as error:
                raise BenchError(f"{process.name}: {', '.join(links)} did not get UP") from error


async def are_up(process: GatewayProcess, links: Sequence[str]) -> bool:
    try:
        _, document = await process.api.request("GET", "/v1/status")
    except ApiUnreachableError:
        return False
    states: dict[str, Any] = {
        link["name"]: link["state"] for line in document["lines"] for link in line["links"]
    }
    return all(states[link] == "UP" for link in links)


@asynccontextmanager
async def make_bed(
    options: Options, *, bit_rate: int = 9600, loss: float = 0.0, links: tuple[str, ...] = (CABLE,)
) -> AsyncIterator[Bed]:
    """Two gateways run, all links are UP, and only then frames begin to get lost."""
    folder = Path(tempfile.mkdtemp(prefix="hotline-bm-"))
    try:
        ports = {name: ports_of(folder, name) for name in STATIONS}
        line = write_line(folder, ports, LineOptions(baud=bit_rate, links=links, log_level="info"))
        processes = {name: GatewayProcess(files) for name, files in line.stations.items()}
        paths = {CABLE: [one.cable for one in ports.values()]}
        paths[SPARE] = [one.spare for one in ports.values()]
        plans = [
            CablePlan(
                name=link,
                a=paths[link][0],
                b=paths[link][1],
                bit_rate=bit_rate,
                seed=options.seed + index,
            )
            for index, link in enumerate(links)
        ]
        beds: list[Bed] = []

        def note(passed: Passed) -> None:
            if not beds:
                return
            beds[0].octet_count += passed.size
            beds[0].frame_count += 1
            if passed.frame:
                beds[0].ledger.feed(passed.cable, passed.frame, passed.size)

        async with Cables(plans, note) as cables:
            feeds = {name: FeedWatch(one.api) for name, one in processes.items()}
            ledger = Ledger(line.keys)
            bed = Bed(folder, cables, ledger, processes, feeds, ApiQueue(processes))
            beds.append(bed)
            async with _running(bed, links):
                if loss:
                    for link in links:
                        await cables.order(link, "loss", share=loss)
                yield bed
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _running(bed: Bed, links: Sequence[str]) -> AsyncIterator[None]:
    watching: list[asyncio.Task[None]] = []
    try:
        for process in bed.processes.values():
            await process.launch()
        for process in bed.processes.values():
            await process.wait_ready(READY_S)
        watching = [asyncio.create_task(feed.run()) for feed in bed.feeds.values()]
        await bed.until_up(links)
        yield
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        await asyncio.gather(*(process.stop() for process in bed.processes.values()))


def text_of(size: int, number: int) -> str:
    """A text of `size` octets that no other notice of its bed has."""
    head = f"No {number}. "
    return (head + SENTENCES * (size // len(SENTENCES) + 1))[:size]
