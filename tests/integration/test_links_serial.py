"""The serial link on real ptys: framing, pacing, noise, and a cable that comes back by its path."""

from __future__ import annotations

import asyncio
import os
import pty
import tty
from random import Random
from typing import TYPE_CHECKING, Self

import pytest

from gateway.core.airtime import SerialAirtime
from gateway.core.effects import Transmit
from gateway.core.events import (
    FrameReceived,
    FrameRefused,
    FrameSent,
    LinkDown,
    LinkTraits,
    LinkUp,
    Refusal,
)
from gateway.links.serial import AHEAD_S, SerialDriver
from gateway.links.supervisor import Backoff, Supervisor
from gateway.model import LinkName, Precedence, Station
from gateway.wire.byte_stream import StreamDecoder, encode_stream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.links.base import LinkEvent

CABLE = LinkName("cable")


def transmit(number: int, octets: bytes) -> Transmit:
    return Transmit(CABLE, number, Station(2), octets, Precedence.ROUTINE, want_ack=False)


class Bench:
    """A supervised serial link behind a symlink, and the far end of its cable."""

    def __init__(self, folder: Path, bit_rate: int, *, write_deadline_s: float = 3.0) -> None:
        self.path = folder / "usb-serial-by-id"
        self.events: list[LinkEvent] = []
        self._changed = asyncio.Event()
        self.far = -1
        self.supervisor = Supervisor(
            CABLE,
            lambda: SerialDriver(
                CABLE, str(self.path), bit_rate, write_deadline_s=write_deadline_s
            ),
            self._emit,
            rng=Random(1),
            backoff=Backoff(first_s=0.02, cap_s=0.05),
        )

    def _emit(self, event: LinkEvent) -> None:
        self.events.append(event)
        self._changed.set()

    def plug(self) -> None:
        self.far, near = pty.openpty()
        tty.setraw(near)
        os.set_blocking(self.far, False)
        self.path.symlink_to(os.ttyname(near))
        os.close(near)

    def unplug(self) -> None:
        self.path.unlink()
        os.close(self.far)
        self.far = -1

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(15):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def count(self, kind: type[LinkEvent]) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    async def read_octets(self, size: int) -> bytes:
        octets = b""
        async with asyncio.timeout(15):
            while len(octets) < size:
                try:
                    octets += os.read(self.far, 4096)
                except BlockingIOError:
                    await asyncio.sleep(0.002)
        return octets

    async def read_frames(self, count: int) -> list[bytes]:
        """What the far end of the cable gets."""
        decoder, frames = StreamDecoder(), list[bytes]()
        async with asyncio.timeout(15):
            while len(frames) < count:
                try:
                    frames += decoder.feed(os.read(self.far, 4096))
                except BlockingIOError:
                    await asyncio.sleep(0.002)
        return frames

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.supervisor.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self.far >= 0:
            os.close(self.far)


async def test_link_is_up_with_its_traits_right_after_the_open(tmp_path: Path) -> None:
    """The core learns the frame size and the airtime of this cable."""
    bench = Bench(tmp_path, 1200)
    bench.plug()
    async with bench:
        await bench.until(lambda: bench.events)
    detail = f"{bench.path} at 1200 bit/s"
    assert bench.events == [LinkUp(CABLE, LinkTraits(1024, SerialAirtime(1200), detail=detail))]


async def test_frames_cross_both_ways_in_order(tmp_path: Path) -> None:
    """Any octets pass as they are, zeros included, and each sent frame is reported."""
    frames = [bytes([number]) * size for number, size in enumerate((1, 22, 300, 1024))]
    bench = Bench(tmp_path, 921_600)
    bench.plug()
    async with bench:
        await bench.until(lambda: bench.events)
        for number, frame in enumerate(frames):
            bench.supervisor.submit(transmit(number, frame))
        assert await bench.read_frames(4) == frames
        for frame in frames:
            os.write(bench.far, encode_stream(frame))
        await bench.until(lambda: bench.count(FrameReceived) == 4 and bench.count(FrameSent) == 4)
    sent = [event.transmission for event in bench.events if isinstance(event, FrameSent)]
    received = [event.octets for event in bench.events if isinstance(event, FrameReceived)]
    assert (sent, received) == ([0, 1, 2, 3], frames)


async def test_sent_means_that_the_frame_has_left_at_this_bit_rate(tmp_path: Path) -> None:
    """The kernel takes octets at once; `FrameSent` waits for the time they need on the cable, all
    but a little, and tells of that.
    """
    bench = Bench(tmp_path, 9600)
    bench.plug()
    async with bench:
        await bench.until(lambda: bench.events)
        loop = asyncio.get_running_loop()
        start = loop.time()
        for number in range(2):
            bench.supervisor.submit(transmit(number, bytes(200)))
        await bench.until(lambda: bench.count(FrameSent) == 2)
        took_s = loop.time() - start
    sent = [event for event in bench.events if isinstance(event, FrameSent)]
    assert took_s >= 2 * 202 * 10 / 9600 - AHEAD_S
    assert took_s + sent[-1].remaining_ms / 1000 >= 2 * 202 * 10 / 9600 - 0.001
    assert max(event.remaining_ms for event in sent) <= AHEAD_S * 1000


async def test_a_short_frame_wakes_nobody_for_its_end(tmp_path: Path) -> None:
    """A beat of 25 octets is reported with its hand-over; the next frames wait for the cable."""
    bench = Bench(tmp_path, 9600)
    bench.plug()
    async with bench:
        await bench.until(lambda: bench.events)
        loop = asyncio.get_running_loop()
        start = loop.time()
        for number in range(10):
            bench.supervisor.submit(transmit(number, bytes([1]) * 22))
        await bench.until(lambda: bench.count(FrameSent) == 10)
        took_s = loop.time() - start
    remaining = [event.remaining_ms for event in bench.events if isinstance(event, FrameSent)]
    assert any(remaining_ms > 0 for remaining_ms in remaining)
    assert took_s >= 10 * 24 * 10 / 9600 - AHEAD_S


async def test_noise_costs_at_most_the_frame_it_hits(tmp_path: Path) -> None:
    """Stray octets, a cut frame and an endless one are dropped; the next frame is received."""
    bench = Bench(tmp_path, 115_200)
    bench.plug()
    async with bench:
        await bench.until(lambda: bench.events)
        whole = encode_stream(b"whole")
        os.write(bench.far, b"\x7e\xff\x00" + whole)
        await bench.until(lambda: bench.count(FrameReceived) >= 1)
        for _ in range(20):
            os.write(bench.far, b"\x01" * 150)
        os.write(bench.far, b"\x00" + whole[:3] + b"\x00" + whole)
        await bench.until(lambda: bench.events[-1] == FrameReceived(CABLE, b"whole"))
        await bench.until(
            lambda: sum(event == FrameReceived(CABLE, b"whole") for event in bench.events) == 2
        )


async def test_first_frame_after_silence_starts_with_a_delimiter(tmp_path: Path) -> None:
    """Noise that came on the line meanwhile ends there; frames that follow need no second one."""
    bench = Bench(tmp_path, 921_600)
    bench.plug()
    async with bench:
        await bench.until(lambda: bench.events)
        for number in range(2):
            bench.supervisor.submit(transmit(number, b"x"))
        await bench.until(lambda: bench.count(FrameSent) == 2)
        assert await bench.read_octets(7) == b"\x00" + encode_stream(b"x") * 2


async def test_frame_over_the_limit_is_refused_not_sent(tmp_path: Path) -> None:
    """1025 octets never reach the cable, and the link goes on."""
    bench = Bench(tmp_path, 921_600)
    bench.plug()
    async with bench:
        await bench.until(lambda: bench.events)
        bench.supervisor.submit(transmit(1, bytes(1025)))
        bench.supervisor.submit(transmit(2, b"next"))
        await bench.until(lambda: bench.count(FrameSent))
    assert bench.events[1:] == [FrameRefused(CABLE, 1, Refusal.TOO_LARGE), FrameSent(CABLE, 2)]


async def test_cable_that_is_unplugged_comes_back_by_its_path(tmp_path: Path) -> None:
    """Missing at start, plugged, unplugged, plugged as another tty: down once each, then up."""
    bench = Bench(tmp_path, 115_200)
    async with bench:
        await bench.until(lambda: bench.count(LinkDown) == 1)
        bench.plug()
        await bench.until(lambda: bench.count(LinkUp) == 1)
        bench.unplug()
        await bench.until(lambda: bench.count(LinkDown) == 2)
        bench.plug()
        await bench.until(lambda: bench.count(LinkUp) == 2)
        bench.supervisor.submit(transmit(5, b"again"))
        assert await bench.read_frames(1) == [b"again"]
        await bench.until(lambda: bench.count(FrameSent))
    kinds = [type(event) for event in bench.events]
    assert kinds == [LinkDown, LinkUp, LinkDown, LinkUp, FrameSent]


@pytest.mark.timeout(60)
async def test_far_end_that_stops_reading_ends_the_link_not_the_daemon(tmp_path: Path) -> None:
    """With the buffer full the write has a deadline; every frame is accounted for."""
    bench = Bench(tmp_path, 4_000_000, write_deadline_s=0.3)
    bench.plug()
    async with bench:
        await bench.until(lambda: bench.events)
        for number in range(60):
            bench.supervisor.submit(transmit(number, bytes([1]) * 1024))
        await bench.until(lambda: bench.count(FrameSent) + bench.count(FrameRefused) == 60)
    assert bench.count(FrameRefused) >= 1
    down = next(event for event in bench.events if isinstance(event, LinkDown))
    assert "took no octets" in down.reason


@pytest.mark.parametrize("turns", range(0, 40, 2))
async def test_a_stop_while_a_pulled_cable_is_closed_is_not_lost(
    tmp_path: Path, turns: int
) -> None:
    """Cancelled at any turn of the loop after the unplug, the supervisor ends and tries no more."""
    bench = Bench(tmp_path, 921_600)
    bench.plug()
    task = asyncio.create_task(bench.supervisor.run())
    await bench.until(lambda: bench.events)
    bench.unplug()
    for _ in range(turns):
        await asyncio.sleep(0)
    await asyncio.sleep(turns / 20_000)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=5)
    if not done:
        task.cancel()
    assert done, "the stop was swallowed"
