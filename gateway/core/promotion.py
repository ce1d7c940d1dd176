"""A person's word that this gateway be the active one, until the entry at the cluster shows it.

It is first a wish. Said with `other_is_off` it counts after `ALONE_MS` also where the cluster does
not take it. Else it is void after `WISH_MS`, or when the other gateway claims by hand meanwhile: so
it never comes true against what a person has said since. Taken, it has no end, in this run and the
next ones; where the cluster is away then, it counts after `RECALL_MS`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.core.claim import Claim, Hold, Memory, Wish
from gateway.core.takeover import ALONE_MS
from gateway.model import Instant

WISH_MS: Final = 60_000
"""`hotline promote` waits as long."""
RECALL_MS: Final = 5_000
"""After a start, one that was promoted by hand asks the cluster this long, then goes on alone."""


class Promotion:
    """What is still to be said at the cluster. All instants are of this gateway's clock."""

    def __init__(self, memory: Memory, now: Instant) -> None:
        self.wish = _renewed(memory.wish, now)
        self._asked = memory.wish
        """By an earlier run; whether the cluster took it, the first look says."""
        self.is_owed = memory.by_hand
        """It is the active one by hand, or was, and the entry does not show it yet."""
        self.recall_until = Instant(now + RECALL_MS) if memory.by_hand else None

    @property
    def is_wanted(self) -> bool:
        return self.wish is not None or self.is_owed

    @property
    def is_recalled(self) -> bool:
        """Whether an earlier run was the active one, and this one not yet."""
        return self.recall_until is not None

    @property
    def remembered(self) -> Wish | None:
        return self.wish or self._asked

    def deadline(self) -> Instant | None:
        """When `comes_true` may change by time alone."""
        return _end_of(self.wish) if self.recall_until is None else self.recall_until

    def pending_ms(self, now: Instant) -> int:
        """For how long a wish waits for the cluster still; 0: there is none."""
        end = _end_of(self.wish)
        return 0 if end is None else max(1, end - now)

    def waited_ms(self, now: Instant) -> int:
        """For how long it has waited; 0: there is none."""
        wish = self.wish
        return 0 if wish is None or wish.said_at is None else now - wish.said_at

    def say(self, now: Instant, *, other_is_off: bool, revision: int) -> None:
        self.wish, self._asked = Wish(now, other_is_off, revision), None

    def withdraw(self) -> None:
        """Nobody wants it any more."""
        self.wish = self._asked = self.recall_until = None
        self.is_owed = False

    def taken(self) -> None:
        """The entry shows it."""
        self.withdraw()

    def begun_alone(self) -> None:
        """It is the active one, and the cluster is told as soon as it listens."""
        self.withdraw()
        self.is_owed = True

    def looked(self) -> bool:
        """The entry was seen; whether an earlier run asked for what it may show."""
        asked, self._asked = self._asked, None
        return asked is not None or self.is_wanted

    def recall(self, now: Instant) -> None:
        """The cluster took it, from an earlier run of this gateway."""
        self.wish, self.is_owed = None, True
        if self.recall_until is None:
            self.recall_until = Instant(now + RECALL_MS)

    def meet(self, claim: Claim, revision: int) -> None:
        """A wish alone, and a claim of the other gateway, which is later where it is new."""
        wish = self.wish
        if wish is None or revision == wish.revision:
            return
        if claim.hold is Hold.HAND:
            self.withdraw()
        elif claim.hold is Hold.LEASE and not claim.is_paused:
            self.wish = replace(wish, other_is_off=False)  # it is not: that is its renewal

    def comes_true(self, now: Instant) -> bool:
        """Whether it counts from now on without the cluster; ends a wish that is void."""
        if self.recall_until is not None:
            return now >= self.recall_until
        end = _end_of(self.wish)
        if self.wish is None or end is None or now < end:
            return False
        if self.wish.other_is_off:
            return True
        self.wish = None
        return False


def _end_of(wish: Wish | None) -> Instant | None:
    if wish is None or wish.said_at is None:
        return None
    return Instant(wish.said_at + (ALONE_MS if wish.other_is_off else WISH_MS))


def _renewed(wish: Wish | None, now: Instant) -> Wish | None:
    """What goes on of an earlier run's. After a reboot, who said that the other one is off is
    believed from now on; else only the entry can tell that it was taken.
    """
    if wish is None or wish.said_at is not None:
        return wish
    return replace(wish, said_at=now) if wish.other_is_off else None
