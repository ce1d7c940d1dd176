"""Reads the true levels of a station's mock pins, again and again."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from gateway.sim.bench.http_client import ApiUnreachableError
from gateway.sim.bench.process import GatewayProcess

INTERVAL_S: Final = 0.15
ASKING: Final = ("pending_in", "pending_out", "exercise", "alarm")
"""The lamps that are dark when nothing is left to do."""


class LampWatch:
    """The panel of one station as last read."""

    def __init__(self, process: GatewayProcess) -> None:
        self._process = process
        self.document: dict[str, Any] = {}
        """`lamps` and `patterns` as pins.sock gives them; empty while the gateway is away."""
        self.seen: dict[str, list[str]] = {}
        """By lamp, the rhythms that it had, in the order of their first sight."""

    @property
    def is_asking(self) -> bool:
        """Whether a lamp asks for somebody, or nothing is known."""
        patterns = self.document.get("patterns", {})
        return any(patterns.get(lamp, "on") != "off" for lamp in ASKING)

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await self.read()
            await asyncio.sleep(INTERVAL_S)

    async def read(self) -> dict[str, str]:
        """The rhythms now, by lamp; empty when the gateway is away."""
        try:
            self.document = await self._process.lamps()
        except ApiUnreachableError:
            self.document = {}
        patterns: dict[str, str] = self.document.get("patterns", {})
        for lamp, rhythm in patterns.items():
            rhythms = self.seen.setdefault(lamp, [])
            if rhythm != "off" and rhythm not in rhythms:
                rhythms.append(rhythm)
        return patterns
