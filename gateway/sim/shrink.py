"""Shrinks a failing plan: delta debugging (Zeller's ddmin) over the places of its actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

RUN_COUNT_MAX: Final = 120
"""Histories tried at most; what is left then is still a plan that fails."""


def shrink(
    places: Sequence[int],
    fails: Callable[[tuple[int, ...]], bool],
    *,
    run_count_max: int = RUN_COUNT_MAX,
) -> tuple[int, ...]:
    """A smaller tuple of places for which `fails` is still true; in order, perhaps the same."""
    left = tuple(places)
    parts, runs = 2, 0
    if run_count_max > 0 and fails(()):
        return ()
    while len(left) >= 2 and runs < run_count_max:
        size = -(-len(left) // parts)
        for start in range(0, len(left), size):
            without = left[:start] + left[start + size :]
            runs += 1
            if without and fails(without):
                left, parts = without, max(parts - 1, 2)
                break
            if runs >= run_count_max:
                return left
        else:
            if parts >= len(left):
                return left
            parts = min(2 * parts, len(left))
    return left


def as_ranges(places: Sequence[int]) -> str:
    """The text form for a command: `0-3,7`; `none` for no action at all."""
    ranges: list[list[int]] = []
    for place in places:
        if ranges and place == ranges[-1][1] + 1:
            ranges[-1][1] = place
        else:
            ranges.append([place, place])
    told = (str(low) if low == high else f"{low}-{high}" for low, high in ranges)
    return ",".join(told) or "none"


def parse_ranges(text: str) -> tuple[int, ...]:
    """Read the text form. Raises `ValueError`."""
    if text == "none":
        return ()
    places: list[int] = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        places.extend(range(int(low), int(high or low) + 1))
    return tuple(places)
