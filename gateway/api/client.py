"""A small blocking client of the API for the command line: http.client over the Unix socket.

Every failure is an `ApiError` that says in one sentence what, where and what to do.
"""

from __future__ import annotations

import grp
import http.client
import json
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode

TIMEOUT_S: Final = 15.0
RESPONSE_SIZE_MAX: Final = 16 << 20
LINE_SIZE_MAX: Final = 1 << 20

Document = dict[str, Any]


class ApiError(Exception):
    """The gateway was not reached, or its answer makes no sense. One sentence for people."""


class NotRunningError(ApiError):
    """Nobody listens on the socket."""


class NoPermissionError(ApiError):
    """This user may not connect to the socket."""


class NotASocketError(ApiError):
    """The path leads to something else."""


class NoAnswerError(ApiError):
    """The gateway was reached and did not answer in time, or hung up."""


class RefusedError(ApiError):
    """The gateway refused the request, and says why."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(document.get("code", "unknown"))
        self.field = str(document.get("field", "request"))
        self.problem = str(document.get("problem", f"was refused with HTTP status {status}"))
        self.remedy = str(document.get("remedy", "see the gateway's log"))
        super().__init__(f"{self.field}: {self.problem}; {self.remedy}")


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event of the stream: `status`, `notice` or `state`; the latter two have an offset."""

    name: str
    offset: int | None
    document: Document


class ApiClient:
    """One connection at a time to the daemon's socket. Use it as a context manager.

    `timeout_s` bounds each wait for the daemon; long polls add what they ask for.
    """

    def __init__(self, socket_path: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        self._path = socket_path
        self._timeout_s = timeout_s
        self._connection: _UnixConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, path: str, *, wait_s: int = 0, **query: str | int | bool | None) -> Document:
        """The document at `path`; `wait_s` makes `/v1/notices` a long poll. Raises `ApiError`."""
        if wait_s:
            query["wait"] = wait_s
        return self._exchange("GET", _target(path, query), None, {}, self._timeout_s + wait_s)

    def post(
        self, path: str, document: Mapping[str, Any] | None = None, *, request_id: str | None = None
    ) -> Document:
        """Post `document`; `request_id` makes it safe to repeat. Raises `ApiError`.

        A request whose connection breaks is repeated once only when it has a request id.
        """
        headers = {"Content-Type": "application/json"}
        if request_id is not None:
            headers["Idempotency-Key"] = request_id
        body = json.dumps(document or {}).encode()
        try:
            return self._exchange("POST", path, body, headers, self._timeout_s)
        except NoAnswerError:
            if request_id is None:
                raise
            return self._exchange("POST", path, body, headers, self._timeout_s)

    def events(self, *, after: int | None = None) -> Iterator[ServerEvent]:
        """The stream of events, from now or after a publication's offset. Raises `ApiError`.

        Ends never by itself: `NoAnswerError` when the daemon hangs up or is silent for too long
        (it sends a sign of life every 15 s).
        """
        connection = _UnixConnection(self._path, 3 * self._timeout_s)
        try:
            response = self._start(connection, "GET", _target("/v1/events", {"after": after}))
            if response.status != http.client.OK:
                raise RefusedError(response.status, _document(response))
            yield from self._parse_events(response)
        finally:
            connection.close()

    def _exchange(
        self, method: str, target: str, body: bytes | None, headers: dict[str, str], wait_s: float
    ) -> Document:
        is_fresh = self._connection is None
        connection = self._connection or _UnixConnection(self._path, wait_s)
        self._connection = None
        connection.set_timeout(wait_s)
        try:
            response = self._start(connection, method, target, body, headers)
            document = _document(response)
        except (NoAnswerError, OSError, http.client.HTTPException) as error:
            connection.close()
            if not is_fresh:
                # The daemon may close an idle connection at any moment; ask on a new one.
                return self._exchange(method, target, body, headers, wait_s)
            raise NoAnswerError(self._silence()) from error
        except ApiError:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._connection = connection
        if response.status >= http.client.BAD_REQUEST:
            raise RefusedError(response.status, document)
        return document

    def _start(
        self,
        connection: _UnixConnection,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        """Send a request and read the head of its response. Raises `ApiError`."""
        if connection.sock is None:
            self._connect(connection)
        try:
            connection.request(method, target, body, dict(headers or {}))
        except BrokenPipeError:
            pass  # refused before it was read: the answer is there already
        except OSError as error:
            raise NoAnswerError(self._silence()) from error
        try:
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswerError(self._silence()) from error

    def _connect(self, connection: _UnixConnection) -> None:
        try:
            connection.connect()
        except (FileNotFoundError, ConnectionRefusedError) as error:
            if self._is_other_file():
                raise NotASocketError(
                    f"{self._path} is no socket; name the gateway's with --socket"
                ) from error
            raise NotRunningError(
                f"the gateway does not run (nobody listens on {self._path}); start it with "
                "`systemctl start hotline-gateway` or `hotline run`"
            ) from error
        except PermissionError as error:
            raise NoPermissionError(self._no_permission()) from error
        except OSError as error:
            if self._is_other_file():
                raise NotASocketError(
                    f"{self._path} is no socket; name the gateway's with --socket"
                ) from error
            reason = error.strerror or str(error)
            raise ApiError(
                f"the gateway's socket {self._path} cannot be used ({reason}); check the path"
            ) from error

    def _is_other_file(self) -> bool:
        try:
            return not stat.S_ISSOCK(self._path.stat().st_mode)
        except OSError:
            return False

    def _no_permission(self) -> str:
        try:
            group_id = self._path.stat().st_gid
            group = grp.getgrgid(group_id).gr_name
        except (OSError, KeyError):
            return f"you may not use {self._path}; ask the technician for the gateway's group"
        if group_id == 0:
            # Membership of root's group opens far more than this socket.
            return (
                f"you may not use {self._path}; run it as root, or set [api] group in the "
                "gateway's configuration and join that group"
            )
        return (
            f"you may not use {self._path}; join its group with "
            f"`sudo usermod -aG {group} {_own_name()}` and log in again"
        )

    def _silence(self) -> str:
        return (
            f"the gateway on {self._path} did not answer; see `systemctl status hotline-gateway` "
            "and its log"
        )

    def _parse_events(self, response: http.client.HTTPResponse) -> Iterator[ServerEvent]:
        """Server-sent events, as the HTML standard's section 9.2 reads them."""
        name, identity, data = "message", None, ""
        while True:
            try:
                line = response.readline(LINE_SIZE_MAX)
            except (OSError, http.client.HTTPException) as error:
                raise NoAnswerError(self._silence()) from error
            if not line.endswith(b"\n"):
                raise NoAnswerError(f"the gateway on {self._path} ended the stream; start again")
            key, _, value = line.decode().rstrip("\n").partition(": ")
            match key:
                case "":
                    if data:
                        yield ServerEvent(name, identity, json.loads(data))
                    name, identity, data = "message", None, ""
                case "event":
                    name = value
                case "id":
                    identity = int(value)
                case "data":
                    data = value
                case _:
                    pass  # a comment: a sign of life


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self.sock: socket.socket | None = None

    def connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self.timeout)
            connection.connect(os.fspath(self._path))
        except OSError:
            connection.close()
            raise
        self.sock = connection

    def set_timeout(self, timeout_s: float) -> None:
        self.timeout = timeout_s
        if self.sock is not None:
            self.sock.settimeout(timeout_s)


def _target(path: str, query: Mapping[str, str | int | bool | None]) -> str:
    values = {
        name: int(value) if isinstance(value, bool) else value
        for name, value in query.items()
        if value is not None
    }
    return f"{path}?{urlencode(values)}" if values else path


def _document(response: http.client.HTTPResponse) -> Document:
    octets = response.read(RESPONSE_SIZE_MAX)
    try:
        document = json.loads(octets)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ApiError("what answers on the gateway's socket is no gateway; check --socket")
    return document


def _own_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "USER"
