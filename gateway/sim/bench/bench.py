"""Puts a bench together: folder, links, gateways, people; runs the scenario; cleans up."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from gateway.sim.bench.course import Course
from gateway.sim.bench.files import STATIONS, LineOptions, StationFiles, write_line
from gateway.sim.bench.hold import hold
from gateway.sim.bench.lamp_watch import LampWatch
from gateway.sim.bench.ledger import Ledger
from gateway.sim.bench.media import Media, ports_of
from gateway.sim.bench.process import BenchError, GatewayProcess
from gateway.sim.bench.record import BenchRecord
from gateway.sim.bench.rig import Rig
from gateway.sim.bench.scenario import Scenario, far_station
from gateway.sim.bench.submit import ApiQueue, MqttQueue
from gateway.sim.bench.watch import FeedWatch

DARK_S: Final = 10.0
"""The lamps must be dark this soon after the last answer."""

FRAMES_NAME: Final = "frames.hex"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """How a bench is run."""

    scenario: Scenario
    seed: int
    """Of losses, corruption and contention. Keys and incarnations never come from it."""
    mqtt_url: str | None = None
    keep: bool = False
    """Leave the folder with configurations, stores, logs, frames; always when it fails."""
    hold: bool = False
    """Send nothing: people and programs use the line until they end it."""


class Bench:
    """One run. `say` gets a line for each thing that happens."""

    def __init__(self, options: BenchOptions) -> None:
        self._options = options
        self.say: Callable[[str], None] = lambda _line: None
        links_wanted = () if options.hold else options.scenario.links
        self.record = BenchRecord(seed=options.seed, links_wanted=links_wanted)
        self.lamps: dict[str, LampWatch] = {}
        """By station, once it runs."""
        self.kept_folder: Path | None = None
        """Where stores, logs and frames are left, after the end."""

    @property
    def kept_frames(self) -> tuple[Path, Path] | None:
        """What `hotline frame` needs: a configuration with keys, and captured frames if any."""
        if self.kept_folder is None:
            return None
        frames = self.kept_folder / FRAMES_NAME
        if not frames.exists() or not frames.stat().st_size:
            return None
        return StationFiles("NORTH", self.kept_folder / "north").config, frames

    async def run(self) -> BenchRecord:
        """Everything, the cleaning up included. Raises `BenchError` if it cannot even start, and
        `FieldError` for a broker's URL that is none; no folder is made before the broker answers.
        """
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        async with self._broker() as broker:
            await self._run_with(broker)
        self.record.elapsed_s = loop.time() - started_s
        if self.kept_folder is not None and not self.record.all_problems():
            self._clean(self.kept_folder)
        return self.record

    async def _run_with(self, broker: MqttQueue | None) -> None:
        folder = self.kept_folder = Path(tempfile.mkdtemp(prefix="hotline-bench-"))
        try:
            await self._run_in(folder, broker)
        except asyncio.CancelledError:
            self._clean(folder)
            raise

    def _clean(self, folder: Path) -> None:
        if not self._options.keep:
            shutil.rmtree(folder, ignore_errors=True)
            self.kept_folder = None

    async def _run_in(self, folder: Path, broker: MqttQueue | None) -> None:
        scenario = self._options.scenario
        ports = {name: ports_of(folder, name) for name in STATIONS}
        mqtt_url = self._options.mqtt_url
        mqtt_urls = {} if mqtt_url is None else dict.fromkeys(STATIONS, mqtt_url)
        line_options = LineOptions(baud=scenario.baud, mqtt_urls=mqtt_urls, policy=scenario.policy)
        line = write_line(folder, ports, line_options)
        ledger = Ledger(line.keys)
        processes = {name: GatewayProcess(files) for name, files in line.stations.items()}
        media = Media(
            folder,
            Random(self._options.seed),
            preset=scenario.preset,
            baud=scenario.baud,
            loss=scenario.loss,
            tap=ledger.feed,
        )
        queue = broker or ApiQueue(processes)
        async with media:
            try:
                await self._start(processes)
                feeds = {name: FeedWatch(one.api) for name, one in processes.items()}
                await self._use(Rig(processes, feeds, media, ledger, queue))
            finally:
                await self._stop(processes)
                media.drain()
                ledger.write_samples(folder / FRAMES_NAME)

    async def _start(self, processes: Mapping[str, GatewayProcess]) -> None:
        for process in processes.values():
            await process.launch()
        for process in processes.values():
            await process.wait_ready()
        numbers = ", ".join(f"{one.name} process {one.process_id}" for one in processes.values())
        self.say(f"both gateways are ready ({numbers})")

    async def _use(self, rig: Rig) -> None:
        """Run the scenario, or let people do as they like, with everything watched."""
        self.lamps.update({name: LampWatch(one) for name, one in rig.processes.items()})
        course = Course(self._options.scenario, rig=rig, record=self.record, say=self.say)
        async with asyncio.TaskGroup() as group:
            watching = [feed.run() for feed in rig.feeds.values()]
            watching += [lamps.run() for lamps in self.lamps.values()]
            tasks = [group.create_task(one) for one in (*watching, rig.media.run_taps())]
            if self._options.hold:
                await hold(rig, self.say)
            else:
                await self._run_within_limit(course)
                for name, lamps in self.lamps.items():
                    at_end = await lamps.read()
                    self.record.lamps[name] = {"seen": lamps.seen, "at_end": at_end}
            for task in tasks:
                task.cancel()
        course.close_books()
        self.record.problems += [one for feed in rig.feeds.values() for one in feed.problems]

    @asynccontextmanager
    async def _broker(self) -> AsyncIterator[MqttQueue | None]:
        if self._options.mqtt_url is None:
            yield None
            return
        async with MqttQueue.connected(self._options.mqtt_url) as queue:
            yield queue
            self.record.problems += [
                f"{notice.step.name}: was not on the broker"
                for notice in self.record.notices
                if (far_station(notice.step.sender), notice.notice_id) not in queue.published
            ]

    async def _run_within_limit(self, course: Course) -> None:
        """Run the steps; what goes wrong becomes a problem of the record."""
        limit_s = self._options.scenario.limit_s
        try:
            async with asyncio.timeout(limit_s):
                await course.run()
                await self._until_dark()
        except TimeoutError:
            what = f"the bench waited for {course.doing} when its {limit_s:g} s were over"
            self.record.problems.append(what)
        except ExceptionGroup as group:
            failed, ours = group.split(BenchError)
            if failed is None or ours is not None:
                raise
            self.record.problems += [str(error) for error in _leaves(failed)]

    async def _until_dark(self) -> None:
        """Wait until no lamp asks for anybody, at most 10 s; what is lit then is a problem."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DARK_S):
                while any(lamps.is_asking for lamps in self.lamps.values()):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)

    async def _stop(self, processes: Mapping[str, GatewayProcess]) -> None:
        codes = await asyncio.gather(*(process.stop() for process in processes.values()))
        for process, code in zip(processes.values(), codes, strict=True):
            if code != 0 and process.start_count:
                how = "did not end within 8 s" if code is None else f"ended with exit code {code}"
                self.record.problems.append(f"{process.name} {how}; read {process.files.output}")


def _leaves(group: ExceptionGroup[BenchError]) -> list[BenchError]:
    leaves: list[BenchError] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, ExceptionGroup) else [error]
    return leaves
