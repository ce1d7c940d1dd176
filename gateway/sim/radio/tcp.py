"""A simulated radio on TCP (loopback only), in real time: one client at a time, the newest."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

from gateway.sim.radio.device import SimulatedRadio
from gateway.sim.radio.real_time import RealTime

LOOPBACK: Final = "127.0.0.1"
PENDING_SIZE_MAX: Final = 65_536
"""Octets that wait for a client that does not read; what comes on top is dropped."""


class RadioServer:
    """`async with RadioServer(radio)`: the radio answers on TCP until the block ends.

    The radio ends a connection when a second client comes, after 15 minutes without a word and
    when it reboots. It learns that a client is gone, who did not say so, by its next write: that
    packet is lost.
    """

    def __init__(self, radio: SimulatedRadio, port: int = 0) -> None:
        self.radio = radio
        self.port = port
        """0 until the block begins: any free one."""
        self._time = RealTime(radio.air, self._fetch)
        self._server: asyncio.Server | None = None
        self._client: asyncio.Transport | None = None
        self._drop_count = radio.tcp.drop_count

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), LOOPBACK, self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._time.start()
        self._time.advance()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._time.stop()
        self._drop()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def connected(self, client: asyncio.Transport) -> None:
        """A client came: whoever was there before is put out."""
        self._time.advance()
        self._drop()
        self.radio.tcp.connect()
        self._client = client

    def feed(self, client: asyncio.Transport, octets: bytes) -> None:
        if client is self._client:
            self._time.advance()
            self.radio.tcp.feed(octets)

    def disconnected(self, client: asyncio.Transport) -> None:
        if client is self._client:
            self._client = None

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _fetch(self) -> None:
        octets = self.radio.tcp.take_output()
        if self._drop_count != self.radio.tcp.drop_count:
            self._drop_count = self.radio.tcp.drop_count
            self._drop()
        if not octets:
            return
        if self._client is None:
            self.radio.tcp.hang_up()
        elif self._client.get_write_buffer_size() + len(octets) <= PENDING_SIZE_MAX:
            self._client.write(octets)


class _Connection(asyncio.Protocol):
    def __init__(self, server: RadioServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connected(transport)

    def data_received(self, data: bytes) -> None:
        self._server.feed(self._transport, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.disconnected(self._transport)
