"""What two stations share: roots of a line's keys, keys of frames, and the engine's key ring.

Both ends of a line derive the same directional roots from their X25519 keys and a 32-octet secret;
each start of a gateway derives fresh frame keys from a root and its 8-octet incarnation. Pure:
entropy comes in as an argument. Who a station is, is in `cards`, whose names are offered here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives import constant_time
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
    PROOF_SIZE,
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
class Roots:
    """The roots of one generation of a line, both directions."""

    generation: int
    """1 to 255; 0: the hello roots."""
    outbound: bytes = field(repr=False)
    inbound: bytes = field(repr=False)

    def sealing(self, incarnation: bytes) -> FrameKey:
        """The key under which we, in this incarnation of ours, seal."""
        return _frame_key(self.outbound, incarnation)

    def opening(self, incarnation: bytes) -> FrameKey:
        """The key under which the peer, in this incarnation of its, seals."""
        return _frame_key(self.inbound, incarnation)

    def proof(self, incarnation: bytes) -> bytes:
        """8 octets that tell the peer that we hold this generation, in this incarnation."""
        return self._proof(self.outbound, incarnation)

    def is_proof(self, proof: bytes, incarnation: bytes) -> bool:
        """Whether the peer, in this incarnation of its, holds this generation."""
        return constant_time.bytes_eq(proof, self._proof(self.inbound, incarnation))

    def mark(self) -> bytes:
        """8 octets that name this generation of this line, the same at both ends, and no key."""
        low, high = sorted((self.outbound, self.inbound))
        info = dump([PROTOCOL, "mark", self.generation])
        return HKDF(algorithm=SHA256(), length=PROOF_SIZE, salt=None, info=info).derive(low + high)

    def _proof(self, root: bytes, incarnation: bytes) -> bytes:
        info = dump([PROTOCOL, incarnation, "proof", self.generation])
        return HKDFExpand(algorithm=SHA256(), length=PROOF_SIZE, info=info).derive(root)


@dataclass(frozen=True, slots=True)
class LineKeys:
    """The roots of a line: its newest generation, the one before while that lasts, the hellos'."""

    own: Station
    peer: Station
    newest: Roots
    hello: Roots
    former: Roots | None = None

    @property
    def generation(self) -> int:
        return self.newest.generation

    def outbound(self, generation_is_hello: bool, incarnation: bytes) -> FrameKey:
        """The key of our frames in this incarnation of ours: the hellos', or the newest."""
        return (self.hello if generation_is_hello else self.newest).sealing(incarnation)

    def inbound(self, generation_is_hello: bool, incarnation: bytes) -> FrameKey:
        """The same of the peer's frames."""
        return (self.hello if generation_is_hello else self.newest).opening(incarnation)

    def held(self, generation: int) -> Roots | None:
        """The roots of a generation that this station holds; 0 names the hellos'."""
        for roots in (self.newest, self.former, self.hello):
            if roots is not None and roots.generation == generation:
                return roots
        return None


def derive_line_keys(
    own: StationKeys,
    peer: Card,
    secret: bytes,
    generation: int,
    *,
    hello_secret: bytes | None = None,
    former: tuple[int, bytes] | None = None,
) -> LineKeys:
    """Directional roots = HKDF-SHA256(X25519 static-static || secret; both stations, generation).

    The hello roots have no generation. A line whose secret was rotated gives its first one as
    `hello_secret`, so that a peer restored from a backup is never locked out, and the generation
    before with its secret as `former` while the peer may still use it. Raises `FieldError`.
    """
    former_generation, former_secret = former or (None, secret)
    for number in (generation, former_generation):
        if number is not None and not 1 <= number <= GENERATION_MAX:
            raise FieldError("generation", f"{number} is out of range", "give 1 to 255")
    if former_generation is not None and former_generation >= generation:
        raise FieldError("generation", "is not above the one before it", "rotate again")
    if peer.station == own.station:
        raise FieldError("card", "is of this station itself", "give the card of the far station")
    hello_secret = secret if hello_secret is None else hello_secret
    for octets in (secret, hello_secret, former_secret):
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

    def roots(number: int, material: bytes) -> Roots:
        return Roots(
            number,
            _root(shared + material, number, sender=us, recipient=them),
            _root(shared + material, number, sender=them, recipient=us),
        )

    return LineKeys(
        own=own.station,
        peer=peer.station,
        newest=roots(generation, secret),
        hello=roots(GENERATION_HELLO, hello_secret),
        former=None if former_generation is None else roots(former_generation, former_secret),
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
    is_revoked: bool = False
    """The operator withdrew the card: nothing is taken from it and nothing goes to it."""

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
