"""Shrinks a failing plan: delta debugging (Zeller's ddmin) over the places of its actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

RUN_COUNT_MAX: Final = 64
"""Histories tried at most; what is left then is still a plan that fails."""

Places = tuple[int, ...]


def _never_over() -> bool:
    return False


def shrink(
    places: Sequence[int],
    fails: Callable[[Places], bool],
    *,
    run_count_max: int = RUN_COUNT_MAX,
    is_over: Callable[[], bool] = _never_over,
    tell: Callable[[int, int], None] = lambda _runs, _left: None,
) -> Places:
    """A smaller tuple of places for which `fails` is still true; in order, perhaps the same.

    Ends early when `is_over`. `tell` hears, after each run, of runs and of places left.
    """
    left = tuple(places)
    parts, runs = 2, 0

    def is_enough(candidate: Places) -> bool:
        nonlocal runs
        runs += 1
        if not fails(candidate):
            tell(runs, len(left))
            return False
        tell(runs, len(candidate))
        return True

    def is_spent() -> bool:
        return runs >= run_count_max or is_over()

    if not is_spent() and is_enough(()):
        return ()
    while len(left) >= 2:
        size = -(-len(left) // parts)
        for start in range(0, len(left), size):
            if is_spent():
                return left
            without = left[:start] + left[start + size :]
            if without and is_enough(without):
                left, parts = without, max(parts - 1, 2)
                break
        else:
            if parts >= len(left):
                return left
            parts = min(2 * parts, len(left))
    return left


def gist(violation: str) -> str:
    """A violation without its numbers, so that the same fault is known at another time."""
    words = violation.partition(" s: ")[2].split()
    return " ".join(word for word in words if not any(letter.isdigit() for letter in word))


def moment_s(violation: str) -> float:
    """When it was blamed, in seconds of virtual time."""
    return float(violation.partition(" s: ")[0])


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


def parse_ranges(text: str, count: int) -> tuple[int, ...]:
    """Read the text form for a plan of `count` actions; in order, each place once.

    Raises `ValueError` with a sentence of what is wrong and what is possible.
    """
    if text == "none":
        return ()
    places: set[int] = set()
    for part in text.split(","):
        low, dash, high = (word.strip() for word in part.partition("-"))
        last = high if dash else low
        if not (low.isdecimal() and last.isdecimal()):
            raise ValueError(f"{part!r} is no place; give places such as 0-3,7, or none")
        if int(low) > int(last):
            raise ValueError(f"{part} runs backwards; write {last}-{low}")
        if int(last) >= count:
            possible = f"0 to {count - 1}" if count else "none"
            raise ValueError(f"the plan has no place {last}; it has {possible}")
        places.update(range(int(low), int(last) + 1))
    return tuple(sorted(places))
