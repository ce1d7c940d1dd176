"""Things kept by act id under a bound for each far station: a flood on one line forgets its own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

from gateway.model import ActId, Station

V = TypeVar("V")


class Shares(Generic[V]):
    """At most `count_max` values a station; one more, and the oldest of that station goes."""

    __slots__ = ("_count_max", "_held")

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        # Not plain dicts: those look for their oldest among all that were deleted before it.
        self._held: dict[Station, OrderedDict[ActId, V]] = {}

    def __len__(self) -> int:
        return sum(len(held) for held in self._held.values())

    def __contains__(self, act_id: ActId) -> bool:
        return any(act_id in held for held in self._held.values())

    def put(self, far: Station, act_id: ActId, value: V) -> ActId | None:
        """Keep a value, or replace it where it stands; the id that was forgotten for it, if any."""
        held = self._held.setdefault(far, OrderedDict())
        held[act_id] = value
        return held.popitem(last=False)[0] if len(held) > self._count_max else None

    def pop(self, far: Station, act_id: ActId) -> V | None:
        """Take a value out; None: it is not kept."""
        held = self._held.get(far)
        return None if held is None else held.pop(act_id, None)

    def items(self, far: Station) -> Iterator[tuple[ActId, V]]:
        """What is kept of one station, the oldest first."""
        return iter(self._held.get(far, OrderedDict[ActId, V]()).items())
