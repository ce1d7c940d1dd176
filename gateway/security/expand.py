"""Our frames and acts as standard COSE that other programs read, and back.

A frame is a COSE_Encrypt0 with a compressed header, an act with its signature a COSE_Sign1 with
implied headers. Expanding needs no key; opening does. What COSE leaves to the application (the
external AAD, the context IV) is returned beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import AuthenticationError, DecodeError, FieldError
from gateway.model import Station
from gateway.security.cards import PROTECTED_ED25519, Card
from gateway.security.keys import FrameKey, KeyRing
from gateway.security.seal import (
    LABEL_ALGORITHM,
    LABEL_KID,
    LABEL_KID_CONTEXT,
    LABEL_PARTIAL_IV,
    context_iv,
    external_aad,
    open_frame,
    protected_header,
)
from gateway.security.signature import act_external_aad
from gateway.wire.canonical import as_array, as_octets, dump, load, load_map, load_sequence
from gateway.wire.diagnostic import (
    Embedded,
    Noted,
    Tagged,
    annotate_act,
    annotate_item,
    diagnose,
)
from gateway.wire.frame import Header, encode_header, parse_frame
from gateway.wire.items import ActItem, Item, as_signature, decode_items
from gateway.wire.limits import (
    ACT_NESTING_MAX,
    ITEM_COUNT_MAX,
    KEY_SIZE,
)

_TAG_ENCRYPT0: Final = b"\xd0"
_TAG_SIGN1: Final = b"\xd2"
_COSE_KEY_OKP: Final = 1
_COSE_KEY_SYMMETRIC: Final = 4
_CURVE_ED25519: Final = 6
_LABEL_NAMES: Final = {
    LABEL_ALGORITHM: "alg: AES-CCM-16-64-256",
    LABEL_KID: "kid: sender, generation",
    LABEL_PARTIAL_IV: "partial IV",
    LABEL_KID_CONTEXT: "kid context: incarnation",
}


@dataclass(frozen=True, slots=True)
class ExpandedFrame:
    header: Header
    cose: bytes
    """A tagged COSE_Encrypt0 (`cose-encrypt0` in gateway.cddl)."""
    diagnostic: str


@dataclass(frozen=True, slots=True)
class ExpandedAct:
    cose: bytes
    """A tagged COSE_Sign1 (`cose-sign1` in gateway.cddl)."""
    external_aad: bytes
    diagnostic: str


@dataclass(frozen=True, slots=True)
class OpenedFrame:
    """A captured frame with everything that another COSE program needs to open it too."""

    frame: ExpandedFrame
    recipient: Station
    external_aad: bytes
    plaintext: bytes
    items: tuple[Item, ...]
    acts: tuple[ExpandedAct, ...]
    """Its signed acts."""
    diagnostic: str
    """The items."""
    cose_key: bytes = field(repr=False)
    """Opens this frame and each other of its sender's incarnation. Secret: never log it."""


def expand_frame(octets: bytes) -> ExpandedFrame:
    """The COSE_Encrypt0 that a frame stands for; no key needed. Raises `DecodeError`."""
    header, _, sealed = parse_frame(octets)
    protected = protected_header(header)
    cose = _TAG_ENCRYPT0 + dump([protected, {}, sealed])
    labels = {
        label: Noted(value, _LABEL_NAMES[label]) for label, value in load_map(protected).items()
    }
    structure = [
        Noted(Embedded(labels), "protected"),
        Noted({}, "unprotected"),
        Noted(sealed, "ciphertext and tag"),
    ]
    return ExpandedFrame(header, cose, diagnose(Tagged(16, structure)))


def compress_frame(cose: bytes) -> bytes:
    """The frame of a COSE_Encrypt0 whose header is ours. Raises `DecodeError` for any other."""
    if cose[:1] != _TAG_ENCRYPT0:
        raise DecodeError("not a tagged COSE_Encrypt0")
    protected, _, sealed = as_array(load(cose[1:]), "COSE_Encrypt0", low=3, high=3)
    fields = load_map(as_octets(protected, "protected header"))
    kid = as_octets(fields.get(LABEL_KID), "kid", size=2)
    partial_iv = as_octets(fields.get(LABEL_PARTIAL_IV), "partial IV")
    incarnation = None
    if LABEL_KID_CONTEXT in fields:
        incarnation = as_octets(fields[LABEL_KID_CONTEXT], "kid context", size=8)
    try:
        header = Header(Station(kid[0]), kid[1], int.from_bytes(partial_iv, "big"), incarnation)
    except FieldError as error:
        raise DecodeError(f"a header that no frame has: {error}") from error
    octets = encode_header(header) + as_octets(sealed, "ciphertext")
    if expand_frame(octets).cose != cose:
        raise DecodeError("a COSE_Encrypt0 with another header than ours")
    return octets


def expand_act(octets: bytes, signature: bytes, *, originator: Station, to: Station) -> ExpandedAct:
    """The COSE_Sign1 that an act and its signature stand for. Raises `DecodeError`."""
    fields = load_map(octets, nesting=ACT_NESTING_MAX)
    cose = _TAG_SIGN1 + dump([PROTECTED_ED25519, {}, octets, signature])
    structure = [
        Noted(Embedded({1: Noted(-19, "alg: Ed25519")}), "protected"),
        Noted({}, "unprotected"),
        Noted(Embedded(annotate_act(fields)), "payload: act"),
        Noted(signature, "signature"),
    ]
    external = act_external_aad(originator=originator, to=to)
    return ExpandedAct(cose, external, diagnose(Tagged(18, structure)))


def compress_act(cose: bytes) -> tuple[bytes, bytes]:
    """(octets of the act, signature) of a COSE_Sign1 with our header. Raises `DecodeError`."""
    if cose[:1] != _TAG_SIGN1:
        raise DecodeError("not a tagged COSE_Sign1")
    protected, unprotected, octets, signature = as_array(
        load(cose[1:]), "COSE_Sign1", low=4, high=4
    )
    checked = as_signature(signature)
    if protected != PROTECTED_ED25519 or unprotected != {} or checked is None:
        raise DecodeError("a COSE_Sign1 with another header than ours")
    payload = as_octets(octets, "payload")
    load_map(payload, nesting=ACT_NESTING_MAX)
    return payload, checked


def cose_key(key: FrameKey, header: Header) -> bytes:
    """A COSE_Key with which any COSE program opens the expanded frame. Secret: never log it.

    Its Base IV is the context IV, so that the nonce follows from the partial IV (RFC 9052 3.1).
    """
    if len(key.key) != KEY_SIZE:
        raise DecodeError("not a key of ours")
    fields: dict[int, int | bytes] = {
        1: _COSE_KEY_SYMMETRIC,
        2: header.kid,
        3: 11,
        5: context_iv(key, header),
        -1: key.key,
    }
    return _cose_map(fields)


def public_cose_key(card: Card) -> bytes:
    """A COSE_Key with which any COSE program verifies what this card's station signs; public."""
    return _cose_map({1: _COSE_KEY_OKP, 3: -19, -1: _CURVE_ED25519, -2: card.sign_public})


def _cose_map(fields: Mapping[int, int | bytes]) -> bytes:
    """Labels from -24 to 23 in their canonical order: negative ones last."""
    pairs = [dump(label) + dump(value) for label, value in fields.items()]
    return bytes([0xA0 | len(pairs)]) + b"".join(pairs)


def open_captured(
    ring: KeyRing, octets: bytes, *, incarnations: Iterable[bytes] = ()
) -> OpenedFrame:
    """Open a captured frame of either direction with a station's keys.

    `incarnations` are tried for a frame that does not name its own. Raises `DecodeError` for no
    frame, `AuthenticationError` when nothing fits, with the reason.
    """
    frame = expand_frame(octets)
    header = frame.header
    candidates = tuple(incarnations) if header.incarnation is None else (header.incarnation,)
    is_own = header.sender == ring.own.station
    lines = list(ring.lines.values()) if is_own else [ring.lines.get(header.sender)]
    for line in lines:
        roots = None if line is None else line.keys.held(header.generation)
        if line is None or roots is None:
            continue
        recipient = line.card.station if is_own else ring.own.station
        derive = roots.sealing if is_own else roots.opening
        for incarnation in candidates:
            key = derive(incarnation)
            try:
                return open_expanded(frame, key, octets, recipient=recipient)
            except AuthenticationError:
                continue
    if not candidates:
        raise AuthenticationError(
            "the frame does not name its sender's incarnation; give it, from the log or a hello"
        )
    raise AuthenticationError(
        f"no key of station {header.sender}, generation {header.generation} opens the frame"
    )


def open_expanded(
    frame: ExpandedFrame, key: FrameKey, octets: bytes, *, recipient: Station
) -> OpenedFrame:
    """The frame's items as values, as notation and its acts as COSE_Sign1."""
    plaintext = open_frame(key, octets, recipient=recipient)
    items = decode_items(plaintext)
    acts = tuple(
        expand_act(item.octets, item.signature, originator=frame.header.sender, to=recipient)
        for item in items
        if isinstance(item, ActItem) and item.signature is not None
    )
    found = load_sequence(plaintext, count_max=ITEM_COUNT_MAX)
    notation = ",\n".join(
        [diagnose(annotate_item(as_array(value, "item", low=2, high=5))) for value, _ in found]
    )
    aad = external_aad(frame.header, recipient=recipient)
    secret = cose_key(key, frame.header)
    return OpenedFrame(frame, recipient, aad, plaintext, items, acts, notation, secret)
