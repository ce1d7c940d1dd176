"""Carries ages over power cuts: which boots there were, and what the wall clock showed in each.

A boot's own clock is the truth within it. The time between two boots is bounded by the wall clock
alone, and only where it was trusted in both: its last look before the power-off and its first one
after it are compared, so a clock that is set in between, or was wrong all the time, changes no age.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from gateway.core.records import PutBoot, StoredAct
from gateway.model import ActId, Instant, Now, UtcTime

BOOT_COUNT_MAX: Final = 64
"""Boots remembered; an act from before the oldest is bounded by its own wall clock."""


class _Birth(NamedTuple):
    """When the age of an act was zero, as the store has it."""

    boot_id: str
    born: Instant
    age_known: bool
    utc: UtcTime | None


class Boots:
    """The boots of a station, the running one last."""

    def __init__(self) -> None:
        self._boots: list[PutBoot] = []
        self._places: dict[str, int] = {}
        self._unbounded: dict[ActId, _Birth] = {}
        """What may be bounded better when a clock comes."""

    @property
    def current(self) -> PutBoot:
        """What the store shall know of this boot."""
        return self._boots[-1]

    def start(self, known: Sequence[PutBoot], boot_id: str, now: Now) -> None:
        """The gateway starts, perhaps not for the first time in this boot."""
        self._boots = list(known[-BOOT_COUNT_MAX:])
        if not self._boots or self.current.boot_id != boot_id:
            self._boots.append(PutBoot(boot_id, began=now.instant))
        self._places = {boot.boot_id: place for place, boot in enumerate(self._boots)}
        self.look(now)

    def look(self, now: Now) -> dict[ActId, tuple[Instant, bool]]:
        """Note what the wall clock shows. When it is trusted for the first time in this boot:
        the acts whose age it bounds better, as of `born`.
        """
        if now.utc is None:
            return {}
        boot = self.current
        zero = now.utc * 1000 - now.instant
        is_first = boot.zero_first_ms is None
        first = zero if boot.zero_first_ms is None else boot.zero_first_ms
        self._boots[-1] = replace(boot, zero_first_ms=first, zero_last_ms=zero)
        if not is_first:
            return {}
        waiting, self._unbounded = self._unbounded, {}
        return {act_id: self._carry(birth, now) for act_id, birth in waiting.items()}

    def born(self, act: StoredAct, now: Now) -> tuple[Instant, bool]:
        """(instant of age zero on this boot's clock, whether that is known).

        Not known: the age is a lower bound, counted from a start after the boot of the act.
        """
        birth = _Birth(act.boot_id, act.born, act.age_known, act.utc)
        born, age_known = self._carry(birth, now)
        if not age_known and self.current.zero_first_ms is None:
            self._unbounded[act.id] = birth
        return born, age_known

    def latest(self, boot_id: str, instant: Instant, now: Now) -> Instant:
        """The latest instant of this boot's clock that this one of another boot can be."""
        latest, _ = self._carry(_Birth(boot_id, instant, age_known=True, utc=None), now)
        return min(latest, now.instant)

    def _carry(self, birth: _Birth, now: Now) -> tuple[Instant, bool]:
        """From boot to boot, by the wall clock where it can."""
        place = self._places.get(birth.boot_id)
        if place is None:
            if birth.utc is None or now.utc is None:
                return now.instant, False
            return Instant(now.instant - max(now.utc - birth.utc, 0) * 1000), birth.age_known
        born, age_known = int(birth.born), birth.age_known
        while place < len(self._boots) - 1:
            left = self._boots[place].zero_last_ms
            place, zero = self._next(place, by_clock=left is not None)
            began = self._boots[place].began
            if left is None or zero is None:
                born, age_known = began, False
            else:
                # It was made before that boot began, whatever the wall clock says.
                born = min(born + left - zero, began)
        return Instant(born), age_known

    def _next(self, place: int, *, by_clock: bool) -> tuple[int, int | None]:
        """(the next boot that had a wall clock, what it showed first); else the next boot."""
        if by_clock:
            for later in range(place + 1, len(self._boots)):
                zero = self._boots[later].zero_first_ms
                if zero is not None:
                    return later, zero
        return place + 1, None
