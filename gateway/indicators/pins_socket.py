"""A socket through which a bench or a test presses the button and reads the lamps of mock pins.

One JSON object a line: `{"press_ms": 300}` closes the contact for that long and answers when it is
open again; `{"lamps": true}` answers the true levels of the pins and the rhythms behind them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

from gateway.errors import ConfigError

LINE_SIZE_MAX: Final = 1024
PRESS_MS_MAX: Final = 10_000
CONNECTION_COUNT_MAX: Final = 8

Press = Callable[[int], Awaitable[None]]
"""Press for so many milliseconds."""
ReadLamps = Callable[[], dict[str, object]]


class PinsSocket:
    """Serves the socket at `path` (mode 0600). Presses come one after the other."""

    def __init__(self, path: Path, press: Press, read_lamps: ReadLamps) -> None:
        self._path = path
        self._press = press
        self._read_lamps = read_lamps
        self._pressing = asyncio.Lock()
        self._connections: set[asyncio.StreamWriter] = set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve inside the block. Raises `ConfigError` when the socket cannot be made."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(
                self._serve, path=self._path, limit=LINE_SIZE_MAX
            )
        except OSError as error:
            what = f"{self._path} cannot be made ({error.strerror})"
            raise ConfigError([f"[station] runtime_folder: {what}; make the folder"]) from error
        finally:
            os.umask(before)
        try:
            yield
        finally:
            server.close()
            for writer in list(self._connections):
                writer.close()
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= CONNECTION_COUNT_MAX:
            writer.close()
            return
        self._connections.add(writer)
        try:
            while line := await reader.readline():
                answer = await self._answer(line)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except ValueError:
            # A line past the limit; what follows it cannot be told apart.
            writer.write(_error(f"a line has more than {LINE_SIZE_MAX} octets"))
        except OSError:
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, object]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return {"error": "the line is not JSON"}
        match request:
            case {"press_ms": int(press_ms)} if (
                press_ms is not True and 1 <= press_ms <= PRESS_MS_MAX
            ):
                async with self._pressing:
                    await self._press(press_ms)
                return {"pressed_ms": press_ms}
            case {"lamps": True}:
                return self._read_lamps()
            case _:
                known = f'{{"press_ms": 1 to {PRESS_MS_MAX}}} or {{"lamps": true}}'
                return {"error": f"write {known}"}


def _error(text: str) -> bytes:
    return json.dumps({"error": text}).encode() + b"\n"
