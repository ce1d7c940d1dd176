"""The shell around a conversation: a port, a clock of the loop, and the outbox. Decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, NoReturn
from urllib.parse import urlsplit

from gateway.errors import LinkLostError
from gateway.links.base import Emit, Outbox
from gateway.links.meshtastic.conversation import Conversation, RadioTimes
from gateway.links.meshtastic.identity import ExpectedRadio, RadioIdentity
from gateway.links.meshtastic.protobuf import mesh_pb2
from gateway.links.meshtastic.stream import encode_frame
from gateway.links.port import Port, open_serial, open_tcp
from gateway.links.tasks import run_together
from gateway.model import LinkName

BIT_RATE: Final = 115_200
"""Of every Meshtastic serial port."""
TCP_PORT: Final = 4403
WRITE_DEADLINE_S: Final = 5.0
GOODBYE_DEADLINE_S: Final = 0.5

OpenPort = Callable[[str], Awaitable[Port]]
"""Gives the open port of this name. Raises `LinkLostError`."""


async def open_radio_port(path: str) -> Port:
    """Open a radio's port, `/dev/...` or `tcp://host[:4403]`. Raises `LinkLostError`."""
    if not path.startswith("tcp://"):
        return await open_serial(path, BIT_RATE)
    return await open_tcp(*tcp_address(path))


def tcp_address(path: str) -> tuple[str, int]:
    """Host and port of `tcp://host[:4403]`. Raises `LinkLostError`."""
    address = urlsplit(path)
    try:
        host, port = address.hostname, address.port or TCP_PORT
    except ValueError:
        host, port = None, TCP_PORT
    if host is None:
        raise LinkLostError(f"{path} is no address; write tcp://host or tcp://host:{TCP_PORT}")
    return host, port


class MeshtasticDriver:
    """Serves one radio at a serial port or at `tcp://host[:4403]` until it is gone."""

    def __init__(
        self,
        link: LinkName,
        port: str,
        far_node: int,
        *,
        rng: Random,
        times: RadioTimes | None = None,
        expected: ExpectedRadio | None = None,
        open_port: OpenPort = open_radio_port,
    ) -> None:
        self._path = port
        self._open_port = open_port
        self._conversation = Conversation(
            link, far_node, port, rng=rng, times=times, expected=expected
        )
        self._changed = asyncio.Event()
        self._has_octets = asyncio.Event()
        self._is_ready = asyncio.Event()

    @property
    def skipped_count(self) -> int:
        """Octets that were no message: text logs and noise."""
        return self._conversation.skipped_count

    @property
    def identity(self) -> RadioIdentity | None:
        """What the radio told of itself; None until the handshake is done."""
        return self._conversation.identity

    async def run(self, emit: Emit, outbox: Outbox) -> NoReturn:
        """Serve the radio. Raises `LinkLostError`."""
        port = await self._open_port(self._path)
        is_lost = True
        try:
            self._conversation.start(_now_ms())
            self._publish(emit)
            await run_together(
                self._receive(port, emit),
                self._write(port),
                self._take(emit, outbox),
                self._keep_time(emit),
            )
        except asyncio.CancelledError:
            # After a session without an end the radio loses the first packet of the next one.
            with contextlib.suppress(LinkLostError):
                goodbye = encode_frame(mesh_pb2.ToRadio(disconnect=True).SerializeToString())
                await port.write(goodbye, deadline_s=GOODBYE_DEADLINE_S)
                is_lost = False
            raise
        finally:
            # Only after the close does the device come back under its by-id path.
            await port.close(discard=is_lost)

    def _publish(self, emit: Emit) -> None:
        """Pass on what the conversation led to, and wake who waits for it."""
        for event in self._conversation.take_events():
            emit(event)
        self._changed.set()
        self._has_octets.set()
        if self._conversation.is_ready:
            self._is_ready.set()
        else:
            self._is_ready.clear()

    async def _receive(self, port: Port, emit: Emit) -> NoReturn:
        while True:
            octets = await port.read()
            try:
                self._conversation.feed(octets, _now_ms())
            finally:  # What came before a restart of the radio is true all the same.
                self._publish(emit)

    async def _write(self, port: Port) -> NoReturn:
        while True:
            await self._has_octets.wait()
            self._has_octets.clear()
            octets = self._conversation.take_octets()
            if octets:
                await port.write(octets, deadline_s=WRITE_DEADLINE_S)

    async def _take(self, emit: Emit, outbox: Outbox) -> NoReturn:
        while True:
            await self._is_ready.wait()
            transmit = await outbox.get()
            self._conversation.submit(transmit, _now_ms())
            self._publish(emit)

    async def _keep_time(self, emit: Emit) -> NoReturn:
        while True:
            self._changed.clear()
            deadline_ms = self._conversation.next_deadline_ms()
            if deadline_ms is None or deadline_ms > _now_ms():
                wait_s = None if deadline_ms is None else (deadline_ms - _now_ms()) / 1000
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._changed.wait()
            self._conversation.advance(_now_ms())
            self._publish(emit)
            self._changed.clear()


def _now_ms() -> int:
    """The loop's clock; only differences of it are used, for deadlines of this port."""
    return round(asyncio.get_running_loop().time() * 1000)
