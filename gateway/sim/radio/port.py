"""A simulated radio on a pty, in real time: what a program opens instead of /dev/ttyACM0."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.sim.pty_end import PtyEnd
from gateway.sim.radio.device import SimulatedRadio
from gateway.sim.radio.real_time import RealTime


class RadioPort:
    """`async with RadioPort(radio, path)`: the radio answers at `path` until the block ends."""

    def __init__(self, radio: SimulatedRadio, path: Path | str) -> None:
        self.radio = radio
        self.path = Path(path)
        self._end = PtyEnd(self.path, self._feed)
        self._time = RealTime(radio.air, self._fetch)

    async def __aenter__(self) -> Self:
        self._time.start()
        self._end.plug()
        self._time.advance()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._time.stop()
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
        self._time.advance()
        self.radio.usb.feed(octets)

    def _fetch(self) -> None:
        octets = self.radio.usb.take_output()
        if octets:
            self._end.write(octets)
