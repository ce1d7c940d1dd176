"""The daemon's own pulse: does the engine turn, is the loop late, did the wall clock jump?

Answers the systemd watchdog only after a whole turn (event in, due deadlines, commit, effects
out), and asks for one where none came by itself: a quiet world or a dead link is no reason for a
restart, a stuck store or a driver that neither sends nor ends is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, NoReturn

from gateway.core.effects import Level, Observe
from gateway.indicators.lamps import ALIVE_PERIOD_MS
from gateway.runtime.clock import Clock
from gateway.runtime.inbox import Inbox
from gateway.runtime.sd_notify import SystemdNotifier

INTERVAL_MS: Final = 2 * ALIVE_PERIOD_MS
"""Beats come when the alive lamp goes on, so that one wake-up of the processor serves both."""
STUCK_S: Final = 9.0
"""Longer than from one beat to the next. Without a turn for this long the alive lamp goes dark."""
LAG_MS: Final = 250
"""A wake-up later than this is worth a line in the log."""


class Pulse:
    def __init__(
        self,
        *,
        inbox: Inbox,
        clock: Clock,
        notifier: SystemdNotifier,
        observe: Callable[[Observe], None],
        stuck: Callable[[], Iterable[str]] = tuple,
        interval_ms: int = INTERVAL_MS,
    ) -> None:
        """`stuck` names the parts that owe something and do nothing."""
        self._inbox = inbox
        self._clock = clock
        self._notifier = notifier
        self._observe = observe
        self._stuck = stuck
        self._stuck_before: tuple[str, ...] = ()
        self._interval_ms = interval_ms
        if notifier.watchdog_s is not None:
            self._interval_ms = min(interval_ms, max(1, int(notifier.watchdog_s * 1000) // 3))
        self._turned_at = float("-inf")
        self._dropped_count = 0

    def is_turning(self) -> bool:
        """Whether the engine made a whole turn lately."""
        return asyncio.get_running_loop().time() - self._turned_at < STUCK_S

    def is_well(self) -> bool:
        """Whether it turns, or still starts: how long that takes is systemd's to bound."""
        return self._turned_at == float("-inf") or self.is_turning()

    async def run(self) -> NoReturn:
        """Beat until cancelled."""
        time = asyncio.get_running_loop().time
        turn_count = self._inbox.turn_count
        while True:
            stepped = self._clock.poll()
            if stepped is not None:
                self._inbox.put(stepped)
            if self._inbox.turn_count == turn_count:  # Nothing else has turned it since.
                await self._inbox.deliver(None)
            turn_count = self._inbox.turn_count
            if not self._find_stuck():
                self._turned_at = time()
                self._notifier.watchdog()
            self._report_drops()
            wait_s = self._wait_s()
            due = time() + wait_s
            await asyncio.sleep(wait_s)
            lag_ms = round(1000 * (time() - due))
            if lag_ms >= LAG_MS:
                self._observe(Observe(Level.WARNING, "loop_lag", {"lag_ms": lag_ms}))

    def _find_stuck(self) -> tuple[str, ...]:
        """Parts that do nothing: told once, and neither lamp nor systemd hears that all is well."""
        stuck = tuple(self._stuck())
        if stuck and stuck != self._stuck_before:
            self._observe(Observe(Level.ERROR, "stuck", {"parts": ", ".join(stuck)}))
        self._stuck_before = stuck
        return stuck

    def _wait_s(self) -> float:
        """Seconds until the boot clock is the next multiple of the interval."""
        return (self._interval_ms - self._clock.instant() % self._interval_ms) / 1000

    def _report_drops(self) -> None:
        count = self._inbox.dropped_frame_count - self._dropped_count
        if count:
            self._dropped_count += count
            self._observe(Observe(Level.WARNING, "frames_dropped", {"count": count}))
