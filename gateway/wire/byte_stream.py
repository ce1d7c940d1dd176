"""Frames on a serial line: Consistent Overhead Byte Stuffing with a zero after each frame.

Noise, stray octets and cuts cost at most the frame that they touch: every zero starts afresh. A
sender that was silent for long may send one `DELIMITER` first, so that noise joins no frame.
"""

from __future__ import annotations

from typing import Final

from gateway.wire.limits import FRAME_SIZE_MAX

DELIMITER: Final = b"\x00"
_GROUP_MAX: Final = 254
ENCODED_SIZE_MAX: Final = FRAME_SIZE_MAX + FRAME_SIZE_MAX // _GROUP_MAX + 1
"""Octets of the longest frame on the line, the delimiter not counted."""


def encode_stream(frame: bytes) -> bytes:
    """COBS and the delimiter: 2 octets more than the frame, and 1 for each 254."""
    return _stuff(frame) + DELIMITER


def _stuff(frame: bytes) -> bytes:
    out = bytearray()
    groups = frame.split(DELIMITER)
    last = len(groups) - 1
    for number, group in enumerate(groups):
        start = 0
        while len(group) - start >= _GROUP_MAX:
            out.append(0xFF)
            out += group[start : start + _GROUP_MAX]
            start += _GROUP_MAX
        if start and start == len(group) and number == last:
            continue
        out.append(len(group) - start + 1)
        out += group[start:]
    return bytes(out)


def _unstuff(octets: bytes) -> bytes | None:
    """The frame, or None if these octets (none of them zero) are no stuffed frame."""
    out = bytearray()
    position = 0
    while position < len(octets):
        code = octets[position]
        end = position + code
        if end > len(octets):
            return None
        out += octets[position + 1 : end]
        position = end
        if code != 0xFF and position < len(octets):
            out.append(0)
    return bytes(out)


class StreamDecoder:
    """Finds frames in whatever a line brings. Holds at most the longest frame."""

    __slots__ = ("_is_overlong", "_pending", "dropped_count")

    def __init__(self) -> None:
        self._pending = bytearray()
        self._is_overlong = False
        self.dropped_count = 0
        """Runs of octets between delimiters that were no frame."""

    def feed(self, octets: bytes) -> list[bytes]:
        """The frames, 1 to 1024 octets each, that these octets complete."""
        frames: list[bytes] = []
        *ended, rest = octets.split(DELIMITER)
        for part in ended:
            self._append(part)
            frame = self._end()
            if frame is not None:
                frames.append(frame)
        self._append(rest)
        return frames

    def _append(self, part: bytes) -> None:
        if self._is_overlong or len(self._pending) + len(part) > ENCODED_SIZE_MAX:
            self._is_overlong = True
            self._pending.clear()
        else:
            self._pending += part

    def _end(self) -> bytes | None:
        octets, is_overlong = bytes(self._pending), self._is_overlong
        self._pending.clear()
        self._is_overlong = False
        if not octets and not is_overlong:
            return None
        frame = None if is_overlong else _unstuff(octets)
        if not frame or len(frame) > FRAME_SIZE_MAX or _stuff(frame) != octets:
            self.dropped_count += 1
            return None
        return frame
