"""`core/outliving`: the day that notices are removed up to, by a clock that may be wrong."""

from __future__ import annotations

from gateway.core.outliving import CATCH_UP, outlived_before
from gateway.model import UtcTime

DAY = 86_400
YEAR = 365 * DAY
OLDEST = UtcTime(1_700_000_000)


def before(now: int, *, last: int = 0, elapsed_s: float = DAY) -> int | None:
    return outlived_before(UtcTime(now), oldest=OLDEST, last=last, keep_s=YEAR, elapsed_s=elapsed_s)


def test_what_is_younger_than_it_is_kept_stays() -> None:
    """A pass a day: it follows the clock by a day, and never back."""
    assert before(OLDEST + YEAR + DAY) == OLDEST + DAY
    assert before(OLDEST + YEAR + 2 * DAY, last=OLDEST + DAY) == OLDEST + 2 * DAY
    assert before(OLDEST + YEAR + DAY, last=OLDEST + 2 * DAY) is None
    assert before(OLDEST + YEAR, last=OLDEST) is None


def test_a_clock_years_ahead_removes_little() -> None:
    """From the oldest, or from the last day, at most 24 times as fast as time passes."""
    assert before(OLDEST + 9 * YEAR, elapsed_s=3_600) == OLDEST + CATCH_UP * 3_600
    last = OLDEST + DAY
    assert before(OLDEST + 9 * YEAR, last=last, elapsed_s=600.5) == last + int(600.5 * CATCH_UP)
