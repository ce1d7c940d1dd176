"""Whether no gateway of a station is the active one, as far as one that stands by can tell.

Without this both would wait in silence, each for the other: the cluster is lost, and with it every
lease; or a lease is over and the copy that is left is not whole; or nobody holds the claim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.core.claim import Claim, Hold
from gateway.core.tenure import Tenure
from gateway.model import Instant, Word

FREE_MS: Final = 30_000
"""A person who makes one stand by and promotes the other has done so."""
OVER_MS: Final = 5_000
"""One that takes over, or takes its own lease up again, has done so."""


class Want(Word):
    """Why nobody is the active one."""

    FREE = "free"
    """Nobody holds the claim."""
    OVER = "over"
    """The lease of its holder is over, and was not renewed."""
    UNSEEN = "unseen"
    """The cluster does not answer, and no lease outlives that."""


@dataclass(frozen=True, slots=True)
class Vacant:
    """Nobody is the active one, and that for longer than a change of roles takes."""

    want: Want
    seen_at: Instant
    """When the cluster answered last, or this gateway started."""
    holder: str = ""
    """Whose lease is over."""


class Vigil:
    """Of one gateway, through all its roles."""

    def __init__(self, *, by_lease: bool, now: Instant) -> None:
        self._by_lease = by_lease
        self._seen_at = now
        self._since: Instant | None = None
        """When it was first found so."""

    def look(self, tenure: Tenure, now: Instant) -> Vacant | None:
        """To be asked each second or so. None: there is an active one, or may be soon."""
        claim, read_at, _ = tenure.seen
        if read_at is not None:
            self._seen_at = read_at
        want = self._want(tenure, now)
        if want is None:
            self._since = None
            return None
        if self._since is None:
            self._since = now
        if now < self._since + (FREE_MS if want is Want.FREE else OVER_MS):
            return None
        holder = claim.name if claim is not None and want is Want.OVER else ""
        return Vacant(want, self._seen_at, holder)

    def _want(self, tenure: Tenure, now: Instant) -> Want | None:
        claim, _, others_until = tenure.seen
        if tenure.hold is not Hold.NONE or _is_by_hand(claim):
            return None  # a person's word outlives the cluster
        if not tenure.is_seen(now):
            # By hand, and never seen: another may well be the active one, as persons decided.
            return Want.UNSEEN if self._by_lease or claim is not None else None
        if claim is None or claim.hold is Hold.NONE:
            return Want.FREE
        return Want.OVER if now >= others_until else None


def has_successor(tenure: Tenure, now: Instant) -> bool:
    """Whether the other gateway is the active one now, so that what pends is its matter."""
    other, (_, _, until) = tenure.other, tenure.seen
    return other is not None and (other.hold is Hold.HAND or now < until)


def _is_by_hand(claim: Claim | None) -> bool:
    return claim is not None and claim.hold is Hold.HAND
