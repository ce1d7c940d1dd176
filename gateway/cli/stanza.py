"""The `[[line]]` of a far station: from what was typed, checked, as text of the configuration."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.keyfiles import FILE_SIZE_MAX, read_text_file, write_new
from gateway.cli.output import warn
from gateway.cli.port_type import lasting_words, node_text, port_text
from gateway.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])
_TRIAL_CONFIG: Final = '[station]\nname = "STATION"\n[indicators]\nfactory = "none"\n'
_TRIAL_FILES: Final = (Path("/FAR.card"), Path("/FAR.secret"))


@dataclass(frozen=True, slots=True)
class Links:
    """The links of a line as options give them: port and node, port and bit rate."""

    radio: tuple[str, str] | None
    cable: tuple[str, str] | None


def link_options(function: F) -> F:
    """`--radio`, `--cable` and `--add`."""
    add = "Append the stanza to the configuration file."
    radio = "A Meshtastic link with the far radio's number: /dev/hotline/NAME '!4d4c00b2'."
    cable = "A serial link with its bit rate: /dev/hotline/NAME 9600."
    function = click.option("--add", is_flag=True, help=add)(function)
    function = click.option("--cable", nargs=2, metavar="PORT RATE", help=cable)(function)
    return click.option("--radio", nargs=2, metavar="PORT NODE", help=radio)(function)


def typed_links(
    radio: tuple[str, str] | None, cable: tuple[str, str] | None, *, add_to: Path | None
) -> Links:
    """The links as the configuration will have them, `add_to` where one shall take them at once.

    Before anything is asked, taken or written. Raises `ConfigError`, `CommandError`, `UsageError`.
    """
    if add_to is not None and not (radio or cable):
        raise click.UsageError("--add needs a link: --radio PORT NODE, --cable PORT RATE, or both")
    links = Links(
        radio and (port_text(radio[0]), node_text(radio[1])),
        cable and (port_text(cable[0]), cable[1]),
    )
    stanza = stanza_text(*_TRIAL_FILES, links)
    if radio or cable:
        check_config(f"{_TRIAL_CONFIG}{stanza}", links)
    if add_to is not None:
        _joined(add_to, stanza, _TRIAL_FILES[0])
    return links


def check_config(text: str, links: Links) -> None:
    """Refuse what shall become a configuration where `config check` would, but for its files."""
    from gateway.config.load import check_document

    try:
        text.encode()
        document = tomllib.loads(text)
    except (UnicodeEncodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            [f"a value has a character that the file cannot hold ({error}); leave it out"]
        ) from error
    try:
        check_document(document)
    except ConfigError as error:
        ports = [link[0] for link in (links.radio, links.cable) if link]
        if all(port.startswith(("/", "tcp://")) for port in ports):
            raise
        raise ConfigError([*error.problems, lasting_words()]) from error


def stanza_text(
    card_path: Path, secret_path: Path, links: Links, *, generation: int = 1, config: str = ""
) -> str:
    """The `[[line]]` for the configuration; links that were not given stand there as examples.

    `config` is what the file has already: no two links of it may have one name.
    """
    radio, cable = links.radio, links.cable
    lines = [
        "[[line]]",
        f"card = {quoted(card_path)}",
        f"secret_file = {quoted(secret_path)}",
        f"generation = {generation}",
    ]
    if not radio and not cable:
        lines += ["# Add at least one link; the first is used first."]
    port, node = radio or ("/dev/hotline/radio-...", "!00000000")
    mark = "" if radio else "# "
    if radio or not cable:
        lines += [
            f"{mark}[[line.link]]",
            f"{mark}name = {quoted(_free_name('radio', config))}",
            f'{mark}driver = "meshtastic"',
            f"{mark}port = {quoted(port)}",
            f"{mark}node = {quoted(node)}",
        ]
    port, rate = cable or ("/dev/hotline/cable-...", "9600")
    mark = "" if cable else "# "
    if cable or not radio:
        lines += [
            f"{mark}[[line.link]]",
            f"{mark}name = {quoted(_free_name('cable', config))}",
            f'{mark}driver = "serial"',
            f"{mark}port = {quoted(port)}",
            f"{mark}bit_rate = {_rate(rate)}",
        ]
    return "\n".join([*lines, ""])


def quoted(value: object) -> str:
    """A TOML basic string; JSON's escapes are among TOML's."""
    import json

    return json.dumps(str(value), ensure_ascii=False)


def _rate(rate: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", rate):
        raise click.UsageError(
            f"--cable {rate!r} is no bit rate; write port and rate, as in --cable"
            " /dev/hotline/cable-A1 9600"
        )
    return int(rate)


def _free_name(kind: str, config: str) -> str:
    """`radio`, or `radio-2` where another line has that."""
    used = set(re.findall(r'^\s*name\s*=\s*["\']([a-z0-9-]+)["\']', config, re.MULTILINE))
    names = [kind, *(f"{kind}-{number}" for number in range(2, 130))]
    return next(name for name in names if name not in used)


def line_stanza(
    card_path: Path, secret_path: Path, links: Links, *, generation: int = 1, add_to: Path | None
) -> str:
    """The stanza of a far station that is known now; checked with the file that shall take it.

    Before the words are compared and anything is written. Raises `ConfigError`, `CommandError`.
    """
    config = "" if add_to is None else read_text_file(add_to)
    stanza = stanza_text(card_path, secret_path, links, generation=generation, config=config)
    if add_to is not None:
        try:
            check_config(_joined(add_to, stanza, card_path), links)
        except ConfigError as error:
            raise ConfigError(
                [f"{add_to} with this line: {problem}" for problem in error.problems]
            ) from error
    return stanza


def append(path: Path, stanza: str, card_path: Path) -> None:
    """Add the stanza to the configuration, whole or not at all; the old text stays as it is."""
    text = _joined(path, stanza, card_path)
    write_new(path, text, mode=path.stat().st_mode & 0o777, replace=True)


def append_or_show(path: Path, stanza: str, card_path: Path) -> None:
    """`append`; where that fails the stanza goes to standard output: the keys are kept by now."""
    try:
        append(path, stanza, card_path)
    except CommandError:
        warn(f"the keys of the line are kept; add this to {path} by hand:")
        click.echo(stanza, nl=False)
        raise


def _joined(path: Path, stanza: str, card_path: Path) -> str:
    """The text of the configuration with the stanza at its end."""
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
            ExitCode.CONFLICT,
            f"{path} has a [[line]] with {card_path} already; leave --add out, and edit its links"
            " there by hand",
        )
    if len(text) + len(stanza) > FILE_SIZE_MAX:
        raise CommandError(ExitCode.CONFIGURATION, f"{path} is too long; shorten its comments")
    joint = "" if text.endswith("\n\n") or not text else "\n" if text.endswith("\n") else "\n\n"
    return f"{text}{joint}{stanza}"
