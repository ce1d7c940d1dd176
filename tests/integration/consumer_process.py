"""The example consumers as foreign programs: started, killed, and what they did."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from importlib import resources
from pathlib import Path

from gateway.core.records import Topic
from tests.integration.desk_double import MemoryDesk


class Consumer:
    """`python <program> <arguments> FILE`; what it did is in the table `work`."""

    def __init__(self, file: Path, program: str, *arguments: str) -> None:
        self.file = file
        self._command = [str(resources.files("gateway.queues.consumer") / program), *arguments]
        self._process: Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, *self._command, str(self.file), stdout=DEVNULL, stderr=PIPE
        )

    async def kill(self) -> None:
        """SIGKILL. Fails if it had ended by itself: it must outlive every outage."""
        assert self._process is not None
        if self._process.returncode is not None:
            assert self._process.stderr is not None
            raise AssertionError((await self._process.stderr.read()).decode())
        self._process.kill()
        await self._process.communicate()
        self._process = None

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def work(self) -> Counter[tuple[str, str]]:
        """How often it did its work about a notice, by station and id."""
        return Counter((station, json.loads(text)["id"]) for station, text in self._rows())

    def order(self) -> list[str]:
        """Ids of the notices in the order of its work."""
        return [json.loads(text)["id"] for _, text in self._rows()]

    def _rows(self) -> list[tuple[str, str]]:
        with closing(
            sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=30)
        ) as database:
            return database.execute("SELECT station, notice FROM work ORDER BY rowid").fetchall()


@asynccontextmanager
async def consuming(file: Path, program: str, *arguments: str) -> AsyncIterator[Consumer]:
    consumer = Consumer(file, program, *arguments)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.kill()


async def until_all_taken(desk: MemoryDesk, *, deadline_s: float = 60) -> None:
    """No notice that came in waits for a consumer."""
    async with asyncio.timeout(deadline_s):
        while await desk.store.publications(0, limit=1, topic=Topic.NOTICE, untaken_only=True):
            await asyncio.sleep(0.02)
