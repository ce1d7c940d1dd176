"""What is wrong with a device, from the failures of its drivers one after another. Pure.

One driver knows its own session only: a frozen radio that is opened again looks like a port with no
radio at all, and a second client like a connection that was lost.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from gateway.errors import DeviceSilentError, LinkClosedError, LinkLostError

CLOSED_WITHIN_S: Final = 900.0
"""A radio closes an idle connection after 15 min: what is closed sooner again was taken over."""
_CLOSED_COUNT_MAX: Final = 100
_EACH_COUNT: Final = 4
"""So many attempts are told one by one, then each doubling: what is told is an entry of the log
book, and a radio may stay frozen for weeks."""
_MINUTE_S: Final = 60


class DeviceFaults:
    """Of one device, across its drivers. Times are seconds of the loop's clock."""

    def __init__(self) -> None:
        self._silence = ""
        """What was found when it fell silent while it served; empty: it did not."""
        self._silent_since_s = 0.0
        self._opened_count = 0
        self._tried = ""
        self._closed_at_s: deque[float] = deque(maxlen=_CLOSED_COUNT_MAX)

    def served(self) -> None:
        """It answered: what was wrong is over."""
        self._silence = ""

    def of(self, error: LinkLostError, now_s: float, *, was_up: bool) -> str:
        """One sentence for people. `was_up`: the device served in this session."""
        match error:
            case LinkClosedError():
                self._silence = ""
                return self._of_closing(error, now_s)
            case DeviceSilentError():
                return self._of_silence(error, now_s, was_up=was_up)
            case _:
                self._silence = ""
                return str(error)

    def _of_closing(self, error: LinkClosedError, now_s: float) -> str:
        self._closed_at_s.append(now_s)
        while now_s - self._closed_at_s[0] > CLOSED_WITHIN_S:
            self._closed_at_s.popleft()
        count = len(self._closed_at_s)
        if count < 2:
            return str(error)
        minutes = max(1, round((now_s - self._closed_at_s[0]) / _MINUTE_S))
        often = f"{error.port} closed the connection {count} times in {minutes} min"
        return f"{often}: another program uses it; end that program"

    def _of_silence(self, error: DeviceSilentError, now_s: float, *, was_up: bool) -> str:
        if was_up:
            self._silence, self._silent_since_s, self._opened_count = str(error), now_s, 0
            self._tried = ""
            return self._silence
        if not self._silence:
            return str(error)
        self._opened_count += 1
        if self._opened_count.bit_count() == 1 or self._opened_count <= _EACH_COUNT:
            times = "once" if self._opened_count == 1 else f"{self._opened_count} times"
            self._tried = f", opened {times} in {_age(now_s - self._silent_since_s)} in vain"
        return f"{self._silence}{self._tried}"


def _age(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < _MINUTE_S else f"{seconds / _MINUTE_S:.0f} min"
