"""Octets as one line of capitals, digits and `-.`: what a QR code holds best and a person can copy.

`HOTLINE-<KIND>-<version>.` and then base32 of the octets and their CRC-32, which finds slips of a
copy. Authenticity is the content's own business.
"""

from __future__ import annotations

import base64
import zlib
from typing import Final

from gateway.errors import FieldError

VERSION: Final = "1"
ENCODED_SIZE_MAX: Final = 1024
_CHECKSUM_SIZE: Final = 4


def prefix_of(kind: str) -> str:
    """What the text of this kind begins with, its version left out."""
    return f"HOTLINE-{kind.upper()}-"


def write_paper(kind: str, octets: bytes) -> str:
    """The line of text."""
    whole = octets + zlib.crc32(octets).to_bytes(_CHECKSUM_SIZE, "big")
    return f"{prefix_of(kind)}{VERSION}.{base64.b32encode(whole).decode().rstrip('=')}"


def read_paper(kind: str, text: str, *, otherwise: FieldError) -> bytes:
    """The octets; folded lines and small letters do no harm. Raises `FieldError`, `otherwise` for
    what is no such text at all.
    """
    compact = "".join(text.split()).upper()
    prefix, dot, encoded = compact.partition(".")
    if not prefix.startswith(prefix_of(kind)) or not dot:
        raise otherwise
    if prefix != prefix_of(kind) + VERSION:
        raise FieldError(
            kind, "is of another version of the format", f"get one of version {VERSION}"
        )
    damaged = FieldError(kind, "was damaged on its way", "copy it again, whole")
    if len(encoded) > ENCODED_SIZE_MAX:
        raise damaged
    try:
        whole = base64.b32decode(encoded + "=" * (-len(encoded) % 8))
    except ValueError as error:  # binascii.Error, or a character that is not ASCII
        raise damaged from error
    octets, checksum = whole[:-_CHECKSUM_SIZE], whole[-_CHECKSUM_SIZE:]
    is_same = base64.b32encode(whole).decode().rstrip("=") == encoded
    if not is_same or zlib.crc32(octets).to_bytes(_CHECKSUM_SIZE, "big") != checksum:
        raise damaged
    return octets
