"""Puts the alive lamp out when the loop that lit it is blocked and cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from gateway.model import Instant

CHECK_S: Final = 2.0
"""How often the thread looks: each look wakes an idle processor."""
LIT_MAX_MS: Final = 1_000
"""Longer than the lamp is ever lit by a loop that turns."""


class AliveGuard:
    """A thread of its own; dark within `CHECK_S` + `LIT_MAX_MS` of the block.

    What holds the interpreter's lock holds this too: then the watchdog's restart is what helps.
    `put_out` is called in that thread.
    """

    def __init__(self, put_out: Callable[[], None], *, clock: Callable[[], Instant]) -> None:
        self._put_out = put_out
        self._clock = clock
        self._lit_at: Instant | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="alive-guard", daemon=True)
        self._thread.start()

    def note(self, *, is_lit: bool) -> None:
        """The loop has set the lamp."""
        self._lit_at = self._clock() if is_lit else None

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(CHECK_S):
            lit_at = self._lit_at
            if lit_at is not None and self._clock() - lit_at > LIT_MAX_MS:
                self._put_out()
