"""What falls due when, in time that is passed in: virtual for a simulation, real for a bench."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

ENTRY_COUNT_MAX: Final = 100_000
"""More entries than that are a bug of the simulator."""


class Timetable:
    """Actions by due time; those of one time run in the order in which they were entered."""

    def __init__(self) -> None:
        self._entries: list[tuple[int, int, Callable[[], None]]] = []
        self._entered_count = 0
        self.now_ms = 0

    def at(self, due_ms: int, action: Callable[[], None]) -> None:
        """Enter an action; one that is overdue runs at the next `advance`."""
        assert len(self._entries) < ENTRY_COUNT_MAX, "the timetable grows without bound"
        self._entered_count += 1
        heapq.heappush(self._entries, (due_ms, self._entered_count, action))

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        self.at(self.now_ms + delay_ms, action)

    def next_deadline(self) -> int | None:
        """When the next action falls due, in ms; None when there is none."""
        return self._entries[0][0] if self._entries else None

    def advance(self, now_ms: int) -> None:
        """Run what is due up to `now_ms`, each action at its own time. Time never goes back."""
        while self._entries and self._entries[0][0] <= now_ms:
            due_ms, _, action = heapq.heappop(self._entries)
            self.now_ms = max(self.now_ms, due_ms)
            action()
        self.now_ms = max(self.now_ms, now_ms)
