"""`hotline key`: make a station's keys, show its card, trust the far station's card."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.cards import card_document, load_keys, print_words, words_of
from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.keyfiles import (
    PRIVATE_MODE,
    PUBLIC_MODE,
    configured_key_file,
    write_new,
)
from gateway.cli.number_type import IntegerRange
from gateway.cli.options import Common, file_options
from gateway.cli.output import print_json, say, warn
from gateway.cli.renewal import revoke, rotate
from gateway.cli.trust import trust

if TYPE_CHECKING:
    from gateway.security.cards import Card, StationKeys

PATH = click.Path(path_type=Path, dir_okay=False)


@click.group("key")
@file_options
def command(_common: Common) -> None:
    """Make keys, show this station's card, trust the far station's card, rotate, revoke.

    `hotline line` joins two stations in fewer steps. By hand:

    \b
    1. On each side:     hotline key new --station N --name NAME --party PARTY
    2. Exchange the two *.card files (they are public).
    3. On one side:      hotline key trust FAR.card --new-secret --carry /media/usb/line.secret
    4. On the other:     hotline key trust FAR.card --secret-file /media/usb/line.secret
       Then destroy the copy on the stick: whoever holds it and a recording can read the line.
    5. Both compare the fingerprint words by voice, each reading the words of both cards.
    """  # noqa: D301 (click reads the backspace)


@command.command("new")
@click.option(
    "--station",
    type=IntegerRange(1, 255),
    required=True,
    help="Number of the station, unique on its lines.",
)
@click.option("--name", required=True, help="Its name: 1 to 12 of A-Z, 0-9 and -.")
@click.option("--party", required=True, help="Whom it speaks for, at most 40 octets.")
@click.option("--language", default="en", show_default=True, help="What its watch reads.")
@click.option(
    "--signing",
    type=click.Choice(["each", "checkpoint"]),
    default="each",
    show_default=True,
    help="checkpoint (slow presets): ROUTINE and PRIORITY notices may wait for a signature.",
)
@click.option(
    "--file",
    "path",
    type=PATH,
    help="Key file.  [default: as the configuration says, else station.key beside it]",
)
@click.option("--card", "card_path", type=PATH, help="Card file.  [default: NAME.card beside it]")
@file_options
def new(
    common: Common,
    station: int,
    name: str,
    party: str,
    language: str,
    signing: str,
    path: Path | None,
    card_path: Path | None,
) -> None:
    """Make this station's keys from the system's entropy, and its card.

    The key file (mode 0600) never leaves the machine. The card is public. Neither is overwritten.
    """
    path = path or configured_key_file(common)
    card_path = card_path or path.with_name(f"{name}.card")
    card = make_station(
        path,
        card_path,
        station=station,
        name=name,
        party=party,
        language=language,
        signing=signing,
    )
    if common.json:
        print_json({**card_document(card), "key_file": str(path), "card_file": str(card_path)})
        return
    say(f"key   {path} (mode 0600; back it up offline, show it to no one)")
    say(f"card  {card_path} (public; bring it to the far station)")
    print_words(card)


def make_station(
    path: Path,
    card_path: Path,
    *,
    station: int,
    name: str,
    party: str,
    language: str,
    signing: str = "each",
) -> Card:
    """Make a station's keys and write them and their card; gives the card.

    Raises before anything is written: `FieldError`, and `CommandError` where one of the files is.
    """
    from gateway.model import Station
    from gateway.security.cards import Signing, key_file_text, make_card, new_station_keys

    for file in (path, card_path):
        refuse_file(file)
    keys = new_station_keys(os.urandom(64), station=Station(station))
    card = make_card(keys, name=name, party=party, language=language, signing=Signing(signing))
    write_new(path, key_file_text(keys, card), mode=PRIVATE_MODE)
    write_card(card_path, card, keys)
    return card


def refuse_file(path: Path) -> None:
    """A card that is here may be another station's, or what an old log book is verified with."""
    if path.exists():
        raise CommandError(
            ExitCode.CONFLICT, f"{path} exists and is not overwritten; move it away first"
        )


def write_card(path: Path, card: Card, keys: StationKeys) -> None:
    from gateway.security.cards import card_text

    write_new(path, card_text(card, keys) + "\n", mode=PUBLIC_MODE)


@command.command("card")
@click.option("--file", "path", type=PATH, help="Key file.  [default: as the configuration says]")
@file_options
def card_command(common: Common, path: Path | None) -> None:
    """Print this station's card on one line, and its fingerprint words.

    The card goes to standard output and the rest to standard error: `hotline key card > N.card`.
    """
    from gateway.security.cards import card_text
    from gateway.security.expand import public_cose_key

    keys, card = load_keys(path or configured_key_file(common))
    if common.json:
        public = public_cose_key(card).hex()
        print_json({**card_document(card), "card": card_text(card, keys), "cose_key": public})
        return
    click.echo(card_text(card, keys))
    warn(f"card of {card.name}, station {card.station}, {card.party}")
    warn(f"words {' '.join(words_of(card))}")


@command.command("secret")
@click.argument("path", type=PATH, metavar="FILE")
@file_options
def secret_command(common: Common, path: Path) -> None:
    """Write a fresh pre-shared secret to FILE (mode 0600). Both stations of a line need the same.

    `hotline key trust --new-secret` does this too.
    """
    from gateway.security.cards import secret_text

    write_new(path, secret_text(os.urandom(32)), mode=PRIVATE_MODE)
    if common.json:
        print_json({"secret_file": str(path)})
    else:
        say(f"secret  {path} (mode 0600; carry it by hand, never by network)")


command.add_command(trust)
command.add_command(rotate)
command.add_command(revoke)
