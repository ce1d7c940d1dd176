"""What a station shall become: the options and answers of `hotline init`, checked, as text."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import click

from gateway.cli.exits import CommandError
from gateway.cli.keyfiles import KEY_FILE_DEFAULT
from gateway.cli.port_type import node_text, port_text
from gateway.cli.stanza import Links, check_config, quoted, stanza_text
from gateway.errors import ConfigError, FieldError

NONE: Final = "none"
BIT_RATE: Final = 9600
FAR_NODE_UNKNOWN: Final = "!FARNODE"
_FAR_NODE_ANY: Final = "!4d4c00b2"


@dataclass(frozen=True, slots=True)
class Wish:
    """The options, then the answers; None until chosen. A port is "none" where there is none."""

    station: int | None
    name: str | None
    party: str | None
    language: str
    radio: str | None
    far_node: str | None
    cable: str | None
    bit_rate: int | None
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
        if self.cable in (None, NONE):
            return None
        return str(self.cable), str(self.bit_rate or BIT_RATE)

    @property
    def remote_hosts(self) -> list[str]:
        """Machines that the service reaches only with a drop-in of its unit."""
        from gateway.config.hosts import remote_host

        hosts = [remote_host(it) for it in (self.mqtt, self.radio) if it is not None]
        return [host for host in dict.fromkeys(hosts) if host is not None]


def as_typed(wish: Wish) -> Wish:
    """The wish with ports and the far radio's number as the configuration has them."""
    return replace(
        wish,
        radio=wish.radio and port_text(wish.radio),
        cable=wish.cable and port_text(wish.cable),
        far_node=wish.far_node and node_text(wish.far_node),
    )


def chosen_pins(words: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """Every lamp, the buzzer and the button with their pins: the defaults, changed by `alarm=25`.

    What it names is checked with the rest. Raises `UsageError`.
    """
    import msgspec

    from gateway.config.settings import PinSettings

    pins: dict[str, tuple[int, ...]] = {
        name: value if isinstance(value, tuple) else (value,)
        for name, value in msgspec.structs.asdict(PinSettings()).items()
    }
    seen = set()
    for word in words:
        lamp, _, numbers = word.partition("=")
        parts = [part.strip() for part in numbers.split(",")]
        is_sound = lamp.isascii() and lamp.isidentifier()
        if not is_sound or not all(re.fullmatch("[0-9]{1,3}", part) for part in parts):
            raise click.UsageError(f"--pin {word}: write a lamp and its BCM number, as in alarm=25")
        if lamp in seen:
            raise click.UsageError(f"--pin {lamp} is given twice; write it once")
        if lamp != "link" and len(parts) > 1:
            raise click.UsageError(f"--pin {word}: {lamp} has one pin, as in alarm=25")
        seen.add(lamp)
        pins[lamp] = tuple(int(part) for part in parts)
    return pins


def pin_words(pins: tuple[int, ...]) -> str:
    """`25 (header 22)`: as the chip counts, and as a technician does."""
    from gateway.config.header import HEADER

    numbers = ", ".join(str(pin) for pin in pins)
    return f"{numbers} (header {', '.join(str(HEADER.get(pin, '-')) for pin in pins)})"


def config_text(wish: Wish, key_file: Path, config: Path) -> str:
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
    if wish.lamps != NONE or wish.pins:
        lines += ["", "[indicators.pins]", "# BCM numbers."]
        lines += [_pin_line(name, pins) for name, pins in chosen_pins(wish.pins).items()]
    lines += [
        "",
        "[store]",
        "# Closed notices are removed after this many days; the log book keeps every act.",
        f"keep_days = {StoreSettings().keep_days}",
    ]
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
    accept = accept_command(wish, config)
    lines += ["", "# The line to the far station is added by:", f"#   {accept}", ""]
    return "\n".join(lines)


def _pin_line(name: str, pins: tuple[int, ...]) -> str:
    text = ", ".join(str(pin) for pin in pins)
    value = f"[{text}]" if name == "link" else text
    return f"{f'{name} = {value}':<26} # {pin_words(pins).partition('(')[2].rstrip(')')}"


def accept_command(wish: Wish, config: Path) -> str:
    """The command that adds the line with the links chosen here."""
    words = ["line", "accept", "--add"]
    if wish.radio_link or wish.far_node:
        words += ["--radio", *(wish.radio_link or ("PORT", str(wish.far_node)))]
    if wish.cable_link or wish.bit_rate or not (wish.radio_link or wish.far_node):
        words += ["--cable", *(wish.cable_link or ("PORT", str(wish.bit_rate or BIT_RATE)))]
    return command_text(config, *words)


def command_text(config: Path, *words: str) -> str:
    """For root, and for the file that was written where it is not the service's own."""
    own = config.with_name(KEY_FILE_DEFAULT.name) == KEY_FILE_DEFAULT
    return shlex.join(["sudo", "hotline", *([] if own else ["--config", str(config)]), *words])


def check_wish(wish: Wish, key_file: Path, config: Path) -> None:
    """Refuse what the gateway would refuse, before anything is written; what is open is left out.

    Raises `ConfigError`, `FieldError` and `UsageError`.
    """
    from gateway.model import Station
    from gateway.security.cards import make_card, new_station_keys

    wish = replace(
        wish,
        station=wish.station or 1,
        name="STATION" if wish.name is None else wish.name,
        party="-" if wish.party is None else wish.party,
        lamps=wish.lamps or ("mock" if wish.pins else NONE),
    )
    radio = wish.radio_link or (wish.far_node and ("/dev/none-yet", wish.far_node)) or None
    if radio and radio[1] == FAR_NODE_UNKNOWN:
        radio = (radio[0], _FAR_NODE_ANY)
    cable = wish.cable_link if radio or wish.cable_link else ("/dev/none", str(BIT_RATE))
    folder = config.parent
    links = Links(radio, cable)
    stanza = stanza_text(folder / "FAR.card", folder / "FAR.secret", links)
    check_config(f"{config_text(wish, key_file, config)}\n{stanza}", links)
    # Party and language stand on the card alone. The keys of this trial are thrown away.
    keys = new_station_keys(bytes(64), station=Station(wish.station or 1))
    make_card(keys, name=wish.name or "", party=wish.party or "", language=wish.language)


def reasons(error: ConfigError | FieldError | CommandError | click.UsageError) -> list[str]:
    """Why a value was refused, a sentence each."""
    if isinstance(error, ConfigError):
        return list(error.problems)
    return [error.message if isinstance(error, click.UsageError) else str(error)]
