"""Rotations of a line's secret, as people do them: one side first, the other when it gets there."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.model import Station
from gateway.security.keys import KeyRing, Line, derive_line_keys
from gateway.sim.world import World

_Pair = frozenset[Station]


@dataclass(slots=True)
class Secrets:
    """The secrets of all lines, and which generation each end has taken."""

    world: World
    made: dict[_Pair, list[bytes]] = field(default_factory=dict)
    """Of generation 2, 3 ... of a line."""

    def can_rotate(self, station: Station, far: Station) -> bool:
        """Whether nothing is under way: both hold one generation and use it, as `status` says."""
        posts = self.world.posts[station], self.world.posts[far]
        generations = set()
        for post, other in zip(posts, (far, station), strict=True):
            generations.add(post.keys.lines[other].generation)
            status = post.status
            if post.engine is None or status is None:
                return False
            (peer,) = [peer for peer in status.peers if peer.station == other]
            if peer.rotating or peer.generation != post.keys.lines[other].generation:
                return False
        return len(generations) == 1

    def make(self, station: Station, far: Station, secret: bytes) -> None:
        """A new secret; nobody has it yet but who takes it."""
        self.made.setdefault(frozenset((station, far)), []).append(secret)

    def take(self, station: Station, far: Station) -> None:
        """Put the newest secret beside the one before it; it counts from the next start."""
        post = self.world.posts[station]
        secrets = [self.world.secret, *self.made[frozenset((station, far))]]
        line, newest = post.keys.lines[far], len(secrets)
        keys = derive_line_keys(
            post.keys.own,
            line.card,
            secrets[-1],
            newest,
            hello_secret=secrets[0],
            former=(newest - 1, secrets[-2]),
        )
        lines = {**post.keys.lines, far: Line(line.card, keys, newest)}
        post.keys = KeyRing(post.keys.own, post.keys.card, lines)
