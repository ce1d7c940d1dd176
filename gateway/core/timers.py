"""One table of named deadlines. The shell asks for the earliest; nothing outside cancels one."""

from __future__ import annotations

import heapq
from collections.abc import Hashable

from gateway.model import Instant

TimerName = tuple[Hashable, ...]
_Entry = tuple[Instant, int, TimerName]


class Timers:
    """Deadlines by name; setting a name again moves it. Costs O(log n); equal instants fire in
    the order in which they were set, so that a run can be repeated.
    """

    __slots__ = ("_due", "_heap", "_order")

    def __init__(self) -> None:
        # One entry for both: the timers of 100 000 notices must fit.
        self._due: dict[TimerName, _Entry] = {}
        self._heap: list[_Entry] = []
        self._order = 0

    def __len__(self) -> int:
        return len(self._due)

    def set(self, name: TimerName, instant: Instant) -> None:
        self._order += 1
        entry = self._due[name] = (instant, self._order, name)
        heapq.heappush(self._heap, entry)
        if len(self._heap) > 64 + 4 * len(self._due):
            self._sweep()

    def set_earlier(self, name: TimerName, instant: Instant) -> None:
        """Like `set`, but keeps a deadline that is earlier already."""
        due = self._due.get(name)
        if due is None or instant < due[0]:
            self.set(name, instant)

    def drop(self, name: TimerName) -> None:
        self._due.pop(name, None)

    def is_set(self, name: TimerName) -> bool:
        return name in self._due

    def earliest(self) -> Instant | None:
        self._trim()
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: Instant) -> TimerName | None:
        """The name of the earliest deadline at or before `now`, taken out; None: none is due."""
        self._trim()
        if not self._heap or self._heap[0][0] > now:
            return None
        name = heapq.heappop(self._heap)[2]
        del self._due[name]
        return name

    def _trim(self) -> None:
        while self._heap:
            entry = self._heap[0]
            if self._due.get(entry[2]) is entry:
                return
            heapq.heappop(self._heap)

    def _sweep(self) -> None:
        self._heap = list(self._due.values())
        heapq.heapify(self._heap)
