"""The process of a bed's cables as the measuring side sees it: orders in, passed frames out."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

import gateway
from gateway.sim.bench.process import BenchError

ANSWER_S: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CablePlan:
    """One cable. `delimiter` ends a frame of who uses it."""

    name: str
    a: str
    b: str
    bit_rate: int
    seed: int
    loss: float = 0.0
    delimiter: int = 0


@dataclass(frozen=True, slots=True)
class Passed:
    """A frame that was put on a cable, lost or not."""

    cable: str
    sender: str
    frame: bytes
    size: int
    is_lost: bool


class Cables:
    """`async with Cables(plans, on_passed) as cables:`; the process ends with the block."""

    def __init__(self, plans: Sequence[CablePlan], on_passed: Callable[[Passed], None]) -> None:
        self._plans = plans
        self._on_passed = on_passed
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._done = 0
        self._wanted = 0
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        root = str(Path(gateway.__file__).parents[1])
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway.sim.benchmark.cable_program",
            json.dumps([asdict(plan) for plan in self._plans]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": root},
            start_new_session=True,
        )
        self._done = -1
        self._reading = asyncio.create_task(self._read())
        await self._until_done()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._reading is not None:
            await self._reading

    async def order(self, cable: str, order: str, **words: object) -> None:
        """Do something to a cable; it is done when this returns."""
        assert self._process is not None
        assert self._process.stdin is not None
        line = json.dumps({"cable": cable, "order": order, **words})
        self._wanted += 1
        self._process.stdin.write(line.encode() + b"\n")
        await self._until_done()

    async def _until_done(self) -> None:
        wanted = self._wanted
        try:
            async with asyncio.timeout(ANSWER_S):
                while self._done < wanted:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError as error:
            raise BenchError("the process of the cables does not answer") from error

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self._note(json.loads(line))

    def _note(self, told: dict[str, Any]) -> None:
        if "done" in told:
            self._done = told["done"]
            self._news.set()
            return
        frame = bytes.fromhex(told["frame"])
        passed = Passed(told["cable"], told["sender"], frame, told["size"], told["lost"])
        self._on_passed(passed)
