"""The way to the running gateway: which socket, which calls, and which exit code a refusal gets."""

from __future__ import annotations

import signal
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from gateway.api.client import (
    ApiClient,
    ApiError,
    NoAnswerError,
    NoPermissionError,
    NotASocketError,
    NotRunningError,
    RefusedError,
    ServerEvent,
)
from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.options import Common
from gateway.cli.output import warn

RUNTIME_FOLDER_DEFAULT: Final = Path("/run/hotline-gateway")
SOCKET_NAME: Final = "api.sock"
RETRY_S: Final = 2.0

_CODE_OF_STATUS: Final = {
    403: ExitCode.FORBIDDEN,
    404: ExitCode.NOT_FOUND,
    409: ExitCode.CONFLICT,
    429: ExitCode.TRY_LATER,
    503: ExitCode.TRY_LATER,
}

Document = dict[str, Any]


class DeadlineError(Exception):
    """The time that the operator gave is over."""


def socket_path(common: Common) -> Path:
    """`--socket`, HOTLINE_SOCKET, else what the configuration says, else the default."""
    if common.socket is not None:
        return common.socket
    try:
        with common.config_path.open("rb") as file:
            station = tomllib.load(file).get("station", {})
        folder = Path(station.get("runtime_folder", RUNTIME_FOLDER_DEFAULT))
    except OSError as error:
        if common.config is not None:
            raise CommandError(
                ExitCode.CONFIGURATION,
                f"{common.config} cannot be read ({error.strerror}); correct --config or "
                "HOTLINE_CONFIG, or name the socket with --socket",
            ) from error
        folder = RUNTIME_FOLDER_DEFAULT
    except (ValueError, TypeError, AttributeError) as error:
        raise CommandError(
            ExitCode.CONFIGURATION,
            f"{common.config_path} is not a configuration file; see `hotline config check`, or "
            "name the socket with --socket",
        ) from error
    return folder / SOCKET_NAME


class Gateway:
    """The calls that commands make. Raises `ApiError`; `connect` turns it into an exit."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def status(self) -> Document:
        return self._client.get("/v1/status")

    def notices(self, direction: str, *, open_only: bool, limit: int) -> list[Document]:
        """Newest first; `direction` is `in` or `out`."""
        box = "/v1/inbox" if direction == "in" else "/v1/outbox"
        notices = self._client.get(box, open_only=open_only, limit=limit).get("notices")
        return notices if isinstance(notices, list) else []

    def notice(self, notice_id: str) -> Document:
        return self._client.get(f"/v1/notices/{notice_id}")

    def submit(self, document: Document, request_id: str) -> Document:
        return self._post("/v1/notices", document, request_id)

    def answer(self, notice_id: str, document: Document, request_id: str) -> Document:
        return self._post(f"/v1/notices/{notice_id}/answers", document, request_id)

    def clear_alarm(self, name: str) -> Document:
        return self._client.post(f"/v1/alarms/{name}/clear")

    def spare(self) -> Document:
        return self._client.get("/v1/spare")

    def say_spare(self, role: str, *, other_is_off: bool = False) -> Document:
        return self._client.post("/v1/spare", {"role": role, "other_is_off": other_is_off})

    def displayed(self, notice_id: str) -> None:
        """Tell that a person saw it. A user who may only look tells nothing: no failure."""
        try:
            self._client.post(f"/v1/notices/{notice_id}/displayed")
        except RefusedError as error:
            if error.status not in (403, 409):
                raise

    def log(self, after: int, limit: int) -> list[Document]:
        """Entries behind the number `after`, oldest first."""
        entries = self._client.get("/v1/log", after=after, limit=limit).get("entries")
        return entries if isinstance(entries, list) else []

    def log_head(self) -> bytes | None:
        """The signed head of the log book."""
        head = self._client.get("/v1/log/head").get("head")
        return bytes.fromhex(head) if isinstance(head, str) else None

    def last_log_number(self) -> int:
        """The number of the newest entry, 0 for none. Numbers have no holes: search by halves."""
        low, high = 0, 1
        while self.log(high - 1, 1):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            if self.log(middle - 1, 1):
                low = middle
            else:
                high = middle
        return low

    def stream(self) -> Iterator[ServerEvent | None]:
        """Events for ever. None comes first, and again after each time the gateway was away: now
        read the state as it is; nothing between that and the next event is missed.

        Raises `ApiError` only when the first connection fails.
        """
        is_first = True
        said = ""
        while True:
            try:
                events = self._client.events()
                first = next(events)  # the status; publications count from before it
                yield None
                yield first
                is_first, said = False, ""
                yield from events
            except (NoAnswerError, NotRunningError) as error:
                if is_first:
                    raise
                if str(error) != said:
                    said = str(error)
                    warn(f"{said}; trying again")
                threading.Event().wait(RETRY_S)

    def _post(self, path: str, document: Document, request_id: str) -> Document:
        try:
            return self._client.post(path, document, request_id=request_id)
        except NoAnswerError as error:
            raise NoAnswerError(
                f"{error}. Whether it was accepted is unknown: repeat the command with "
                f"--request-id {request_id}, then it is never done twice"
            ) from error
        except RefusedError as error:
            if _CODE_OF_STATUS.get(error.status) is not ExitCode.TRY_LATER:
                raise
            raise CommandError(
                ExitCode.TRY_LATER,
                f"{error}. The request_id is {request_id}: repeat the command with "
                f"--request-id {request_id}",
            ) from error


@contextmanager
def connect(common: Common) -> Iterator[Gateway]:
    """A connection to the gateway; every `ApiError` inside becomes a sentence and an exit code."""
    try:
        with ApiClient(socket_path(common)) as client:
            yield Gateway(client)
    except RefusedError as error:
        code = _CODE_OF_STATUS.get(error.status, ExitCode.REFUSED)
        raise CommandError(code, str(error)) from error
    except NoPermissionError as error:
        raise CommandError(ExitCode.FORBIDDEN, str(error)) from error
    except NotASocketError as error:
        raise CommandError(ExitCode.CONFIGURATION, str(error)) from error
    except ApiError as error:
        raise CommandError(ExitCode.UNREACHABLE, str(error)) from error


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Raise `DeadlineError` inside after `seconds`, whatever blocks there; None: never."""
    if seconds is None:
        yield
        return

    def over(_number: int, _frame: FrameType | None) -> None:
        raise DeadlineError

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))  # 0 would mean never
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
