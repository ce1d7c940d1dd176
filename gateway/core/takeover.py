"""What one that holds the claim of its station does to become the active one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.core.claim import Copy
from gateway.model import Word

ALONE_MS: Final = 5_000
"""Promoted by hand, the takeover waits this long for a cluster that does not answer."""
CHASE_MS: Final = 30_000
"""The same, for one that answers while the other gateway still appends."""


class Start(Word):
    """What one that holds the claim does to become the active one."""

    WAIT = "wait"
    APPEND = "append"
    """Fence the other at the cluster, then begin."""
    ALONE = "alone"
    """Begin without the cluster."""
    LEAVE = "leave"
    """The claim is given back."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """`is_behind`: the other one may have said what this store does not have."""

    start: Start
    is_behind: bool = False


def takeover(copy: Copy, *, is_by_hand: bool, was_by_hand: bool, waited_ms: int) -> Takeover:
    """By how its store compares. `was_by_hand`: it was the active one so before this start."""
    match copy:
        case Copy.WHOLE | Copy.AHEAD:
            return Takeover(Start.APPEND)
        case Copy.OTHER | Copy.EMPTIED if is_by_hand:
            return Takeover(Start.APPEND, is_behind=True)
        case Copy.OTHER | Copy.EMPTIED:
            return Takeover(Start.LEAVE)  # by lease nobody goes on with less than there is
        case Copy.UNSEEN if is_by_hand and waited_ms >= ALONE_MS:
            return Takeover(Start.ALONE, is_behind=not was_by_hand)
        case Copy.BEHIND if is_by_hand and waited_ms >= CHASE_MS:
            return Takeover(Start.ALONE, is_behind=True)
        case _:
            return Takeover(Start.WAIT)
