"""A frame opens at one station, in one direction, generation and start, and unchanged only."""

from __future__ import annotations

import dataclasses

import pytest
from cryptography.exceptions import InvalidTag

from gateway.errors import AuthenticationError, DecodeError
from gateway.model import Station
from gateway.security.keys import FrameKey, LineKeys, derive_line_keys
from gateway.security.seal import (
    additional_data,
    context_iv,
    external_aad,
    nonce,
    open_frame,
    protected_header,
    seal_frame,
)
from gateway.wire.frame import Header
from tests.vectors import independent
from tests.vectors.values import (
    GENERATION,
    INCARNATION,
    NORTH,
    SECRET,
    SOUTH,
    cards,
    keys,
)

ITEMS = b"\x83\x20\x01\x00"
NORTH_KEYS, SOUTH_KEYS = keys()
NORTH_CARD, SOUTH_CARD = cards()
OTHER_SECRET = bytes(reversed(SECRET))


def north_line(secret: bytes = SECRET, generation: int = GENERATION) -> LineKeys:
    return derive_line_keys(NORTH_KEYS, SOUTH_CARD, secret, generation)


def south_line(secret: bytes = SECRET, generation: int = GENERATION) -> LineKeys:
    return derive_line_keys(SOUTH_KEYS, NORTH_CARD, secret, generation)


KEY = north_line().outbound(False, INCARNATION)
HEADERS = [
    Header(NORTH, GENERATION, 0),
    Header(NORTH, GENERATION, 300, INCARNATION),
    Header(NORTH, GENERATION, 0xF_FFFF),
]


@pytest.mark.parametrize("header", HEADERS)
def test_the_other_end_opens_it(header: Header) -> None:
    """What one end seals, the other opens with its own keys, and so does the sender."""
    octets = seal_frame(KEY, header, ITEMS, recipient=SOUTH)
    assert open_frame(south_line().inbound(False, INCARNATION), octets, recipient=SOUTH) == ITEMS
    assert open_frame(KEY, octets, recipient=SOUTH) == ITEMS


WRONG_KEYS: dict[str, FrameKey] = {
    "mirrored: the sender's own inbound key": north_line().inbound(False, INCARNATION),
    "other direction": south_line().outbound(False, INCARNATION),
    "other generation": south_line(generation=GENERATION + 1).inbound(False, INCARNATION),
    "other secret": south_line(OTHER_SECRET).inbound(False, INCARNATION),
    "other incarnation": south_line().inbound(False, bytes(8)),
    "hello key": south_line().inbound(True, INCARNATION),
    "other line": derive_line_keys(
        SOUTH_KEYS, dataclasses.replace(NORTH_CARD, station=Station(3)), SECRET, GENERATION
    ).inbound(False, INCARNATION),
}


@pytest.mark.parametrize("name", WRONG_KEYS)
def test_no_other_key_opens_it(name: str) -> None:
    """Direction, generation, secret, incarnation and line each make another key."""
    for header in HEADERS:
        octets = seal_frame(KEY, header, ITEMS, recipient=SOUTH)
        with pytest.raises(AuthenticationError):
            open_frame(WRONG_KEYS[name], octets, recipient=SOUTH)


def test_a_mirrored_frame_does_not_open() -> None:
    """A frame thrown back at its sender fails even under the key that sealed it."""
    octets = seal_frame(KEY, HEADERS[0], ITEMS, recipient=SOUTH)
    with pytest.raises(AuthenticationError):
        open_frame(KEY, octets, recipient=NORTH)


@pytest.mark.parametrize("header", HEADERS)
def test_every_bit_counts(header: Header) -> None:
    """No single bit of a frame can be flipped, and none of its octets cut off."""
    octets = seal_frame(KEY, header, ITEMS, recipient=SOUTH)
    for bit in range(len(octets) * 8):
        changed = bytearray(octets)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((AuthenticationError, DecodeError)):
            open_frame(KEY, bytes(changed), recipient=SOUTH)
    for end in range(len(octets)):
        with pytest.raises((AuthenticationError, DecodeError)):
            open_frame(KEY, octets[:end], recipient=SOUTH)


def test_the_kid_context_cannot_be_added_or_removed() -> None:
    """A frame with its incarnation named is another frame than the one without."""
    with_context = seal_frame(KEY, HEADERS[1], ITEMS, recipient=SOUTH)
    without = with_context[:1].replace(b"\x1a", b"\x0a") + with_context[1:3] + with_context[12:]
    with pytest.raises(AuthenticationError):
        open_frame(KEY, without, recipient=SOUTH)


def test_a_nonce_is_used_once() -> None:
    """Every counter of a key has its own nonce, 13 octets, near the ends and at each carry."""
    counters = [*range(600), *range(65_000, 66_000), *range((1 << 20) - 600, 1 << 20)]
    found = {nonce(KEY, Header(NORTH, GENERATION, counter)) for counter in counters}
    assert len(found) == len(counters)
    assert {len(octets) for octets in found} == {13}


def test_incarnations_share_no_key() -> None:
    """Each start, direction and purpose has its own key and common IV."""
    line = north_line()
    made = [
        derive(is_hello, bytes([start]) * 8)
        for derive in (line.outbound, line.inbound)
        for is_hello in (False, True)
        for start in range(50)
    ]
    assert len({key.key for key in made}) == len({key.common_iv for key in made}) == 200


def test_a_nonce_follows_rfc_8613() -> None:
    """Size of the id, id, partial IV, XOR the common IV (section 5.2)."""
    key = FrameKey(bytes(32), bytes(range(13)))
    plain = bytes.fromhex("02" + "0000000000" + "0103" + "0000000abc")
    expected = bytes(a ^ b for a, b in zip(plain, range(13), strict=True))
    header = Header(NORTH, 3, 0xABC)
    assert nonce(key, header) == expected
    assert context_iv(key, header)[-5:] == bytes(range(8, 13))


@pytest.mark.parametrize("header", HEADERS)
def test_the_additional_data_is_the_enc_structure(header: Header) -> None:
    """RFC 9052 section 5.3, written by a second encoder."""
    fields = {1: 11, 4: header.kid, 6: header.partial_iv}
    if header.incarnation:
        fields[10] = header.incarnation
    protected = independent.write_cbor(fields)
    external = independent.write_cbor(["hotline/1", 1, 2, GENERATION])
    assert protected_header(header) == protected
    assert external_aad(header, recipient=SOUTH) == external
    assert additional_data(header, recipient=SOUTH) == independent.write_cbor(
        ["Encrypt0", protected, external]
    )


def test_a_frame_is_small() -> None:
    """12 octets around the items, 9 more with the incarnation (DESIGN section 4)."""
    assert len(seal_frame(KEY, HEADERS[0], ITEMS, recipient=SOUTH)) == len(ITEMS) + 12
    named = Header(NORTH, GENERATION, 0, INCARNATION)
    assert len(seal_frame(KEY, named, ITEMS, recipient=SOUTH)) == len(ITEMS) + 21


def test_the_cipher_has_tags_of_8() -> None:
    """AES-CCM-16-64-256: a tag cut to 8 octets, checked as such."""
    sealed = KEY.cipher.encrypt(bytes(13), b"x", b"")
    assert len(sealed) == 9
    with pytest.raises(InvalidTag):
        KEY.cipher.decrypt(bytes(13), sealed[:-1] + bytes([sealed[-1] ^ 1]), b"")
