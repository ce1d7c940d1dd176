"""A serial cable between two programs: a pair of ptys with a bit rate and with faults.

Full duplex, 10 bits an octet, in real time on asyncio. The decisions are in `line.py`, which a
simulation can run in virtual time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final, Literal, Self

from gateway.sim.faults import check_share, fork
from gateway.sim.line import DELIMITER, Line, LineRecord, LineTraffic
from gateway.sim.pty_end import PtyEnd

CAPTURED_COUNT_MAX: Final = 256
RECORD_COUNT_MAX: Final = 4096
End = Literal["a", "b"]


@dataclass(frozen=True, slots=True)
class CableRecord:
    """One frame on the cable, for the bench's table."""

    sender: End
    line: LineRecord


class Cable:
    """`async with Cable(path_a, path_b, ...)`: two ports, joined until the block ends.

    `loss` is the share of whole frames lost each way, `octet_loss` that of single octets,
    `error_rate` that of flipped bits; each may be changed any time. `delimiter` ends a frame: 0 in
    our streams, 0x7E in those of others.
    """

    def __init__(
        self,
        path_a: Path | str,
        path_b: Path | str,
        bit_rate: int = 9600,
        rng: Random | None = None,
        loss: float = 0.0,
        *,
        error_rate: float = 0.0,
        octet_loss: float = 0.0,
        delimiter: int = DELIMITER,
    ) -> None:
        self.bit_rate = bit_rate
        self.captured: deque[bytes] = deque(maxlen=CAPTURED_COUNT_MAX)
        """The gateway frames last put on the cable, lost ones too, oldest first."""
        self.records: deque[CableRecord] = deque(maxlen=RECORD_COUNT_MAX)
        rng = rng or Random(0)
        self._lines: dict[End, Line] = {
            "a": Line(bit_rate, fork(rng), lambda record: self._note("a", record), delimiter),
            "b": Line(bit_rate, fork(rng), lambda record: self._note("b", record), delimiter),
        }
        self._ends: dict[End, PtyEnd] = {
            "a": PtyEnd(Path(path_a), lambda octets: self._feed("a", octets)),
            "b": PtyEnd(Path(path_b), lambda octets: self._feed("b", octets)),
        }
        self._timers: dict[End, asyncio.TimerHandle] = {}
        self.loss = loss
        self.error_rate = error_rate
        self.octet_loss = octet_loss

    async def __aenter__(self) -> Self:
        for end in self._ends.values():
            end.plug()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.unplug()

    # --- faults

    @property
    def loss(self) -> float:
        return self._lines["a"].loss

    @loss.setter
    def loss(self, share: float) -> None:
        for line in self._lines.values():
            line.loss = check_share("loss", share)

    @property
    def error_rate(self) -> float:
        return self._lines["a"].bit_error_rate

    @error_rate.setter
    def error_rate(self, share: float) -> None:
        for line in self._lines.values():
            line.bit_error_rate = check_share("error_rate", share)

    @property
    def octet_loss(self) -> float:
        return self._lines["a"].octet_loss

    @octet_loss.setter
    def octet_loss(self, share: float) -> None:
        for line in self._lines.values():
            line.octet_loss = check_share("octet_loss", share)

    def cut(self, sender: End | None = None) -> None:
        """Silent cut, both ways or what one end sends: octets go out and arrive nowhere."""
        for name in self._named(sender):
            self._lines[name].is_cut = True

    def restore(self) -> None:
        for line in self._lines.values():
            line.is_cut = False

    def unplug(self, end: End | None = None) -> None:
        """Pull the adapter of one end or both: its port is gone, with what was under way."""
        for name in self._named(end):
            self._ends[name].unplug()
            self._lines[name].clear()
            timer = self._timers.pop(name, None)
            if timer is not None:
                timer.cancel()

    def replug(self, end: End | None = None) -> None:
        for name in self._named(end):
            self._ends[name].plug()

    def inject(self, sender: End, octets: bytes) -> None:
        """Noise: octets that the end `sender` never sent come out at the other one."""
        self._lines[sender].inject(octets, self._now_ms())
        self._deliver(sender)

    def stall(self, sender: End, duration_ms: float) -> None:
        """A gap: what `sender` sends comes out so much later, in the middle of a frame or not."""
        self._lines[sender].stall(duration_ms, self._now_ms())
        timer = self._timers.pop(sender, None)
        if timer is not None:
            timer.cancel()
        self._plan(sender)

    @staticmethod
    def _named(end: End | None) -> tuple[End, ...]:
        return ("a", "b") if end is None else (end,)

    # --- counters

    def is_open(self, end: End) -> bool:
        """Does a program have this end's port open?"""
        return self._ends[end].is_open

    def traffic(self, sender: End) -> LineTraffic:
        """What this end has put on the cable."""
        return self._lines[sender].traffic

    def _note(self, sender: End, record: LineRecord) -> None:
        self.records.append(CableRecord(sender, record))
        if record.frame:
            self.captured.append(record.frame)

    # --- octets

    @staticmethod
    def _now_ms() -> float:
        return asyncio.get_running_loop().time() * 1000

    def _feed(self, sender: End, octets: bytes) -> None:
        line = self._lines[sender]
        line.feed(octets, self._now_ms())
        if line.is_full:
            self._ends[sender].pause()
        self._plan(sender)

    def _plan(self, sender: End) -> None:
        due_ms = self._lines[sender].next_deadline()
        if due_ms is None or sender in self._timers:
            return
        loop = asyncio.get_running_loop()
        self._timers[sender] = loop.call_at(due_ms / 1000, self._due, sender)

    def _due(self, sender: End) -> None:
        del self._timers[sender]
        self._deliver(sender)

    def _deliver(self, sender: End) -> None:
        line = self._lines[sender]
        octets = line.take(self._now_ms())
        if octets:
            self._ends["b" if sender == "a" else "a"].write(octets)
        if not line.is_full:
            self._ends[sender].resume()
        self._plan(sender)
