"""A gateway of the bench as a real process: start, readiness, SIGKILL, stop; and its mock pins."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import gateway
from gateway.sim.bench.files import StationFiles
from gateway.sim.bench.http_client import ApiClient, ApiUnreachableError

READY_S: Final = 20.0
STOP_S: Final = 8.0
POLL_S: Final = 0.05


class BenchError(Exception):
    """The bench cannot go on: one sentence that says what failed and where to look."""


class BrokerAwayError(BenchError):
    """The broker that the bench shall use does not answer."""


class GatewayProcess:
    """`hotline run` for one station; may be killed and started again."""

    def __init__(self, files: StationFiles) -> None:
        self.files = files
        self.api = ApiClient(files.api_socket)
        self.start_count = 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def name(self) -> str:
        return self.files.name

    @property
    def process_id(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start and wait until the API answers. Raises `BenchError`."""
        await self.launch()
        await self.wait_ready()

    async def launch(self) -> None:
        """Start without waiting."""
        assert self._process is None
        environment = dict(os.environ)
        root = str(Path(gateway.__file__).parents[1])
        environment["PYTHONPATH"] = os.pathsep.join(
            [root, *filter(None, [environment.get("PYTHONPATH")])]
        )
        command = [sys.executable, "-m", "gateway.cli.main", "run", "--config"]
        with self.files.output.open("ab") as output:
            # A session of its own: Ctrl-C on the terminal is for the bench, which stops its
            # gateways in order. setpriv ends them should the bench itself be killed.
            self._process = await asyncio.create_subprocess_exec(
                *_death_follows(),
                *command,
                str(self.files.config),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )
        self.start_count += 1

    async def wait_ready(self, timeout_s: float = READY_S) -> None:
        """Wait until the API gives a status. Raises `BenchError`."""
        try:
            async with asyncio.timeout(timeout_s):
                while not await self._answers():
                    self.check()
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            raise BenchError(
                f"{self.name} is not ready after {timeout_s:g} s; read {self.files.output}"
            ) from error

    def check(self) -> None:
        """Raise `BenchError` if the process ended by itself."""
        if self._process is not None and self._process.returncode is not None:
            last = _last_line(self.files.output)
            raise BenchError(
                f"{self.name} ended by itself with exit code {self._process.returncode}"
                f"{f' ({last})' if last else ''}; read {self.files.output}"
            )

    async def kill(self) -> None:
        """SIGKILL, as a power cut would end it."""
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
            self._process = None

    async def stop(self) -> int | None:
        """SIGTERM; SIGKILL after 8 s. Gives the exit code, None if it had to be killed."""
        process, self._process = self._process, None
        if process is None:
            return None
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
                return None
        return process.returncode

    async def press_button(self, press_ms: int = 200) -> None:
        """Close the contact of the button; done when it is open again."""
        await self._pins({"press_ms": press_ms})

    async def lamps(self) -> dict[str, Any]:
        """`lamps`: the levels of the pins; `patterns`: the rhythms behind them."""
        return await self._pins({"lamps": True})

    async def _answers(self) -> bool:
        try:
            status, _ = await self.api.request("GET", "/v1/status", timeout_s=2.0)
        except ApiUnreachableError:
            return False
        return status == 200

    async def _pins(self, order: dict[str, object]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(10):
                reader, writer = await asyncio.open_unix_connection(str(self.files.pins_socket))
                try:
                    writer.write(json.dumps(order).encode() + b"\n")
                    answer = await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            raise ApiUnreachableError(f"{self.files.pins_socket}: no answer") from error
        document: dict[str, Any] = json.loads(answer) if answer else {}
        if not document or "error" in document:
            raise ApiUnreachableError(f"{self.files.pins_socket}: {document.get('error')}")
        return document


def _death_follows() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else ""
