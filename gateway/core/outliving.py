"""How far what was closed long enough is removed: by a clock that may be wrong."""

from __future__ import annotations

from typing import Final

from gateway.model import UtcTime

CATCH_UP: Final = 24
"""How much faster than time passes the day may go on that notices are removed up to: a clock that
is years ahead for an hour costs a day of what is kept.
"""


def outlived_before(
    now: UtcTime, *, oldest: UtcTime, last: int, keep_s: int, elapsed_s: float
) -> UtcTime | None:
    """What was closed before this second goes; None: nothing more than before.

    `now` is a trusted clock's, `last` what this gave the last time (0: never), `elapsed_s` how long
    ago that, or the start, was by the monotonic clock.
    """
    before = min(now - keep_s, (last or oldest) + int(elapsed_s * CATCH_UP))
    return UtcTime(before) if before > last else None
