"""What a simulated radio knows of another node."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(slots=True)
class Peer:
    number: int
    name: str
    public_key: bytes | None
    """None when the radio does not know it: no direct message with PKC is possible."""
    next_hop: int = 0
    """Last octet of the node that led to it the last time; 0 when none is known."""


def public_key_of(number: int) -> bytes:
    """The simulated key of a node, the same in every run: 32 octets, good for comparing only."""
    return hashlib.sha256(b"simulated public key %d" % number).digest()


def private_key_of(number: int) -> bytes:
    return hashlib.sha256(b"simulated private key %d" % number).digest()


def id_of(number: int) -> str:
    return f"!{number:08x}"
