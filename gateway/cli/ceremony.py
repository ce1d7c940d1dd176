"""What must hold before a far station's card is trusted: another station, and words compared."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from gateway.cli.cards import load_keys, print_card
from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.keyfiles import KEY_FILE_DEFAULT, configured_key_file, read_text_file
from gateway.cli.options import Common
from gateway.cli.output import can_ask, say
from gateway.errors import GatewayError

if TYPE_CHECKING:
    from gateway.security.cards import Card

CARD_PREFIX: Final = "HOTLINE-CARD-"


def own_card(common: Common, folder: Path, card_argument: str) -> Card | None:
    """Our own card, to show its words; None where the keys are not on this machine.

    Before there is a configuration, the station's key lies in the folder of its files or beside
    the card that `key new` wrote with it.
    """
    paths = [configured_key_file(common), folder / KEY_FILE_DEFAULT.name]
    if card_argument != "-" and not card_argument.upper().startswith(CARD_PREFIX):
        paths.append(Path(card_argument).absolute().with_name(KEY_FILE_DEFAULT.name))
    for path in paths:
        if os.access(path, os.R_OK):
            return load_keys(path)[1]
    return None


def refuse_collision(card: Card, folder: Path) -> None:
    """Two cards with one number in a folder: no gateway could tell their stations apart."""
    from gateway.security.cards import parse_card

    for path in sorted(folder.glob("*.card")):
        try:
            other = parse_card(read_text_file(path))
        except (CommandError, GatewayError):
            continue  # no card of ours to judge
        if other.station == card.station and other.name != card.name:
            raise CommandError(
                ExitCode.CONFLICT,
                f"{path} of {other.name} has the number {card.station} too; one of the two must "
                "make new keys with another number, or move that card away if it is void",
            )


def refuse_ourselves(own: Card | None, card: Card) -> None:
    if own is None:
        return
    if own.sign_public == card.sign_public:
        raise CommandError(
            ExitCode.USAGE, "this is the card of this station itself; give the far station's"
        )
    if own.station == card.station or own.name == card.name:
        raise CommandError(
            ExitCode.CONFLICT,
            f"station {card.station} {card.name} has the number or the name of this station "
            f"({own.station} {own.name}); one of the two must make new keys with another",
        )


def compare(common: Common, own: Card | None, card: Card, *, words: str | None, yes: bool) -> None:
    """Nobody is trusted before the words agree, by --words or by a person's word."""
    from gateway.security.cards import fingerprint_words

    if words is not None:
        if tuple(words.lower().replace(",", " ").split()) != fingerprint_words(card):
            raise CommandError(
                ExitCode.REFUSED,
                f"the words are not those of this card of {card.name}; do not trust it, get the "
                "card again by another way",
            )
        return
    if not common.json:
        say("far station")
        print_card(card)
        if own is not None:
            say("")
            say(f"this station, for the other side to compare: {own.name}")
            say("words " + " ".join(fingerprint_words(own)))
    if yes:
        return
    if not can_ask():
        raise click.UsageError(
            "no terminal to ask on; compare the words by voice and give them with --words, "
            'as in --words "apple river ...", or say --yes'
        )
    if not click.confirm(f"Did {card.name} read these words to you, by voice?", err=True):
        raise CommandError(ExitCode.INTERRUPTED, f"{card.name} is not trusted; nothing was written")
