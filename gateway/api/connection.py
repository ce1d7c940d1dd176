"""One HTTP/1.1 connection over asyncio streams: h11 for the protocol, limits and deadlines here.

Knows requests and responses, not what they mean. A request is whole (header and body) within its
limits before anyone sees it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import parse_qsl, unquote

import h11
import msgspec

from gateway.api.problem import ProblemError

Result = TypeVar("Result")

READ_SIZE: Final = 16_384
LINGER_SIZE_MAX: Final = 1 << 20
LINGER_S: Final = 2.0
_ONCE: Final = (b"idempotency-key", b"content-type", b"last-event-id")
"""What we read; of the others h11 refuses those that HTTP has once."""


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """Bounds of the server. Beyond each the client gets a clear refusal, the daemon goes on."""

    header_size_max: int = 16_384
    body_size_max: int = 65_536
    connection_count_max: int = 32
    stream_count_max: int = 16
    """Connections that may wait in long polls and event streams, so that others can act."""
    user_connection_count_max: int = 24
    user_stream_count_max: int = 12
    """Of the two above, what one user may hold: nobody keeps the duty officer out alone."""
    read_s: float = 10.0
    """For a whole request, from its first octet."""
    write_s: float = 10.0
    """For the client to take what we write."""
    idle_s: float = 60.0
    """Between requests on one connection."""
    wait_s_max: int = 60
    """Longest long poll."""
    heartbeat_s: float = 15.0
    """Between signs of life on a silent event stream."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case; of a repeated name that we do not read the last."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    status: HTTPStatus
    document: object
    headers: Mapping[str, str]
    content_type: str = "application/json"


class ClientGoneError(Exception):
    """The client closed the connection or does not take what we write."""


class Connection:
    """Serves one client. The caller asks for requests and sends responses in turn."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: ApiLimits
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.header_size_max)

    async def next_request(self) -> Request | None:
        """The next whole request; None when the client closed or stayed idle.

        Raises `ProblemError` for a request that is malformed, too large or too slow, and
        `ClientGoneError` for one cut short.
        """
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        if self._http.our_state is not h11.IDLE:
            return None
        if not self._http.trailing_data[0] and not await self._first_octets():
            return None
        try:
            async with asyncio.timeout(self._limits.read_s):
                return await self._read_request()
        except TimeoutError as error:
            raise ProblemError(
                HTTPStatus.REQUEST_TIMEOUT,
                "too_slow",
                "request",
                f"was not whole within {self._limits.read_s:g} s",
                "send it at once",
                close=True,
            ) from error
        except h11.RemoteProtocolError as error:
            raise _malformed(error, self._limits) from error

    async def respond(self, response: Response) -> None:
        """Send a whole response. Raises `ClientGoneError`."""
        body = msgspec.json.encode(response.document)
        headers = {
            "Content-Type": response.content_type,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            **response.headers,
        }
        await self._send(
            h11.Response(status_code=response.status, headers=list(headers.items())),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )

    async def refuse(self, problem: ProblemError) -> None:
        """Send a problem document, if the protocol still allows it. Raises `ClientGoneError`."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            raise ClientGoneError
        headers = dict(problem.headers)
        if problem.close:
            headers["Connection"] = "close"
        await self.respond(
            Response(problem.status, problem.document(), headers, "application/problem+json")
        )

    async def begin_stream(self, content_type: str) -> None:
        headers = [("Content-Type", content_type), ("Cache-Control", "no-store")]
        await self._send(h11.Response(status_code=HTTPStatus.OK, headers=headers))

    async def send_part(self, octets: bytes) -> None:
        """Send part of a stream. Raises `ClientGoneError`."""
        await self._send(h11.Data(data=octets))

    async def end_stream(self) -> None:
        await self._send(h11.EndOfMessage())

    async def while_connected(self, work: Awaitable[Result]) -> Result:
        """Await `work`, which may take long; it is cancelled when the client goes.

        Raises `ClientGoneError` then.
        """
        results: list[Result] = []
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch())
                results.append(await work)
                watch.cancel()
        except* ClientGoneError:
            results.clear()
        if not results:
            raise ClientGoneError
        return results[0]

    async def linger(self) -> None:
        """Say that no more comes, then discard what the client still sends, within bounds.

        Closing with unread input would reset the connection and take the refusal away from it.
        """
        try:
            async with asyncio.timeout(LINGER_S):
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                size = 0
                while size < LINGER_SIZE_MAX:
                    octets = await self._reader.read(READ_SIZE)
                    if not octets:
                        return
                    size += len(octets)
        except (TimeoutError, OSError):
            return

    def abort(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        """Close within a bounded time."""
        try:
            async with asyncio.timeout(LINGER_S):
                self._writer.close()
                await self._writer.wait_closed()
        except (TimeoutError, OSError):
            self.abort()

    async def _first_octets(self) -> bool:
        """Wait until a request begins; False when none does."""
        try:
            async with asyncio.timeout(self._limits.idle_s):
                octets = await self._reader.read(READ_SIZE)
        except (TimeoutError, OSError):
            return False
        self._http.receive_data(octets)
        return bool(octets)

    async def _read_request(self) -> Request:
        head = await self._next_event()
        while not isinstance(head, h11.Request):
            if isinstance(head, h11.ConnectionClosed):
                raise ClientGoneError
            head = await self._next_event()
        # h11 bounds only a header that is not whole; the last read may complete a longer one.
        size = len(head.target) + sum(len(name) + len(value) + 4 for name, value in head.headers)
        if size > self._limits.header_size_max:
            raise _header_too_large(self._limits)
        headers = {
            name.decode("ascii"): value.decode("latin-1").strip() for name, value in head.headers
        }
        self._check_length(headers.get("content-length", "0"))
        body = bytearray()
        while not isinstance(event := await self._next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
                self._check_length(str(len(body)))
            elif isinstance(event, h11.ConnectionClosed):
                raise ClientGoneError
        _check_once(head)
        target = head.target.decode("ascii")
        path, _, query = target.partition("?")
        return Request(
            head.method.decode("ascii"), unquote(path), _query(query), headers, bytes(body)
        )

    def _check_length(self, length: str) -> None:
        # h11 lets only digits through, at most 20 of them.
        if int(length) > self._limits.body_size_max:
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "too_large",
                "body",
                f"has more than {self._limits.body_size_max} octets",
                "a notice needs far less; send only its fields",
                close=True,
            )

    async def _next_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            try:
                octets = await self._reader.read(READ_SIZE)
            except OSError as error:
                raise ClientGoneError from error
            if not octets and self._http.their_state is not h11.IDLE:
                raise ClientGoneError
            self._http.receive_data(octets)
        return event

    async def _send(self, *events: h11.Event) -> None:
        octets = b"".join(self._http.send(event) or b"" for event in events)
        try:
            async with asyncio.timeout(self._limits.write_s):
                self._writer.write(octets)
                await self._writer.drain()
        except (TimeoutError, OSError) as error:
            self.abort()
            raise ClientGoneError from error

    async def _watch(self) -> None:
        """Keep what the client sends early, within the header's limit; raise when it is gone."""
        while True:
            try:
                octets = await self._reader.read(READ_SIZE)
            except OSError as error:
                raise ClientGoneError from error
            early = len(self._http.trailing_data[0])
            if not octets or early + len(octets) > self._limits.header_size_max:
                raise ClientGoneError
            self._http.receive_data(octets)


def _check_once(head: h11.Request) -> None:
    """Of two names of a request, or two kinds of content, none is meant. Raises `ProblemError`."""
    names = [name for name, _ in head.headers]
    for name in _ONCE:
        if names.count(name) > 1:
            raise ProblemError(
                HTTPStatus.BAD_REQUEST,
                "bad_header",
                name.decode().title(),
                "is repeated",
                "give it once",
            )


def _query(text: str) -> dict[str, str]:
    """The parameters of a query, each once. Raises `ProblemError`."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=16)
    except ValueError as error:
        if not text:
            return {}
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            "bad_query",
            "query",
            "cannot be read",
            "write name=value pairs joined by &",
        ) from error
    query = dict(pairs)
    if len(query) != len(pairs):
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, "bad_query", "query", "repeats a name", "give each name once"
        )
    return query


def _malformed(error: h11.RemoteProtocolError, limits: ApiLimits) -> ProblemError:
    status = HTTPStatus(error.error_status_hint)
    if status is HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
        return _header_too_large(limits)
    return ProblemError(
        status, "malformed", "request", "is not HTTP/1.1", "use an HTTP client", close=True
    )


def _header_too_large(limits: ApiLimits) -> ProblemError:
    return ProblemError(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "too_large",
        "header",
        f"has more than {limits.header_size_max} octets",
        "send less",
        close=True,
    )
