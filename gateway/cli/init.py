"""`hotline init`: a station's keys and configuration at once, by questions or by options."""

from __future__ import annotations

import shlex
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.cli.cards import card_document, load_keys, print_words
from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.handover import VALID_H
from gateway.cli.key import make_station
from gateway.cli.keyfiles import KEY_FILE_DEFAULT, PUBLIC_MODE, write_new
from gateway.cli.line import accept, invite
from gateway.cli.number_type import IntegerRange
from gateway.cli.options import Common, file_options
from gateway.cli.output import can_ask, print_block, print_fields, print_json, say, warn
from gateway.cli.ports_found import FoundPort, found_ports, has_header
from gateway.cli.stanza import quoted, stanza_text

if TYPE_CHECKING:
    from gateway.security.cards import Card

NONE: Final = "none"
FAR_NODE_UNKNOWN: Final = "!FARNODE"
BIT_RATE: Final = 9600
_SERVICE: Final = "hotline-gateway"


@dataclass(frozen=True, slots=True)
class _Wish:
    """The options, then the answers. A port is None until chosen, "none" where there is none."""

    station: int | None
    name: str | None
    party: str | None
    language: str
    radio: str | None
    far_node: str | None
    cable: str | None
    bit_rate: int
    lamps: str | None
    pins: tuple[str, ...]
    mqtt: str | None
    officers: tuple[str, ...]
    line: str | None
    yes: bool
    dry_run: bool

    @property
    def radio_link(self) -> tuple[str, str] | None:
        if self.radio in (None, NONE):
            return None
        return str(self.radio), self.far_node or FAR_NODE_UNKNOWN

    @property
    def cable_link(self) -> tuple[str, str] | None:
        return None if self.cable in (None, NONE) else (str(self.cable), str(self.bit_rate))


@click.command("init")
@click.option("--station", type=IntegerRange(1, 255), help="Number, unique on its lines.")
@click.option("--name", help="Name of the station: 1 to 12 of A-Z, 0-9 and -.")
@click.option("--party", help="Whom it speaks for, at most 40 octets.")
@click.option("--language", default="en", show_default=True, help="What its watch reads.")
@click.option("--radio", metavar="PORT|none", help="Device of the radio, or tcp://HOST:4403.")
@click.option("--far-node", metavar="!NUMBER", help="Number of the far station's radio.")
@click.option("--cable", metavar="PORT|none", help="Device of the cable.")
@click.option("--bit-rate", type=IntegerRange(50, 4_000_000), default=BIT_RATE, show_default=True)
@click.option(
    "--lamps",
    type=click.Choice(["lgpio", "mock", NONE]),
    help="lgpio on a Raspberry Pi with the panel, mock on a bench.  [default: as found]",
)
@click.option(
    "--pin",
    "pins",
    multiple=True,
    metavar="LAMP=BCM",
    help="Another pin than hw/pins.toml has, such as alarm=25 or link=13,19.  [repeatable]",
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

    What an option does not say is asked at a terminal. Everything is shown before it is written,
    and no file that exists is ever replaced: keys that are here already are taken as they are.

    \b
    By options alone, for programs:
      hotline init --station 1 --name NORTH --party "Party A" --yes
    """  # noqa: D301 (click reads the backspace)
    wish = _Wish(**options)
    config = common.config_path.absolute()
    if config.exists():
        raise CommandError(
            ExitCode.CONFLICT,
            f"{config} exists and is not overwritten; edit it and run `hotline config check`, or"
            " move it away to begin anew",
        )
    if not config.parent.is_dir():
        raise CommandError(
            ExitCode.NOT_FOUND,
            f"the folder {config.parent} is not there; install the package, which makes it for the"
            " service's user, or name another file with --config",
        )
    key_file = config.with_name(KEY_FILE_DEFAULT.name)
    old = _old_card(key_file, wish)
    ports = found_ports()
    asks = can_ask() and not (wish.yes or common.json)
    wish = _completed(wish, old, ports, asks=asks)
    text = _text(wish, key_file, config)
    _check(text, wish, config)
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
    card = old or make_station(
        key_file,
        config.with_name(f"{wish.name}.card"),
        station=wish.station or 0,
        name=wish.name or "",
        party=wish.party or "",
        language=wish.language,
    )
    # The configuration last: until it is there, this command can be run again.
    write_new(config, text, mode=PUBLIC_MODE)
    if common.json:
        print_json(_document(wish, ports, text, config, key_file, card))
        return
    say(f"written: {config}" + ("" if old else f", {key_file} and the card {card.name}.card"))
    print_words(card)
    _go_on(context, common, wish)


def _old_card(key_file: Path, wish: _Wish) -> Card | None:
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


def _completed(wish: _Wish, old: Card | None, ports: list[FoundPort], *, asks: bool) -> _Wish:
    """The wish with everything chosen: by the option, the keys, the answer or the default."""
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
    radio = next((port.path for port in ports if port.kind == "radio"), NONE)
    cable = next((port.path for port in ports if port.kind == "cable"), NONE)
    lamps = "lgpio" if has_header() else NONE
    if asks:
        if ports:
            say("found here")
            print_fields([(f"  {port.kind}", f"{port.path}  {port.text}") for port in ports])
        number = wish.station or click.prompt(
            "Number of this station, 1 to 255", type=IntegerRange(1, 255), err=True
        )
        name = wish.name or click.prompt("Its name (A-Z, 0-9 and -)", err=True)
        party = wish.party or click.prompt("The party it speaks for", err=True)
        wish = replace(wish, station=number, name=name, party=party)
        radio = wish.radio or _ask("Port of the radio, or none", radio)
        cable = wish.cable or _ask("Port of the cable, or none", cable)
        if radio != NONE and wish.far_node is None:
            answer = _ask("Number of the far station's radio (!...), or none", NONE)
            wish = replace(wish, far_node=None if answer == NONE else answer)
        choices = click.Choice(["lgpio", "mock", NONE])
        lamps = wish.lamps or click.prompt(
            "Lamps and button", type=choices, default=lamps, err=True
        )
        wish = replace(wish, mqtt=wish.mqtt or _ask("URL of an MQTT broker, or none", NONE))
    return replace(
        wish, radio=wish.radio or radio, cable=wish.cable or cable, lamps=wish.lamps or lamps
    )


def _ask(question: str, default: str) -> str:
    return str(click.prompt(question, default=default, err=True)).strip()


def _text(wish: _Wish, key_file: Path, config: Path) -> str:
    """The configuration file, without the line: that comes with the far station's card."""
    from gateway.config.settings import StoreSettings

    lines = [
        "# Written by `hotline init`. `hotline config check` names what is wrong in it; the README",
        "# has an example of everything that may stand here.",
        "",
        "[station]",
        f"name = {quoted(wish.name)}",
    ]
    if key_file != KEY_FILE_DEFAULT:
        lines.append(f"key_file = {quoted(key_file)}")
    lines += ["", "[indicators]", f"factory = {quoted(wish.lamps)}"]
    lines += [
        "",
        "[store]",
        "# Closed notices are removed after this many days; the log book keeps every act.",
        f"keep_days = {StoreSettings().keep_days}",
    ]
    if wish.pins:
        lines += ["", "[indicators.pins]", *[_pin(pin) for pin in wish.pins]]
    if wish.mqtt not in (None, NONE):
        lines += [
            "",
            "[mqtt]",
            f"url = {quoted(wish.mqtt)}",
            "# More only for a broker that proves who it is (TLS, or a Unix socket).",
            'submit = ["test", "exercise"]',
            "answer = false",
        ]
    for officer in wish.officers:
        lines += [
            "",
            "[[api.user]]",
            f"name = {quoted(officer)}",
            'role = "duty_officer"',
            'submit = ["operation", "exercise", "simulation", "test"]',
            'precedence = "flash"',
            "answer = true",
        ]
    lines += ["", "# The line to the far station is added by:", f"#   {_accept(wish, config)}", ""]
    return "\n".join(lines)


def _pin(pin: str) -> str:
    """`alarm=25` or `link=13,19` as a line of the file; what it names is checked with the rest."""
    lamp, _, numbers = pin.partition("=")
    words = [word.strip() for word in numbers.split(",")]
    if not lamp.isidentifier() or not all(word.isascii() and word.isdigit() for word in words):
        raise click.UsageError(f"--pin {pin}: write a lamp and its BCM number, as in alarm=25")
    if lamp == "link":
        return f"link = [{', '.join(words)}]"
    return f"{lamp} = {', '.join(words)}"


def _accept(wish: _Wish, config: Path) -> str:
    """The command that adds the line with the links chosen here."""
    words = ["line", "accept", "--add"]
    if wish.radio_link:
        words += ["--radio", *wish.radio_link]
    if wish.cable_link or not wish.radio_link:
        words += ["--cable", *(wish.cable_link or ("PORT", str(wish.bit_rate)))]
    return _command(config, *words)


def _command(config: Path, *words: str) -> str:
    """For root, and for the file that was written where it is not the service's own."""
    own = config.with_name(KEY_FILE_DEFAULT.name) == KEY_FILE_DEFAULT
    return shlex.join(["sudo", "hotline", *([] if own else ["--config", str(config)]), *words])


def _check(text: str, wish: _Wish, config: Path) -> None:
    """Refuse what the gateway would refuse, before anything is written."""
    from gateway.config.load import check_document

    radio = wish.radio_link
    if radio and radio[1] == FAR_NODE_UNKNOWN:
        radio = (radio[0], "!4d4c00b2")
    cable = wish.cable_link if radio or wish.cable_link else ("/dev/none", str(BIT_RATE))
    folder = config.parent
    stanza = stanza_text(folder / "FAR.card", folder / "FAR.secret", radio=radio, cable=cable)
    try:
        document = tomllib.loads(f"{text}\n{stanza}")
    except tomllib.TOMLDecodeError as error:
        raise click.UsageError(f"--pin or --duty-officer is given twice ({error})") from error
    check_document(document, config)


def _show(
    wish: _Wish, ports: list[FoundPort], text: str, config: Path, key_file: Path, *, is_new: bool
) -> None:
    print_fields(
        [
            ("station", f"{wish.name}, number {wish.station}, {wish.party}"),
            ("keys", f"{key_file} ({'new, mode 0600' if is_new else 'here already, kept'})"),
            ("radio", wish.radio),
            ("cable", wish.cable if wish.cable == NONE else f"{wish.cable}, {wish.bit_rate} bit/s"),
            ("queue", "embedded" if wish.mqtt in (None, NONE) else wish.mqtt),
            ("file", config),
        ]
    )
    print_block(text)
    if not ports:
        warn("note: no serial device is plugged in here; give --radio or --cable, or plug it in")


def _next(wish: _Wish, config: Path) -> list[str]:
    """The commands that are left, in order."""
    steps = []
    if wish.officers:
        steps += [f"sudo adduser {officer} hotline" for officer in wish.officers]
        drop_ins = f"/etc/systemd/system/{_SERVICE}.service.d"
        steps.append(f"sudo install -D -t {drop_ins} /usr/share/{_SERVICE}/named-users.conf")
    steps += [
        _command(config, "line", "invite"),
        _accept(wish, config),
        _command(config, "config", "check"),
        f"sudo systemctl enable --now {_SERVICE}",
    ]
    return steps


def _document(
    wish: _Wish,
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
        "ports": [{"path": one.path, "kind": one.kind, "text": one.text} for one in ports],
        "next": _next(wish, config),
    }


def _go_on(context: click.Context, common: Common, wish: _Wish) -> None:
    """Join the line at once where that was asked for; else say how."""
    choice = wish.line
    if choice is None and can_ask() and not wish.yes:
        choice = click.prompt(
            "Join the line now: invite the far station, accept its invitation, or later",
            type=click.Choice(["invite", "accept", "later"]),
            default="later",
            err=True,
        )
    if choice == "invite":
        context.invoke(invite, file=None, png=None, valid=VALID_H, again=False)
    elif choice == "accept":
        context.invoke(
            accept, source=None, file=None, png=None, words=None, yes=False, replace=False,
            radio=wish.radio_link, cable=wish.cable_link, add=True,
        )  # fmt: skip
    say("next, one of the first two on each side:" if choice in (None, "later") else "next:")
    done = {"invite": 1, "accept": 2}.get(choice or "", 0)
    config = common.config_path.absolute()
    steps = _next(wish, config)
    line = steps.index(_command(config, "line", "invite"))
    for step in steps[:line] + steps[line + done :]:
        say(f"  {step}")
