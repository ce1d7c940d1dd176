"""PACE routing: which link carries the next attempt. Pure choice from evidence; keeps no state."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, TypeVar

from gateway.core.link_health import LinkHealth
from gateway.core.policy import Policy
from gateway.model import Instant, LinkName, LinkState

_RANK = {LinkState.UP: 0, LinkState.DEGRADED: 1, LinkState.PROBING: 2, LinkState.DOWN: 3}


class Candidate(Protocol):
    """A link as routing sees it."""

    @property
    def name(self) -> LinkName: ...
    @property
    def health(self) -> LinkHealth: ...


AnyCandidate = TypeVar("AnyCandidate", bound=Candidate)


def best_links(
    candidates: Sequence[AnyCandidate],
    policy: Policy,
    now: Instant,
    *,
    exclude: Collection[LinkName] = (),
) -> list[AnyCandidate]:
    """Links with a working device, best first.

    By state, then in PACE order; a link that has just come back waits `restore_ms` behind a
    settled one, so that a flapping primary does not drag traffic to and fro.
    """

    def rank(pair: tuple[int, AnyCandidate]) -> tuple[int, bool, int]:
        order, candidate = pair
        health = candidate.health
        fresh = health.up_since is not None and now - health.up_since < policy.restore_ms
        return _RANK[health.state], fresh, order

    working = [
        (order, candidate)
        for order, candidate in enumerate(candidates)
        if candidate.health.traits is not None and candidate.name not in exclude
    ]
    return [candidate for _, candidate in sorted(working, key=rank)]
