"""An octet stream to a device: a serial port or a TCP connection, every wait with a deadline.

Owns opening, reading, writing and closing; what the octets mean is a driver's. Whatever goes wrong
with the device is a `LinkLostError` whose text names the port and what to do.

pyserial opens and sets the port; the descriptor itself is driven here. `pyserial-asyncio-fast` is
not used: on a full output buffer its write calls pyserial's non-blocking one, which tries for ever
(serialposix.py, EAGAIN with `write_timeout=0`), and so a far end that stops reading would hang the
whole daemon. A test holds this case.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import termios
from collections.abc import Callable
from typing import Final, Protocol

import serial

from gateway.errors import DeviceSilentError, LinkClosedError, LinkLostError, PortInUseError

OPEN_DEADLINE_S: Final = 10.0
CLOSE_DEADLINE_S: Final = 5.0
READ_SIZE: Final = 4096


class Port(Protocol):
    """An open device. Every method raises `LinkLostError`, but `close`, which never fails."""

    name: str

    async def read(self) -> bytes:
        """Wait for octets; 1 to 4096 of them."""
        ...

    async def write(self, octets: bytes, *, deadline_s: float) -> None:
        """Hand all octets to the kernel within `deadline_s`."""
        ...

    async def close(self, *, discard: bool = True) -> None:
        """Give the device back; at most 5 s. `discard`: drop octets that it has not taken yet."""
        ...


class SerialPort:
    """A tty that this process alone has open."""

    def __init__(self, name: str, device: serial.Serial) -> None:
        self.name = name
        self._device = device
        self._descriptor: int = device.fileno()
        self._octets = b""
        """Came in and was not asked for yet."""
        self._loss: LinkLostError | None = None
        self._arrived: asyncio.Future[None] | None = None
        self._is_enough: Callable[[], bool]
        """What the read under way waits for."""
        self._is_watched = False
        """Whether the loop looks at the descriptor: from one read to the next, to save the work."""

    async def read(self) -> bytes:
        await self._until(lambda: bool(self._octets))
        octets, self._octets = self._octets, b""
        return octets

    async def read_until(self, delimiter: bytes) -> bytes:
        """Wait for a delimiter; all up to the last one, or 4096 octets that hold none.

        One that comes first ends nothing: who waits is not woken for it, nor for half a frame.
        """
        await self._until(
            lambda: self._octets.find(delimiter, 1) > 0 or len(self._octets) >= READ_SIZE
        )
        size = self._octets.rfind(delimiter, 1) + 1 or len(self._octets)
        octets, self._octets = self._octets[:size], self._octets[size:]
        return octets

    async def _until(self, is_enough: Callable[[], bool]) -> None:
        while not is_enough():
            if self._loss is not None:
                raise self._loss
            await self._wait(is_enough)

    async def _wait(self, is_enough: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        self._arrived = loop.create_future()
        self._is_enough = is_enough
        if not self._is_watched:
            loop.add_reader(self._descriptor, self._take)
            self._is_watched = True
        try:
            await self._arrived
        finally:
            self._arrived = None

    def _take(self) -> None:
        """The loop found the descriptor ready: take what is there, if someone waits for it."""
        if self._arrived is None or self._arrived.done():
            self._unwatch()  # The kernel keeps it until the next read.
            return
        try:
            octets = os.read(self._descriptor, READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._loss = self._lost(error)
        else:
            if not octets:  # VMIN is 1, so this is a hang-up and not silence.
                self._loss = LinkLostError(f"{self.name} was closed by the other side or unplugged")
            self._octets += octets
        if self._loss is not None or self._is_enough():
            self._arrived.set_result(None)

    def _unwatch(self) -> None:
        if self._is_watched:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            self._is_watched = False

    async def write(self, octets: bytes, *, deadline_s: float) -> None:
        rest = memoryview(octets)[self._hand_over(octets) :]
        if not rest:
            return
        try:
            async with asyncio.timeout(deadline_s):
                while rest:
                    await self._until_writable()
                    rest = rest[self._hand_over(rest) :]
        except TimeoutError as error:
            raise DeviceSilentError(
                f"{self.name} took no octets for {deadline_s:.0f} s; is the far end reading?"
            ) from error

    def _hand_over(self, octets: bytes | memoryview) -> int:
        """Give the kernel what it takes now; how many octets that was."""
        try:
            return os.write(self._descriptor, octets)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise self._lost(error) from error

    async def _until_writable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_writer(self._descriptor, _wake, ready)
        try:
            await ready
        finally:
            loop.remove_writer(self._descriptor)

    async def close(self, *, discard: bool = True) -> None:
        self._unwatch()
        if discard:
            # Octets that a dead device never takes would hold up the close for 30 s (closing_wait).
            with contextlib.suppress(OSError, termios.error):
                termios.tcflush(self._descriptor, termios.TCOFLUSH)
        with contextlib.suppress(OSError, TimeoutError):
            # A wedged USB device can block in close as it can in open.
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                await asyncio.to_thread(self._device.close)

    def _lost(self, error: OSError) -> LinkLostError:
        return LinkLostError(f"{self.name} is gone: {error.strerror or error}")


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def open_serial(path: str, bit_rate: int) -> SerialPort:
    """Open a tty for this process alone, 8N1, no flow control. Raises `LinkLostError`."""
    opening = asyncio.ensure_future(asyncio.to_thread(_open_device, path, bit_rate))
    try:
        async with asyncio.timeout(OPEN_DEADLINE_S):
            device = await asyncio.shield(opening)
    except TimeoutError as error:
        opening.add_done_callback(_close_late)
        raise LinkLostError(f"{path} did not open in {OPEN_DEADLINE_S:.0f} s") from error
    except asyncio.CancelledError:
        opening.add_done_callback(_close_late)
        raise
    except (OSError, ValueError, termios.error) as error:
        if isinstance(error, OSError) and error.errno in (errno.EAGAIN, errno.EBUSY):
            raise PortInUseError(path) from error
        raise LinkLostError(_open_problem(path, bit_rate, error)) from error
    return SerialPort(path, device)


def _open_device(path: str, bit_rate: int) -> serial.Serial:
    # rts and dtr stay untouched after the open: many boards take an edge there for a reset.
    device = serial.Serial(path, baudrate=bit_rate, exclusive=True, timeout=0, write_timeout=0)
    try:
        attributes = termios.tcgetattr(device.fileno())
        # Without HUPCL a close leaves DTR as it is, so that the next open is no reset either.
        attributes[2] &= ~termios.HUPCL
        # pyserial sets VMIN 0, with which a read cannot tell a hang-up from silence.
        attributes[6][termios.VMIN] = 1
        termios.tcsetattr(device.fileno(), termios.TCSANOW, attributes)
    except BaseException:
        device.close()
        raise
    return device


def _close_late(opening: asyncio.Future[serial.Serial]) -> None:
    """Give back a port that opened when nobody waited for it any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _open_problem(path: str, bit_rate: int, error: Exception) -> str:
    """One sentence: what, where, what to do."""
    if isinstance(error, ValueError):
        return f"{path} does not take {bit_rate} bit/s; correct `bit_rate`"
    code = error.errno if isinstance(error, OSError) else None
    match code:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return f"{path} is not there; plug the device in or correct `port`"
        case errno.EACCES | errno.EPERM:
            return f"{path} may not be opened; add the service's user to its group (ls -l {path})"
        case None | errno.ENOTTY:  # pyserial's "could not configure" has no number.
            return f"{path} is not a serial port; correct `port`"
        case _:
            return f"{path} did not open: {os.strerror(code)}"


class TcpPort:
    """A TCP connection to a device."""

    def __init__(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.name = name
        self._reader = reader
        self._writer = writer
        # `drain` then waits until the kernel has all octets.
        writer.transport.set_write_buffer_limits(high=0)

    async def read(self) -> bytes:
        try:
            octets = await self._reader.read(READ_SIZE)
        except OSError as error:
            raise LinkLostError(f"{self.name} is gone: {error.strerror or error}") from error
        if not octets:
            raise LinkClosedError(self.name)
        return octets

    async def write(self, octets: bytes, *, deadline_s: float) -> None:
        try:
            async with asyncio.timeout(deadline_s):
                self._writer.write(octets)
                await self._writer.drain()
        except TimeoutError as error:
            raise DeviceSilentError(f"{self.name} took no octets for {deadline_s:.0f} s") from error
        except OSError as error:
            raise LinkLostError(f"{self.name} is gone: {error.strerror or error}") from error

    async def close(self, *, discard: bool = True) -> None:
        if discard:
            # Octets that the far end never takes would hold up a graceful close for ever.
            self._writer.transport.abort()
        else:
            self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                await self._writer.wait_closed()
        self._writer.transport.abort()


async def open_tcp(host: str, port: int) -> TcpPort:
    """Connect. Raises `LinkLostError`."""
    name = f"tcp://{host}:{port}"
    try:
        async with asyncio.timeout(OPEN_DEADLINE_S):
            reader, writer = await asyncio.open_connection(host, port)
    except TimeoutError as error:
        raise LinkLostError(f"{name} did not answer in {OPEN_DEADLINE_S:.0f} s") from error
    except OSError as error:
        raise LinkLostError(f"{name} is not there: {error.strerror or error}") from error
    return TcpPort(name, reader, writer)
