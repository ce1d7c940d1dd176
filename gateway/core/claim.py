"""What two gateways of one station share and say of who is the active one: values alone."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model import Instant, Word


class Hold(Word):
    """By what right a gateway is the active one."""

    NONE = "none"
    LEASE = "lease"
    HAND = "hand"


@dataclass(frozen=True, slots=True)
class Claim:
    """The entry that both gateways see. Each new holder has a higher term; NONE: given back."""

    term: int
    name: str
    """Of the gateway, unique in its station."""
    run: str
    """Drawn anew at each start of the process, so that a copied card is no second holder."""
    hold: Hold
    lease_ms: int = 0
    """The holder's own, so that a shorter one of the other takes nothing early."""
    is_paused: bool = False
    """Its holder was stopped in order, transmits no more, and may be back soon."""
    is_asked: bool = False
    """By hand, and its holder has not seen yet that it was taken: such a claim may come to the
    entry late, when nobody wants it any more.
    """


class Copy(Word):
    """How a gateway's store compares with what the cluster has."""

    UNSEEN = "unseen"
    """The cluster gives no answer."""
    BEHIND = "behind"
    """More came while it was read."""
    WHOLE = "whole"
    AHEAD = "ahead"
    """Its own last commits are not at the cluster, and nobody else's came after them."""
    EMPTIED = "emptied"
    """The cluster has no commits any more, and nothing shows that this store has them all."""
    OTHER = "other"
    """It does not go on from here: it needs the whole store of the other one."""


@dataclass(frozen=True, slots=True)
class Read:
    """Look the entry up: `read` or nothing comes of it."""


@dataclass(frozen=True, slots=True)
class Put:
    """Replace the entry where its revision is still this one (0: there is none)."""

    claim: Claim
    revision: int


Order = Read | Put


@dataclass(frozen=True, slots=True)
class Wish:
    """A person's word that this gateway be the active one, which the cluster has not taken yet."""

    said_at: Instant | None
    """None: in an earlier boot."""
    other_is_off: bool
    revision: int
    """Of the entry then: what the other gateway has claimed since is newer."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What must outlive a restart: whether a person made this one the active one, and when."""

    by_hand: bool = False
    """The cluster has taken that, or does not count."""
    wish: Wish | None = None
    wait_ms: int = 0
    """For a lease of the other: anew after a restart. 0: it has ended."""
    term: int = 0
    run: str = ""
    """Of the last claim by this machine in this boot, whose process has ended; empty: of none."""
    resume_count: int = 0
    """Starts in a row that took up the lease of a killed run."""

    @property
    def is_wanted(self) -> bool:
        """Whether a person made it the active one, and nobody has taken that back."""
        return self.by_hand or self.wish is not None


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a promotion is refused: what, and what to do."""

    problem: str
    remedy: str
