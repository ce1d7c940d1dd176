"""A simulated radio on a pty, in real time: what a program opens instead of /dev/ttyACM0."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.sim.pty_end import PtyEnd
from gateway.sim.radio.device import SimulatedRadio


class RadioPort:
    """`async with RadioPort(radio, path)`: the radio answers at `path` until the block ends."""

    def __init__(self, radio: SimulatedRadio, path: Path | str) -> None:
        self.radio = radio
        self.path = Path(path)
        self._air = radio.air
        self._end = PtyEnd(self.path, self._feed)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_ms = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._air.use_clock(lambda: int(loop.time() * 1000))
        self._air.watch(self._changed)
        self._end.plug()
        self._air.advance()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._air.unwatch(self._changed)
        if self._timer is not None:
            self._timer.cancel()
        self._end.unplug()

    def unplug(self) -> None:
        """Pull the USB plug: the port is gone. The radio lives on (it has a battery)."""
        self._end.unplug()

    def replug(self) -> None:
        self._end.plug()

    @property
    def is_open(self) -> bool:
        return self._end.is_open

    def _feed(self, octets: bytes) -> None:
        self._air.advance()
        self.radio.feed(octets)

    def _changed(self) -> None:
        """Fetch the output and look when the air wants to go on."""
        octets = self.radio.take_output()
        if octets:
            self._end.write(octets)
        due_ms = self._air.next_deadline()
        if due_ms is None:
            return
        if self._timer is not None:
            if self._timer_due_ms <= due_ms:
                return
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer_due_ms = due_ms
        self._timer = loop.call_at(due_ms / 1000, self._advance)

    def _advance(self) -> None:
        self._timer = None
        self._air.advance()
