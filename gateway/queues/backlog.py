"""Which untaken notices an adapter looks at next: in rounds, the most urgent first. No clock."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.records import Publication
from gateway.model import Precedence


class Backlog:
    """A pass goes through the precedences, and through the feed within each, a round at a time.

    Ask the store for notices of `precedence` after `position` and `take` what it found.
    """

    def __init__(self, size: int) -> None:
        """`size`: how many notices a round asks for; fewer are the last of their precedence."""
        self._size = size
        self._found_count = 0
        self.is_over = False
        """The round that was taken was the last of a pass; the next begins with FLASH."""
        self.was_empty = False
        """The pass that is over found nothing at all."""
        self.restart()

    def restart(self) -> None:
        """The most urgent first again: somebody is there to take them, who was not."""
        self.precedence, self.position = Precedence.FLASH, 0
        self._found_count = 0

    def take(self, rows: Sequence[Publication]) -> None:
        """Go on behind the round's rows."""
        self._found_count += len(rows)
        self.is_over = self.was_empty = False
        if len(rows) == self._size:
            self.position = rows[-1].offset
        elif self.precedence < Precedence.ROUTINE:
            self.precedence, self.position = Precedence(self.precedence + 1), 0
        else:
            self.is_over, self.was_empty = True, self._found_count == 0
            self.restart()
