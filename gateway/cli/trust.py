"""`hotline key trust`: take the far station's card and the line's secret into the configuration."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.cli.cards import card_document
from gateway.cli.ceremony import CARD_PREFIX, compare, own_card, refuse_collision, refuse_ourselves
from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.handover import check_place
from gateway.cli.keyfiles import (
    PRIVATE_MODE,
    earlier_words,
    read_argument,
    read_text_file,
    replace_card,
    write_new,
)
from gateway.cli.number_type import IntegerRange
from gateway.cli.options import Common, file_options
from gateway.cli.output import print_json, say, warn
from gateway.cli.stanza import append_or_show, line_stanza, link_options, typed_links

if TYPE_CHECKING:
    from gateway.security.cards import Card

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
@click.option("--generation", type=IntegerRange(1, 255), default=1, show_default=True)
@link_options
@file_options
def trust(
    common: Common,
    *,
    radio: tuple[str, str] | None,
    cable: tuple[str, str] | None,
    **options: Any,  # noqa: ANN401 (click's options)
) -> None:
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
    add_to = common.config_path if wish.add else None
    links = typed_links(radio, cable, add_to=add_to)
    card_line = read_argument(wish.card_argument, prefix=CARD_PREFIX)
    card = parse_card(card_line)
    folder = (wish.folder or common.config_path.parent).absolute()
    own = own_card(common, folder, wish.card_argument)
    refuse_ourselves(own, card)
    card_path, secret_path = folder / f"{card.name}.card", folder / f"{card.name}.secret"
    refuse_collision(card, folder)
    _check_known(card, card_path, secret_path, replace=wish.replace)
    secret = _secret(secret_path, card_path, wish)
    stanza = line_stanza(card_path, secret_path, links, generation=wish.generation, add_to=add_to)
    compare(common, own, card, words=wish.words, yes=wish.yes)
    text = "".join(card_line.split()).upper() + "\n"
    # The card first: with it alone the same command goes on where a power cut came between.
    earlier = replace_card(card_path, text)
    if earlier is not None and not common.json:
        say(earlier_words(earlier))
    _write_secret(secret_path, secret, wish)
    if wish.add:
        append_or_show(common.config_path, stanza, card_path)
    if common.json:
        files = {"card_file": str(card_path), "secret_file": str(secret_path)}
        if earlier is not None:
            files["earlier_card"] = str(earlier)
        print_json({**card_document(card), **files, "stanza": stanza, "added": wish.add})
        return
    _tell(common, card_path, secret_path, stanza, wish)


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


def _secret(secret_path: Path, card_path: Path, wish: _Wish) -> bytes:
    """The line's secret, with where it shall go; before the words are compared."""
    from gateway.security.cards import parse_secret

    if wish.secret_file is not None:
        # A stick's file system has no modes: the copy is private, whatever the source says.
        return parse_secret(read_text_file(wish.secret_file))
    if wish.carry is not None:
        if wish.carry.resolve() in (secret_path.resolve(), card_path.resolve()):
            raise click.UsageError(
                f"--carry {wish.carry} is this station's own file; name one on a stick, which you"
                " bring to the other side"
            )
        check_place(wish.carry)
    return os.urandom(32)


def _write_secret(path: Path, secret: bytes, wish: _Wish) -> None:
    from gateway.security.cards import secret_text

    if wish.carry is not None:
        write_new(wish.carry, secret_text(secret), mode=PRIVATE_MODE)
    write_new(path, secret_text(secret), mode=PRIVATE_MODE, replace=wish.replace)


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
