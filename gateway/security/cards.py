"""Who a station is: its private keys, its public card, and both as text for files and QR codes.

Pure: entropy and text come in as arguments; reading files and their modes is the configuration's.
"""

from __future__ import annotations

import enum
import hashlib
import json
import re
import tomllib
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gateway.errors import DecodeError, FieldError
from gateway.model import Station, Text, check_text
from gateway.security.paper import read_paper, write_paper
from gateway.security.words import WORDS
from gateway.wire.canonical import as_array, as_octets, as_text, as_uint, dump, load
from gateway.wire.limits import KEY_SIZE, PROTOCOL, SECRET_SIZE, SIGNATURE_SIZE, STATION_MAX

ALGORITHM_ED25519: Final = -19
"""COSE: Ed25519, fully specified (RFC 9864)."""
PROTECTED_ED25519: Final = dump({1: ALGORITHM_ED25519})
PARTY_SIZE_MAX: Final = 40
FINGERPRINT_WORD_COUNT: Final = 8
"""8 bits a word: 64 bits are read aloud; each guess at another card costs a scrypt of 16 MiB."""
_NAME: Final = re.compile(r"[A-Z0-9-]{1,12}")
_KEY_FILE_FORMAT: Final = "hotline-key-1"


class Signing(enum.Enum):
    """How a station signs; the weaker mode holds only on a line where both cards name it."""

    EACH = "each"
    """Every act is signed by itself."""
    CHECKPOINT = "checkpoint"
    """ROUTINE and PRIORITY notices may wait for the next signed act (slow radio presets)."""


@dataclass(frozen=True, slots=True)
class Card:
    """What others may know of a station: its numbers, names and public keys."""

    station: Station
    name: str
    """A-Z, 0-9 and -, 1 to 12 characters."""
    party: str
    """Whom it speaks for, 1 to 40 octets of text."""
    language: str
    """Tag of the language its watch reads, for example `en`."""
    sign_public: bytes
    """Ed25519, 32 octets."""
    exchange_public: bytes
    """X25519, 32 octets."""
    signing: Signing = Signing.EACH
    verifier: Ed25519PublicKey = field(init=False, repr=False, compare=False)
    """`sign_public` ready for use."""

    def __post_init__(self) -> None:
        _check_station("station", self.station)
        if not _NAME.fullmatch(self.name):
            raise FieldError(
                "name", f"{self.name[:20]!r} is no station name", "use A-Z, 0-9 and -, at most 12"
            )
        party = check_text("party", self.party, size_max=PARTY_SIZE_MAX, remedy="shorten it")
        if not self.party or party != self.party:
            raise FieldError("party", "is empty or not in Unicode NFC", "write whom it speaks for")
        if "\n" in self.party:
            raise FieldError("party", "has a line feed", "write it on one line")
        Text("-", self.language)
        for name, octets in (
            ("sign_public", self.sign_public),
            ("exchange_public", self.exchange_public),
        ):
            if len(octets) != KEY_SIZE:
                raise FieldError(name, f"has {len(octets)} octets", f"give {KEY_SIZE}")
        object.__setattr__(self, "verifier", Ed25519PublicKey.from_public_bytes(self.sign_public))


@dataclass(frozen=True, slots=True)
class StationKeys:
    """The private keys of a station, ready for use. Never shown, logged or compared."""

    station: Station
    sign_seed: bytes = field(repr=False)
    """Ed25519 private key, 32 octets."""
    exchange_seed: bytes = field(repr=False)
    """X25519 private key, 32 octets."""
    signer: Ed25519PrivateKey = field(init=False, repr=False, compare=False)
    exchange: X25519PrivateKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_station("station", self.station)
        for name, seed in (("sign", self.sign_seed), ("exchange", self.exchange_seed)):
            if len(seed) != KEY_SIZE:
                raise FieldError(f"{name} key", f"has {len(seed)} octets", f"give {KEY_SIZE}")
        object.__setattr__(self, "signer", Ed25519PrivateKey.from_private_bytes(self.sign_seed))
        exchange = X25519PrivateKey.from_private_bytes(self.exchange_seed)
        object.__setattr__(self, "exchange", exchange)

    @property
    def sign_public(self) -> bytes:
        return self.signer.public_key().public_bytes_raw()

    @property
    def exchange_public(self) -> bytes:
        return self.exchange.public_key().public_bytes_raw()


def new_station_keys(entropy: bytes, *, station: Station) -> StationKeys:
    """Keys from 64 octets of `os.urandom`."""
    if len(entropy) != 2 * KEY_SIZE:
        raise FieldError("entropy", f"has {len(entropy)} octets", f"give {2 * KEY_SIZE}")
    return StationKeys(station, entropy[:KEY_SIZE], entropy[KEY_SIZE:])


def make_card(
    keys: StationKeys, *, name: str, party: str, language: str, signing: Signing = Signing.EACH
) -> Card:
    """The public half of `keys` under a name. Raises `FieldError`."""
    return Card(
        keys.station,
        name,
        party,
        language,
        keys.sign_public,
        keys.exchange_public,
        signing,
    )


def _card_content(card: Card) -> bytes:
    """The octets that the card's own key signs (`card` in gateway.cddl)."""
    signing = list(Signing).index(card.signing)
    names = [card.station, card.name, card.party, card.language, signing]
    return dump([*names, card.sign_public, card.exchange_public])


def _card_signed_octets(content: bytes) -> bytes:
    return dump(["Signature1", PROTECTED_ED25519, dump([PROTOCOL, "card"]), content])


def card_octets(card: Card, keys: StationKeys) -> bytes:
    """The card and its own signature, as it travels inside other texts."""
    if (card.sign_public, card.station) != (keys.sign_public, keys.station):
        raise FieldError("card", "does not belong to these keys", "make it anew")
    content = _card_content(card)
    return content + keys.signer.sign(_card_signed_octets(content))


def card_text(card: Card, keys: StationKeys) -> str:
    """The card on one line of capitals, digits and `-.`, signed by its own key, with a checksum."""
    return write_paper("card", card_octets(card, keys))


def parse_card(text: str) -> Card:
    """Read a card; folded lines and small letters do no harm. Raises `FieldError`."""
    wrong = FieldError("card", "is not the card of a hotline station", "give the *.card file")
    return open_card(read_paper("card", text, otherwise=wrong))


def open_card(octets: bytes) -> Card:
    """A card from its octets and signature. Raises `FieldError`."""
    content, signature = octets[:-SIGNATURE_SIZE], octets[-SIGNATURE_SIZE:]
    try:
        card = _decode_card(content)
        card.verifier.verify(signature, _card_signed_octets(content))
    except DecodeError as error:
        raise FieldError("card", f"is not readable: {error}", "get it again") from error
    except InvalidSignature as error:
        raise FieldError(
            "card", "was changed after its station made it", "get it again by another way"
        ) from error
    return card


def _decode_card(content: bytes) -> Card:
    fields = as_array(load(content), "card", low=7, high=7)
    station, name, party, language, signing, sign_public, exchange_public = fields
    return Card(
        Station(as_uint(station, STATION_MAX, "station")),
        as_text(name, "name"),
        as_text(party, "party"),
        as_text(language, "language"),
        as_octets(sign_public, "sign key", size=KEY_SIZE),
        as_octets(exchange_public, "exchange key", size=KEY_SIZE),
        list(Signing)[as_uint(signing, len(Signing) - 1, "signing")],
    )


def card_digest(card: Card) -> bytes:
    """16 octets over everything on the card: tells a changed card in the log book."""
    return hashlib.sha256(_card_content(card)).digest()[:16]


def fingerprint_words(card: Card) -> tuple[str, ...]:
    """8 words (64 bits) over everything on the card, to compare by voice; takes about 50 ms."""
    salt = f"{PROTOCOL} fingerprint".encode()
    octets = Scrypt(salt=salt, length=FINGERPRINT_WORD_COUNT, n=2**14, r=8, p=1).derive(
        _card_content(card)
    )
    return tuple([WORDS[octet] for octet in octets])


def key_file_text(keys: StationKeys, card: Card) -> str:
    """The private key file (TOML), which also holds what the own card says."""
    if (card.sign_public, card.station) != (keys.sign_public, keys.station):
        raise FieldError("card", "does not belong to these keys", "make it anew")
    fields: dict[str, str | int] = {
        "format": _KEY_FILE_FORMAT,
        "station": keys.station,
        "name": card.name,
        "party": card.party,
        "language": card.language,
        "signing": card.signing.value,
        "sign_key": keys.sign_seed.hex(),
        "exchange_key": keys.exchange_seed.hex(),
    }
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    head = "# Private keys of a hotline station: who reads this file can speak for the station."
    return "\n".join([head, *lines, ""])


def parse_key_file(text: str) -> tuple[StationKeys, Card]:
    """Read a private key file. Raises `FieldError`, which never quotes key material."""
    try:
        fields = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FieldError("key_file", "is not TOML", "restore it or make new keys") from error
    if fields.get("format") != _KEY_FILE_FORMAT:
        raise FieldError(
            "key_file", "is not the key file of a hotline station", "make one: hotline key new"
        )
    words: dict[str, str] = {}
    for name in ("name", "party", "language", "signing", "sign_key", "exchange_key"):
        value = fields.get(name)
        if not isinstance(value, str):
            raise FieldError("key_file", f"has no text {name}", "restore it or make new keys")
        words[name] = value
    station = fields.get("station")
    if type(station) is not int:
        raise FieldError("key_file", "has no station number", "restore it or make new keys")
    if words["signing"] not in [signing.value for signing in Signing]:
        raise FieldError("key_file", "has an unknown signing", "write each or checkpoint")
    keys = StationKeys(
        Station(station),
        _parse_hex("sign_key", words["sign_key"]),
        _parse_hex("exchange_key", words["exchange_key"]),
    )
    card = make_card(
        keys,
        name=words["name"],
        party=words["party"],
        language=words["language"],
        signing=Signing(words["signing"]),
    )
    return keys, card


def secret_text(secret: bytes) -> str:
    """The secret file: 32 octets as one line of hex."""
    if len(secret) != SECRET_SIZE:
        raise FieldError("secret", f"has {len(secret)} octets", f"give {SECRET_SIZE}")
    return secret.hex() + "\n"


def parse_secret(text: str) -> bytes:
    """Read a secret file. Raises `FieldError`, which never quotes it."""
    secret = _parse_hex("secret", "".join(text.split()))
    if len(set(secret)) == 1:
        raise FieldError("secret", "is one octet repeated", "make one with: hotline key secret")
    return secret


def _parse_hex(name: str, text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise FieldError(name, "is not 64 hexadecimal digits", "copy the file again, whole")
    return bytes.fromhex(text)


def _check_station(name: str, station: int) -> None:
    if not 1 <= station <= STATION_MAX:
        raise FieldError(name, f"{station} is out of range", f"give 1 to {STATION_MAX}")
