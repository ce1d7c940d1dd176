"""A port on a real pty: hang-up, a far end that does not read, exclusive open, clear problems."""

from __future__ import annotations

import asyncio
import os
import pty
import termios
import tty
from typing import TYPE_CHECKING

import pytest

from gateway.errors import LinkLostError
from gateway.links.port import READ_SIZE, open_serial, open_tcp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """A pty: the far end's descriptor and the path of ours."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    name = os.ttyname(slave)
    os.close(slave)
    yield master, name
    try:
        os.close(master)
    except OSError:
        return


async def test_octets_pass_both_ways(terminal: tuple[int, str]) -> None:
    """What is written arrives, and any bit rate opens."""
    master, name = terminal
    for bit_rate in (300, 9600, 12_345, 921_600):
        port = await open_serial(name, bit_rate)
        await port.write(b"out", deadline_s=5)
        assert os.read(master, 100) == b"out"
        os.write(master, b"in\x00\xff\x11\x13")
        assert await asyncio.wait_for(port.read(), 5) == b"in\x00\xff\x11\x13"
        await port.close()


async def test_hang_up_while_waiting_is_a_lost_link(terminal: tuple[int, str]) -> None:
    """Pulling the device out ends a read that waits."""
    master, name = terminal
    port = await open_serial(name, 9600)
    reading = asyncio.create_task(port.read())
    await asyncio.sleep(0)
    os.close(master)
    with pytest.raises(LinkLostError, match=name):
        await asyncio.wait_for(reading, 5)
    with pytest.raises(LinkLostError, match=name):
        await port.write(b"x", deadline_s=1)
    await port.close()


async def test_a_read_that_is_given_up_loses_nothing(terminal: tuple[int, str]) -> None:
    """What came in together with a cancel, or while nobody read, is there for the next read."""
    master, name = terminal
    port = await open_serial(name, 9600)
    reading = asyncio.create_task(port.read())
    await asyncio.sleep(0)
    os.write(master, b"one")
    async with asyncio.timeout(5):
        while not port._octets:
            await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    os.write(master, b"two")
    async with asyncio.timeout(5):
        while port._is_watched:  # A loop that went on looking would spin.
            await asyncio.sleep(0)
    octets = await port.read()
    while len(octets) < 6:
        octets += await asyncio.wait_for(port.read(), 5)
    assert octets == b"onetwo"
    await port.close()


async def test_half_a_frame_wakes_nobody_and_is_kept(terminal: tuple[int, str]) -> None:
    """A delimiter that comes first ends nothing; what follows the last one waits for its own."""
    master, name = terminal
    port = await open_serial(name, 9600)
    reading = asyncio.create_task(port.read_until(b"\x00"))
    async with asyncio.timeout(5):
        for came in (b"\x00", b"\x00on"):
            os.write(master, came[-2:])
            while port._octets != came:
                await asyncio.sleep(0)
    assert port._arrived is not None
    assert not port._arrived.done()
    os.write(master, b"e\x00two\x00th")
    assert await asyncio.wait_for(reading, 5) == b"\x00one\x00two\x00"
    os.write(master, b"ree\x00")
    assert await asyncio.wait_for(port.read_until(b"\x00"), 5) == b"three\x00"
    os.write(master, bytes([1]) * READ_SIZE)
    octets = await asyncio.wait_for(port.read_until(b"\x00"), 5)
    assert len(octets) >= READ_SIZE  # Noise is handed over, so that it cannot pile up here.
    await port.close()


async def test_far_end_that_does_not_read_cannot_hang_us(terminal: tuple[int, str]) -> None:
    """A full buffer ends at the deadline while the loop goes on turning."""
    _, name = terminal
    port = await open_serial(name, 9600)
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    turning = asyncio.create_task(turn())

    async def write_for_ever() -> None:
        while True:
            await port.write(bytes(4096), deadline_s=0.5)

    with pytest.raises(LinkLostError, match="took no octets"):
        await write_for_ever()
    assert turns > 10
    turning.cancel()
    async with asyncio.timeout(4):
        await port.close()


async def test_port_is_ours_alone_until_closed(terminal: tuple[int, str]) -> None:
    """A second open says that another program has it; after the close it works again."""
    _, name = terminal
    port = await open_serial(name, 9600)
    with pytest.raises(LinkLostError, match="in use by another program"):
        await open_serial(name, 9600)
    await port.close()
    again = await open_serial(name, 9600)
    await again.close()


async def test_close_leaves_the_control_lines_alone(terminal: tuple[int, str]) -> None:
    """HUPCL is off, since a falling DTR resets many radio boards."""
    _, name = terminal
    before = os.open(name, os.O_RDWR | os.O_NOCTTY)
    attributes = termios.tcgetattr(before)
    attributes[2] |= termios.HUPCL
    termios.tcsetattr(before, termios.TCSANOW, attributes)
    os.close(before)
    port = await open_serial(name, 115_200)
    assert not termios.tcgetattr(port._descriptor)[2] & termios.HUPCL
    await port.close()


async def test_problems_of_opening_say_what_where_and_what_to_do(tmp_path: Path) -> None:
    """One sentence each for a missing port, a file that is no port, and a host that is away."""
    missing = tmp_path / "ttyNONE"
    with pytest.raises(LinkLostError, match="ttyNONE is not there; plug the device in"):
        await open_serial(str(missing), 9600)
    plain = tmp_path / "file"
    plain.touch()
    with pytest.raises(LinkLostError, match="file is not a serial port"):
        await open_serial(str(plain), 9600)
    with pytest.raises(LinkLostError, match=r"tcp://127\.0\.0\.1:1 is not there"):
        await open_tcp("127.0.0.1", 1)


async def test_tcp_port_reads_writes_and_sees_the_end() -> None:
    """The same contract over TCP."""

    async def echo_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(100))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo_once, "127.0.0.1", 0)
    async with server:
        port = await open_tcp("127.0.0.1", server.sockets[0].getsockname()[1])
        await port.write(b"hello", deadline_s=5)
        assert await port.read() == b"hello"
        with pytest.raises(LinkLostError, match="closed the connection"):
            await port.read()
        await port.close()
