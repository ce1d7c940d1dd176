"""Acts signed and verified: exactly this act, of this originator, to this addressee."""

from __future__ import annotations

import pytest

from gateway.errors import AuthenticationError
from gateway.model import Station
from gateway.security.signature import sign_act, signed_octets, verify_act
from gateway.wire.notice import encode_act
from tests.vectors import independent
from tests.vectors.values import ANSWER, FULL, NORTH, SOUTH, cards, keys

NORTH_KEYS, SOUTH_KEYS = keys()
NORTH_CARD, SOUTH_CARD = cards()
OCTETS = encode_act(FULL)
SIGNATURE = sign_act(NORTH_KEYS, OCTETS, originator=NORTH, to=SOUTH)


def test_a_signature_verifies() -> None:
    """64 octets over the Sig_structure of RFC 9052, headers implied; no generation in it."""
    verify_act(NORTH_CARD, OCTETS, SIGNATURE, originator=NORTH, to=SOUTH)
    assert len(SIGNATURE) == 64
    external = independent.write_cbor(["hotline/1", 1, 2])
    header = independent.write_cbor({1: -19})
    assert signed_octets(OCTETS, originator=NORTH, to=SOUTH) == independent.write_cbor(
        ["Signature1", header, external, OCTETS]
    )


def test_every_bit_of_act_and_signature_counts() -> None:
    """No single bit of either can be flipped."""
    whole = OCTETS + SIGNATURE
    for bit in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        octets, signature = bytes(changed[: len(OCTETS)]), bytes(changed[len(OCTETS) :])
        with pytest.raises(AuthenticationError):
            verify_act(NORTH_CARD, octets, signature, originator=NORTH, to=SOUTH)


@pytest.mark.parametrize(("originator", "to"), [(1, 3), (2, 1), (3, 2), (2, 2)])
def test_it_holds_for_one_line_only(originator: int, to: int) -> None:
    """An act cannot be carried to another line or turned round."""
    with pytest.raises(AuthenticationError):
        verify_act(NORTH_CARD, OCTETS, SIGNATURE, originator=Station(originator), to=Station(to))


def test_other_keys_and_acts_do_not_verify() -> None:
    """Neither another station's signature nor that of another act passes."""
    theirs = sign_act(SOUTH_KEYS, OCTETS, originator=NORTH, to=SOUTH)
    other = sign_act(NORTH_KEYS, encode_act(ANSWER), originator=NORTH, to=SOUTH)
    for signature in (theirs, other, bytes(64), SIGNATURE[:-1], SIGNATURE + b"\x00", b""):
        with pytest.raises(AuthenticationError):
            verify_act(NORTH_CARD, OCTETS, signature, originator=NORTH, to=SOUTH)
    with pytest.raises(AuthenticationError):
        verify_act(SOUTH_CARD, OCTETS, SIGNATURE, originator=NORTH, to=SOUTH)
