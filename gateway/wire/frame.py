"""The frame around the items: `flag | partial IV | [kid context] | kid | ciphertext | tag`.

The header is a COSE_Encrypt0 header compressed as in RFC 8613 section 6.1; `security/seal` restores
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.errors import DecodeError, FieldError
from gateway.model import Station
from gateway.wire.limits import (
    FRAME_COUNT_MAX,
    FRAME_SIZE_MAX,
    GENERATION_HELLO,
    GENERATION_MAX,
    INCARNATION_SIZE,
    KID_SIZE,
    PARTIAL_IV_SIZE_MAX,
    STATION_MAX,
    TAG_SIZE,
)

_FLAG_KID: Final = 0x08
_FLAG_KID_CONTEXT: Final = 0x10
_PARTIAL_IV_MASK: Final = 0x07


@dataclass(frozen=True, slots=True)
class Header:
    """What a frame says in clear. `incarnation` (8 octets) until the peer has echoed it."""

    sender: Station
    generation: int
    """1 to 255; 0 names the hello key and always goes with an incarnation."""
    counter: int
    """The partial IV, 0 to 2^20 - 1."""
    incarnation: bytes | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.sender <= STATION_MAX:
            raise FieldError("sender", f"{self.sender} is out of range", "give 1 to 255")
        if not 0 <= self.generation <= GENERATION_MAX:
            raise FieldError("generation", f"{self.generation} is out of range", "give 0 to 255")
        if not 0 <= self.counter < FRAME_COUNT_MAX:
            raise FieldError("counter", f"{self.counter} is spent", "start a new incarnation")
        if self.incarnation is None:
            if self.generation == GENERATION_HELLO:
                raise FieldError("incarnation", "is missing under the hello key", "name it")
        elif len(self.incarnation) != INCARNATION_SIZE:
            raise FieldError("incarnation", "has a wrong size", f"give {INCARNATION_SIZE} octets")

    @property
    def size(self) -> int:
        """Octets of the header on the link: 4 to 6, 9 more with the incarnation."""
        context_size = 0 if self.incarnation is None else 1 + INCARNATION_SIZE
        return (
            1 + (self.counter.bit_length() + 7) // 8 + (not self.counter) + context_size + KID_SIZE
        )

    @property
    def kid(self) -> bytes:
        """Sender and generation, an octet each (RFC 9052 label 4)."""
        return bytes((self.sender, self.generation))

    @property
    def partial_iv(self) -> bytes:
        """The counter in its shortest form, 1 to 3 octets (RFC 9052 label 6)."""
        return self.counter.to_bytes((self.counter.bit_length() + 7) // 8 or 1, "big")


def encode_header(header: Header) -> bytes:
    """The octets of `Header.size`."""
    partial_iv = header.partial_iv
    flag = _FLAG_KID | len(partial_iv)
    if header.incarnation is None:
        return bytes((flag,)) + partial_iv + header.kid
    context = bytes((INCARNATION_SIZE,)) + header.incarnation
    return bytes((flag | _FLAG_KID_CONTEXT,)) + partial_iv + context + header.kid


def frame_size(header: Header, items_size: int) -> int:
    """Octets of the whole frame around `items_size` octets of items."""
    return header.size + items_size + TAG_SIZE


def parse_frame(octets: bytes) -> tuple[Header, bytes, bytes]:
    """(header, its octets, ciphertext with tag). Raises `DecodeError`; nothing is proven yet."""
    if not octets or len(octets) > FRAME_SIZE_MAX:
        raise DecodeError(f"a frame of {len(octets)} octets, 1 to {FRAME_SIZE_MAX} can be one")
    flag = octets[0]
    partial_iv_size = flag & _PARTIAL_IV_MASK
    if flag & ~(_FLAG_KID_CONTEXT | _PARTIAL_IV_MASK) != _FLAG_KID:
        raise DecodeError(f"flag octet {flag:#04x} is not ours")
    if not 1 <= partial_iv_size <= PARTIAL_IV_SIZE_MAX:
        raise DecodeError(f"a partial IV of {partial_iv_size} octets")
    position = 1 + partial_iv_size
    incarnation = None
    if flag & _FLAG_KID_CONTEXT:
        if octets[position : position + 1] != bytes((INCARNATION_SIZE,)):
            raise DecodeError(f"a kid context that is not {INCARNATION_SIZE} octets")
        incarnation = octets[position + 1 : position + 1 + INCARNATION_SIZE]
        position += 1 + INCARNATION_SIZE
    header_size = position + KID_SIZE
    if len(octets) <= header_size + TAG_SIZE:
        raise DecodeError("a frame is cut")
    sender, generation = octets[position:header_size]
    counter = int.from_bytes(octets[1 : 1 + partial_iv_size], "big")
    try:
        header = Header(Station(sender), generation, counter, incarnation)
    except FieldError as error:
        raise DecodeError(f"not a frame: {error}") from error
    if len(header.partial_iv) != partial_iv_size:
        raise DecodeError("a partial IV is not in its shortest form")
    return header, octets[:header_size], octets[header_size:]
