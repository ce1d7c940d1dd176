"""What an attacker makes of what he has heard: frames that the far station never sealed.

The octets of real conversations are the material, and keys of another generation. Draws come from
a seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from gateway.model import Station
from gateway.security.keys import derive_line_keys
from gateway.security.seal import seal_frame
from gateway.sim.world import World
from gateway.wire.frame import encode_header, parse_frame
from gateway.wire.limits import FRAME_COUNT_MAX

PEER, VICTIM, THIRD = Station(1), Station(2), Station(3)
KINDS: Final = ("spliced", "generation", "mirrored", "renumbered", "renamed", "cut", "random")


@dataclass(frozen=True, slots=True)
class Heard:
    """Frames of the peer to the victim, of the victim to the peer, and of all other lines."""

    to_victim: list[bytes]
    from_victim: list[bytes]
    others: list[bytes]


def flipped(frames: list[bytes]) -> Iterator[bytes]:
    """Every single bit of every frame, one at a time."""
    for octets in frames:
        for place in range(len(octets) * 8):
            hurt = bytearray(octets)
            hurt[place // 8] ^= 1 << place % 8
            yield bytes(hurt)


class Forger:
    """Draws frames of every kind, in turn."""

    def __init__(self, world: World, heard: Heard, seed: int) -> None:
        self._rng = Random(seed)
        self._heard = heard
        peer, card = world.posts[PEER].keys.own, world.posts[VICTIM].keys.card
        # A thief of the peer's station keys who lacks the line's secret, and one of an old secret.
        self._old_keys = [
            derive_line_keys(peer, card, bytes(32), generation) for generation in (1, 2)
        ]

    def draw(self, number: int) -> bytes:
        """The frame of the kind whose turn it is."""
        rng = self._rng
        frame = rng.choice(self._heard.to_victim)
        header, start, sealed = parse_frame(frame)
        match KINDS[number % len(KINDS)]:
            case "spliced":
                # Of two lines, of two frames, of both directions; anywhere, or at the header.
                other = rng.choice(self._heard.others + self._heard.from_victim)
                if rng.random() < 0.5:
                    return start + parse_frame(other)[2]
                cut = rng.randrange(1, len(frame))
                return frame[:cut] + other[cut:]
            case "generation":
                keys = rng.choice(self._old_keys)
                incarnation = header.incarnation or rng.randbytes(8)
                made = replace(header, generation=keys.generation, incarnation=incarnation)
                key = keys.outbound(generation_is_hello=False, incarnation=incarnation)
                octets = seal_frame(key, made, sealed[:-8], recipient=VICTIM)
                return encode_header(header) + octets[made.size :] if rng.random() < 0.5 else octets
            case "mirrored":
                back, _, body = parse_frame(rng.choice(self._heard.from_victim))
                sender = PEER if rng.random() < 0.7 else back.sender
                return encode_header(replace(back, sender=sender)) + body
            case "renumbered":
                counter = rng.randrange(FRAME_COUNT_MAX)
                if counter == header.counter:
                    counter ^= 1
                return encode_header(replace(header, counter=counter)) + sealed
            case "renamed":
                # Under another incarnation, or without the one that it names.
                named = rng.randbytes(8) if rng.random() < 0.5 or not header.generation else None
                if named == header.incarnation:
                    named = rng.randbytes(8)
                return encode_header(replace(header, incarnation=named)) + sealed
            case "cut":
                return frame[: rng.randrange(len(frame))] + rng.randbytes(rng.randrange(12))
            case _:
                return start + rng.randbytes(len(sealed))
