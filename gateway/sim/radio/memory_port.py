"""A simulated radio's port in memory, for a driver in virtual time: no pty, no thread, no clock.

It behaves as a USB port does: one program at a time, an error at once when it is pulled, and the
device is under its name again only when it was plugged and the old descriptor is closed.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.errors import LinkLostError, PortInUseError
from gateway.sim.air import Air
from gateway.sim.radio.device import SimulatedRadio

UNREAD_SIZE_MAX: Final = 65_536
"""Octets that a program does not read; what comes on top is dropped."""


class AirClock:
    """Moves an air by the running loop's clock, whatever loop that is."""

    def __init__(self, air: Air) -> None:
        self._air = air
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due_ms = 0
        air.use_clock(self.now_ms)
        air.watch(self._plan)
        self._plan()

    def now_ms(self) -> int:
        return round(self._loop.time() * 1000)

    def _plan(self) -> None:
        due_ms = self._air.next_deadline()
        if due_ms is None or (self._timer is not None and self._due_ms <= due_ms):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due_ms = due_ms
        self._timer = self._loop.call_at(due_ms / 1000, self._advance)

    def _advance(self) -> None:
        self._timer = None
        self._air.advance()


class MemoryPort:
    """One session of a program with the port (a `links.port.Port`)."""

    def __init__(self, socket: RadioSocket) -> None:
        self.name = socket.name
        self._socket = socket
        self._unread = bytearray()
        self._changed = asyncio.Event()
        self.is_pulled = False

    def give(self, octets: bytes) -> None:
        """What the radio wrote."""
        room = UNREAD_SIZE_MAX - len(self._unread)
        self._unread += octets[:room]
        self._changed.set()

    def pull(self) -> None:
        self.is_pulled = True
        self._changed.set()

    async def read(self) -> bytes:
        while not self._unread:
            self._check()
            self._changed.clear()
            await self._changed.wait()
        octets = bytes(self._unread)
        self._unread.clear()
        return octets

    async def write(self, octets: bytes, *, deadline_s: float) -> None:
        self._check()
        self._socket.take(octets)

    async def close(self, *, discard: bool = True) -> None:
        self._socket.closed(self)

    def _check(self) -> None:
        if self.is_pulled:
            raise LinkLostError(f"{self.name} is gone: Input/output error")


class RadioSocket:
    """Where a radio is plugged in. Await `open` as a driver does."""

    def __init__(self, radio: SimulatedRadio, name: str) -> None:
        self.radio = radio
        self.name = name
        self.is_deaf = False
        """The radio's side of the port hangs: it takes no octet of a program, until that closes."""
        self.open_count = 0
        """Ports that are open now."""
        self._is_plugged = True
        self._port: MemoryPort | None = None
        radio.air.watch(self._fetch)

    async def open(self, name: str) -> MemoryPort:
        """Raises `LinkLostError`."""
        if not self._is_plugged:
            raise LinkLostError(f"{name} is not there; plug the device in or correct `port`")
        if self._port is not None:
            raise PortInUseError(name)
        self.radio.usb.take_output()  # What nobody had open to read is lost.
        self._port = MemoryPort(self)
        self.open_count += 1
        return self._port

    def unplug(self) -> None:
        self._is_plugged = False
        if self._port is not None:
            self._port.pull()

    def replug(self) -> None:
        self._is_plugged = True

    def take(self, octets: bytes) -> None:
        if not self.is_deaf:
            self.radio.usb.feed(octets)

    def closed(self, port: MemoryPort) -> None:
        self.open_count -= 1
        if self._port is port:
            self._port = None
            self.is_deaf = False

    def _fetch(self) -> None:
        octets = self.radio.usb.take_output()
        if octets and self._port is not None and not self._port.is_pulled:
            self._port.give(octets)
