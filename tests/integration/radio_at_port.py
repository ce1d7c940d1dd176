"""A simulated radio for the `hotline` command: on a pty, on TCP; and the command as a process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from gateway.sim.air import Air
from gateway.sim.radio import RadioPort, SimulatedRadio
from gateway.sim.radio.tcp import RadioServer

ROOT = Path(__file__).parents[2]
NORTH, SOUTH = 0x4D4C00A1, 0x4D4C00B2
DEADLINE_S = 60


def two_radios() -> SimulatedRadio:
    """NORTH's radio; SOUTH's is on its air."""
    air = Air(Random(1))
    north = SimulatedRadio(NORTH, "North", air)
    SimulatedRadio(SOUTH, "South", air)
    return north


@contextlib.asynccontextmanager
async def radio_on_pty(radio: SimulatedRadio, path: Path) -> AsyncIterator[str]:
    async with RadioPort(radio, path):
        yield str(path)


@contextlib.asynccontextmanager
async def radio_on_tcp(radio: SimulatedRadio) -> AsyncIterator[str]:
    """As the firmware's port 4403: a reboot ends the connection."""
    async with RadioServer(radio) as server:
        yield f"tcp://127.0.0.1:{server.port}"


@dataclass(frozen=True, slots=True)
class Ended:
    """A run of the command."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    def has(self, mark: str, words: str) -> None:
        """Among the findings is one with this mark and these words."""
        findings = self.document["findings"]
        assert [it for it in findings if it["mark"] == mark and words in it["text"]], findings


def environment(config: Path | None = None) -> dict[str, str]:
    """For a command that sees this configuration, or none and no gateway of this machine."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HOTLINE")}
    if config is not None:
        return clean | {"HOTLINE_CONFIG": str(config)}
    return clean | {"HOTLINE_SOCKET": "/nowhere/api.sock"}


async def hotline(*arguments: str, config: Path | None = None) -> Ended:
    """Run the command beside this loop, which serves the radio."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli.main", *arguments, stdout=PIPE, stderr=PIPE, cwd=ROOT,
        env=environment(config),
    )  # fmt: skip
    try:
        async with asyncio.timeout(DEADLINE_S):
            out, err = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    assert b"Traceback" not in err, err.decode()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())
