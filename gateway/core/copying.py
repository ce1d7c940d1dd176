"""How the store of one of a station's two gateways compares with what the cluster has.

The cluster's commits may vanish: a person empties the stream, other stations' commits push ours
out of it, or it is made anew. Nothing there tells a store that has everything from one that has not
then. So who becomes the active one says so beside the commits too (`Begun`), and adds a commit
where it finds none; a store that goes on from that one has everything again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.core.claim import Copy
from gateway.model import Instant

BASE_AGAIN_MS: Final = 10_000
"""From one whole store that was asked for to the next, doubled each time that it did not help."""
BASE_AGAIN_MS_MAX: Final = 600_000
BASE_HELPED_MS: Final = 60_000
"""In step for this long, it did."""


@dataclass(frozen=True, slots=True)
class Stand:
    """Where in the row of commits: the number of the last one, and by whom it was made."""

    number: int = 0
    mark: int = 0


@dataclass(frozen=True, slots=True)
class Begun:
    """Which gateway was the last to become the active one, and its first commit then."""

    name: str
    number: int
    mark: int


def compare(own: Stand, newest: Stand | None, begun: Begun | None, name: str) -> Copy:
    """How the store of gateway `name` compares; `newest` None: the cluster has no commit at all.

    Then only two stores have everything for sure: an empty one where nobody ever began, and that of
    the last to begin, since whatever was accepted after that went into it first.
    """
    if newest is None:
        if begun is None:
            return Copy.WHOLE if own.number == 0 else Copy.EMPTIED
        is_last = begun.name == name and begun.mark == own.mark and begun.number <= own.number
        return Copy.WHOLE if is_last else Copy.EMPTIED
    if newest == own:
        return Copy.WHOLE
    if newest.mark == own.mark and newest.number < own.number:
        return Copy.AHEAD
    return Copy.OTHER


class Rebasing:
    """When one that is out of step asks for the whole store of the other: ever more seldom while
    that does not help, since each costs the other one its whole database.
    """

    def __init__(self) -> None:
        self._count = 0
        self._asked_at: Instant | None = None

    def is_due(self, now: Instant) -> bool:
        if self._asked_at is None:
            return True
        wait_ms = min(BASE_AGAIN_MS << min(self._count - 1, 16), BASE_AGAIN_MS_MAX)
        return now >= self._asked_at + wait_ms

    def asked(self, now: Instant) -> None:
        self._count += 1
        self._asked_at = now

    def in_step(self, now: Instant) -> None:
        """This store has all that the cluster has."""
        if self._asked_at is not None and now >= self._asked_at + BASE_HELPED_MS:
            self._count, self._asked_at = 0, None
