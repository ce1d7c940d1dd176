"""The trace of a history: one SHA-256 over every event and effect, the same in any process."""

from __future__ import annotations

import hashlib

from gateway.core.effects import Effect, Observe, ShowHeard, ShowStatus, Transmit
from gateway.core.events import (
    AnswerSubmitted,
    Event,
    FrameReceived,
    FrameSent,
    NoticeSubmitted,
    NoticeTaken,
)


class Trace:
    """Hot events are written field by field: `repr` of all would cost more than the engine."""

    __slots__ = ("_parts", "_sha256")

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._parts: list[bytes] = []

    def event(self, now_ms: int, station: int, event: Event | None) -> None:
        if isinstance(event, FrameReceived):
            line = b"%d %d received %s %s\n" % (
                now_ms, station, event.link.encode(), event.octets,
            )  # fmt: skip
        elif event is None:
            line = b"%d %d time\n" % (now_ms, station)
        elif isinstance(event, FrameSent):
            line = b"%d %d sent %s %d\n" % (
                now_ms, station, event.link.encode(), event.transmission,
            )  # fmt: skip
        elif isinstance(event, NoticeSubmitted | AnswerSubmitted | NoticeTaken):
            # A principal holds a set, and the order of a set is another in each process.
            told = [getattr(event, name) for name in event.__slots__ if name != "principal"]
            line = f"{now_ms} {station} {type(event).__name__} {told}\n".encode()
        else:
            line = f"{now_ms} {station} {event}\n".encode()
        self._add(line)

    def effect(self, effect: Effect) -> None:
        if isinstance(effect, Transmit):
            line = b"transmit %s %d %d %s\n" % (
                effect.link.encode(), effect.transmission, effect.precedence, effect.octets,
            )  # fmt: skip
        elif isinstance(effect, Observe):
            line = f"{effect.event} {list(effect.fields.values())}\n".encode()
        elif isinstance(effect, ShowStatus):
            status = effect.status
            line = (
                f"status {status.pending_in_count} {status.pending_out_count}"
                f" {[(link.state.value, link.queued) for link in status.links]}"
                f" {[alarm.text for alarm in status.alarms]}\n"
            ).encode()
        elif isinstance(effect, ShowHeard):
            return  # Figures that follow from the frames; they would be most of the trace.
        else:
            line = f"{effect}\n".encode()
        self._add(line)

    def _add(self, line: bytes) -> None:
        self._parts.append(line)
        if len(self._parts) >= 256:
            self._sha256.update(b"".join(self._parts))
            self._parts.clear()

    def hexdigest(self) -> str:
        self._sha256.update(b"".join(self._parts))
        self._parts.clear()
        return self._sha256.hexdigest()
