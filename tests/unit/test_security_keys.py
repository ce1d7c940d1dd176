"""Line keys: what they bind, and what a key ring refuses to hold."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.errors import FieldError
from gateway.model import Station
from gateway.security.keys import (
    Card,
    FrameKey,
    KeyRing,
    Line,
    Signing,
    StationKeys,
    derive_line_keys,
    make_card,
    new_station_keys,
)
from tests.vectors import independent
from tests.vectors.values import GENERATION, NORTH, SECRET, SOUTH, cards, keys, rings

NORTH_KEYS, SOUTH_KEYS = keys()
NORTH_CARD, SOUTH_CARD = cards()


def test_both_ends_derive_the_same_roots() -> None:
    """Ours out is theirs in, for notices and for hellos; the four roots differ."""
    north, south = (
        ring.lines[peer].keys for ring, peer in zip(rings(), (SOUTH, NORTH), strict=True)
    )
    assert north.newest.outbound == south.newest.inbound
    assert north.newest.inbound == south.newest.outbound
    assert north.hello.outbound == south.hello.inbound
    assert north.hello.inbound == south.hello.outbound
    roots = {
        north.newest.outbound,
        north.newest.inbound,
        north.hello.outbound,
        north.hello.inbound,
    }
    assert len(roots) == 4


def test_roots_are_hkdf_of_both_secrets() -> None:
    """X25519 || secret, RFC 5869, written a second time."""
    line = derive_line_keys(NORTH_KEYS, SOUTH_CARD, SECRET, GENERATION)
    for generation, root in ((GENERATION, line.newest.outbound), (0, line.hello.outbound)):
        assert root == independent.line_root(
            NORTH_KEYS.exchange_seed,
            SOUTH_CARD.exchange_public,
            SECRET,
            generation,
            sender=(NORTH, NORTH_CARD.exchange_public),
            recipient=(SOUTH, SOUTH_CARD.exchange_public),
        )


def test_hello_keys_outlive_generations() -> None:
    """A new generation leaves the hello roots; a new secret does when the first is kept for it."""
    before = derive_line_keys(NORTH_KEYS, SOUTH_CARD, SECRET, 1)
    generation = derive_line_keys(NORTH_KEYS, SOUTH_CARD, SECRET, 2)
    rotated = derive_line_keys(NORTH_KEYS, SOUTH_CARD, bytes(32), 2, hello_secret=SECRET)
    for after in (generation, rotated):
        assert after.hello.outbound == before.hello.outbound
        assert after.hello.inbound == before.hello.inbound
        assert after.newest.outbound != before.newest.outbound
    assert generation.newest.outbound != rotated.newest.outbound


def test_a_rotated_line_holds_two_generations() -> None:
    """The newest and the one before, each as if alone, and the hello roots of the first secret."""
    both = derive_line_keys(
        NORTH_KEYS, SOUTH_CARD, bytes(32), 3, hello_secret=SECRET, former=(2, SECRET)
    )
    assert both.newest == derive_line_keys(NORTH_KEYS, SOUTH_CARD, bytes(32), 3).newest
    assert both.former == derive_line_keys(NORTH_KEYS, SOUTH_CARD, SECRET, 2).newest
    assert (both.held(3), both.held(2), both.held(0)) == (both.newest, both.former, both.hello)
    assert both.held(1) is None
    assert derive_line_keys(NORTH_KEYS, SOUTH_CARD, SECRET, 1).held(2) is None


def test_a_proof_is_of_one_secret_generation_direction_and_incarnation() -> None:
    """HKDF-Expand as gateway.cddl says, written a second time; nothing else is taken for it."""
    here, there = bytes(8), bytes(range(8))
    north = derive_line_keys(NORTH_KEYS, SOUTH_CARD, SECRET, 2).newest
    south = derive_line_keys(SOUTH_KEYS, NORTH_CARD, SECRET, 2).newest
    info = independent.write_cbor(["hotline/1", here, "proof", 2])
    assert north.proof(here) == independent.hkdf_expand(north.outbound, info, 8)
    assert south.is_proof(north.proof(here), here)
    other = derive_line_keys(NORTH_KEYS, SOUTH_CARD, bytes(32), 2).newest
    newer = derive_line_keys(NORTH_KEYS, SOUTH_CARD, SECRET, 3).newest
    for wrong in (north.proof(there), south.proof(here), other.proof(here), newer.proof(here)):
        assert not south.is_proof(wrong, here)
    assert north.mark() != other.mark() != newer.mark()


def test_a_mark_names_a_generation_at_both_ends() -> None:
    """HKDF of both roots, the lower first, written a second time; the same for either station."""
    north = derive_line_keys(NORTH_KEYS, SOUTH_CARD, SECRET, 2).newest
    south = derive_line_keys(SOUTH_KEYS, NORTH_CARD, SECRET, 2).newest
    info = independent.write_cbor(["hotline/1", "mark", 2])
    low, high = sorted([north.outbound, north.inbound])
    expected = independent.hkdf_expand(independent.hkdf_extract(b"", low + high), info, 8)
    assert north.mark() == south.mark() == expected


def test_frames_of_hellos_and_of_the_newest_generation() -> None:
    """HKDF-Expand of the root with the incarnation (RFC 8613 section 3.2.1), both directions."""
    line = derive_line_keys(NORTH_KEYS, SOUTH_CARD, SECRET, 2)
    incarnation = bytes(range(8))
    for is_hello, roots in ((True, line.hello), (False, line.newest)):
        sealing, opening = line.outbound(is_hello, incarnation), line.inbound(is_hello, incarnation)
        for key, root in ((sealing, roots.outbound), (opening, roots.inbound)):
            for use, size, octets in (("Key", 32, key.key), ("IV", 13, key.common_iv)):
                info = independent.write_cbor(["hotline/1", incarnation, 11, use, size])
                assert octets == independent.hkdf_expand(root, info, size)
    assert (line.own, line.peer, line.generation) == (NORTH, SOUTH, 2)
    assert (line.hello.generation, line.newest.generation, line.former) == (0, 2, None)


def test_the_bounds_of_generations_are_within() -> None:
    """1 and 255, and two neighbours of which the lower is the former."""
    assert derive_line_keys(NORTH_KEYS, SOUTH_CARD, SECRET, 1).generation == 1
    last = derive_line_keys(NORTH_KEYS, SOUTH_CARD, SECRET, 255, former=(254, SECRET))
    assert last.former is not None
    assert (last.generation, last.former.generation) == (255, 254)
    first = derive_line_keys(NORTH_KEYS, SOUTH_CARD, SECRET, 2, former=(1, SECRET)).former
    assert first is not None
    assert first.generation == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"former": (1, SECRET)}, "generation"),
        ({"former": (0, SECRET), "generation": 2}, "generation"),
        ({"former": (1, bytes(31)), "generation": 2}, "secret"),
        ({"secret": bytes(31)}, "secret"),
        ({"hello_secret": bytes(33)}, "secret"),
        ({"generation": 0}, "generation"),
        ({"generation": 256}, "generation"),
        ({"peer": NORTH_CARD}, "card"),
        ({"peer": dataclasses.replace(SOUTH_CARD, exchange_public=bytes(32))}, "card"),
    ],
)
def test_wrong_material_is_refused(change: dict[str, object], field: str) -> None:
    """Sizes, generation 0, the own card and a low-order key give one clear error."""
    arguments = {"peer": SOUTH_CARD, "secret": SECRET, "generation": 1} | change
    with pytest.raises(FieldError) as caught:
        derive_line_keys(NORTH_KEYS, **arguments)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_private_keys_are_not_shown() -> None:
    """No repr of anything secret holds a key octet."""
    ring = rings()[0]
    key = ring.lines[SOUTH].keys.outbound(False, bytes(8))
    shown = repr(ring) + repr(key) + repr(ring.lines[SOUTH].keys)
    secrets = (NORTH_KEYS.sign_seed, key.key, key.common_iv, ring.lines[SOUTH].keys.newest.outbound)
    for secret in secrets:
        assert repr(secret)[2:10] not in shown
        assert secret.hex() not in shown


def test_keys_check_their_sizes() -> None:
    """Half a key is no key."""
    for entropy in (b"", bytes(63), bytes(65)):
        with pytest.raises(FieldError):
            new_station_keys(entropy, station=NORTH)
    with pytest.raises(FieldError):
        new_station_keys(bytes(64), station=Station(0))
    with pytest.raises(FieldError):
        StationKeys(NORTH, bytes(32), bytes(31))
    with pytest.raises(FieldError):
        FrameKey(bytes(32), bytes(12))
    with pytest.raises(FieldError):
        rings()[0].lines[SOUTH].keys.outbound(False, bytes(7))


def test_a_key_ring_holds_what_belongs_together() -> None:
    """A card of other keys, a line of another card or generation and twin names are refused."""
    ring = rings()[0]
    line = ring.lines[SOUTH]
    third = new_station_keys(bytes(range(1, 65)), station=Station(3))
    twin = make_card(third, name="NORTH", party="x", language="en")
    twin_line = Line(twin, derive_line_keys(NORTH_KEYS, twin, SECRET, 1), 1)
    with pytest.raises(FieldError, match="does not belong"):
        KeyRing(NORTH_KEYS, SOUTH_CARD, {})
    with pytest.raises(FieldError, match="other keys"):
        KeyRing(NORTH_KEYS, NORTH_CARD, {Station(9): line})
    with pytest.raises(FieldError, match="two stations have the name NORTH"):
        KeyRing(NORTH_KEYS, NORTH_CARD, {Station(3): twin_line})
    with pytest.raises(FieldError, match="derive"):
        Line(SOUTH_CARD, line.keys, GENERATION + 1)
    with pytest.raises(FieldError, match="derive"):
        Line(twin, line.keys, GENERATION)


@pytest.mark.parametrize(
    ("own", "peer", "expected"),
    [
        (Signing.EACH, Signing.EACH, False),
        (Signing.CHECKPOINT, Signing.EACH, False),
        (Signing.EACH, Signing.CHECKPOINT, False),
        (Signing.CHECKPOINT, Signing.CHECKPOINT, True),
    ],
)
def test_unsigned_acts_need_both_cards(own: Signing, peer: Signing, expected: bool) -> None:
    """Checkpoint signing holds only where both cards name it."""
    line = rings()[0].lines[SOUTH]
    card = dataclasses.replace(NORTH_CARD, signing=own)
    far: Card = dataclasses.replace(SOUTH_CARD, signing=peer)
    ring = KeyRing(NORTH_KEYS, card, {SOUTH: Line(far, line.keys, GENERATION)})
    assert ring.may_be_unsigned(SOUTH) is expected
