"""A small asyncio client of the local HTTP API (h11 over its Unix socket), for the bench.

Owns connections and JSON; what is asked is the caller's. One connection a request: the bench asks
seldom, and a gateway that was killed must not leave a half-dead connection behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import h11

REQUEST_TIMEOUT_S: Final = 10.0
_READ_SIZE: Final = 65_536


class ApiUnreachableError(Exception):
    """Nobody answers at the socket (now)."""


class ApiClient:
    """Speaks to the gateway behind `socket`."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    async def request(
        self,
        method: str,
        target: str,
        document: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> tuple[int, Any]:
        """One request; gives (status, JSON of the answer or None). Raises `ApiUnreachableError`."""
        try:
            async with asyncio.timeout(timeout_s), self._connection() as connection:
                await connection.ask(method, target, document, headers or {})
                status = await connection.status()
                body = b"".join([part async for part in connection.body()])
        except (OSError, TimeoutError, h11.RemoteProtocolError) as error:
            raise ApiUnreachableError(f"{self.socket}: {_reason(error)}") from error
        return status, json.loads(body) if body else None

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[_Connection]:
        reader, writer = await asyncio.open_unix_connection(str(self.socket))
        try:
            yield _Connection(reader, writer)
        finally:
            writer.transport.abort()


class _Connection:
    """One HTTP/1.1 exchange."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    async def ask(
        self, method: str, target: str, document: object, headers: Mapping[str, str]
    ) -> None:
        body = b"" if document is None else json.dumps(document).encode()
        fields = {"Host": "localhost", "Connection": "close", **headers}
        if document is not None:
            fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        request = h11.Request(method=method, target=target, headers=list(fields.items()))
        self._send(request)
        if body:
            self._send(h11.Data(data=body))
        self._send(h11.EndOfMessage())
        await self._writer.drain()

    async def status(self) -> int:
        event = await self._next()
        while isinstance(event, h11.InformationalResponse):
            event = await self._next()
        if not isinstance(event, h11.Response):
            raise ConnectionResetError("the gateway closed the connection")
        return event.status_code

    async def body(self) -> AsyncIterator[bytes]:
        while isinstance(event := await self._next(), h11.Data):
            yield bytes(event.data)

    def _send(self, event: h11.Event) -> None:
        octets = self._http.send(event)
        if octets:
            self._writer.write(octets)

    async def _next(self) -> object:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Event) or event is h11.PAUSED:
                return event
            self._http.receive_data(await self._reader.read(_READ_SIZE))


def _reason(error: Exception) -> str:
    return str(error) or "no answer in time"
