"""Options that take a number within bounds: what is no such number is refused in plain words."""

from __future__ import annotations

import math

import click


class FiniteRange(click.FloatRange):  # noqa: TID251 (the one place that may)
    """A finite number: `nan` passes every comparison with a bound, and so click's own type."""

    name = "number"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number{_within(self.min, self.max)}", param, ctx)
        return super().convert(number, param, ctx)


class IntegerRange(click.IntRange):  # noqa: TID251 (the one place that may)
    """An integer; click says "not a valid integer range" where someone typed a letter."""

    name = "integer"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is no integer{_within(self.min, self.max)}", param, ctx)
        return super().convert(number, param, ctx)


def _within(low: float | None, high: float | None) -> str:
    """`; give one from 0 to 0.9`; a bound that is missing is left out."""
    if low is None and high is None:
        return ""
    parts = [f"from {low:g}" if low is not None else "", f"to {high:g}" if high is not None else ""]
    return "; give one " + " ".join(part for part in parts if part)
