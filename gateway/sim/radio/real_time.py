"""Moves an air by the loop's clock for one port: fetches output, and wakes when the air is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.sim.air import Air


class RealTime:
    """Between `start` and `stop` the air goes on by itself; `fetch` is called after each change."""

    def __init__(self, air: Air, fetch: Callable[[], None]) -> None:
        self._air = air
        self._fetch = fetch
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_ms = 0

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._air.use_clock(lambda: int(loop.time() * 1000))
        self._air.watch(self._changed)

    def stop(self) -> None:
        self._air.unwatch(self._changed)
        if self._timer is not None:
            self._timer.cancel()

    def advance(self) -> None:
        """Let happen what is due; also before octets are fed, so that they come at their time."""
        self._air.advance()

    def _changed(self) -> None:
        self._fetch()
        due_ms = self._air.next_deadline()
        if due_ms is None:
            return
        if self._timer is not None:
            if self._timer_due_ms <= due_ms:
                return
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer_due_ms = due_ms
        delay_ms = max(due_ms - self._air.now_ms, 0)
        self._timer = loop.call_later(delay_ms / 1000, self._due)

    def _due(self) -> None:
        self._timer = None
        self._air.advance()
