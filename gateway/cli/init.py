"""`hotline init`: a station's keys and configuration at once, by questions or by options."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.cli.cards import card_document, load_keys, print_words
from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.handover import VALID_H
from gateway.cli.init_questions import (
    BIT_RATE_RANGE,
    LAMPS,
    STATION_RANGE,
    Questions,
    completed,
    pin_rows,
)
from gateway.cli.init_wish import (
    BIT_RATE,
    NONE,
    Wish,
    accept_command,
    as_typed,
    check_wish,
    chosen_pins,
    command_text,
    config_text,
)
from gateway.cli.key import make_station, refuse_file, write_card
from gateway.cli.keyfiles import KEY_FILE_DEFAULT, PUBLIC_MODE, read_text_file, write_new
from gateway.cli.line import accept, invite
from gateway.cli.options import Common, file_options
from gateway.cli.output import can_ask, print_block, print_fields, print_json, say, warn
from gateway.cli.port_type import absence
from gateway.cli.ports_found import FoundPort, found_ports, has_header
from gateway.errors import GatewayError

if TYPE_CHECKING:
    from gateway.security.cards import Card

_SERVICE: Final = "hotline-gateway"
_DROP_INS: Final = f"/etc/systemd/system/{_SERVICE}.service.d"
_REMOTE: Final = "remote-broker.conf"


@click.command("init")
@click.option("--station", type=STATION_RANGE, help="Number, unique on its lines.")
@click.option("--name", help="Name of the station: 1 to 12 of A-Z, 0-9 and -.")
@click.option("--party", help="Whom it speaks for, at most 40 octets.")
@click.option("--language", default="en", show_default=True, help="What its watch reads.")
@click.option("--radio", metavar="PORT|none", help="Device of the radio, or tcp://HOST:4403.")
@click.option("--far-node", metavar="!NUMBER", help="Number of the far station's radio.")
@click.option("--cable", metavar="PORT|none", help="Device of the cable.")
@click.option(
    "--bit-rate", type=BIT_RATE_RANGE, help=f"Bits a second on the cable.  [default: {BIT_RATE}]"
)
@click.option(
    "--lamps",
    type=click.Choice(LAMPS),
    help="lgpio on a Raspberry Pi with the panel, mock on a bench, or none.  [default: as found]",
)
@click.option(
    "--pin",
    "pins",
    multiple=True,
    metavar="LAMP=BCM",
    help="Another pin than hw/pins.toml has, such as alarm=25 or link=16,20.  [repeatable]",
)
@click.option("--mqtt", metavar="URL|none", help="Broker.  [default: none, the API alone]")
@click.option(
    "--duty-officer",
    "officers",
    multiple=True,
    metavar="USER",
    help="User of this machine who may send and answer everything, beside root.  [repeatable]",
)
@click.option(
    "--line",
    type=click.Choice(["invite", "accept", "later"]),
    help="What follows: invite the far station, take its invitation, or neither.",
)
@click.option("-y", "--yes", is_flag=True, help="Ask nothing: take the defaults, and write.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@file_options
@click.pass_context
def command(
    context: click.Context,
    /,
    common: Common,
    **options: Any,  # noqa: ANN401 (click's options)
) -> None:
    """Set a station up: make its keys, and write its configuration for the devices found here.

    What an option does not say is asked at a terminal, and asked again where the answer does not
    fit. Everything is shown before it is written,
    and no file that exists is ever replaced: keys that are here already are taken as they are.

    \b
    By options alone, for programs:
      hotline init --station 1 --name NORTH --party "Party A" --yes
    """  # noqa: D301 (click reads the backspace)
    wish = as_typed(Wish(**options))
    for port, device, of_it, value in (
        (wish.radio, "--radio", "--far-node", wish.far_node),
        (wish.cable, "--cable", "--bit-rate", wish.bit_rate),
    ):
        if port == NONE and value is not None:
            raise click.UsageError(f"{of_it} belongs to {device} PORT; leave one of the two out")
    config = common.config_path.absolute()
    _check_folder(config, wish)
    if config.exists():
        raise CommandError(
            ExitCode.CONFLICT,
            f"{config} exists and is not overwritten; edit it and run `hotline config check`, or"
            " move it away to begin anew",
        )
    key_file = config.with_name(KEY_FILE_DEFAULT.name)
    old = _old_card(key_file, wish)
    ports = found_ports()
    asks = can_ask() and not (wish.yes or common.json)
    wish = _with_card(wish, old, asks=asks)

    def check(wish: Wish) -> None:
        check_wish(wish, key_file, config)
        _check_card(_card_path(config, wish), old)

    check(wish)
    lamps = "lgpio" if has_header() else NONE
    if asks:
        wish = Questions(check).ask_all(wish, ports, lamps=lamps)
    wish = completed(wish, ports, lamps=lamps)
    check(wish)
    text = config_text(wish, key_file, config)
    if not common.json:
        _show(wish, ports, text, config, key_file, is_new=old is None)
    if wish.dry_run:
        if common.json:
            print_json(_document(wish, ports, text, config, key_file, None))
        return
    if not wish.yes and not asks:
        raise click.UsageError("no terminal to ask on; give --yes to write, or --dry-run")
    if asks and not click.confirm("Write these files?", default=True, err=True):
        raise CommandError(ExitCode.INTERRUPTED, "nothing was written")
    card, made = _station(key_file, _card_path(config, wish), wish, old)
    # The configuration last: until it is there, this command can be run again.
    write_new(config, text, mode=PUBLIC_MODE)
    if common.json:
        print_json(_document(wish, ports, text, config, key_file, card))
        return
    say(f"written: {', '.join([str(config), *made])}")
    print_words(card)
    _go_on(context, common, wish)


def _station(
    key_file: Path, card_path: Path, wish: Wish, old: Card | None
) -> tuple[Card, list[str]]:
    """The station's card, and what was written of keys and card: what was not here before."""
    if old is None:
        card = make_station(
            key_file,
            card_path,
            station=wish.station or 0,
            name=wish.name or "",
            party=wish.party or "",
            language=wish.language,
        )
        return card, [str(key_file), f"the card {card_path}"]
    if card_path.exists():
        return old, []
    keys, card = load_keys(key_file)
    write_card(card_path, card, keys)
    return card, [f"the card {card_path}"]


def _check_folder(config: Path, wish: Wish) -> None:
    """Before anything is asked: whether this user can write what shall be written."""
    folder = config.parent
    try:
        is_there = folder.is_dir()
        config.exists()
    except PermissionError as error:
        raise _refusal(folder) from error
    if not is_there and folder.exists():
        raise CommandError(
            ExitCode.NOT_FOUND, f"{folder} is no folder; name another file with --config"
        )
    if not is_there:
        raise CommandError(
            ExitCode.NOT_FOUND,
            f"the folder {folder} is not there; install the package, which makes it for the"
            " service's user, or name another file with --config",
        )
    if not (wish.dry_run or os.access(folder, os.W_OK | os.X_OK)):
        raise _refusal(folder)


def _refusal(folder: Path) -> CommandError:
    return CommandError(
        ExitCode.FORBIDDEN, f"this user may not write into {folder}; run: sudo hotline init"
    )


def _with_card(wish: Wish, old: Card | None, *, asks: bool) -> Wish:
    """The wish with what the keys say that are here; what is missing must have someone to ask."""
    if old is not None:
        wish = replace(wish, station=int(old.station), name=old.name, party=old.party)
    missing = [
        option
        for option, value in (
            ("--station", wish.station),
            ("--name", wish.name),
            ("--party", wish.party),
        )
        if value is None
    ]
    if missing and not asks:
        raise click.UsageError(f"nobody to ask; give {', '.join(missing)}")
    return wish


def _old_card(key_file: Path, wish: Wish) -> Card | None:
    """The card of keys that are here already; they must be those that the options speak of."""
    if not key_file.exists():
        return None
    _, card = load_keys(key_file)
    for option, wanted, found in (
        ("--station", wish.station, int(card.station)),
        ("--name", wish.name, card.name),
        ("--party", wish.party, card.party),
    ):
        if wanted is not None and wanted != found:
            raise CommandError(
                ExitCode.CONFLICT,
                f"{key_file} has keys of station {card.station} {card.name} ({card.party}) and is"
                f" not overwritten; leave {option} out to use them, or move them away first",
            )
    return card


def _card_path(config: Path, wish: Wish) -> Path:
    return config.with_name(f"{wish.name}.card")


def _check_card(path: Path, old: Card | None) -> None:
    """No card is replaced: without keys it is another's or an older one, with keys it is theirs."""
    from gateway.security.cards import parse_card

    if old is None:
        refuse_file(path)
    elif path.exists():
        try:
            is_theirs = parse_card(read_text_file(path)) == old
        except (CommandError, GatewayError):
            is_theirs = False
        if not is_theirs:
            refuse_file(path)


def _show(
    wish: Wish, ports: list[FoundPort], text: str, config: Path, key_file: Path, *, is_new: bool
) -> None:
    print_fields(
        [
            ("station", f"{wish.name}, number {wish.station}, {wish.party}"),
            ("keys", f"{key_file} ({'new, mode 0600' if is_new else 'here already, kept'})"),
            ("radio", wish.radio),
            ("far radio", wish.far_node),
            ("cable", wish.cable if wish.cable == NONE else f"{wish.cable}, {wish.bit_rate} bit/s"),
            ("lamps", wish.lamps),
            ("queue", "embedded" if wish.mqtt in (None, NONE) else wish.mqtt),
            ("file", config),
        ]
    )
    if wish.lamps != NONE:
        print_fields(pin_rows(wish))
    print_block(text)
    for note in filter(None, map(absence, (wish.radio or NONE, wish.cable or NONE))):
        warn(f"note: {note}")
    if not (ports or wish.radio_link or wish.cable_link):
        warn("note: no serial device is plugged in here; give --radio or --cable, or plug it in")


def _next(wish: Wish, config: Path) -> list[str]:
    """The commands that are left, in order."""
    steps = [command_text(config, "line", "invite"), accept_command(wish, config)]
    if wish.officers:
        steps += [f"sudo adduser {officer} hotline" for officer in wish.officers]
        steps.append(f"sudo install -D -t {_DROP_INS} /usr/share/{_SERVICE}/named-users.conf")
    if wish.remote_hosts:
        steps += [
            f"sudo install -D -m 0644 -t {_DROP_INS} /usr/share/{_SERVICE}/{_REMOTE}",
            f"sudoedit {_DROP_INS}/{_REMOTE}",
            "sudo systemctl daemon-reload",
        ]
    steps += [command_text(config, "config", "check"), f"sudo systemctl enable --now {_SERVICE}"]
    return steps


def _document(
    wish: Wish,
    ports: list[FoundPort],
    text: str,
    config: Path,
    key_file: Path,
    card: Card | None,
) -> dict[str, object]:
    document: dict[str, object] = {} if card is None else card_document(card)
    return document | {
        "written": card is not None,
        "config": str(config),
        "key_file": str(key_file),
        "text": text,
        "pins": None if wish.lamps == NONE else chosen_pins(wish.pins),
        "ports": [{"path": one.path, "kind": one.kind, "text": one.text} for one in ports],
        "next": _next(wish, config),
    }


def _lacking(wish: Wish) -> str | None:
    """What a line cannot be accepted without."""
    if wish.radio_link and wish.far_node is None:
        return "the number of the far station's radio"
    return None if wish.radio_link or wish.cable_link else "the port of a radio or cable"


def _go_on(context: click.Context, common: Common, wish: Wish) -> None:
    """Join the line at once where that was asked for; else say how."""
    from gateway.config.hosts import is_address

    choice = wish.line
    if choice is None and can_ask() and not wish.yes:
        choice = click.prompt(
            "Join the line now: invite the far station, accept its invitation, or later",
            type=click.Choice(["invite", "accept", "later"]),
            default="later",
            err=True,
        )
    lacking = _lacking(wish)
    if choice == "accept" and lacking:
        say(f"{lacking} is not known yet: the command below takes it")
        choice = "later"
    if choice == "invite":
        context.invoke(invite, file=None, png=None, valid=VALID_H, again=False)
    elif choice == "accept":
        context.invoke(
            accept, source=None, file=None, png=None, words=None, yes=False, replace=False,
            radio=wish.radio_link, cable=wish.cable_link, add=True,
        )  # fmt: skip
    for host in wish.remote_hosts:
        name = "" if is_address(host) else ", and that of the name server beside it"
        say(
            f"{host} is another machine, which the service may not reach until its IP address is"
            f" in {_REMOTE}{name}: the commands below put it there"
        )
    say("next (of the two sides only one invites):" if choice in (None, "later") else "next:")
    done = {"invite": 1, "accept": 2}.get(choice or "", 0)
    for step in _next(wish, common.config_path.absolute())[done:]:
        say(f"  {step}")
