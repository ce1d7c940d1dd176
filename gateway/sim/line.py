"""One direction of a serial cable, sans-I/O: octets take their time and some of them are hurt."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from gateway.sim.faults import Faults, check_share
from gateway.wire.byte_stream import StreamDecoder

DELIMITER: Final = 0
CHUNK_SIZE: Final = 16
"""Octets are delivered in runs of at most this many, a frame's last octet always in time."""
FRAME_SIZE_MAX: Final = 1100
"""A run without a delimiter that is longer than any frame of ours counts as a frame."""
BUFFER_SIZE: Final = 4_096
"""What a port's driver holds before a write blocks."""
BITS_PER_OCTET: Final = 10


@dataclass(frozen=True, slots=True)
class LineRecord:
    """One frame that was put on the line."""

    at_ms: float
    """When its last octet came out, or would have."""
    size: int
    """Octets on the line, the delimiter included."""
    frame: bytes
    """The gateway's frame in it; empty when these octets are none."""
    is_lost: bool


@dataclass(slots=True)
class LineTraffic:
    """Since the cable was made, or since the counters were last set to zero."""

    octet_count: int = 0
    """Put on the line, lost ones included: what the sender's link has spent."""
    frame_count: int = 0
    lost_octet_count: int = 0
    lost_frame_count: int = 0


@dataclass(slots=True)
class _Chunk:
    due_ms: float
    octets: bytes
    size: int
    record: LineRecord | None


class Line:
    """Octets in at any time, out at the bit rate. Cut: they are sent and arrive nowhere."""

    def __init__(
        self,
        bit_rate: int,
        rng: Random,
        on_frame: Callable[[LineRecord], None],
        delimiter: int = DELIMITER,
    ) -> None:
        if bit_rate <= 0:
            raise ValueError(f"bit rate is {bit_rate}: give bits per second, such as 9600")
        self.bit_rate = bit_rate
        self.loss = 0.0
        self.octet_loss = 0.0
        self.bit_error_rate = 0.0
        self.is_cut = False
        self.traffic = LineTraffic()
        self._delimiter = delimiter
        """Ends a frame. One that is not ours opens it too (HDLC), and is lost with it."""
        self._faults = Faults(rng)
        self._on_frame = on_frame
        self._chunks: deque[_Chunk] = deque()
        self._pending_size = 0
        self._busy_until_ms = 0.0
        self._frame = bytearray()
        self._is_frame_lost = False

    @property
    def is_full(self) -> bool:
        """More waits than a port's driver holds: the sender's writes should block."""
        return self._pending_size >= BUFFER_SIZE

    def feed(self, octets: bytes, now_ms: float) -> None:
        """The sender writes."""
        self._busy_until_ms = max(self._busy_until_ms, now_ms)
        start = 0
        while start < len(octets):
            delimiter = octets.find(self._delimiter, start, start + CHUNK_SIZE)
            end = min(start + CHUNK_SIZE, len(octets)) if delimiter < 0 else delimiter + 1
            self._put(octets[start:end])
            start = end

    def _put(self, octets: bytes) -> None:
        opens = not self._frame and octets[0] == self._delimiter
        is_stray = opens and self._delimiter == DELIMITER
        if not self._frame and not is_stray:
            self._is_frame_lost = self._faults.loses_frame(check_share("loss", self.loss))
        self._frame += octets
        self._busy_until_ms += len(octets) * BITS_PER_OCTET * 1000 / self.bit_rate
        is_lost = self._is_frame_lost and not is_stray
        record: LineRecord | None = None
        if is_stray:
            self._frame.clear()
        elif (octets[-1] == self._delimiter and not opens) or len(self._frame) > FRAME_SIZE_MAX:
            is_ours = self._delimiter == DELIMITER
            frames = StreamDecoder().feed(bytes(self._frame)) if is_ours else []
            record = LineRecord(
                self._busy_until_ms, len(self._frame), frames[0] if frames else b"", is_lost
            )
            self._frame.clear()
        arriving = b"" if is_lost else self._hurt(octets)
        self._chunks.append(_Chunk(self._busy_until_ms, arriving, len(octets), record))
        self._pending_size += len(octets)

    def _hurt(self, octets: bytes) -> bytes:
        flipped = self._faults.flip(octets, check_share("error_rate", self.bit_error_rate))
        return self._faults.thin(flipped, check_share("octet_loss", self.octet_loss))

    def inject(self, octets: bytes, now_ms: float) -> None:
        """Noise: octets that nobody sent come out next."""
        self._chunks.appendleft(_Chunk(now_ms, octets, 0, None))

    def stall(self, duration_ms: float, now_ms: float) -> None:
        """A gap: nothing comes out for so long; what is under way comes after it."""
        for chunk in self._chunks:
            chunk.due_ms = max(chunk.due_ms, now_ms) + duration_ms
        self._busy_until_ms = max(self._busy_until_ms, now_ms) + duration_ms

    def next_deadline(self) -> float | None:
        return self._chunks[0].due_ms if self._chunks else None

    def take(self, now_ms: float) -> bytes:
        """What has come out at the far end by now."""
        out = bytearray()
        while self._chunks and self._chunks[0].due_ms <= now_ms:
            chunk = self._chunks.popleft()
            self._pending_size -= chunk.size
            self._count(chunk)
            if not self.is_cut:
                out += chunk.octets
        return bytes(out)

    def _count(self, chunk: _Chunk) -> None:
        arrived = 0 if self.is_cut else len(chunk.octets)
        self.traffic.octet_count += chunk.size
        self.traffic.lost_octet_count += max(chunk.size - arrived, 0)
        if chunk.record is None:
            return
        record = chunk.record
        is_lost = record.is_lost or self.is_cut
        self.traffic.frame_count += 1
        self.traffic.lost_frame_count += is_lost
        self._on_frame(LineRecord(record.at_ms, record.size, record.frame, is_lost))

    def clear(self) -> None:
        """The plug is pulled: what is under way is gone."""
        self._chunks.clear()
        self._frame.clear()
        self._pending_size = 0
        self._busy_until_ms = 0.0
