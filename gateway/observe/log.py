"""The local log: one JSON line an event, in rotated files or systemd's journal.

It serves technicians and proves nothing; the log book does. Lines are formatted and written by a
thread of their own, so that a slow card never holds the loop. At the bound of the queue between
them new lines are dropped and counted. A log that cannot be written never stops the daemon, unless
only a person can change that: a folder of somebody else, or a file in its place.
"""

from __future__ import annotations

import errno
import logging
import os
import queue
import sys
import traceback
from collections.abc import Callable, Mapping
from io import TextIOWrapper
from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from pathlib import Path
from typing import IO, Any, Final

from pythonjsonlogger.json import JsonFormatter

from gateway.core.effects import Level, Observe
from gateway.errors import ConfigError
from gateway.model import Now, TimeQuality, UtcTime
from gateway.wire.document import iso_time

LINE_COUNT_MAX: Final = 10_000
"""Lines between the loop and the writer."""
VALUE_SIZE_MAX: Final = 1_000
TRACEBACK_SIZE_MAX: Final = 20_000

_LEVELS: Final = {
    Level.DEBUG: logging.DEBUG,
    Level.INFO: logging.INFO,
    Level.WARNING: logging.WARNING,
    Level.ERROR: logging.ERROR,
}
_PRIORITIES: Final = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
}
"""Levels of syslog(3), which the journal reads in front of a line."""
_LASTING: Final = frozenset(
    (
        errno.EACCES,
        errno.EPERM,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ELOOP,
        errno.ENAMETOOLONG,
    )
)
"""What only a person can change; a disk that is full, read-only or fails may come back."""
_HIDDEN: Final = frozenset(("key", "password", "private_key", "secret", "seed", "token"))
"""Names of fields that nobody may log, should someone try."""

Value = str | int | float | bool | None


class LocalLog:
    """Takes observations from the loop's thread (any thread may) and writes them elsewhere.

    `folder` gets `gateway.log`, `gateway.log.1` ... up to `file_count` old ones of `file_size_max`
    octets; None: no file. `journal` gets lines with a priority in front. `wall` gives seconds
    since 1970 for lines written while `clock` trusts no time. Raises `ConfigError`.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], Now],
        wall: Callable[[], float],
        level: str = "info",
        folder: Path | None = None,
        file_size_max: int = 1_000_000,
        file_count: int = 5,
        journal: IO[str] | None = None,
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._level = _LEVELS[Level(level)]
        self.problem = ""
        """Why there is no file at the start, for people; each line tries again."""
        handlers: list[logging.Handler] = []
        if folder is not None:
            file = _QuietFile(folder / "gateway.log", file_size_max, file_count)
            self.problem = file.open_now()
            handlers.append(file)
        if journal is not None:
            handlers.append(_journal_handler(journal))
        self._handlers = handlers
        lines: queue.Queue[Any] = queue.Queue(LINE_COUNT_MAX)
        self._entrance = _Entrance(lines)
        self._listener = _Listener(lines, *handlers)
        self._libraries: _Libraries | None = None
        self._listener.start()
        if self.problem:
            self._write(logging.ERROR, "log_file_failed", {"reason": self.problem})

    def observe(self, observation: Observe) -> None:
        """Write one line. Never blocks and never fails."""
        level = _LEVELS[observation.level]
        if level >= self._level:
            self._write(level, observation.event, observation.fields)

    def crash(self, error: BaseException) -> None:
        """Keep the traceback of an error of ours, for whoever mends it."""
        text = "".join(traceback.format_exception(error))
        fields = {"error": repr(error), "traceback": text[-TRACEBACK_SIZE_MAX:]}
        self._write(logging.ERROR, "crashed", fields, size_max=TRACEBACK_SIZE_MAX)

    def capture_libraries(self) -> None:
        """Take what libraries log at WARNING or above, until `close`."""
        if self._libraries is None:
            self._libraries = _Libraries(self._write)
            logging.getLogger().addHandler(self._libraries)

    def close(self) -> None:
        """Write what waits and close the files; may take as long as the card does."""
        if self._libraries is not None:
            logging.getLogger().removeHandler(self._libraries)
            self._libraries = None
        self._listener.stop()
        for handler in self._handlers:
            handler.close()

    def _write(
        self,
        level: int,
        event: str,
        fields: Mapping[str, Value],
        *,
        size_max: int = VALUE_SIZE_MAX,
    ) -> None:
        now = self._clock()
        quality = now.quality or TimeQuality.NONE
        # A technician needs some time to go by; the quality says when it may be wrong.
        utc = UtcTime(int(self._wall())) if now.utc is None else now.utc
        line: dict[str, Value] = {
            "level": logging.getLevelName(level).lower(),
            "time": iso_time(utc),
            "time_quality": quality.name,
            "instant_ms": now.instant,
            "event": event,
        }
        for name, value in fields.items():
            line[name] = _safe(name, value, size_max)
        if dropped := self._entrance.take_dropped():
            line["lines_dropped_before"] = dropped
        self._entrance.handle(_record(level, event, line))


def is_journal(environment: Mapping[str, str], stream: IO[str]) -> bool:
    """Whether `stream` goes to systemd's journal (JOURNAL_STREAM names its device and inode)."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(status.st_dev), str(status.st_ino))


def stderr_journal(environment: Mapping[str, str]) -> IO[str] | None:
    """Give standard error where it is systemd's journal, else None."""
    return sys.stderr if is_journal(environment, sys.stderr) else None


def _safe(name: str, value: Value, size_max: int) -> Value:
    if name in _HIDDEN:
        return "(hidden)"
    if isinstance(value, str) and len(value) > size_max:
        return value[:size_max] + "..."
    return value


def _record(level: int, event: str, line: Mapping[str, Value]) -> logging.LogRecord:
    return logging.makeLogRecord(
        {
            "name": "gateway",
            "levelno": level,
            "levelname": logging.getLevelName(level),
            "msg": event,
            "line": line,
        }
    )


class _Line(JsonFormatter):
    """Writes `record.line` and nothing else; all but ASCII is escaped, so a line stays a line."""

    def add_fields(
        self,
        log_data: dict[str, Any],
        record: logging.LogRecord,
        message_dict: dict[str, Any],
    ) -> None:
        log_data.update(record.__dict__["line"])


class _JournalLine(_Line):
    def format(self, record: logging.LogRecord) -> str:
        return f"<{_PRIORITIES.get(record.levelno, 5)}>{super().format(record)}"


class _Entrance(QueueHandler):
    """Hands records to the writer's thread; drops and counts them when its queue is full."""

    def __init__(self, lines: queue.Queue[Any]) -> None:
        super().__init__(lines)
        self._lines = lines
        self._dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def take_dropped(self) -> int:
        if self._dropped and not self._lines.full():
            dropped, self._dropped = self._dropped, 0
            return dropped
        return 0


class _Listener(QueueListener):
    def __init__(self, lines: queue.Queue[Any], *handlers: logging.Handler) -> None:
        super().__init__(lines, *handlers)
        self._lines = lines

    def enqueue_sentinel(self) -> None:
        """Wait for room: at the end every line that was taken is written."""
        self._lines.put(None)


class _Libraries(logging.Handler):
    """Turns what libraries log into lines of ours."""

    def __init__(self, write: Callable[[int, str, Mapping[str, Value]], None]) -> None:
        super().__init__(logging.WARNING)
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Value] = {"logger": record.name, "text": record.getMessage()}
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = repr(record.exc_info[1])
        level = logging.ERROR if record.levelno >= logging.ERROR else logging.WARNING
        self._write(level, "library", fields)


class _Quiet:
    """A failed write (disk full, card gone) is nobody's traceback; the next line tries again."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        return


class _QuietFile(_Quiet, RotatingFileHandler):
    """Opened by the first line that finds it closed, with its folder."""

    def __init__(self, path: Path, size_max: int, count: int) -> None:
        super().__init__(path, maxBytes=size_max, backupCount=count, encoding="ascii", delay=True)
        self._path = path
        self.setFormatter(_Line())

    def open_now(self) -> str:
        """Open it; what is in the way, if that may pass. Raises `ConfigError` for the rest."""
        try:
            self.stream = self._open()
        except OSError as error:
            what = f"{self._path} cannot be written ({error.strerror})"
            if error.errno not in _LASTING:
                return f"{what}; the gateway goes on without it, and tries again"
            remedy = "let the daemon's user write there, or name another folder"
            raise ConfigError([f"[log] folder: {what}; {remedy}"]) from error
        return ""

    def _open(self) -> TextIOWrapper:
        self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        return super()._open()


class _QuietStream(_Quiet, logging.StreamHandler[IO[str]]):
    pass


def _journal_handler(stream: IO[str]) -> logging.Handler:
    handler = _QuietStream(stream)
    handler.setFormatter(_JournalLine())
    return handler
