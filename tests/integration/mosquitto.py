"""A real Mosquitto and its command-line clients, as the foreign programs of the MQTT tests."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

DEADLINE_S = 30
_READY = "test/ready"

_PROGRAM = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
needs_mosquitto = pytest.mark.skipif(
    _PROGRAM is None or shutil.which("mosquitto_pub") is None,
    reason="apt-get install mosquitto mosquitto-clients",
)


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as mosquitto_sub printed it."""

    topic: str
    payload: bytes
    retain: bool
    properties: dict[str, str]
    content_type: str

    @property
    def json(self) -> Any:
        return json.loads(self.payload)


class Listener:
    """A running mosquitto_sub. `heard` grows as messages come."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.heard: list[Heard] = []
        self.is_ready = False

    async def until(self, condition: Callable[[list[Heard]], object]) -> list[Heard]:
        """Read messages until `condition` holds of all that came."""
        assert self._process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            while not condition(self.heard):
                line = await self._process.stdout.readline()
                assert line, "mosquitto_sub ended"
                topic, retain, content_type, properties, payload = line.decode().split("\t")
                if topic == _READY:
                    # Where the broker kept one of an earlier subscription it comes twice.
                    self.is_ready = True
                    continue
                self.heard.append(
                    Heard(
                        topic,
                        bytes.fromhex(payload.strip()),
                        retain == "1",
                        _properties(properties),
                        content_type,
                    )
                )
        return self.heard

    async def on(self, end: str, *, count: int = 1) -> list[Heard]:
        """Wait for `count` messages whose topic contains `end`; give them all."""
        await self.until(lambda heard: sum(end in one.topic for one in heard) >= count)
        return [one for one in self.heard if end in one.topic]


def _properties(text: str) -> dict[str, str]:
    """`%P` prints `name:value` pairs, separated by blanks."""
    return dict(pair.split(":", 1) for pair in text.split(" ") if ":" in pair)


class Mosquitto:
    """A broker on a free loopback port and on a Unix socket. `lines` go into its configuration."""

    def __init__(self, folder: Path, *lines: str, is_persistent: bool = False) -> None:
        self.folder = folder
        self.unix_path = folder / "broker.sock"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._process: Process | None = None
        persistence = [f"persistence {str(is_persistent).lower()}"]
        if is_persistent:
            persistence += [f"persistence_location {folder}/", "autosave_interval 1"]
        common = [line for line in lines if not line.startswith("listener:")]
        listener = [
            line.removeprefix("listener:") for line in lines if line.startswith("listener:")
        ]
        self._config = "\n".join(
            [
                "user root",
                "log_dest stderr",
                *persistence,
                *(["allow_anonymous true"] if "allow_anonymous false" not in lines else []),
                *common,
                f"listener 0 {self.unix_path}",
                f"listener {self.port} 127.0.0.1",
                *listener,
            ]
        )

    async def start(self) -> None:
        assert _PROGRAM is not None
        config = self.folder / "mosquitto.conf"
        config.write_text(self._config + "\n")
        self.unix_path.unlink(missing_ok=True)
        # A relative name, which `hotline doctor` finds too.
        self._process = await asyncio.create_subprocess_exec(
            _PROGRAM, "-c", config.name, cwd=self.folder, stdout=DEVNULL, stderr=DEVNULL
        )
        async with asyncio.timeout(DEADLINE_S):
            while True:
                assert self._process.returncode is None, "mosquitto ended at its start"
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                await writer.wait_closed()
                return

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        self._process = None

    async def publish(self, topic: str, payload: str | bytes, *options: str) -> None:
        """mosquitto_pub at QoS 1 with MQTT 5; returns after the broker's PUBACK."""
        octets = payload.encode() if isinstance(payload, str) else payload
        command = ["-p", str(self.port), "-V", "5", "-q", "1", "-t", topic, "-s", *options]
        process = await asyncio.create_subprocess_exec(
            "mosquitto_pub", *command, stdin=PIPE, stderr=PIPE
        )
        async with asyncio.timeout(DEADLINE_S):
            _, errors = await process.communicate(octets)
        assert process.returncode == 0, errors

    async def submit(self, station: str, document: dict[str, Any], *options: str) -> None:
        await self.publish(f"hotline/v1/{station}/submit", json.dumps(document), *options)

    async def dropped_count(self) -> int:
        """Messages that the broker acknowledged and had no room for; needs `sys_interval 1`."""
        topics = ("$SYS/broker/publish/messages/dropped", "$SYS/broker/uptime")
        async with self.listen(*topics) as listener:
            # One that was kept, and two that come: all of a second is counted then.
            await listener.on("uptime", count=3)
            counts = [heard for heard in listener.heard if heard.topic.endswith("dropped")]
            return int(counts[-1].payload) if counts else 0

    @asynccontextmanager
    async def listen(self, *topics: str, options: tuple[str, ...] = ()) -> AsyncIterator[Listener]:
        """mosquitto_sub on `topics`, subscribed when this is entered."""
        command = ["-p", str(self.port), "-V", "5", "-q", "1", *options]
        for topic in (*topics, _READY):
            command += ["-t", topic]
        process = await asyncio.create_subprocess_exec(
            "mosquitto_sub", *command, "-F", "%t\t%r\t%C\t%P\t%x", stdout=PIPE, stderr=DEVNULL
        )
        listener = Listener(process)
        try:
            await self._wait_for_subscription(listener)
            yield listener
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _wait_for_subscription(self, listener: Listener) -> None:
        """A retained message proves that the subscription stands, whenever that is."""
        await self.publish(_READY, b"1", "-r")
        await listener.until(lambda _: listener.is_ready)


@asynccontextmanager
async def mosquitto(
    folder: Path, *lines: str, is_persistent: bool = False
) -> AsyncIterator[Mosquitto]:
    broker = Mosquitto(folder, *lines, is_persistent=is_persistent)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.kill()


@asynccontextmanager
async def shipped_mosquitto(folder: Path) -> AsyncIterator[Mosquitto]:
    """A broker with the settings that are shipped for it, included as Debian's file does."""
    (included := folder / "conf.d").mkdir()
    shipped = (resources.files("gateway.queues.mosquitto") / "hotline.conf").read_text()
    (included / "hotline.conf").write_text(shipped)
    async with mosquitto(
        folder, f"persistence_location {folder}/", f"include_dir {included}", "sys_interval 1"
    ) as broker:
        yield broker
