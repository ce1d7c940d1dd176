"""Cards and keys on a screen and from their files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.keyfiles import read_text_file
from gateway.cli.output import print_fields, say

if TYPE_CHECKING:
    from gateway.security.cards import Card, StationKeys


def load_keys(path: Path) -> tuple[StationKeys, Card]:
    """The station's keys and card; the file must be private."""
    from gateway.security.cards import parse_key_file

    return parse_key_file(read_text_file(path, private=True))


def words_of(card: Card) -> tuple[str, ...]:
    from gateway.security.cards import fingerprint_words

    return fingerprint_words(card)


def card_document(card: Card) -> dict[str, object]:
    """A card for programs."""
    return {
        "station": card.station,
        "name": card.name,
        "party": card.party,
        "language": card.language,
        "signing": card.signing.value,
        "words": list(words_of(card)),
    }


def print_card(card: Card) -> None:
    """A card for people."""
    print_fields(
        [
            ("name", card.name),
            ("station", card.station),
            ("party", card.party),
            ("language", card.language),
            ("signing", card.signing.value),
        ]
    )
    print_words(card)


def print_words(card: Card) -> None:
    """The fingerprint words, numbered, to be read aloud."""
    words = words_of(card)
    say("words " + "  ".join(f"{index} {word}" for index, word in enumerate(words, 1)))
