"""`hotline bench --hold` on a terminal, as README tells it: a foreign program and the keys."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from pathlib import Path

import pytest

from tests.integration.mosquitto import mosquitto, needs_mosquitto

pytestmark = needs_mosquitto

ROOT = Path(__file__).parents[2]
NOTICE = {
    "request_id": "hq-2026-11-23-001",
    "to": "SOUTH",
    "kind": "NOTIFY",
    "precedence": "IMMEDIATE",
    "operation": "OPERATION",
    "text": "Two helicopters cross the river at 1430Z.",
}


class Terminal:
    """A pty with a bench on it."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.text = ""
        self._changed = asyncio.Event()
        asyncio.get_running_loop().add_reader(self.master, self._read)

    def _read(self) -> None:
        try:
            self.text += os.read(self.master, 65536).decode(errors="replace")
        except OSError:
            asyncio.get_running_loop().remove_reader(self.master)
        self._changed.set()

    def type(self, key: str) -> None:
        os.write(self.master, key.encode())

    async def shows(self, *words: str) -> None:
        """Wait until all words were on the screen."""
        async with asyncio.timeout(60):
            while not all(word in self.text for word in words):
                self._changed.clear()
                await self._changed.wait()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.master)
        os.close(self.master)
        os.close(self.slave)


async def test_a_foreign_notice_is_rogered_by_a_key(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """mosquitto_pub, s to silence the buzzer, s to say ROGER, q to end; nothing is left behind."""
    folder = tmp_path_factory.mktemp("h")
    terminal = Terminal()
    async with mosquitto(tmp_path) as broker:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli.main", "bench", "--hold"),
            *("--mqtt", broker.url, "--preset", "SHORT_FAST"),
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "100", "TERM": "xterm"},
            stdin=terminal.slave,
            stdout=terminal.slave,
            stderr=terminal.slave,
        )
        try:
            await terminal.shows("press the button of NORTH, SOUTH", "pending out")
            async with broker.listen("hotline/v1/NORTH/state/#") as states:
                await broker.publish("hotline/v1/NORTH/submit", json.dumps(NOTICE))
                await terminal.shows("SOUTH received", "double blink", "long blink")
                rogered = asyncio.ensure_future(
                    states.until(lambda heard: any(one.json["state"] == "ROGER" for one in heard))
                )
                while not rogered.done():
                    terminal.type("s")
                    await asyncio.wait([rogered], timeout=0.7)
                await rogered
            await terminal.shows("ROGER")
            terminal.type("q")
            async with asyncio.timeout(20):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            terminal.close()
    assert "Traceback" not in terminal.text
    assert list(folder.iterdir()) == []
