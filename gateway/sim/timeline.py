"""Virtual time: one heap of due actions. Nothing sleeps and nothing reads a clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Timeline:
    """Runs actions in the order of their times; those of equal time in the order of asking."""

    def __init__(self) -> None:
        self.now_ms = 1_000
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0

    def at(self, due_ms: int, action: Callable[[], None]) -> None:
        self._order += 1
        due_ms = max(self.now_ms, due_ms)
        heapq.heappush(self._heap, (due_ms, self._order, action))

    def run(self, duration_ms: int) -> None:
        """Let virtual time pass."""
        end = self.now_ms + duration_ms
        heap, pop = self._heap, heapq.heappop
        while heap and heap[0][0] <= end:
            self.now_ms, _, action = pop(heap)
            action()
        self.now_ms = end

    def run_until(self, condition: Callable[[], bool], limit_ms: int) -> int:
        """Run until the condition holds; the milliseconds it took. Raises `TimeoutError`."""
        begin = self.now_ms
        while not condition():
            if not self._heap or self._heap[0][0] > begin + limit_ms:
                raise TimeoutError(f"not within {limit_ms} ms of virtual time")
            self.now_ms, _, action = heapq.heappop(self._heap)
            action()
        return self.now_ms - begin
