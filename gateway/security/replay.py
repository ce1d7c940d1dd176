"""Which counters of one frame key were accepted (RFC 4303 section 3.4.3, with a wide window)."""

from __future__ import annotations

from typing import Final

WIDTH: Final = 1024


class ReplayWindow:
    """Remembers the last `width` counters below the highest; older ones count as seen."""

    __slots__ = ("_highest", "_mask", "_seen", "_starts_anywhere", "width")

    def __init__(self, width: int = WIDTH, *, starts_anywhere: bool = False) -> None:
        """`starts_anywhere`: counters below the first one accepted may have been seen before a
        restart of ours, which forgot them: they count as seen.
        """
        self.width = width
        self._starts_anywhere = starts_anywhere
        self._highest = -1
        self._seen = 0
        """Bit i: `_highest` - i was accepted."""
        self._mask = (1 << width) - 1

    def close_below(self, counter: int) -> None:
        """Every counter below this one counts as seen from now on."""
        if counter - 1 >= self._highest:
            self._highest = counter - 1
            self._seen = self._mask
        else:
            self._seen |= self._mask & ~((1 << (self._highest - counter + 1)) - 1)

    def is_fresh(self, counter: int) -> bool:
        """Whether the counter was never accepted, as far as the window knows. Changes nothing."""
        if counter > self._highest:
            return True
        behind = self._highest - counter
        return behind < self.width and not self._seen >> behind & 1

    def accept(self, counter: int) -> None:
        """Take a counter as used; only for a frame that opened."""
        if counter > self._highest:
            ahead = counter - self._highest
            self._seen = (self._seen << min(ahead, self.width) | 1) & self._mask
            if self._starts_anywhere and self._highest < 0:
                self._seen = self._mask
            self._highest = counter
        elif self._highest - counter < self.width:
            self._seen |= 1 << (self._highest - counter)
