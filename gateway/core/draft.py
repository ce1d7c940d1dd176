"""The step in the making: what the parts of the engine add writes and effects to."""

from __future__ import annotations

from gateway.core.effects import Effect, Level, Observe, Step
from gateway.core.records import Write
from gateway.model import Now


class Draft:
    """Collects one step. `now` is the time of the event that led to it."""

    __slots__ = ("_effects", "_writes", "now", "status_changed")

    def __init__(self, now: Now) -> None:
        self.now = now
        self.status_changed = False
        self._writes: list[Write] = []
        self._effects: list[Effect] = []

    def write(self, write: Write) -> None:
        self._writes.append(write)

    def effect(self, effect: Effect) -> None:
        self._effects.append(effect)

    def observe(self, level: Level, event: str, **fields: str | float | bool | None) -> None:
        self._effects.append(Observe(level, event, fields))

    def step(self) -> Step:
        return Step(tuple(self._writes), tuple(self._effects))
