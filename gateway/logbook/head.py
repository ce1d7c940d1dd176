"""The signed head of a log book: which station says that its entry N has which hash.

`[station, number, hash, signature]`, the first three signed as a COSE_Sign1 with implied headers
and external AAD `[protocol, "log head"]` (`log-head` in gateway.cddl). Pure; no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.errors import AuthenticationError
from gateway.logbook.entry import NUMBER_MAX
from gateway.model import Station
from gateway.security import signature as signatures
from gateway.security.cards import Card, StationKeys
from gateway.wire.canonical import as_array, as_octets, as_uint, dump, load
from gateway.wire.limits import SIGNATURE_SIZE, STATION_MAX

SEGMENT_SUFFIX: Final = ".cborseq"
"""Of the files of a book in its folder; their names are numbers."""
HEAD_FILE: Final = "head.cbor"
"""The newest signed head, beside them."""
HASH_SIZE: Final = 32
HEAD_SIZE_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class SignedHead:
    """What a station vouches for: all its entries up to this one."""

    station: Station
    number: int
    """Of the last entry, from 1."""
    hash: bytes
    signature: bytes


def sign_head(keys: StationKeys, *, number: int, entry_hash: bytes) -> SignedHead:
    """The head of the own book. The same head always gets the same signature."""
    signature = signatures.sign_head(keys, _content(keys.station, number, entry_hash))
    return SignedHead(keys.station, number, entry_hash, signature)


def verify_head(card: Card, head: SignedHead) -> None:
    """Raises `AuthenticationError` unless the card's station signed this head."""
    if card.station != head.station:
        raise AuthenticationError("the head is of another station than the card")
    content = _content(head.station, head.number, head.hash)
    signatures.verify_head(card, content, head.signature)


def is_head_of(card: Card, head: SignedHead) -> bool:
    """Whether the station of this card signed this head, with the key of this card."""
    try:
        verify_head(card, head)
    except AuthenticationError:
        return False
    return True


def encode_head(head: SignedHead) -> bytes:
    return dump([head.station, head.number, head.hash, head.signature])


def decode_head(octets: bytes) -> SignedHead:
    """Read a head; its signature is not verified here. Raises `DecodeError`."""
    station, number, entry_hash, signature = as_array(load(octets), "head", low=4, high=4)
    return SignedHead(
        Station(as_uint(station, STATION_MAX, "station", low=1)),
        as_uint(number, NUMBER_MAX, "number", low=1),
        as_octets(entry_hash, "hash", size=HASH_SIZE),
        as_octets(signature, "signature", size=SIGNATURE_SIZE),
    )


def _content(station: Station, number: int, entry_hash: bytes) -> bytes:
    return dump([station, number, entry_hash])
