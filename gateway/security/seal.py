"""Frames sealed and opened: COSE_Encrypt0 (RFC 9052), AES-CCM-16-64-256, nonce of RFC 8613.

The whole restored header is protected, so a frame means one thing only: no bit of it, not even
the presence of its kid context, can be changed.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag

from gateway.errors import AuthenticationError
from gateway.model import Station
from gateway.security.keys import ALGORITHM_AES_CCM_16_64_256, FrameKey
from gateway.wire.canonical import dump
from gateway.wire.frame import Header, encode_header, parse_frame
from gateway.wire.limits import NONCE_SIZE, PROTOCOL

LABEL_ALGORITHM: Final = 1
LABEL_KID: Final = 4
LABEL_PARTIAL_IV: Final = 6
LABEL_KID_CONTEXT: Final = 10
_COUNTER_SIZE: Final = 5
_ID_SIZE: Final = NONCE_SIZE - _COUNTER_SIZE - 1


def protected_header(header: Header) -> bytes:
    """The protected header map of the COSE_Encrypt0 that the frame stands for."""
    fields: dict[int, object] = {
        LABEL_ALGORITHM: ALGORITHM_AES_CCM_16_64_256,
        LABEL_KID: header.kid,
        LABEL_PARTIAL_IV: header.partial_iv,
    }
    if header.incarnation is not None:
        fields[LABEL_KID_CONTEXT] = header.incarnation
    return dump(fields)


def external_aad(header: Header, *, recipient: Station) -> bytes:
    """Binds what the header does not say: protocol and recipient."""
    return dump([PROTOCOL, header.sender, recipient, header.generation])


def additional_data(header: Header, *, recipient: Station) -> bytes:
    """The Enc_structure (RFC 9052 section 5.3)."""
    external = external_aad(header, recipient=recipient)
    return dump(["Encrypt0", protected_header(header), external])


def context_iv(key: FrameKey, header: Header) -> bytes:
    """The Context IV (RFC 9052 section 3.1): XOR of common IV, size of the sender's id, the id.

    XOR with the padded partial IV gives the nonce of RFC 8613 section 5.2, so that a program that
    knows COSE but not RFC 8613 computes the same nonce.
    """
    kid = header.kid
    mask = bytes((len(kid),)) + kid.rjust(_ID_SIZE, b"\x00") + bytes(_COUNTER_SIZE)
    return _xor(key.common_iv, mask)


def nonce(key: FrameKey, header: Header) -> bytes:
    """13 octets, used once: the counter never repeats under a key."""
    return _xor(context_iv(key, header), header.counter.to_bytes(NONCE_SIZE, "big"))


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(NONCE_SIZE, "big")


def seal_frame(key: FrameKey, header: Header, items: bytes, *, recipient: Station) -> bytes:
    """The frame that goes on the link. Never call it twice with the same key and counter."""
    sealed = key.cipher.encrypt(
        nonce(key, header), items, additional_data(header, recipient=recipient)
    )
    return encode_header(header) + sealed


def open_frame(key: FrameKey, octets: bytes, *, recipient: Station) -> bytes:
    """The octets of the items. Raises `AuthenticationError`; `DecodeError` for no frame at all."""
    header, _, sealed = parse_frame(octets)
    try:
        return key.cipher.decrypt(
            nonce(key, header), sealed, additional_data(header, recipient=recipient)
        )
    except InvalidTag as error:
        raise AuthenticationError("a frame does not open under its key") from error
