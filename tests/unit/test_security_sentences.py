"""What a person reads when keys, cards, secrets, frames or signatures are refused, word for word.

`sentences/security.txt` has one sentence a line, in the order of the cases, as the code
said it when somebody read them all through; whoever changes one changes it there too.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.model import Station
from gateway.security.cards import (
    StationKeys,
    card_octets,
    key_file_text,
    new_station_keys,
    open_card,
    parse_card,
    parse_key_file,
    parse_secret,
    secret_text,
)
from gateway.security.expand import compress_act, compress_frame, cose_key, open_captured
from gateway.security.keys import FrameKey, derive_line_keys
from gateway.security.nkey import parse_nkey
from gateway.security.paper import write_paper
from gateway.security.seal import open_frame, seal_frame
from gateway.security.secrets import MEMORY_COUNT_MAX, LineSecrets, parse_secrets
from gateway.security.signature import verify_act, verify_head
from gateway.wire.canonical import dump
from gateway.wire.frame import Header
from tests.vectors.values import GENERATION, NORTH, SECRET, SOUTH, cards, keys, rings

NORTH_KEYS, SOUTH_KEYS = keys()
NORTH_CARD, SOUTH_CARD = cards()
RING = rings()[0]
LINE = RING.lines[SOUTH]
KEY = LINE.keys.outbound(False, bytes(8))
HEADER = Header(NORTH, GENERATION, 7)
FRAME = seal_frame(KEY, HEADER, b"\x81\x00", recipient=SOUTH)
KEY_FILE = key_file_text(NORTH_KEYS, NORTH_CARD)
ALONE = LineSecrets(SECRET, {1: SECRET})
FULL = replace(ALONE, revoked=tuple(bytes([number, 1]) * 16 for number in range(MEMORY_COUNT_MAX)))
PROTECTED = dump({1: 11, 4: b"\x01\x03", 6: b"\x00"})


def card_of(*fields: object) -> str:
    return write_paper("card", dump([*fields]) + bytes(64))


def seed(*start: int) -> str:
    """A seed of NATS with these first octets, its check right."""
    body = bytes(start) + bytes(34 - len(start))
    whole = body + binascii.crc_hqx(body, 0).to_bytes(2, "little")
    return base64.b32encode(whole).decode().rstrip("=")


def key_file_without(name: str) -> Callable[[], object]:
    return lambda: parse_key_file(KEY_FILE.replace(f"{name} =", f"other_{name} ="))


def secret_file(*lines: str) -> Callable[[], object]:
    return lambda: parse_secrets("\n".join(['format = "hotline-line-1"', *lines]))


def encrypt0(protected: object, sealed: object = bytes(9)) -> Callable[[], object]:
    return lambda: compress_frame(b"\xd0" + dump([protected, {}, sealed]))


def sign1(*parts: object) -> Callable[[], object]:
    return lambda: compress_act(b"\xd2" + dump([*parts]))


def line_keys(**change: object) -> Callable[[], object]:
    wanted = {"own": NORTH_KEYS, "peer": SOUTH_CARD, "secret": SECRET, "generation": 1} | change
    return lambda: derive_line_keys(**wanted)  # type: ignore[arg-type]


K = bytes(32)
FIRST, SECRETS = f'first = "{SECRET.hex()}"', f'[generation]\n1 = "{SECRET.hex()}"'
LOW_ORDER = replace(SOUTH_CARD, exchange_public=K)
TWICE = replace(LINE, card=replace(SOUTH_CARD, name="NORTH"))
ED25519 = dump({1: -19})

CASES: list[Callable[[], object]] = [
    lambda: replace(NORTH_CARD, station=Station(0)),
    lambda: replace(NORTH_CARD, name="a name of more than twenty letters"),
    lambda: replace(NORTH_CARD, party=""),
    lambda: replace(NORTH_CARD, party="e\u0301"),
    lambda: replace(NORTH_CARD, party="x" * 41),
    lambda: replace(NORTH_CARD, party="two\nlines"),
    lambda: replace(NORTH_CARD, sign_public=bytes(31)),
    lambda: replace(NORTH_CARD, exchange_public=bytes(33)),
    lambda: StationKeys(Station(256), K, K),
    lambda: StationKeys(NORTH, bytes(31), K),
    lambda: StationKeys(NORTH, K, bytes(33)),
    lambda: new_station_keys(bytes(63), station=NORTH),
    lambda: card_octets(NORTH_CARD, SOUTH_KEYS),
    lambda: key_file_text(SOUTH_KEYS, NORTH_CARD),
    lambda: parse_card("hello"),
    lambda: parse_card(card_of()),
    lambda: open_card(card_octets(NORTH_CARD, NORTH_KEYS)[:-1] + b"\0"),
    lambda: parse_card(card_of(1, "A", "a", "en", 0, K)),
    lambda: parse_card(card_of(1, "A", "a", "en", 0, K, K, K)),
    lambda: parse_card(card_of(256, "A", "a", "en", 0, K, K)),
    lambda: parse_card(card_of(1, b"A", "a", "en", 0, K, K)),
    lambda: parse_card(card_of(1, "A", b"a", "en", 0, K, K)),
    lambda: parse_card(card_of(1, "A", "a", b"en", 0, K, K)),
    lambda: parse_card(card_of(1, "A", "a", "en", 2, K, K)),
    lambda: parse_card(card_of(1, "A", "a", "en", 0, bytes(31), K)),
    lambda: parse_card(card_of(1, "A", "a", "en", 0, K, bytes(33))),
    lambda: parse_key_file("= 1"),
    lambda: parse_key_file(""),
    *[key_file_without(name) for name in ("name", "party", "language", "signing", "sign_key")],
    key_file_without("exchange_key"),
    key_file_without("station"),
    lambda: parse_key_file(KEY_FILE.replace('"each"', '"never"')),
    lambda: parse_key_file(KEY_FILE.replace(NORTH_KEYS.sign_seed.hex(), "00")),
    lambda: parse_key_file(KEY_FILE.replace(NORTH_KEYS.exchange_seed.hex(), "00")),
    lambda: secret_text(bytes(31)),
    lambda: parse_secret("00"),
    lambda: parse_secret("00" * 32),
    # Secrets of a line.
    lambda: LineSecrets(SECRET, {}),
    lambda: LineSecrets(SECRET, {1: SECRET, 2: SECRET, 3: SECRET}),
    lambda: LineSecrets(SECRET, {0: SECRET}),
    lambda: LineSecrets(SECRET, {256: SECRET}),
    lambda: LineSecrets(SECRET, {1: bytes(31)}),
    lambda: LineSecrets(bytes(33), {1: SECRET}),
    lambda: LineSecrets(K, {1: SECRET}),
    lambda: replace(ALONE, revoked=(bytes(31),)),
    lambda: ALONE.rotated(1, SECRET),
    lambda: FULL.revoking(K),
    lambda: parse_secrets("0"),
    secret_file("="),
    secret_file(FIRST),
    lambda: parse_secrets('format = "another"\n[generation]'),
    secret_file(FIRST, f'[generation]\nx = "{SECRET.hex()}"'),
    secret_file("first = 1", SECRETS),
    secret_file(FIRST, '[generation]\n1 = "00"'),
    secret_file(FIRST, 'revoked = ["00"]', SECRETS),
    secret_file(FIRST, "revoked = 1", SECRETS),
    secret_file(FIRST, "taken = 1", SECRETS),
    # Keys of a line.
    line_keys(generation=0),
    line_keys(generation=256),
    line_keys(generation=2, former=(0, SECRET)),
    line_keys(generation=2, former=(2, SECRET)),
    line_keys(peer=NORTH_CARD),
    line_keys(secret=bytes(31)),
    line_keys(hello_secret=bytes(33)),
    line_keys(generation=2, former=(1, bytes(30))),
    line_keys(peer=LOW_ORDER),
    lambda: LINE.keys.newest.sealing(bytes(7)),
    lambda: LINE.keys.newest.opening(bytes(9)),
    lambda: FrameKey(K, bytes(12)),
    lambda: replace(LINE, generation=GENERATION + 1),
    lambda: replace(LINE, card=NORTH_CARD),
    lambda: replace(RING, card=SOUTH_CARD),
    lambda: replace(RING, lines={Station(7): LINE}),
    lambda: replace(RING, lines={SOUTH: TWICE}),
    # A user's key of NATS.
    lambda: parse_nkey(""),
    lambda: parse_nkey(seed(0x95, 0x08)),  # of another kind than a user
    lambda: parse_nkey(seed(0x95, 0x00, 0x01).replace("SUAAC", "SUAAE")),
    lambda: parse_nkey(seed(0x95, 0x00) + " " + seed(0x95, 0x00)),
    # Frames and acts.
    lambda: open_frame(KEY, FRAME[:-1] + b"\0", recipient=SOUTH),
    lambda: open_captured(RING, FRAME),
    lambda: open_captured(RING, FRAME, incarnations=[bytes(range(8))]),
    lambda: compress_frame(b""),
    lambda: compress_frame(b"\xd0\x80"),
    encrypt0(1),
    encrypt0(dump({1: 11, 6: b"\x00"})),
    encrypt0(dump({1: 11, 4: b"\x01\x03"})),
    encrypt0(dump({1: 11, 4: b"\x01\x03", 6: b"\x00", 10: bytes(7)})),
    encrypt0(dump({1: 11, 4: b"\x00\x03", 6: b"\x00"})),
    encrypt0(PROTECTED, "text"),
    encrypt0(dump({1: 10, 4: b"\x01\x03", 6: b"\x00"})),
    lambda: compress_act(b""),
    sign1(1, 2, 3),
    sign1(ED25519, {}, dump({0: 1}), bytes(63)),
    sign1(dump({1: -8}), {}, dump({0: 1}), bytes(64)),
    sign1(ED25519, {}, "text", bytes(64)),
    lambda: cose_key(FrameKey(bytes(16), bytes(13)), HEADER),
    lambda: verify_act(NORTH_CARD, b"x", bytes(64), originator=SOUTH, to=NORTH),
    lambda: verify_act(NORTH_CARD, b"x", bytes(63), originator=NORTH, to=SOUTH),
    lambda: verify_act(NORTH_CARD, b"x", bytes(64), originator=NORTH, to=SOUTH),
    lambda: verify_head(NORTH_CARD, b"x", bytes(64)),
]
SENTENCES = (Path(__file__).parent / "sentences/security.txt").read_text().splitlines()


@pytest.mark.parametrize(("refused", "sentence"), list(zip(CASES, SENTENCES, strict=True)))
def test_a_refusal_says_what_is_wrong_and_what_to_do(
    refused: Callable[[], object], sentence: str
) -> None:
    """The whole sentence, so that nothing of it is left to chance."""
    with pytest.raises(GatewayError) as caught:
        refused()
    assert str(caught.value) == sentence
