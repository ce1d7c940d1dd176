"""Puts the alive lamp out when the loop that lit it is blocked and cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from gateway.model import Instant

CHECK_S: Final = 2.0
"""How often the thread looks: each look wakes an idle processor."""
LATE_MAX_MS: Final = 1_000
"""A loop that turns comes no later to what it had planned."""


class AliveGuard:
    """A thread of its own; dark within `CHECK_S` + `LATE_MAX_MS` of the turn that did not come.

    What holds the interpreter's lock holds this too: then the watchdog's restart is what helps.
    `put_out` is called in that thread.
    """

    def __init__(self, put_out: Callable[[], None], *, clock: Callable[[], Instant]) -> None:
        self._put_out = put_out
        self._clock = clock
        self._due: Instant | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="alive-guard", daemon=True)
        self._thread.start()

    def expect(self, due: Instant | None) -> None:
        """The loop left the lamp lit and will look at it again at `due`; None: it is dark."""
        self._due = due

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(CHECK_S):
            due = self._due
            if due is not None and self._clock() - due > LATE_MAX_MS:
                self._put_out()
