"""`hotline key rotate` and `revoke`, and taking a renewal: newer secrets, withdrawn cards."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from gateway.cli.cards import load_keys
from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.handover import (
    VALID_H,
    choose_way,
    hand_over,
    say_way,
    time_words,
    utc_now,
    way_options,
)
from gateway.cli.keyfiles import configured_key_file
from gateway.cli.lines import ConfiguredLine, configured_lines, line_to, write_secrets
from gateway.cli.number_type import IntegerRange
from gateway.cli.options import Common, file_options
from gateway.cli.output import can_ask, print_json, say

if TYPE_CHECKING:
    from gateway.security.cards import Card

RESTART: Final = "Restart the gateway to take it: systemctl restart hotline-gateway"


@click.command("rotate")
@click.argument("name", metavar="STATION")
@way_options
@click.option(
    "--valid",
    type=IntegerRange(1, 8760),
    default=VALID_H,
    show_default=True,
    help="Hours in which it may be taken.",
)
@click.option(
    "--again", is_flag=True, help="Replace the newest secret, which the far station has not taken."
)
@click.option(
    "--finish", is_flag=True, help="Erase the former secret; no new one. Do it on both sides."
)
@file_options
def rotate(
    common: Common,
    name: str,
    file: Path | None,
    png: Path | None,
    valid: int,
    again: bool,
    finish: bool,
) -> None:
    """Give the line to STATION a new secret, of the next generation, without losing a notice.

    The new secret is shown once, as a QR code or in a file; the other side takes it, today or
    next week, with `hotline line accept`. Until it uses the new one the old one is accepted too,
    and open notices go on. `hotline status` says when the rotation is over; then --finish.

    \b
    A new generation is no cure after a theft. Whoever has a station's key can speak for it, and
    reads every new secret that reaches him. Against a
    - secret that somebody may have seen:  rotate, by hand as above
    - machine that was lost or stolen:     the far side runs `hotline key revoke`; the new machine
                                           gets new keys and a new invitation
    """  # noqa: D301 (click reads the backspace)
    line = line_to(common, name)
    if finish:
        _finish(common, line)
        return
    from gateway.model import UtcTime
    from gateway.security.invitation import Term, parse_renewal, renewal_text

    keys, _ = load_keys(configured_key_file(common))
    secrets = line.secrets()
    way = choose_way(common, file=file, png=png)
    if secrets.former is not None and not again:
        raise CommandError(
            ExitCode.CONFLICT,
            f"the line to {line.card.name} holds generations {secrets.former[0]} and"
            f" {secrets.newest}: when `hotline status` says that they use {secrets.newest}, erase"
            " the former one with --finish; if they will never take it, replace it with --again",
        )
    base = secrets.former[0] if secrets.former is not None and again else secrets.newest
    number = secrets.newest + 1
    if number > 255:
        raise CommandError(
            ExitCode.CONFLICT,
            "the generations of this line are used up; join it anew with `hotline line invite`",
        )
    now = utc_now()
    term = Term(now, UtcTime(now + valid * 3600))
    text = renewal_text(keys, line.card.station, number, entropy=os.urandom(40), term=term)
    secret = parse_renewal(text)[0].secret
    # Kept first: what the other side takes must be here. A power cut now costs an --again.
    write_secrets(line.secret_path, secrets.rotated(number, secret, base=base))
    hand_over(text, way, undo=lambda: write_secrets(line.secret_path, secrets))
    if common.json:
        document = {"station": line.card.name, "generation": number, "former": base}
        print_json({**document, "renewal": way.name, "expires": time_words(term.expires)})
        return
    say_way("renewal", way, is_secret=True)
    say(f"Generation {number} for {line.card.name}, to be taken until {time_words(term.expires)}.")
    say(f"{RESTART}. Generation {base} is accepted until {line.card.name} uses the new one.")


def _finish(common: Common, line: ConfiguredLine) -> None:
    secrets = line.secrets()
    if secrets.former is None:
        raise CommandError(
            ExitCode.CONFLICT,
            f"the line to {line.card.name} holds generation {secrets.newest} only; nothing is left"
            " to erase",
        )
    write_secrets(line.secret_path, secrets.finished())
    if common.json:
        print_json({"station": line.card.name, "generation": secrets.newest, "former": None})
        return
    say(f"Generation {secrets.former[0]} of the line to {line.card.name} is erased. {RESTART}")


def take_renewal(common: Common, text: str, own: Card) -> None:
    """Second side of a rotation: keep the newer secret beside the one in use."""
    from gateway.security.invitation import parse_renewal, verify_renewal

    renewal, content, signature = parse_renewal(text)
    if renewal.sender == own.station:
        raise CommandError(
            ExitCode.USAGE, "this station made this renewal itself; the far station takes it"
        )
    if renewal.recipient != own.station:
        raise CommandError(
            ExitCode.REFUSED,
            f"this renewal is for station {renewal.recipient}, this one is {own.station}",
        )
    lines = configured_lines(common)
    line = next((one for one in lines if one.card.station == renewal.sender), None)
    if line is None:
        raise CommandError(
            ExitCode.NOT_FOUND,
            f"{common.config_path} has no line to station {renewal.sender}; join it first with"
            " `hotline line invite`",
        )
    verify_renewal(line.card, content, signature)
    secrets = line.secrets()
    if renewal.token.hex() in secrets.taken:
        raise CommandError(
            ExitCode.CONFLICT,
            f"this renewal of {line.card.name} was taken here already; nothing changed",
        )
    if line.card.sign_public in secrets.revoked:
        raise CommandError(ExitCode.REFUSED, f"the card of {line.card.name} is revoked here")
    renewal.term.check("renewal", utc_now())
    # A line that waits for the far side keeps what works: the older of its two.
    base = secrets.newest if renewal.generation > secrets.newest else None
    newer = secrets.rotated(renewal.generation, renewal.secret, base=base)
    write_secrets(line.secret_path, newer.remembering(renewal.token.hex()))
    if common.json:
        document = {"station": line.card.name, "generation": renewal.generation, "former": base}
        print_json(document)
        return
    say(
        f"Generation {renewal.generation} of the line to {line.card.name} is kept beside {base}."
        f" Destroy what brought it. {RESTART}"
    )


@click.command("revoke")
@click.argument("name", metavar="STATION")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@file_options
def revoke(common: Common, name: str, yes: bool) -> None:
    """Withdraw the card of STATION, whose machine was lost or stolen: for ever.

    From the next start nothing is taken from that card and nothing goes to it; an alarm and the log
    book say so. Open notices stay. The far party gives its new machine new keys and makes a new
    invitation (`hotline line invite`), which is taken here with --replace.
    """
    line = line_to(common, name)
    secrets = line.secrets()
    if line.card.sign_public in secrets.revoked:
        raise CommandError(
            ExitCode.CONFLICT, f"the card of {line.card.name} is revoked already; nothing changed"
        )
    if not yes:
        if not can_ask():
            raise click.UsageError("no terminal to ask on; say --yes")
        question = f"Take nothing from this card of {line.card.name} any more, for ever?"
        if not click.confirm(question, err=True):
            raise CommandError(ExitCode.INTERRUPTED, "nothing was revoked")
    write_secrets(line.secret_path, secrets.revoking(line.card.sign_public))
    if common.json:
        print_json({"station": line.card.name, "revoked": True})
        return
    say(
        f"The card of {line.card.name} is revoked. NOW: systemctl restart hotline-gateway"
        " - until then the running gateway still takes what it says."
    )
