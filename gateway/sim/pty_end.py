"""A serial port that another process opens: a raw pty behind a symbolic link, on asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import termios
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Final

PENDING_SIZE_MAX: Final = 65_536
"""Octets that wait for a program that does not read; what comes on top is dropped."""
READ_SIZE: Final = 4_096
OPEN_POLL_S: Final = 0.01
"""A pty's master is not told of an open: it is asked for this often while nobody has it open."""


class PtyEnd:
    """One end. What is written while no program has it open is lost, as on a real port."""

    def __init__(self, path: Path, on_octets: Callable[[bytes], None]) -> None:
        self.path = path
        self.dropped_size = 0
        """Octets written that no program was there to read."""
        self._on_octets = on_octets
        self._master: int | None = None
        self._pending = bytearray()
        self._is_open = False
        self._is_reading = False
        self._is_paused = False
        self._poll_timer: asyncio.TimerHandle | None = None

    @property
    def is_plugged(self) -> bool:
        return self._master is not None

    @property
    def is_open(self) -> bool:
        """Does a program have the port open? Known at the latest when something is written."""
        return self._is_open

    def plug(self) -> None:
        """Make the pty and the link. Raises `OSError`, also where something else has the path."""
        if self._master is not None:
            return
        if self.path.exists() and not self.path.is_symlink():
            raise FileExistsError(f"{self.path} exists and is no link: remove it")
        master, slave = os.openpty()
        try:
            tty.setraw(slave)
            name = os.ttyname(slave)
        finally:
            os.close(slave)
        try:
            temporary = self.path.with_name(f"{self.path.name}.new")
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(name)
            temporary.replace(self.path)
        except OSError as error:
            os.close(master)
            # The system names the pty, which is not what is wrong.
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        os.set_blocking(master, False)
        self._master = master
        self._await_open()

    def unplug(self) -> None:
        """Pull the device: programs that have it open get an error, the path is gone."""
        if self._master is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._master)
        loop.remove_writer(self._master)
        if self._poll_timer is not None:
            self._poll_timer.cancel()
            self._poll_timer = None
        os.close(self._master)
        self._master = None
        self._is_open = False
        self._is_reading = False
        self._is_paused = False
        self._pending.clear()
        self.path.unlink(missing_ok=True)

    # --- open and close of the other side

    def _await_open(self) -> None:
        self._poll_timer = None
        self._look_for_open()
        if self._master is not None and not self._is_open:
            loop = asyncio.get_running_loop()
            self._poll_timer = loop.call_later(OPEN_POLL_S, self._await_open)

    def _look_for_open(self) -> None:
        if self._master is None or self._is_open:
            return
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        if not any(event & select.POLLHUP for _, event in poll.poll(0)):
            self._is_open = True
            self._set_reading()

    def _hung_up(self) -> None:
        assert self._master is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._master)
        loop.remove_writer(self._master)
        self._is_open = False
        self._is_reading = False
        self.dropped_size += len(self._pending)
        self._pending.clear()
        with contextlib.suppress(termios.error):
            # A program may have left the line cooked; what it did not read is not for the next one.
            tty.setraw(self._master)
            termios.tcflush(self._master, termios.TCIOFLUSH)
        self._await_open()

    # --- octets

    def pause(self) -> None:
        """Read no more: the program's writes wait in the kernel, then block."""
        self._is_paused = True
        self._set_reading()

    def resume(self) -> None:
        self._is_paused = False
        self._set_reading()

    def _set_reading(self) -> None:
        if self._master is None:
            return
        wanted = self._is_open and not self._is_paused
        loop = asyncio.get_running_loop()
        if wanted and not self._is_reading:
            loop.add_reader(self._master, self._read)
        elif self._is_reading and not wanted:
            loop.remove_reader(self._master)
        self._is_reading = wanted

    def _read(self) -> None:
        if self._master is None:
            return
        try:
            octets = os.read(self._master, READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            self._hung_up()
            return
        if octets:
            self._on_octets(octets)

    def write(self, octets: bytes) -> None:
        """Give octets to the program that has the port open, as soon as it takes them."""
        self._look_for_open()
        if self._master is None or not self._is_open:
            self.dropped_size += len(octets)
            return
        room = PENDING_SIZE_MAX - len(self._pending)
        self.dropped_size += max(len(octets) - room, 0)
        self._pending += octets[:room]
        self._flush()

    def _flush(self) -> None:
        if self._master is None:
            return
        loop = asyncio.get_running_loop()
        try:
            while self._pending:
                count = os.write(self._master, self._pending)
                del self._pending[:count]
        except BlockingIOError:
            loop.add_writer(self._master, self._flush)
            return
        except OSError:
            self._hung_up()
            return
        loop.remove_writer(self._master)
