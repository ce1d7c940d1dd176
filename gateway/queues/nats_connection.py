"""One connection to a NATS cluster with JetStream: nats-py does the protocol.

It does not reconnect: when it is gone, everyone who waits on it gets `QueueUnavailableError`, and
the next one tries the next server. What is said on it is for `nats` and `requests`.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import msgspec
from nats.aio.client import Client
from nats.errors import AuthorizationError, Error, NoRespondersError
from nats.js.errors import APIError

from gateway.errors import QueueUnavailableError
from gateway.queues.mqtt_socket import Tls, reason_of
from gateway.queues.mqtt_tls import tls_context
from gateway.queues.streams import (
    REQUESTS,
    SPARE_STREAMS,
    Config,
    gateway_consumer,
    own_stream,
    own_stream_config,
    stream_config,
    stream_differences,
)
from gateway.security.nkey import Nkey

CONNECT_S: Final = 4.0
"""For the connection, TLS and the greeting of one server."""
ANSWER_S: Final = 5.0
"""For JetStream's answer; an election takes as long, and then the next connection asks again."""
PING_S: Final = 5
PING_COUNT: Final = 2
"""A server that leaves two pings unanswered is gone."""
NOT_FOUND: Final = 404
STREAM_NOT_FOUND: Final = 10059
WRONG_LAST_SEQUENCE: Final = 10071

_CLOSED: Final = "closed the connection"
_NOT_US: Final = "refuses who we are; check user, password_file and nkey_file"

Document = dict[str, Any]
Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Access:
    """Where the servers are and who we are there."""

    servers: tuple[str, ...]
    """`nats://host:4222` or `tls://host:4222`, one scheme for all."""
    station: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    nkey: Nkey | None = None
    tls: Tls = field(default_factory=Tls)
    replicas: int = 3
    """Copies that an acknowledged message has at least."""

    @property
    def is_tls(self) -> bool:
        return self.servers[0].startswith("tls:")

    @property
    def inbox(self) -> str:
        """What answers to us begin with: whoever may listen to all inboxes hears everything."""
        return f"_INBOX_{self.station}"


class RightDeniedError(QueueUnavailableError):
    """The server lets our user not publish there."""


class NobodyTakesError(QueueUnavailableError):
    """No stream has the subject, or JetStream has no leader now."""


class ServerRing:
    """Which server is tried first; shared by the connections that follow each other."""

    def __init__(self, access: Access) -> None:
        self._servers = access.servers
        # Stations begin at different servers, each always at the same.
        self._next = sum(access.station.encode()) % len(access.servers)

    def turn(self) -> Iterator[str]:
        """Every server once. The one after the last that was tried is the first of the next turn,
        so that a server which takes connections and cannot serve is left.
        """
        for _ in self._servers:
            server = self._servers[self._next]
            self._next = (self._next + 1) % len(self._servers)
            yield server


class _Client(Client):
    """Refuses what nats-py allows: a server that is asked for TLS and greets without it."""

    def __init__(self, access: Access) -> None:
        super().__init__()
        self._needs_tls = access.is_tls
        self.is_greeted = False
        if access.nkey is not None:
            self._public_nkey = access.nkey.public

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if initial_connection and self._needs_tls and not info.get("tls_required"):
            raise Error("it greets without TLS")
        self.is_greeted = True
        await super()._process_info(info, initial_connection)


class NatsConnection:
    """Serves once: `open`, then the rest, with `watch` beside it, and `close`."""

    def __init__(self, access: Access, ring: ServerRing, *, name: str) -> None:
        self._access = access
        self._ring = ring
        self._name = name
        self._client: _Client | None = None
        self._tried: _Client | None = None
        """Whose news counts: what is let go of still says that it was closed."""
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reasons: list[str] = []
        self._asked: dict[str, asyncio.Future[str]] = {}
        """By subject, what is on its way: resolved when the server denies it."""
        self._places: dict[str, str] = {}
        """Under which name a spare's stream is there."""
        self.server = access.servers[0]
        """Where we are, or tried last."""

    async def open(self) -> None:
        """Connect to the first server that takes us. Raises `QueueUnavailableError` of the last."""
        for server in self._ring.turn():
            self.server = server
            self._reasons.clear()
            client = self._tried = _Client(self._access)
            try:
                async with asyncio.timeout(CONNECT_S):
                    await client.connect(**self._options(server, client))
            except (Error, OSError, TimeoutError, ValueError) as error:
                if client.is_greeted and isinstance(error, ConnectionError):
                    self._reasons.append(_NOT_US)  # it hung up before nats-py read why
                self._note(error)
                self._tried = None
                await _let_go(client)
                continue
            except BaseException:
                await _let_go(client)
                raise
            self._client = client
            return
        raise self._unavailable(self._reasons[-1] if self._reasons else "cannot be reached")

    def _options(self, server: str, client: _Client) -> dict[str, Any]:
        access = self._access

        async def on_error(error: Exception) -> None:
            if client is self._tried:
                self._note(error)

        async def on_closed() -> None:
            if client is self._tried and not self._lost.done():
                self._lost.set_result(self._reasons[-1] if self._reasons else _CLOSED)

        options: dict[str, Any] = {
            "servers": [server],
            "name": self._name,
            "allow_reconnect": False,
            "max_reconnect_attempts": 1,
            "reconnect_time_wait": 0,
            "connect_timeout": CONNECT_S,
            "ping_interval": PING_S,
            "max_outstanding_pings": PING_COUNT,
            "error_cb": on_error,
            "closed_cb": on_closed,
            "inbox_prefix": access.inbox,
            "user": access.user,
            "password": access.password,
        }
        if access.nkey is not None:
            options["signature_cb"] = access.nkey.sign
        if access.is_tls:
            options["tls"] = tls_context(access.tls, "NATS")
        return options

    @property
    def version(self) -> str:
        """Of the server, such as 2.10.27; "unknown" where it names none that can be read."""
        assert self._client is not None
        version = self._client.connected_server_version
        try:  # its `str` is a representation, not the number
            return f"{version.major}.{version.minor}.{version.patch}"
        except ValueError:
            return "unknown"

    async def watch(self) -> NoReturn:
        """Raises `QueueUnavailableError` when the connection is gone."""
        raise self._unavailable(await asyncio.shield(self._lost))

    async def close(self) -> None:
        """Let it go, within 2 s."""
        if self._client is not None:
            await _let_go(self._client)
            self._client = None

    # JetStream.

    async def ask(self, subject: str, document: object = None) -> Document:
        """Ask `$JS.API.<subject>`. Raises `APIError`, `QueueUnavailableError`."""
        payload = b"" if document is None else msgspec.json.encode(document)
        answer = await self._request(f"$JS.API.{subject}", payload, None)
        if isinstance(problem := answer.get("error"), dict):
            APIError.from_error(problem)  # raises
        return answer

    async def publish(self, stream: str, subject: str, payload: bytes, headers: Headers) -> None:
        """Return when `stream` has it, on as many servers as it has replicas for a majority.

        Raises `QueueUnavailableError` for a refusal too.
        """
        stream = await self.place(stream)
        answer = await self._request(subject, payload, headers | {"Nats-Expected-Stream": stream})
        self._check_stored(answer, stream, subject)

    async def append(self, stream: str, subject: str, payload: bytes, *, after: int) -> int | None:
        """Publish where `after` is the last sequence of `subject` (0: none); gives the new one.

        None: something else was published there first. Raises `QueueUnavailableError`.
        """
        stream = await self.place(stream)
        headers = {
            "Nats-Expected-Stream": stream,
            "Nats-Expected-Last-Subject-Sequence": str(after),
        }
        answer = await self._request(subject, payload, headers)
        problem = answer.get("error")
        if isinstance(problem, dict) and problem.get("err_code") == WRONG_LAST_SEQUENCE:
            return None
        self._check_stored(answer, stream, subject)
        return int(answer["seq"])

    def _check_stored(self, answer: Document, stream: str, subject: str) -> None:
        if isinstance(problem := answer.get("error"), dict):
            self._places.clear()  # an administrator may have made a station's own meanwhile
            raise self._unavailable(
                f"refuses {subject}: {str(problem.get('description'))[:120]}; look at stream "
                f"{stream} (hotline doctor)"
            )
        if answer.get("stream") != stream:
            raise self._unavailable(f"has {subject} in another stream; it belongs to {stream}")

    async def stored(self, stream: str, **wanted: object) -> tuple[int, bytes] | None:
        """A message by `seq`, `next_by_subj` or `last_by_subj`, of the stream's leader: its
        sequence and payload. None: there is none. Raises `QueueUnavailableError`.
        """
        stream = await self.place(stream)
        try:
            answer = await self.ask(f"STREAM.MSG.GET.{stream}", wanted)
        except APIError as error:
            if error.code == NOT_FOUND:
                if error.err_code == STREAM_NOT_FOUND:
                    self._places.clear()
                return None
            raise self._refused(f"message of {stream}", error) from error
        message = answer["message"]
        return int(message["seq"]), b64decode(message.get("data", ""))

    async def say(self, subject: str, payload: bytes, headers: Headers) -> None:
        """Publish to whoever listens now. Raises `QueueUnavailableError`."""
        client = self._working()
        try:
            await client.publish(subject, payload, headers=dict(headers))
        except (Error, OSError, ValueError) as error:
            raise self._unavailable(f"takes nothing on {subject} ({_text(error)})") from error

    async def place(self, name: str) -> str:
        """The name under which a stream is there for us.

        A spare's is the station's own where there is one: a right to read a stream is a right to
        read all of it. The server lets no two streams have one subject. Raises
        `QueueUnavailableError`.
        """
        if name not in SPARE_STREAMS:
            return name
        if name not in self._places:
            own = own_stream(name, self._access.station)
            is_own = await self._is_there(own)
            is_shared = False if is_own else await self._is_there(name)
            if is_own is False and is_shared is None:
                raise self._unavailable(
                    f"has no stream {own}; make it there from {name}_station.json"
                )
            self._places[name] = own if is_own or is_shared is None else name
        return self._places[name]

    async def _is_there(self, name: str) -> bool | None:
        """Whether there is a stream; None: our user may not ask."""
        try:
            await self.ask(f"STREAM.INFO.{name}")
        except RightDeniedError:
            return None
        except APIError as error:
            if error.code != NOT_FOUND:
                raise self._refused(f"stream {name}", error) from error
            return False
        return True

    def definition(self, name: str) -> Config:
        """What a stream must be, by its name for all or its `place`."""
        for shared in SPARE_STREAMS:
            if name == own_stream(shared, self._access.station):
                return own_stream_config(shared, self._access.station, self._access.replicas)
        return stream_config(name, self._access.replicas)

    async def prepare_stream(self, name: str) -> None:
        """Make the stream if it is missing. Raises `QueueUnavailableError` if it is unsafe."""
        name = await self.place(name)
        wanted = self.definition(name)
        try:
            answer = await self.ask(f"STREAM.INFO.{name}")
        except APIError as error:
            if error.code != NOT_FOUND:
                raise self._refused(f"stream {name}", error) from error
            answer = await self._create(f"STREAM.CREATE.{name}", wanted, f"stream {name}")
        unsafe = [it for it in stream_differences(answer["config"], wanted) if it.is_unsafe]
        if unsafe:
            raise self._unavailable(
                f"has an unsafe stream {name}: {unsafe[0]}; correct it "
                f"(nats stream edit {name}; hotline doctor)"
            )

    async def prepare_consumer(self, request: str) -> str:
        """Make the durable consumer of a request, or take the one that is there; its name."""
        config = gateway_consumer(self._access.station, request)
        durable = str(config["durable_name"])
        document = {"stream_name": REQUESTS, "config": config}
        # The filter is in the subject: else this right would be one to any station's requests.
        subject = f"CONSUMER.CREATE.{REQUESTS}.{durable}.{config['filter_subject']}"
        await self._create(subject, document, durable)
        return durable

    async def _create(self, subject: str, document: object, what: str) -> Document:
        try:
            return await self.ask(subject, document)
        except APIError as error:
            raise self._refused(what, error) from error

    def _refused(self, what: str, error: APIError) -> QueueUnavailableError:
        said = str(error.description)[:120]
        return self._unavailable(f"gives us no {what} ({said}); make it or allow it there")

    def _working(self) -> _Client:
        if self._client is None or self._lost.done():
            reason = self._lost.result() if self._lost.done() else "is not connected"
            raise self._unavailable(reason)
        return self._client

    @property
    def client(self) -> Client:
        """nats-py's own, for what it does well: pulls."""
        return self._working()

    async def _request(self, subject: str, payload: bytes, headers: Headers | None) -> Document:
        client = self._working()
        asking = asyncio.ensure_future(
            client.request(subject, payload, timeout=ANSWER_S, headers=headers)
        )
        denied = self._asked.setdefault(subject, asyncio.get_running_loop().create_future())
        try:
            waiting: list[asyncio.Future[Any]] = [asking, self._lost, denied]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if denied.done():
                problem = denied.result()
                text = f"the NATS server {self.server} {problem}"
                raise RightDeniedError(text, problem=problem)
            if not asking.done():
                raise self._unavailable(self._lost.result())
            document = msgspec.json.decode((await asking).data)
        except NoRespondersError as error:
            problem = (
                f"has nobody who takes {subject}; no stream has it, or JetStream has no leader now"
            )
            text = f"the NATS server {self.server} {problem}"
            raise NobodyTakesError(text, problem=problem) from error
        except (Error, OSError, ValueError, msgspec.MsgspecError, TimeoutError) as error:
            reason = self._reasons[-1] if self._reasons else f"does not answer on {subject}"
            raise self._unavailable(reason) from error
        finally:
            asking.cancel()
            if self._asked.get(subject) is denied:
                del self._asked[subject]
        if not isinstance(document, Mapping):
            raise self._unavailable(f"speaks no JetStream on {subject}")
        return dict(document)

    # nats-py.

    def _note(self, error: BaseException) -> None:
        if isinstance(error, AuthorizationError) or "authorization" in str(error).lower():
            self._reasons.append(_NOT_US)
        elif isinstance(error, Error) and "permissions violation" in str(error).lower():
            said = str(error).lower()
            is_deaf = f'subscription to "{self._access.inbox.lower()}.' in said
            hint = f'; allow it to subscribe to "{self._access.inbox}.>"' if is_deaf else ""
            reason = f"denies us a right ({_text(error)}){hint}"
            asked = [it for subject, it in self._asked.items() if f'"{subject.lower()}"' in said]
            for denied in self._asked.values() if is_deaf else asked:
                if not denied.done():
                    denied.set_result(reason)
            if not asked:  # else it is that question's answer, and may be no matter
                self._reasons.append(reason)
        elif isinstance(error, ssl.SSLError):
            self._reasons.append(f"refuses TLS ({error.reason}); check ca_file, cert_file and host")
        elif not self._reasons:
            self._reasons.append(f"cannot be reached ({_text(error)})")

    def _unavailable(self, problem: str) -> QueueUnavailableError:
        return QueueUnavailableError(f"the NATS server {self.server} {problem}", problem=problem)


def _text(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return reason_of(error)
    return str(error).removeprefix("nats: ")[:120] or type(error).__name__


async def _let_go(client: Client) -> None:
    """Close in any state; what nats-py says of a connection that was never whole is left out."""
    try:
        async with asyncio.timeout(2.0):
            await client.close()
    except (Error, OSError, TimeoutError):
        pass
