"""`hotline config check`: every problem of the configuration, before the service meets it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.options import Common, file_options
from gateway.cli.output import print_fields, print_json, say
from gateway.cli.port_type import absence

if TYPE_CHECKING:
    from gateway.config.settings import LinkSettings, Settings


@click.group("config")
@file_options
def command(_common: Common) -> None:
    """Check the configuration file."""


@command.command("check")
@click.option(
    "--no-files",
    is_flag=True,
    help="Check the file alone, not the keys and cards that it names.",
)
@file_options
def check(common: Common, no_files: bool) -> None:
    """Read the configuration and the files that it names, and print every problem.

    Exit code 78 when there is one. Only root and the service's user can read the keys: use sudo,
    or --no-files.
    """
    from gateway.config.load import load_settings

    settings = load_settings(common.config_path, check_files=not no_files, is_asked=True)
    if common.json:
        print_json(_summary(common.config_path, settings))
        return
    say(f"{common.config_path} has no problem")
    print_fields(_rows(settings))
    for warning in _missing_ports(settings):
        say(f"note: {warning}")


def _rows(settings: Settings) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [
        ("station", settings.station.name),
        ("state", settings.station.state_folder),
        ("socket", settings.api_socket),
        ("queue", _queue(settings)),
        ("indicators", settings.indicators.factory),
    ]
    for line in settings.line:
        rows.append(("line", f"{line.card.name}, generation {line.generation}"))
        rows += [(f"  {index}. {link.name}", _link(link)) for index, link in _numbered(line.link)]
    return rows


def _queue(settings: Settings) -> str:
    word = "MQTT " if settings.mqtt else "NATS " if settings.nats else ""
    return word + settings.queue_address


def _numbered(links: tuple[LinkSettings, ...]) -> list[tuple[int, LinkSettings]]:
    return list(enumerate(links, start=1))


def _link(link: LinkSettings) -> str:
    from gateway.config.settings import SerialLinkSettings

    if isinstance(link, SerialLinkSettings):
        return f"serial {link.port}, {link.bit_rate} bit/s"
    return f"meshtastic {link.port}, far radio {link.node}"


def _missing_ports(settings: Settings) -> list[str]:
    return [f"link {link.name}: {it}" for link in settings.links if (it := absence(link.port))]


def _summary(path: Path, settings: Settings) -> dict[str, object]:
    return {
        "config": str(path),
        "station": settings.station.name,
        "state_folder": str(settings.station.state_folder),
        "socket": str(settings.api_socket),
        "queue": settings.queue_address,
        "indicators": settings.indicators.factory,
        "lines": [
            {
                "card": str(line.card),
                "generation": line.generation,
                "links": [
                    {"name": link.name, "port": link.port, "text": _link(link)}
                    for link in line.link
                ],
            }
            for line in settings.line
        ],
        "notes": _missing_ports(settings),
    }
