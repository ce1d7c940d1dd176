"""How many frames of unknown incarnations a link may have tried: each costs a derivation of keys.

A frame of an incarnation that we know is always tried, so a flood never stops a line that works; a
true peer that starts anew says hello again and again, and has its share of the tries.
"""

from __future__ import annotations

from gateway.core.policy import Policy
from gateway.model import Instant


class Strangers:
    """Tries of one link: `stranger_burst` at once, then one each `stranger_interval_ms`."""

    __slots__ = ("_left", "_policy", "_since")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._left = policy.stranger_burst
        self._since: Instant | None = None

    def admits(self, now: Instant) -> bool:
        """Whether one more is tried now; takes it if so."""
        since = self._since
        if since is None:
            self._since = since = now
        earned = (now - since) // self._policy.stranger_interval_ms
        self._left = min(self._left + earned, self._policy.stranger_burst)
        self._since = Instant(since + earned * self._policy.stranger_interval_ms)
        if not self._left:
            return False
        self._left -= 1
        return True
