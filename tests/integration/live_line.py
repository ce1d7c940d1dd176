"""Two real gateways, NORTH and SOUTH, joined by the simulated cable and radios, for tests."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from gateway.sim.bench.files import STATIONS, LineOptions, write_line
from gateway.sim.bench.http_client import ApiUnreachableError
from gateway.sim.bench.ledger import Ledger
from gateway.sim.bench.media import Media, ports_of
from gateway.sim.bench.process import GatewayProcess

DEADLINE_S = 60


@dataclass(frozen=True, slots=True)
class LiveLine:
    """What a test drives."""

    folder: Path
    media: Media
    ledger: Ledger
    north: GatewayProcess
    south: GatewayProcess

    async def until_up(self, *links: str) -> None:
        """Wait until both gateways say that these links are UP and that the other answers."""
        for process in (self.north, self.south):
            await until(lambda one=process: _are_up(one, links))  # type: ignore[misc]


@asynccontextmanager
async def live_line(
    options: LineOptions, *, preset: str = "SHORT_FAST", loss: float = 0.0, seed: int = 1
) -> AsyncIterator[LiveLine]:
    """Both gateways run and answer when this is entered; they stop in order when it is left."""
    # Not pytest's folder: the path of a Unix socket has at most 107 octets.
    folder = Path(tempfile.mkdtemp(prefix="hotline-test-"))
    if sys.dont_write_bytecode:
        # A gateway that is killed fifty times shall not be compiled fifty times.
        os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
        os.environ["PYTHONDONTWRITEBYTECODE"] = ""
    try:
        line = write_line(folder, {name: ports_of(folder, name) for name in STATIONS}, options)
        ledger = Ledger(line.keys)
        processes = {name: GatewayProcess(files) for name, files in line.stations.items()}
        media = Media(
            folder, Random(seed), preset=preset, baud=options.baud, loss=loss, tap=ledger.feed
        )
        async with media, asyncio.TaskGroup() as group:
            taps = group.create_task(media.run_taps())
            try:
                for process in processes.values():
                    await process.launch()
                for process in processes.values():
                    await process.wait_ready()
                yield LiveLine(folder, media, ledger, processes["NORTH"], processes["SOUTH"])
            finally:
                codes = await asyncio.gather(*(one.stop() for one in processes.values()))
                taps.cancel()
        assert codes == [0, 0], "an orderly stop"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def until(condition: Callable[[], Any], *, deadline_s: float = DEADLINE_S) -> Any:
    """Ask again until the awaited condition is true; gives what it was."""
    async with asyncio.timeout(deadline_s):
        while True:
            try:
                found = await condition()
            except ApiUnreachableError:
                found = None
            if found:
                return found
            await asyncio.sleep(0.05)


async def get(process: GatewayProcess, target: str) -> Any:
    """The document of a GET that must succeed."""
    status, document = await process.api.request("GET", target)
    assert status == 200, document
    return document


async def post(process: GatewayProcess, target: str, document: Mapping[str, object] | None) -> Any:
    """The document of a POST that must succeed."""
    status, answer = await process.api.request("POST", target, document)
    assert status in (200, 201), answer
    return answer


async def state_of(process: GatewayProcess, notice_id: str) -> str:
    return str((await get(process, f"/v1/notices/{notice_id}"))["state"])


async def lamp_of(process: GatewayProcess, lamp: str) -> str:
    """The rhythm of a lamp."""
    return str((await process.lamps())["patterns"][lamp])


async def _are_up(process: GatewayProcess, links: tuple[str, ...]) -> bool:
    document = await get(process, "/v1/status")
    states = {link["name"]: link["state"] for line in document["lines"] for link in line["links"]}
    answers = all((line["far_gateway"] or {}).get("answers") for line in document["lines"])
    return answers and all(states[link] == "UP" for link in links)
