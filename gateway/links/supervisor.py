"""Keeps a link served: runs a fresh driver for ever and holds the frames that wait for it.

Owns the outbox, the backoff between drivers, `LinkDown` and the remedies for a device that is there
and does not answer (`ladder`); ports and handshakes are the driver's.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, NoReturn

from gateway.core.effects import Transmit
from gateway.core.events import FrameRefused, FrameSent, LinkDown, LinkTold, LinkUp, Refusal
from gateway.errors import DeviceSilentError, LinkLostError
from gateway.links.base import Emit, LinkDriver, LinkEvent
from gateway.links.faults import DeviceFaults
from gateway.links.ladder import AGAIN, RUNG_DEADLINE_S, STABLE_S, Rung, needs_person, rung
from gateway.model import LinkName

OUTBOX_COUNT_MAX: Final = 64
STUCK_S: Final = 300.0
"""A frame of 1 KiB takes 206 s at 50 bit/s, the slowest link there is; a handshake at most 15 s."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next driver: doubles from `first_s` to `cap_s`, +-25 % jitter."""

    first_s: float = 0.25
    cap_s: float = 15.0
    stable_s: float = 30.0
    """A link that was up this long starts again from `first_s`."""

    def delay_s(self, failure_count: int, rng: Random) -> float:
        """Seconds before the attempt after `failure_count` failures in a row, from 1."""
        doubled: float = self.first_s * 2 ** min(failure_count - 1, 16)
        return min(doubled, self.cap_s) * rng.uniform(0.75, 1.25)


class PriorityOutbox:
    """Frames that wait for the driver: fastest precedence first, in order within one.

    Bounded. When it is full the slowest and newest frame gives way, which may be the new one.
    """

    def __init__(self, count_max: int = OUTBOX_COUNT_MAX) -> None:
        self._count_max = count_max
        self._heap: list[tuple[int, int, Transmit]] = []
        self._order = itertools.count()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, transmit: Transmit) -> Transmit | None:
        """Add a frame; gives the one that had to leave, if any."""
        heapq.heappush(self._heap, (transmit.precedence, next(self._order), transmit))
        self._filled.set()
        if len(self._heap) <= self._count_max:
            return None
        last = max(self._heap)
        self._heap.remove(last)
        heapq.heapify(self._heap)
        return last[2]

    async def get(self) -> Transmit:
        """Wait for the next frame; cancellable without losing one."""
        while not self._heap:
            self._filled.clear()
            await self._filled.wait()
        return heapq.heappop(self._heap)[2]

    def take_all(self) -> list[Transmit]:
        """Empty it, in order."""
        everything = [transmit for _, _, transmit in sorted(self._heap)]
        self._heap.clear()
        return everything


class _WatchedOutbox:
    """The driver's side of the outbox: remembers what was taken and not yet reported."""

    def __init__(
        self,
        outbox: PriorityOutbox,
        taken: dict[int, Transmit],
        moved: Callable[[], None],
        may_transmit: Callable[[], bool],
    ) -> None:
        self._outbox = outbox
        self._taken = taken
        self._moved = moved
        self._may_transmit = may_transmit

    async def get(self) -> Transmit:
        transmit = await self._outbox.get()
        while not self._may_transmit():
            # Dropped, since this gateway is to end: the active one of the station says it anew.
            transmit = await self._outbox.get()
        self._taken[transmit.transmission] = transmit
        self._moved()
        return transmit


class Supervisor:
    """Serves one link for ever, with one driver after another."""

    def __init__(
        self,
        link: LinkName,
        make_driver: Callable[[], LinkDriver],
        emit: Emit,
        *,
        rng: Random,
        backoff: Backoff | None = None,
        outbox_count_max: int = OUTBOX_COUNT_MAX,
        remedies: Mapping[Rung, Callable[[], Awaitable[None]]] | None = None,
        may_transmit: Callable[[], bool] = lambda: True,
    ) -> None:
        """A remedy raises `LinkLostError` where it cannot be had, and has 15 s.

        `may_transmit` is asked at the last moment, when the driver takes a frame.
        """
        self._may_transmit = may_transmit
        self._link = link
        self._make_driver = make_driver
        self._emit_outside = emit
        self._rng = rng
        self._backoff = backoff or Backoff()
        self._outbox = PriorityOutbox(outbox_count_max)
        self._taken: dict[int, Transmit] = {}
        self._is_up = False
        self._up_since_s = 0.0
        self._was_reported_down = False
        self._told = ("", False)
        self._down_since_s: float | None = None
        self._remedies = remedies or {}
        self._faults = DeviceFaults()
        self._failure_count = 0
        self._silent_count = 0
        self._is_driven = False
        self._moved_at_s = 0.0
        """When the driver began, took a frame, told something, or was first given one to send."""

    @property
    def is_stuck(self) -> bool:
        """Whether the driver owes something and did nothing for `STUCK_S`: a fault of ours.

        It owes the end of each frame that it was given, and that the link is up or the driver
        ends. A dead or absent device ends a driver; a quiet link owes nothing.
        """
        owes = self._is_driven and (not self._is_up or self._taken or len(self._outbox))
        return bool(owes) and asyncio.get_running_loop().time() - self._moved_at_s >= STUCK_S

    def _moved(self) -> None:
        self._moved_at_s = asyncio.get_running_loop().time()

    @property
    def queued_count(self) -> int:
        """Frames that wait for the driver."""
        return len(self._outbox)

    def submit(self, transmit: Transmit) -> None:
        """Hand over a frame; refused at once while the link is down (LINK_LOST) or full."""
        if not self._is_up:
            self._refuse(transmit, Refusal.LINK_LOST)
            return
        if not self._taken and not len(self._outbox):
            self._moved()
        displaced = self._outbox.put(transmit)
        if displaced is not None:
            self._refuse(displaced, Refusal.QUEUE_FULL)

    def discard(self) -> None:
        """Forget the frames that wait: the engine that sealed them is gone."""
        self._outbox.take_all()

    async def run(self) -> NoReturn:
        """Run drivers until cancelled. Whatever is not a lost device is a bug and is raised."""
        while True:
            self._moved()
            self._is_driven = True
            outbox = _WatchedOutbox(self._outbox, self._taken, self._moved, self._may_transmit)
            try:
                await self._make_driver().run(self._emit, outbox)
            except LinkLostError as error:
                self._is_driven = False
                self._count(error)
                now_s = asyncio.get_running_loop().time()
                fault = self._faults.of(error, now_s, was_up=self._is_up)
                self._lose(fault)
                await self._help(error, fault)
            else:
                raise AssertionError(f"the driver of link {self._link} ended without an error")
            await asyncio.sleep(self._backoff.delay_s(self._failure_count, self._rng))

    def _count(self, error: LinkLostError) -> None:
        """Failures in a row, and silent ones since the device last served for long."""
        now_s = asyncio.get_running_loop().time()
        up_s = now_s - self._up_since_s if self._is_up else 0.0
        if self._is_up or self._down_since_s is None:
            self._down_since_s = now_s
        self._failure_count = 1 if up_s >= self._backoff.stable_s else self._failure_count + 1
        if up_s >= STABLE_S:
            self._silent_count = 0
        self._silent_count += isinstance(error, DeviceSilentError)

    async def _help(self, error: LinkLostError, fault: str) -> None:
        """One rung of the ladder, told before it is done and when it cannot be."""
        if not isinstance(error, DeviceSilentError):
            self._tell(fault)
            return
        step = rung(self._silent_count)
        remedy = self._remedies.get(step)
        is_skipped = remedy is None and step in (Rung.REBOOT, Rung.REAUTHORISE)
        text = f"{fault}; {(Rung.REOPEN if is_skipped else step).value}"
        is_first_round = self._silent_count <= len(Rung)
        self._tell(text if is_first_round else f"{fault}; {AGAIN}")
        if remedy is None:
            return
        obstacle = ""
        try:
            async with asyncio.timeout(RUNG_DEADLINE_S):
                await remedy()
        except TimeoutError:
            obstacle = f"it took more than {RUNG_DEADLINE_S:.0f} s"
        except LinkLostError as lost:
            obstacle = str(lost)
        if obstacle and is_first_round:
            self._tell(f"{text}, in vain: {obstacle}")

    def _tell(self, detail: str) -> None:
        """To the local log and the status, once."""
        assert self._down_since_s is not None
        down_s = asyncio.get_running_loop().time() - self._down_since_s
        person = needs_person(self._silent_count, down_s)
        if (detail, person) == self._told:
            return
        self._told = (detail, person)
        _log.log(logging.ERROR if person else logging.WARNING, "link %s: %s", self._link, detail)
        self._emit_outside(LinkTold(self._link, detail, needs_person=person))

    def _emit(self, event: LinkEvent) -> None:
        self._moved()
        match event:
            case LinkUp():
                self._is_up = True
                self._up_since_s = asyncio.get_running_loop().time()
                self._faults.served()
                self._told = ("", False)
            case FrameSent(transmission=transmission) | FrameRefused(transmission=transmission):
                self._taken.pop(transmission, None)
            case _:
                pass
        self._emit_outside(event)

    def _lose(self, reason: str) -> None:
        """Report the loss: `LinkDown` first, so that no one sends these frames here again."""
        if self._is_up or not self._was_reported_down:
            self._was_reported_down = True
            self._told = (reason, False)
            _log.warning("link %s: %s", self._link, reason)
            self._emit_outside(LinkDown(self._link, reason))
        self._is_up = False
        left = [*self._taken.values(), *self._outbox.take_all()]
        self._taken.clear()
        for transmit in left:
            self._refuse(transmit, Refusal.LINK_LOST)

    def _refuse(self, transmit: Transmit, reason: Refusal) -> None:
        self._emit_outside(FrameRefused(self._link, transmit.transmission, reason))
