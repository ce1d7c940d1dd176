"""What a gateway tells the other one of its station about its configuration; marks, no secrets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway import __version__
from gateway.config.settings import SpareSettings
from gateway.security.keys import KeyRing, Line


@dataclass(frozen=True, slots=True)
class Twin:
    """One of the two."""

    name: str
    version: str
    station: str
    """8 octets, hex, of its public keys."""
    lines: Mapping[str, str]
    """By far station: 8 octets, hex, of its card and of the generations of the secret."""
    takeover: str
    lease_s: int


def twin_of(keys: KeyRing, spare: SpareSettings) -> Twin:
    """This gateway."""
    return Twin(
        name=spare.name,
        version=__version__,
        station=_mark(keys.card.sign_public, keys.card.exchange_public),
        lines={line.card.name: _mark_of(line) for line in keys.lines.values()},
        takeover=spare.takeover,
        lease_s=spare.lease_s,
    )


def differences(own: Twin, other: Twin) -> Iterator[tuple[str, bool]]:
    """What is not the same on both machines, a sentence each, and whether a take-over by one of
    them would cut a line.
    """
    if own.station != other.station:
        yield f"gateway {other.name} has another station key", True
    for far in sorted({*own.lines, *other.lines}):
        ours, theirs = own.lines.get(far), other.lines.get(far)
        if theirs is None:
            yield f"gateway {other.name} has no line to {far}", True
        elif ours is None:
            yield f"gateway {other.name} has a line to {far}, which is not here", True
        elif ours != theirs:
            text = f"gateway {other.name} has another card or another secret of {far}"
            yield text, True
    for setting, ours_is, theirs_is in (
        ("takeover", own.takeover, other.takeover),
        ("lease_s", own.lease_s, other.lease_s),
        ("version", own.version, other.version),
    ):
        if ours_is != theirs_is:
            yield f"{setting} is {ours_is} here and {theirs_is} on gateway {other.name}", False


def _mark_of(line: Line) -> str:
    keys = line.keys
    held = [it.mark() for it in (keys.newest, keys.hello, keys.former) if it is not None]
    return _mark(line.card.sign_public, line.card.exchange_public, bytes(line.is_revoked), *held)


def _mark(*octets: bytes) -> str:
    return hashlib.sha256(b"".join(octets)).digest()[:8].hex()
