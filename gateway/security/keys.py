"""What two stations share: roots of a line's keys, keys of frames, and the engine's key ring.

Both ends of a line derive the same directional roots from their X25519 keys and a 32-octet secret;
each start of a gateway derives fresh frame keys from a root and its 8-octet incarnation. Pure:
entropy comes in as an argument. Who a station is, is in `cards`, whose names are offered here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from gateway.errors import FieldError
from gateway.model import Station
from gateway.security.cards import (
    Card,
    Signing,
    StationKeys,
    card_text,
    fingerprint_words,
    key_file_text,
    make_card,
    new_station_keys,
    parse_card,
    parse_key_file,
    parse_secret,
    secret_text,
)
from gateway.wire.canonical import dump
from gateway.wire.limits import (
    GENERATION_HELLO,
    GENERATION_MAX,
    INCARNATION_SIZE,
    KEY_SIZE,
    NONCE_SIZE,
    PROTOCOL,
    SECRET_SIZE,
    TAG_SIZE,
)

__all__ = [
    "ALGORITHM_AES_CCM_16_64_256",
    "Card",
    "FrameKey",
    "KeyRing",
    "Line",
    "LineKeys",
    "Signing",
    "StationKeys",
    "card_text",
    "derive_line_keys",
    "fingerprint_words",
    "key_file_text",
    "make_card",
    "new_station_keys",
    "parse_card",
    "parse_key_file",
    "parse_secret",
    "secret_text",
]

ALGORITHM_AES_CCM_16_64_256: Final = 11
"""COSE: 32-octet key, 13-octet nonce, 8-octet tag (RFC 9053 section 4.2)."""


@dataclass(frozen=True, slots=True)
class FrameKey:
    """Seals and opens the frames of one direction, generation and incarnation."""

    key: bytes = field(repr=False)
    """32 octets."""
    common_iv: bytes = field(repr=False)
    """13 octets (RFC 8613 section 5.2)."""
    cipher: AESCCM = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.common_iv) != NONCE_SIZE:
            raise FieldError("common_iv", f"has {len(self.common_iv)} octets", f"give {NONCE_SIZE}")
        object.__setattr__(self, "cipher", AESCCM(self.key, tag_length=TAG_SIZE))


@dataclass(frozen=True, slots=True)
class LineKeys:
    """The roots of one line and generation, both directions, and those of the hello key."""

    own: Station
    peer: Station
    generation: int
    outbound_root: bytes = field(repr=False)
    inbound_root: bytes = field(repr=False)
    hello_outbound_root: bytes = field(repr=False)
    hello_inbound_root: bytes = field(repr=False)

    def outbound(self, generation_is_hello: bool, incarnation: bytes) -> FrameKey:
        """The key under which we, in this incarnation of ours, seal."""
        root = self.hello_outbound_root if generation_is_hello else self.outbound_root
        return _frame_key(root, incarnation)

    def inbound(self, generation_is_hello: bool, incarnation: bytes) -> FrameKey:
        """The key under which the peer, in this incarnation of its, seals."""
        root = self.hello_inbound_root if generation_is_hello else self.inbound_root
        return _frame_key(root, incarnation)


def derive_line_keys(
    own: StationKeys,
    peer: Card,
    secret: bytes,
    generation: int,
    *,
    hello_secret: bytes | None = None,
) -> LineKeys:
    """Directional roots = HKDF-SHA256(X25519 static-static || secret; both stations, generation).

    The hello roots have no generation. A line whose secret was rotated gives its first one as
    `hello_secret`, so that a peer restored from a backup is never locked out. Raises `FieldError`.
    """
    if not 1 <= generation <= GENERATION_MAX:
        raise FieldError("generation", f"{generation} is out of range", "give 1 to 255")
    if peer.station == own.station:
        raise FieldError("card", "is of this station itself", "give the card of the far station")
    hello_secret = secret if hello_secret is None else hello_secret
    for octets in (secret, hello_secret):
        if len(octets) != SECRET_SIZE:
            raise FieldError("secret", f"has {len(octets)} octets", f"give {SECRET_SIZE}")
    try:
        shared = own.exchange.exchange(X25519PublicKey.from_public_bytes(peer.exchange_public))
    except ValueError as error:
        raise FieldError(
            "card", "has an exchange key that is no key", "ask for it again"
        ) from error
    us = (own.station, own.exchange_public)
    them = (peer.station, peer.exchange_public)
    return LineKeys(
        own=own.station,
        peer=peer.station,
        generation=generation,
        outbound_root=_root(shared + secret, generation, sender=us, recipient=them),
        inbound_root=_root(shared + secret, generation, sender=them, recipient=us),
        hello_outbound_root=_root(
            shared + hello_secret, GENERATION_HELLO, sender=us, recipient=them
        ),
        hello_inbound_root=_root(
            shared + hello_secret, GENERATION_HELLO, sender=them, recipient=us
        ),
    )


def _root(
    material: bytes, generation: int, *, sender: tuple[int, bytes], recipient: tuple[int, bytes]
) -> bytes:
    info = dump([PROTOCOL, "root", generation, [*sender], [*recipient]])
    return HKDF(algorithm=SHA256(), length=KEY_SIZE, salt=None, info=info).derive(material)


def _frame_key(root: bytes, incarnation: bytes) -> FrameKey:
    """Key and common IV; `info` is shaped as in RFC 8613 section 3.2.1."""
    if len(incarnation) != INCARNATION_SIZE:
        raise FieldError(
            "incarnation", f"has {len(incarnation)} octets", f"give {INCARNATION_SIZE}"
        )

    def expand(use: str, size: int) -> bytes:
        info = dump([PROTOCOL, incarnation, ALGORITHM_AES_CCM_16_64_256, use, size])
        return HKDFExpand(algorithm=SHA256(), length=size, info=info).derive(root)

    return FrameKey(expand("Key", KEY_SIZE), expand("IV", NONCE_SIZE))


@dataclass(frozen=True, slots=True)
class Line:
    """What the engine needs of one far station."""

    card: Card
    keys: LineKeys
    generation: int

    def __post_init__(self) -> None:
        if self.keys.peer != self.card.station or self.keys.generation != self.generation:
            raise FieldError("line", "its keys are not of its card and generation", "derive anew")


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Everything secret that the engine holds: own keys, own card, one `Line` a far station."""

    own: StationKeys
    card: Card
    lines: Mapping[Station, Line]

    def __post_init__(self) -> None:
        if (self.card.station, self.card.sign_public, self.card.exchange_public) != (
            self.own.station,
            self.own.sign_public,
            self.own.exchange_public,
        ):
            raise FieldError("card", "does not belong to the station's keys", "make it anew")
        names = {self.card.name}
        for station, line in self.lines.items():
            if station != line.card.station or line.keys.own != self.own.station:
                raise FieldError("lines", f"station {station} has other keys", "derive them anew")
            if line.card.name in names:
                raise FieldError(
                    "lines", f"two stations have the name {line.card.name}", "rename one"
                )
            names.add(line.card.name)

    def may_be_unsigned(self, station: Station) -> bool:
        """Whether both cards of the line name checkpoint signing."""
        return (
            self.card.signing is Signing.CHECKPOINT
            and self.lines[station].card.signing is Signing.CHECKPOINT
        )
