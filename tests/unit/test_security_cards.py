"""Cards and key files: what is damaged, edited, cut or of another version is told apart."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import zlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from gateway.errors import FieldError
from gateway.security.cards import (
    Signing,
    _card_content,
    _decode_card,
    card_digest,
    card_text,
    fingerprint_words,
    key_file_text,
    make_card,
    new_station_keys,
    parse_card,
    parse_key_file,
    parse_secret,
    secret_text,
)
from gateway.security.words import WORDS
from gateway.wire.canonical import dump
from tests.vectors.values import SECRET, cards, keys

NORTH_KEYS, SOUTH_KEYS = keys()
NORTH_CARD, SOUTH_CARD = cards()
TEXT = card_text(SOUTH_CARD, SOUTH_KEYS)


def test_a_card_is_one_line_that_a_qr_code_holds() -> None:
    """Capitals, digits, - and . only: QR's alphanumeric mode; folding and case do no harm."""
    assert set(TEXT) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.")
    assert len(TEXT) < 400
    folded = "\n  ".join([TEXT[:70], TEXT[70:140].lower(), TEXT[140:], ""])
    assert parse_card(folded) == SOUTH_CARD


def test_no_character_of_a_card_can_change() -> None:
    """A wrong character, a lost one and a swapped pair are damage, wherever they are."""
    start = TEXT.index(".") + 1
    for position in range(start, len(TEXT)):
        other = "A" if TEXT[position] != "A" else "B"
        for changed in (
            TEXT[:position] + other + TEXT[position + 1 :],
            TEXT[:position] + TEXT[position + 1 :],
        ):
            with pytest.raises(FieldError, match="was damaged on its way"):
                parse_card(changed)


def card_of(content: bytes, signature: bytes) -> str:
    """The text of a card with a right checksum around whatever is given."""
    octets = content + signature
    octets += zlib.crc32(octets).to_bytes(4, "big")
    return "HOTLINE-CARD-1." + base64.b32encode(octets).decode().rstrip("=")


def signature_of(text: str) -> bytes:
    """The signature on a card."""
    encoded = text.partition(".")[2]
    return base64.b32decode(encoded + "=" * (-len(encoded) % 8))[-68:-4]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "EAST"},
        {"party": "Someone else"},
        {"language": "fr"},
        {"signing": Signing.EACH},
        {"station": 7},
        {"exchange_public": bytes(32)},
        {"sign_public": NORTH_CARD.sign_public},
    ],
)
def test_an_edited_card_is_refused(change: dict[str, object]) -> None:
    """Whoever changes a word needs the station's key: a right checksum is not enough."""
    card = dataclasses.replace(SOUTH_CARD, **change)  # type: ignore[arg-type]
    with pytest.raises(FieldError, match="was changed after its station made it"):
        parse_card(card_of(_card_content(card), signature_of(TEXT)))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not the card"),
        ("hello", "is not the card"),
        ("HOTLINE-CARD-1", "is not the card"),
        ("HOTLINE-CARD-2.AAAA", "another version"),
        ("HOTLINE-CARD-1.", "damaged"),
        ("HOTLINE-CARD-1.====", "damaged"),
        ("HOTLINE-CARD-1." + "A" * 2000, "damaged"),
        ("HOTLINE-CARD-1.\u0660\u0661", "damaged"),
    ],
)
def test_what_is_no_card(text: str, problem: str) -> None:
    """Each says what it is and what to do."""
    with pytest.raises(FieldError, match=problem):
        parse_card(text)


@pytest.mark.parametrize("content", [b"", b"\x80", b"\xa0", b"\x87" + b"\x00" * 7])
def test_a_card_of_other_content(content: bytes) -> None:
    """A right checksum around something else gives a clear error too."""
    with pytest.raises(FieldError, match="not readable"):
        parse_card(card_of(content, bytes(64)))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "north"},
        {"name": ""},
        {"name": "A" * 13},
        {"name": "A B"},
        {"party": ""},
        {"party": "x" * 41},
        {"party": "two\nlines"},
        {"party": "bell\x07"},
        {"party": "e\u0301"},
        {"language": "English"},
        {"station": 0},
        {"station": 256},
        {"sign_public": bytes(31)},
        {"exchange_public": bytes(33)},
    ],
)
def test_a_card_checks_itself(change: dict[str, object]) -> None:
    """Names that people or files could mistake cannot stand on a card."""
    with pytest.raises(FieldError):
        dataclasses.replace(NORTH_CARD, **change)  # type: ignore[arg-type]


def test_only_its_station_signs_a_card() -> None:
    """A card goes with the keys that it names."""
    with pytest.raises(FieldError, match="does not belong"):
        card_text(NORTH_CARD, SOUTH_KEYS)
    with pytest.raises(FieldError, match="does not belong"):
        key_file_text(SOUTH_KEYS, NORTH_CARD)


def test_fingerprint_words_tell_every_field() -> None:
    """8 words, 64 bits; whatever changes on the card changes them."""
    words = fingerprint_words(SOUTH_CARD)
    assert len(words) == 8
    for change in ({"name": "EAST"}, {"signing": Signing.EACH}, {"exchange_public": bytes(32)}):
        other = dataclasses.replace(SOUTH_CARD, **change)
        assert sum(a == b for a, b in zip(words, fingerprint_words(other), strict=True)) <= 2


def test_the_words_are_hard_to_mistake() -> None:
    """256 lower-case words, sorted, none a letter away from another."""
    assert len(WORDS) == len(set(WORDS)) == 256
    assert list(WORDS) == sorted(WORDS)
    assert all(word.isascii() and word.islower() and 3 <= len(word) <= 8 for word in WORDS)
    gaps = [word[:cut] + "." + word[cut + 1 :] for word in WORDS for cut in range(len(word))]
    assert len(gaps) == len(set(gaps))
    shorter = [word[:cut] + word[cut + 1 :] for word in WORDS for cut in range(len(word))]
    assert not set(shorter) & set(WORDS)


def test_a_key_file_gives_keys_and_card_back() -> None:
    """The private key file holds all that the own card says, quotes and emoji included."""
    card = make_card(
        SOUTH_KEYS, name="S-1", party='"Ops" \\ 🕊', language="uk", signing=Signing.CHECKPOINT
    )
    assert parse_key_file(key_file_text(SOUTH_KEYS, card)) == (SOUTH_KEYS, card)


KEY_FILE = key_file_text(NORTH_KEYS, NORTH_CARD)


def test_a_key_file_is_plain_toml() -> None:
    """Whoever keeps one on paper types it in again: every line, and the letters of any party."""
    card = make_card(NORTH_KEYS, name="NORTH", party="Éire", language="en")
    assert key_file_text(NORTH_KEYS, card) == (
        "# Private keys of a hotline station: who reads this file can speak for the station.\n"
        'format = "hotline-key-1"\n'
        "station = 1\n"
        'name = "NORTH"\n'
        'party = "Éire"\n'
        'language = "en"\n'
        'signing = "each"\n'
        f'sign_key = "{NORTH_KEYS.sign_seed.hex()}"\n'
        f'exchange_key = "{NORTH_KEYS.exchange_seed.hex()}"\n'
    )


def test_new_keys_are_the_two_halves_of_the_entropy() -> None:
    """The first 32 octets sign, the others exchange; their public halves are on the card."""
    keys = new_station_keys(bytes(range(64)), station=NORTH_CARD.station)
    assert (keys.sign_seed, keys.exchange_seed) == (bytes(range(32)), bytes(range(32, 64)))
    card = make_card(keys, name="N", party="n", language="en")
    sign = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    exchange = X25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
    assert card.sign_public == sign.public_key().public_bytes_raw()
    assert card.exchange_public == exchange.public_key().public_bytes_raw()
    assert card.signing is Signing.EACH


def test_a_digest_tells_every_field() -> None:
    """16 octets of SHA-256 over what the card's key signs."""
    content = [2, SOUTH_CARD.name, SOUTH_CARD.party, SOUTH_CARD.language, 1]
    signed = dump([*content, SOUTH_CARD.sign_public, SOUTH_CARD.exchange_public])
    assert card_digest(SOUTH_CARD) == hashlib.sha256(signed).digest()[:16]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "A"},
        {"name": "A-Z09AAAAAAA"},
        {"party": "x"},
        {"party": "x" * 40},
        {"station": 1},
        {"station": 255},
    ],
)
def test_the_bounds_of_a_card_are_within(change: dict[str, object]) -> None:
    """The shortest and the longest of each; such a card comes back from its text's content."""
    card = dataclasses.replace(NORTH_CARD, **change)  # type: ignore[arg-type]
    assert _decode_card(_card_content(card)) == card


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("format", "= format", "is not TOML"),
        ("hotline-key-1", "hotline-key-9", "not the key file"),
        ('name = "NORTH"\n', "", "has no text name"),
        ('name = "NORTH"', "name = 5", "has no text name"),
        ("station = 1", "", "has no station number"),
        ("station = 1", "station = true", "has no station number"),
        ("station = 1", "station = 256", "out of range"),
        ('"each"', '"never"', "unknown signing"),
        (NORTH_KEYS.sign_seed.hex(), "00", "not 64 hexadecimal digits"),
        (NORTH_KEYS.exchange_seed.hex(), "g" * 64, "not 64 hexadecimal digits"),
    ],
)
def test_a_broken_key_file_says_what_is_wrong(old: str, new: str, problem: str) -> None:
    """Every fault of a key file has its sentence, and none quotes a key."""
    assert old in KEY_FILE
    with pytest.raises(FieldError, match=problem) as caught:
        parse_key_file(KEY_FILE.replace(old, new))
    assert NORTH_KEYS.sign_seed.hex()[:8] not in str(caught.value)


def test_a_secret_is_a_line_of_hex() -> None:
    """64 digits, spaces and lines ignored; a placeholder is refused."""
    assert parse_secret(secret_text(SECRET)) == SECRET
    assert parse_secret(" ".join(secret_text(SECRET).strip().upper())) == SECRET
    for text in ("", "00", "x" * 64, secret_text(SECRET) + "0", "\u0660" * 64):
        with pytest.raises(FieldError, match="64 hexadecimal digits"):
            parse_secret(text)
    with pytest.raises(FieldError, match="one octet repeated"):
        parse_secret("11" * 32)
    with pytest.raises(FieldError):
        secret_text(bytes(31))
