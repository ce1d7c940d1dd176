"""`hotline key trust`: take the far station's card and the line's secret into the configuration."""

from __future__ import annotations

import os
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.cli.cards import card_document, load_keys, print_card
from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.keyfiles import (
    FILE_SIZE_MAX,
    KEY_FILE_DEFAULT,
    PRIVATE_MODE,
    PUBLIC_MODE,
    configured_key_file,
    read_argument,
    read_text_file,
    write_new,
)
from gateway.cli.options import Common, file_options
from gateway.cli.output import can_ask, print_json, say, warn
from gateway.errors import GatewayError

if TYPE_CHECKING:
    from gateway.security.cards import Card

CARD_PREFIX: Final = "HOTLINE-CARD-"
PATH: Final = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True)
class _Wish:
    """The options of `key trust`."""

    card_argument: str
    folder: Path | None
    new_secret: bool
    carry: Path | None
    secret_file: Path | None
    words: str | None
    yes: bool
    replace: bool
    generation: int
    radio: tuple[str, str] | None
    cable: tuple[str, str] | None
    add: bool

    def check(self) -> None:
        """Raises `click.UsageError` where two options contradict each other."""
        if self.new_secret == (self.secret_file is not None):
            raise click.UsageError(
                "give one of --new-secret (first side of the line: makes it) and --secret-file "
                "FILE (second side: takes the first side's)"
            )
        if self.carry and not self.new_secret:
            raise click.UsageError("--carry belongs to --new-secret")
        if self.add and not (self.radio or self.cable):
            raise click.UsageError(
                "--add needs a link: --radio PORT NODE, --cable PORT RATE, or both"
            )


@click.command("trust")
@click.argument("card_argument", metavar="CARD")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where card and secret are kept.  [default: the folder of the configuration file]",
)
@click.option("--new-secret", is_flag=True, help="First side: make the line's secret.")
@click.option("--carry", type=PATH, help="With --new-secret: a second copy to carry by hand.")
@click.option("--secret-file", type=PATH, help="Second side: the secret that the first one made.")
@click.option("--words", help="The 8 words that the far side read to you: compared here.")
@click.option("-y", "--yes", is_flag=True, help="The words were compared already: do not ask.")
@click.option("--replace", is_flag=True, help="Replace a card and a secret of the same name.")
@click.option("--generation", type=click.IntRange(1, 255), default=1, show_default=True)
@click.option("--radio", nargs=2, metavar="PORT NODE", help="A Meshtastic link, for the stanza.")
@click.option("--cable", nargs=2, metavar="PORT RATE", help="A serial link, for the stanza.")
@click.option("--add", is_flag=True, help="Append the stanza to the configuration file.")
@file_options
def trust(common: Common, **options: Any) -> None:  # noqa: ANN401 (click's options)
    """Trust the far station whose CARD is given: a file, the card's text itself, or -.

    Both stations need the same secret. The first side makes it with --new-secret and writes a copy
    with --carry to a USB stick; the second side takes that copy with --secret-file. Two secrets
    made apart never meet: the line would stay down.

    Compare the fingerprint words by voice before you say yes: a card that was exchanged on its way
    shows other words.

    \b
    hotline key trust SOUTH.card --new-secret --carry /media/usb/line.secret
    hotline key trust NORTH.card --secret-file /media/usb/line.secret
    """  # noqa: D301 (click reads the backspace)
    from gateway.security.cards import parse_card

    wish = _Wish(**options)
    wish.check()
    card_line = read_argument(wish.card_argument, prefix=CARD_PREFIX)
    card = parse_card(card_line)
    folder = (wish.folder or common.config_path.parent).absolute()
    own = _own_card(common, folder, wish.card_argument)
    _refuse_ourselves(own, card)
    _compare(common, own, card, words=wish.words, yes=wish.yes)
    card_path, secret_path = folder / f"{card.name}.card", folder / f"{card.name}.secret"
    stanza = _stanza(card_path, secret_path, wish)
    _refuse_collision(card, folder)
    _check_known(card, card_path, secret_path, replace=wish.replace)
    _write_secret(secret_path, wish)
    text = "".join(card_line.split()).upper() + "\n"
    write_new(card_path, text, mode=PUBLIC_MODE, replace=True)
    if wish.add:
        _append(common.config_path, stanza, card_path)
    if common.json:
        files = {"card_file": str(card_path), "secret_file": str(secret_path)}
        print_json({**card_document(card), **files, "stanza": stanza, "added": wish.add})
        return
    _tell(common, card_path, secret_path, stanza, wish)


def _own_card(common: Common, folder: Path, card_argument: str) -> Card | None:
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


def _refuse_collision(card: Card, folder: Path) -> None:
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


def _refuse_ourselves(own: Card | None, card: Card) -> None:
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


def _compare(common: Common, own: Card | None, card: Card, *, words: str | None, yes: bool) -> None:
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


def _check_known(card: Card, card_path: Path, secret_path: Path, *, replace: bool) -> None:
    """A known station keeps its keys unless the operator says otherwise."""
    from gateway.security.cards import parse_card

    if replace:
        return
    if secret_path.exists():
        raise CommandError(
            ExitCode.CONFLICT,
            f"{secret_path} exists: the line to {card.name} has a secret; --replace makes it "
            "invalid, and then both sides need the new one",
        )
    if card_path.exists() and parse_card(read_text_file(card_path)) != card:
        raise CommandError(
            ExitCode.CONFLICT,
            f"{card_path} holds another card of {card.name}; ask {card.name} why its keys "
            "changed, then use --replace",
        )


def _write_secret(path: Path, wish: _Wish) -> None:
    from gateway.security.cards import parse_secret, secret_text

    if wish.secret_file is not None:
        # A stick's file system has no modes: the copy is private, whatever the source says.
        secret = parse_secret(read_text_file(wish.secret_file))
    else:
        secret = os.urandom(32)
    if wish.carry is not None:
        write_new(wish.carry, secret_text(secret), mode=PRIVATE_MODE)
    write_new(path, secret_text(secret), mode=PRIVATE_MODE, replace=wish.replace)


def _stanza(card_path: Path, secret_path: Path, wish: _Wish) -> str:
    """The `[[line]]` for the configuration; links that were not given stand there as examples."""
    lines = [
        "[[line]]",
        f"card = {_quoted(card_path)}",
        f"secret_file = {_quoted(secret_path)}",
        f"generation = {wish.generation}",
    ]
    radio, cable = wish.radio, wish.cable
    if not radio and not cable:
        lines += ["# Add at least one link; the first is used first."]
    port, node = radio or ("/dev/serial/by-id/usb-...", "!00000000")
    mark = "" if radio else "# "
    if radio or not cable:
        lines += [
            f"{mark}[[line.link]]",
            f'{mark}name = "radio"',
            f'{mark}driver = "meshtastic"',
            f"{mark}port = {_quoted(port)}",
            f"{mark}node = {_quoted(node)}",
        ]
    port, rate = cable or ("/dev/serial/by-id/usb-...", "9600")
    mark = "" if cable else "# "
    if cable or not radio:
        lines += [
            f"{mark}[[line.link]]",
            f'{mark}name = "cable"',
            f'{mark}driver = "serial"',
            f"{mark}port = {_quoted(port)}",
            f"{mark}bit_rate = {_rate(rate)}",
        ]
    return "\n".join([*lines, ""])


def _quoted(value: object) -> str:
    """A TOML basic string; JSON's escapes are among TOML's."""
    import json

    return json.dumps(str(value), ensure_ascii=False)


def _rate(rate: str) -> int:
    if not rate.isascii() or not rate.isdigit():
        raise click.UsageError("--cable takes a port and a bit rate, as in --cable /dev/ttyS0 9600")
    return int(rate)


def _append(path: Path, stanza: str, card_path: Path) -> None:
    """Add the stanza to the configuration, whole or not at all; the old text stays as it is."""
    text = read_text_file(path)
    try:
        lines = tomllib.loads(text).get("line", [])
        tomllib.loads(f"{text}\n{stanza}")
    except tomllib.TOMLDecodeError as error:
        raise CommandError(
            ExitCode.CONFIGURATION,
            f"{path} cannot take a [[line]] ({error}); correct it, or add the stanza by hand",
        ) from error
    if any(isinstance(line, dict) and line.get("card") == str(card_path) for line in lines):
        raise CommandError(
            ExitCode.CONFLICT, f"{path} has a [[line]] with {card_path} already; edit it by hand"
        )
    joint = "" if text.endswith("\n\n") or not text else "\n" if text.endswith("\n") else "\n\n"
    if len(text) + len(stanza) > FILE_SIZE_MAX:
        raise CommandError(ExitCode.CONFIGURATION, f"{path} is too long; shorten its comments")
    mode = path.stat().st_mode & 0o777
    write_new(path, f"{text}{joint}{stanza}", mode=mode, replace=True)


def _tell(common: Common, card_path: Path, secret_path: Path, stanza: str, wish: _Wish) -> None:
    say("")
    say(f"card    {card_path}")
    say(f"secret  {secret_path} (mode 0600)")
    if wish.carry:
        say(
            f"carry   {wish.carry}: bring it to the other side by hand, take it there with "
            f"--secret-file {shlex.quote(wish.carry.name)}, then destroy it"
        )
    if wish.add:
        say(f"added to {common.config_path}; check it with `hotline config check`")
        return
    warn(f"add this to {common.config_path}:")
    click.echo(stanza, nl=False)
