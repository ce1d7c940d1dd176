"""The simulated cable and radio on real ptys, opened as a daemon opens a port."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest
import serial

from gateway.links.meshtastic.stream import WAKE, StreamParser, encode_frame
from gateway.sim.air import Air
from gateway.sim.cable import Cable
from gateway.sim.radio import RadioPort, SimulatedRadio
from gateway.sim.radio.messages import Message, mesh_pb2, parse
from gateway.wire.byte_stream import StreamDecoder, encode_stream

NORTH = 0x4D4C00A1
SOUTH = 0x4D4C00B2
DEADLINE_S = 20.0


async def wait_until(claim: Callable[[], bool]) -> None:
    """Fail when the claim does not come true in time."""
    async with asyncio.timeout(DEADLINE_S):
        while not claim():
            await asyncio.sleep(0.002)


class Port:
    """A port as a daemon opens it: pyserial, exclusive; everything read is kept."""

    def __init__(self, path: Path, bit_rate: int = 9600) -> None:
        self.serial = serial.Serial(str(path), bit_rate, exclusive=True, timeout=0)
        self.octets = b""

    def read(self) -> bytes:
        self.octets += self.serial.read(65_536)
        return self.octets

    def frames(self) -> list[bytes]:
        return StreamDecoder().feed(self.read())

    def messages(self) -> list[Message]:
        parser: StreamParser[Message] = StreamParser(lambda o: parse(mesh_pb2.FromRadio, o))
        return parser.feed(self.read())


def fails(port: Port) -> bool:
    """Does the device say that it is gone?"""
    try:
        port.serial.write(b"x")
        port.serial.read(1)
    except OSError:  # SerialException is one
        return True
    return False


def is_held_back(port: Port) -> bool:
    """Write noise until the port takes no more."""
    try:
        return os.write(port.serial.fileno(), b"\x01" * 4_096) == 0
    except BlockingIOError:
        return True


@contextlib.contextmanager
def open_port(path: Path) -> Iterator[Port]:
    port = Port(path)
    try:
        yield port
    finally:
        port.serial.close()


@pytest.fixture
async def cable(tmp_path: Path) -> AsyncIterator[Cable]:
    async with Cable(tmp_path / "a", tmp_path / "b", bit_rate=9600, rng=Random(1)) as made:
        yield made


async def test_a_frame_crosses_the_cable_at_its_bit_rate(cable: Cable, tmp_path: Path) -> None:
    """Both ways at once, 192 octets each in 0.2 s; counted and captured."""
    with open_port(tmp_path / "a") as a, open_port(tmp_path / "b") as b:
        start_s = time.monotonic()
        a.serial.write(encode_stream(b"x" * 94) * 2)
        b.serial.write(encode_stream(b"y" * 94) * 2)
        await wait_until(lambda: len(a.frames()) == len(b.frames()) == 2)
        elapsed_s = time.monotonic() - start_s
        assert b.frames() == [b"x" * 94] * 2
        assert a.frames() == [b"y" * 94] * 2
        assert 0.19 <= elapsed_s <= 2.0
    assert (cable.traffic("a").octet_count, cable.traffic("a").frame_count) == (192, 2)
    assert sorted(set(cable.captured)) == [b"x" * 94, b"y" * 94]


async def test_a_silent_cut_shows_nowhere_but_in_what_arrives(cable: Cable, tmp_path: Path) -> None:
    """Writes succeed while it is cut; after `restore` the next frame arrives."""
    with open_port(tmp_path / "a") as a, open_port(tmp_path / "b") as b:
        cable.cut()
        a.serial.write(encode_stream(b"lost"))
        await wait_until(lambda: cable.traffic("a").lost_frame_count == 1)
        cable.restore()
        a.serial.write(encode_stream(b"here"))
        await wait_until(lambda: b.frames() != [])
        assert b.frames() == [b"here"]


async def test_unplugging_fails_the_open_port_and_takes_the_path_away(
    cable: Cable, tmp_path: Path
) -> None:
    """As with a USB adapter: an error at once, no path; after `replug` it opens and carries."""
    with open_port(tmp_path / "a") as a, open_port(tmp_path / "b") as b:
        cable.unplug("a")
        await wait_until(lambda: fails(a))
        assert not (tmp_path / "a").is_symlink()
        cable.replug("a")
        with open_port(tmp_path / "a") as again:
            again.serial.write(encode_stream(b"back"))
            await wait_until(lambda: b.frames() != [])
            assert b.frames() == [b"back"]
    cable.unplug()
    assert not (tmp_path / "b").is_symlink()


async def test_a_slow_cable_holds_its_writer_back(tmp_path: Path) -> None:
    """Of 2 MB offered at 1200 bit/s only what buffers hold is taken: memory stays bounded."""
    async with Cable(tmp_path / "a", tmp_path / "b", bit_rate=1200, rng=Random(1)):
        with open_port(tmp_path / "a") as a:
            os.set_blocking(a.serial.fileno(), False)
            taken = 0
            for _ in range(500):
                with contextlib.suppress(BlockingIOError):
                    taken += os.write(a.serial.fileno(), b"\x01" * 4_096)
                await asyncio.sleep(0)
            assert 4_096 <= taken <= 200_000


async def test_a_port_that_was_held_back_works_again_after_a_replug(tmp_path: Path) -> None:
    """Unplugged while its buffer was full: the new port is read, at the line's own time."""
    async with Cable(tmp_path / "a", tmp_path / "b", bit_rate=1200, rng=Random(1)) as cable:
        with open_port(tmp_path / "b") as b:
            with open_port(tmp_path / "a") as a:
                os.set_blocking(a.serial.fileno(), False)
                await wait_until(lambda: is_held_back(a))
                cable.unplug("a")
            cable.replug("a")
            with open_port(tmp_path / "a") as a:
                a.serial.write(b"\x00" + encode_stream(b"soon"))
                await wait_until(lambda: b"soon" in b.frames())


async def test_what_nobody_reads_is_not_kept_for_the_next_one(cable: Cable, tmp_path: Path) -> None:
    """Octets that arrive while the port is closed are lost, as on a real adapter."""
    with open_port(tmp_path / "a") as a:
        a.serial.write(encode_stream(b"nobody is here"))
        await wait_until(lambda: cable.traffic("a").frame_count == 1)
        # Opened barely: pyserial would throw away itself what waits.
        descriptor = os.open(tmp_path / "b", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            a.serial.write(encode_stream(b"now"))
            await wait_until(lambda: cable.traffic("a").frame_count == 2)
            await wait_until(lambda: bool(select.select([descriptor], [], [], 0)[0]))
            assert os.read(descriptor, 4096) == encode_stream(b"now")
        finally:
            os.close(descriptor)


async def test_a_flood_is_held_back_and_arrives_whole(tmp_path: Path) -> None:
    """More than all buffers hold: the writer waits, nothing is dropped, memory stays bounded."""
    frames = [n.to_bytes(2, "big") * 100 for n in range(200)]
    flood = b"".join(encode_stream(frame) for frame in frames)
    paths = tmp_path / "a", tmp_path / "b"
    async with Cable(*paths, bit_rate=921_600, rng=Random(1)):
        with open_port(paths[0]) as a, open_port(paths[1]) as b:
            descriptor = a.serial.fileno()
            os.set_blocking(descriptor, False)
            sent = 0

            def crossed() -> bool:
                nonlocal sent
                with contextlib.suppress(BlockingIOError):
                    sent += os.write(descriptor, flood[sent : sent + 4096])
                return len(b.frames()) == len(frames)

            await wait_until(crossed)
            assert b.frames() == frames


async def test_a_radio_on_a_pty_answers_and_carries_a_message(tmp_path: Path) -> None:
    """Wake-up, handshake with text logs between the frames, direct message, real ack."""
    air = Air(Random(2))
    north = SimulatedRadio(NORTH, "NORTH", air, preset="SHORT_FAST")
    south = SimulatedRadio(SOUTH, "SOUTH", air, preset="SHORT_FAST")
    paths = tmp_path / "radio-NORTH", tmp_path / "radio-SOUTH"
    async with RadioPort(north, paths[0]) as north_port, RadioPort(south, paths[1]):
        with open_port(paths[0]) as a, open_port(paths[1]) as b:
            ask = mesh_pb2.ToRadio(want_config_id=42).SerializeToString()
            for port in (a, b):
                port.serial.write(WAKE + encode_frame(ask))
                await wait_until(partial(is_configured, port))
            assert b"DEBUG | " in a.octets
            packet = mesh_pb2.MeshPacket(to=SOUTH, id=77, want_ack=True, hop_limit=3)
            packet.decoded.portnum = 256
            packet.decoded.payload = b"over the air"
            a.serial.write(encode_frame(mesh_pb2.ToRadio(packet=packet).SerializeToString()))
            await wait_until(lambda: any(m.packet.decoded.request_id == 77 for m in a.messages()))
            assert b"over the air" in [m.packet.decoded.payload for m in b.messages()]
            assert list(air.captured) == [b"over the air"]
            north_port.unplug()
            assert not paths[0].is_symlink()
        north_port.replug()
        assert paths[0].is_symlink()


def is_configured(port: Port) -> bool:
    return any(message.config_complete_id == 42 for message in port.messages())


LIBRARY_CLIENT = """
import sys, time
import meshtastic.serial_interface
interface = meshtastic.serial_interface.SerialInterface(sys.argv[1])
answers = []
packet = interface.sendData(b"x" * 50, destinationId=0x4D4C00B2, portNum=256, wantAck=True,
                            onResponse=answers.append, onResponseAckPermitted=True)
end = time.monotonic() + 15
while not answers and time.monotonic() < end:
    time.sleep(0.02)
print(sorted(interface.nodes), answers[0]["from"], answers[0]["decoded"]["routing"]["errorReason"])
interface.close()
"""


async def test_the_official_library_takes_it_for_a_radio(tmp_path: Path) -> None:
    """A process with the meshtastic package connects, sends with wantAck and gets the real ack."""
    air = Air(Random(3))
    north = SimulatedRadio(NORTH, "NORTH", air)
    SimulatedRadio(SOUTH, "SOUTH", air)
    path = tmp_path / "radio-NORTH"
    async with RadioPort(north, path), asyncio.timeout(60):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            LIBRARY_CLIENT,
            str(path),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, problems = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert out.decode() == f"['!4d4c00a1', '!4d4c00b2'] {SOUTH} NONE\n", problems.decode()
    assert process.returncode == 0
