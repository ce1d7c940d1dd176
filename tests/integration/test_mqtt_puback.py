"""The cursor of the MQTT feed and the broker's PUBACK, with a cable between them that goes deaf."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.integration.adapter_running import until
from tests.integration.desk_double import MemoryDesk
from tests.integration.mosquitto import mosquitto, needs_mosquitto
from tests.integration.mqtt_running import running

pytestmark = needs_mosquitto

TOPIC = "hotline/v1/NORTH"


class Cable:
    """Carries octets to a port until a direction is `deaf`; from then on it swallows them."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = 0
        self.deaf = ""
        """`up` to the broker, `down` from it."""
        self.swallowed = bytearray()
        self._writers: list[StreamWriter] = []
        self._carrying: set[asyncio.Task[None]] = set()

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, far_writer]
        for way, source, sink in (("up", reader, far_writer), ("down", far_reader, writer)):
            self._carrying.add(asyncio.create_task(self._carry(way, source, sink)))

    async def _carry(self, way: str, source: StreamReader, sink: StreamWriter) -> None:
        with suppress(OSError):
            while octets := await source.read(4096):
                if self.deaf == way:
                    self.swallowed += octets
                else:
                    sink.write(octets)
                    await sink.drain()

    async def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._carrying)


@asynccontextmanager
async def cable(port: int) -> AsyncIterator[Cable]:
    one = Cable(port)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    async with server:
        try:
            yield one
        finally:
            await one.cut()


@pytest.mark.parametrize("deaf", ["up", "down"])
async def test_the_cursor_waits_for_the_puback(tmp_path: Path, deaf: str) -> None:
    """A state that never reached the broker, or whose PUBACK did not come back, does not move the
    cursor, and goes on the next connection.
    """
    desk = MemoryDesk()
    async with mosquitto(tmp_path) as broker, broker.listen(f"{TOPIC}/state/#") as listener:
        async with (
            cable(broker.port) as between,
            running(f"mqtt://127.0.0.1:{between.port}", desk) as adapter,
        ):
            assert len(adapter.events) == 1
            between.deaf = deaf
            desk.arrive("one")
            if deaf == "up":
                await until(lambda: b"/state/" in between.swallowed)
            else:
                await listener.on("/state/")
                await until(lambda: between.swallowed)  # its PUBACK
            assert await desk.store.cursor("mqtt") == 0
            await between.cut()
            await adapter.end()
        assert await desk.store.cursor("mqtt") == 0
        before = len(listener.heard)
        async with running(broker.url, desk):
            heard = await listener.on("/state/", count=before + 1)
            assert [one.properties["offset"] for one in heard] == ["2"] * (before + 1)
