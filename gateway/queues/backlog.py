"""Which untaken notices an adapter looks at next, and which it has given away. No clock.

In rounds, the most urgent first.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.records import Publication
from gateway.model import ActId, Precedence


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


class UnderWay:
    """Notices that the broker has and no consumer has taken, as far as can be known.

    A broker hands on in order: what it got before a notice that was taken was taken too, or is
    lost. Beyond `count_max` the oldest are forgotten.
    """

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._notices: dict[ActId, None] = {}

    def __len__(self) -> int:
        return len(self._notices)

    def __contains__(self, notice_id: ActId) -> bool:
        return notice_id in self._notices

    def add(self, notice_id: ActId) -> None:
        self._notices.pop(notice_id, None)
        self._notices[notice_id] = None
        if len(self._notices) > self._count_max:
            del self._notices[next(iter(self._notices))]

    def take(self, notice_id: ActId) -> None:
        """A consumer has said so."""
        while notice_id in self._notices:
            del self._notices[next(iter(self._notices))]

    def clear(self) -> None:
        """Nobody takes: what the broker has of it is not known."""
        self._notices.clear()
