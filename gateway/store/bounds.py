"""How much a store gives back at a start, the same for every store. Counts of rows."""

from __future__ import annotations

from typing import Final

CLOSED_COUNT_MAX: Final = 10_000
"""Newest closed acts and deliveries; all open and un-receipted ones come besides."""
SEEN_COUNT_MAX: Final = 200_000
SUBMISSION_COUNT_MAX: Final = 100_000
EPOCH_COUNT_MAX: Final = 1_000
AIRTIME_COUNT_MAX: Final = 2_048
"""Link minutes; older ones are dropped."""
BOOT_COUNT_MAX: Final = 64
HISTORY_COUNT_MAX: Final = 256
"""State entries shown with a notice, the newest."""
DROP_COUNT_MAX: Final = 500
"""Rows beyond a bound that one commit removes."""
LIST_COUNT_MAX: Final = 1_000
"""Rows that one query gives at most."""
