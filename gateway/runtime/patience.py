"""A start that reads a big store: systemd hears that it goes on, and nothing makes it longer."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gateway.runtime.sd_notify import SystemdNotifier

EXTENSION_S: Final = 120
"""More than the loop stands still in a start, making the engine of 100 000 open notices."""
WORD_S: Final = 10.0
"""Below the unit's watchdog too: of two gateways the one that stands by was told ready before."""
WORD_COUNT_MAX: Final = 180
"""Half an hour. A start reads the whole database: 100 000 acts with 200 000 entries take 3 s of a
2 GHz server's time and 10 s when they are made anew from the log book, ten times that on a slow Pi.
"""


@contextmanager
def lasting() -> Iterator[None]:
    """What is made inside stays, so the collector of cycles passes over it now and later.

    With 100 000 open notices it would take a third of the start, and stop every link for half a
    second at each full collection after it.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


async def ask_for_time(notifier: SystemdNotifier) -> None:
    """Until cancelled, or `WORD_COUNT_MAX` times; else systemd would begin the same start again."""
    notifier.status("reading the store")
    for _ in range(WORD_COUNT_MAX):
        notifier.starting(EXTENSION_S)
        await asyncio.sleep(WORD_S)
