"""An NKey of NATS: an Ed25519 seed as a line of base32, by which a user proves who he is.

The form is of github.com/nats-io/nkeys: two octets of kind, 32 of the seed, CRC-16 (XMODEM).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import FieldError

_USER: Final = 20 << 3
# S is the kind of a seed; 58 characters are 36 octets, and no other number.
_SEED_LINE: Final = re.compile(r"\bSU[A-Z2-7]{56}\b")


@dataclass(frozen=True, slots=True)
class Nkey:
    """A user's key; `sign` answers the nonce of a server."""

    signer: Ed25519PrivateKey = field(repr=False)

    @property
    def public(self) -> str:
        """As the server's configuration names the user: `U` and 55 characters."""
        body = bytes([_USER]) + self.signer.public_key().public_bytes_raw()
        return base64.b32encode(body + _check(body)).decode().rstrip("=")

    def sign(self, nonce: str) -> bytes:
        """The signature in base64, as CONNECT carries it."""
        return base64.b64encode(self.signer.sign(nonce.encode()))


def parse_nkey(text: str) -> Nkey:
    """The seed of a user in the text of a file. Raises `FieldError`; the text is never shown."""
    found = _SEED_LINE.findall(text)
    if len(found) != 1:
        raise _bad("holds no seed of a user")
    raw = base64.b32decode(found[0] + "=" * (-len(found[0]) % 8))
    body, check = raw[:-2], raw[-2:]
    kind = (raw[0] & 0x07) << 5 | raw[1] >> 3
    if kind != _USER or check != _check(body):
        raise _bad("is damaged")
    return Nkey(Ed25519PrivateKey.from_private_bytes(body[2:]))


def _check(octets: bytes) -> bytes:
    return binascii.crc_hqx(octets, 0).to_bytes(2, "little")


def _bad(problem: str) -> FieldError:
    return FieldError("nkey", problem, "write one seed (SU...) as nk -gen user makes it")
