"""The serial link: a cable or radio modem that carries octets at a bit rate, framed by COBS.

Owns framing and pacing; the port itself is `port.py`. Acknowledging is the core's.
"""

from __future__ import annotations

import asyncio
from typing import Final, NoReturn

from gateway.core.airtime import SerialAirtime
from gateway.core.events import (
    FrameReceived,
    FrameRefused,
    FrameSent,
    LinkTraits,
    LinkUp,
    Refusal,
)
from gateway.links.base import Emit, Outbox
from gateway.links.port import SerialPort, open_serial
from gateway.links.tasks import run_together
from gateway.model import LinkName
from gateway.wire.byte_stream import DELIMITER, StreamDecoder, encode_stream
from gateway.wire.limits import FRAME_SIZE_MAX_SERIAL

WRITE_DEADLINE_S: Final = 3.0
"""Over the frame's own time; the kernel holds several frames, so only a dead far end breaks it."""
AHEAD_S: Final = 0.03
"""What may still be in the device when the next frame is taken: a beat need then wake nobody for
its end, a cable has no gap between two frames, and FLASH waits no longer than for the rest of one.
"""
QUIET_S: Final = 1.0
"""After this long without sending, a delimiter goes first and ends whatever noise came before."""


class SerialDriver:
    """Serves one tty until it is gone."""

    def __init__(
        self,
        link: LinkName,
        port: str,
        bit_rate: int,
        *,
        write_deadline_s: float = WRITE_DEADLINE_S,
    ) -> None:
        self._link = link
        self._path = port
        self._airtime = SerialAirtime(bit_rate)
        self._write_deadline_s = write_deadline_s
        self._decoder = StreamDecoder()

    @property
    def dropped_count(self) -> int:
        """Runs of octets that were no frame: noise, cut frames, longer than 1024."""
        return self._decoder.dropped_count

    async def run(self, emit: Emit, outbox: Outbox) -> NoReturn:
        """Serve the port. Raises `LinkLostError`."""
        port = await open_serial(self._path, self._airtime.bit_rate)
        is_lost = True
        try:
            detail = f"{self._path} at {self._airtime.bit_rate} bit/s"
            emit(
                LinkUp(self._link, LinkTraits(FRAME_SIZE_MAX_SERIAL, self._airtime, detail=detail))
            )
            await run_together(self._receive(port, emit), self._send(port, emit, outbox))
        except asyncio.CancelledError:
            is_lost = False
            raise
        finally:
            # Only after the close does the device come back under its by-id path.
            await port.close(discard=is_lost)

    async def _receive(self, port: SerialPort, emit: Emit) -> NoReturn:
        while True:
            for frame in self._decoder.feed(await port.read_until(DELIMITER)):
                emit(FrameReceived(self._link, frame))

    async def _send(self, port: SerialPort, emit: Emit, outbox: Outbox) -> NoReturn:
        loop = asyncio.get_running_loop()
        free_at_s = loop.time() - QUIET_S
        while True:
            transmit = await outbox.get()
            if len(transmit.octets) > FRAME_SIZE_MAX_SERIAL:
                emit(FrameRefused(self._link, transmit.transmission, Refusal.TOO_LARGE))
                continue
            octets = encode_stream(transmit.octets)
            start_s = max(loop.time(), free_at_s)
            if start_s - free_at_s >= QUIET_S:
                octets = DELIMITER + octets
            duration_s = len(octets) * 10 / self._airtime.bit_rate
            await port.write(octets, deadline_s=self._write_deadline_s + duration_s)
            # The kernel takes a frame at once and neither a pty nor every USB adapter tells when it
            # has left, so that is computed.
            free_at_s = start_s + duration_s
            wait_s = free_at_s - AHEAD_S - loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            remaining_ms = max(round((free_at_s - loop.time()) * 1000), 0)
            emit(FrameSent(self._link, transmit.transmission, remaining_ms))
