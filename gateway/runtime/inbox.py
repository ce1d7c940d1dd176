"""The one queue of events in front of the engine: bounded, in order of arrival, never blocking.

At the bound a received frame is dropped and counted; the far station sends it again. Everything
else is bounded by its source (a driver has a few transmissions, the desk a few requests) and is
never dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.core.events import Event, FrameReceived

FRAME_COUNT_MAX: Final = 512


@dataclass(frozen=True, slots=True)
class Entry:
    """An event (None: only a sign that the loop turns) and who waits until it is committed."""

    event: Event | None
    settled: asyncio.Future[None] | None = None

    def settle(self) -> None:
        if self.settled is not None and not self.settled.done():
            self.settled.set_result(None)


class Inbox:
    """Events wait here. All methods belong to the thread of the event loop."""

    def __init__(self, *, frame_count_max: int = FRAME_COUNT_MAX) -> None:
        self._entries: deque[Entry] = deque()
        self._arrived: asyncio.Future[None] | None = None
        """What the one task in `wait` waits for."""
        self._frame_count_max = frame_count_max
        self._frame_count = 0
        self.dropped_frame_count = 0
        self.turn_count = 0
        """Batches after which the loop came back for more: whole turns."""

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, event: Event) -> None:
        """Append; a frame beyond the bound is dropped."""
        self._append(Entry(event))

    def put_first(self, events: Iterable[Event]) -> None:
        """Put the runtime's own news before everything that waits, in the order given."""
        entries = [Entry(event) for event in events]
        self._entries.extendleft(reversed(entries))
        self._frame_count += sum(isinstance(entry.event, FrameReceived) for entry in entries)
        self._wake()

    async def deliver(self, event: Event | None) -> None:
        """Append and return after the commit that covers the event and the effects after it."""
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._append(Entry(event, settled))
        await settled

    async def wait(self, timeout_s: float | None) -> None:
        """Return when an event is there, or after `timeout_s` seconds. One task may wait, the loop,
        once before each turn.
        """
        self.turn_count += 1
        if self._entries or (timeout_s is not None and timeout_s <= 0):
            return
        loop = asyncio.get_running_loop()
        self._arrived = loop.create_future()
        # `asyncio.timeout` cancels and restores the task: ten times the work, at every wait.
        timer = None if timeout_s is None else loop.call_later(timeout_s, self._wake)
        try:
            await self._arrived
        finally:
            self._arrived = None
            if timer is not None:
                timer.cancel()

    def take(self, count_max: int) -> list[Entry]:
        """Remove and return the first entries, at most `count_max`; empty when none waits."""
        entries = [self._entries.popleft() for _ in range(min(count_max, len(self._entries)))]
        self._frame_count -= sum(isinstance(entry.event, FrameReceived) for entry in entries)
        return entries

    def _append(self, entry: Entry) -> None:
        if isinstance(entry.event, FrameReceived):
            if self._frame_count >= self._frame_count_max:
                self.dropped_frame_count += 1
                return
            self._frame_count += 1
        self._entries.append(entry)
        self._wake()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)
