"""Signatures of acts: Ed25519 over the Sig_structure of a COSE_Sign1 whose headers are implied."""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidSignature

from gateway.errors import AuthenticationError
from gateway.model import Station
from gateway.security.cards import PROTECTED_ED25519, Card, StationKeys
from gateway.wire.canonical import dump
from gateway.wire.limits import PROTOCOL, SIGNATURE_SIZE


@lru_cache(maxsize=64)
def act_external_aad(*, originator: Station, to: Station) -> bytes:
    """Binds what the act does not say: protocol, originator, addressee; not the key generation."""
    return dump([PROTOCOL, originator, to])


def signed_octets(octets: bytes, *, originator: Station, to: Station) -> bytes:
    """The Sig_structure (RFC 9052 section 4.4)."""
    external = act_external_aad(originator=originator, to=to)
    return dump(["Signature1", PROTECTED_ED25519, external, octets])


def sign_act(keys: StationKeys, octets: bytes, *, originator: Station, to: Station) -> bytes:
    """64 octets. The same act always gets the same signature."""
    return keys.signer.sign(signed_octets(octets, originator=originator, to=to))


def verify_act(
    card: Card, octets: bytes, signature: bytes, *, originator: Station, to: Station
) -> None:
    """Raises `AuthenticationError` unless the card's station signed exactly this."""
    if card.station != originator or len(signature) != SIGNATURE_SIZE:
        raise AuthenticationError("the signature is not of the originator's card")
    try:
        card.verifier.verify(signature, signed_octets(octets, originator=originator, to=to))
    except InvalidSignature as error:
        raise AuthenticationError("the signature of an act does not verify") from error


def sign_head(keys: StationKeys, content: bytes) -> bytes:
    """Sign the head of the own log book (`log-head` in gateway.cddl); 64 octets."""
    return keys.signer.sign(_head_octets(content))


def verify_head(card: Card, content: bytes, signature: bytes) -> None:
    """Raises `AuthenticationError` unless the card's station signed this head of its book."""
    try:
        card.verifier.verify(signature, _head_octets(content))
    except InvalidSignature as error:
        raise AuthenticationError("the signature of a log book's head does not verify") from error


def _head_octets(content: bytes) -> bytes:
    return dump(["Signature1", PROTECTED_ED25519, dump([PROTOCOL, "log head"]), content])
