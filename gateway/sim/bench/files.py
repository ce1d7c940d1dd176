"""The files of a bench's two stations: keys, cards, secret, configuration.

Real files as a technician makes them, but for a bench only: they live in its folder and go with
it. Keys come from the operating system, never from the seed of a bench.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.model import Station
from gateway.security.keys import (
    LineKeys,
    card_text,
    derive_line_keys,
    key_file_text,
    make_card,
    new_station_keys,
    secret_text,
)

GENERATION: Final = 1
STATIONS: Final = {"NORTH": Station(1), "SOUTH": Station(2)}
RADIO: Final = "radio"
CABLE: Final = "cable"
SPARE: Final = "spare"
"""A second cable, where two links of one kind are wanted."""
LINKS: Final = (RADIO, CABLE)
"""In PACE order."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a station finds its devices."""

    radio: str
    """Path of the radio's tty, or tcp://host:port."""
    far_node: str
    """Number of the far radio, for example `!4d4c00b2`."""
    cable: str
    spare: str = ""


@dataclass(frozen=True, slots=True)
class StationFiles:
    """The folder of one station."""

    name: str
    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "hotline.toml"

    @property
    def output(self) -> Path:
        """What the daemon prints; its own log is in `state/log`."""
        return self.folder / "daemon.log"

    @property
    def api_socket(self) -> Path:
        return self.folder / "run" / "api.sock"

    @property
    def pins_socket(self) -> Path:
        return self.folder / "run" / "pins.sock"


@dataclass(frozen=True, slots=True)
class BenchLine:
    """Both ends of the bench's line. `keys` opens what the taps capture."""

    stations: Mapping[str, StationFiles]
    keys: Mapping[Station, LineKeys]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOptions:
    """What the configurations of both ends say besides ports and keys."""

    baud: int
    links: tuple[str, ...] = LINKS
    mqtt_urls: Mapping[str, str] = field(default_factory=dict)
    """The broker of each station that has one."""
    policy: Mapping[str, int] = field(default_factory=dict)
    log_level: str = "debug"


def write_line(folder: Path, ports: Mapping[str, Ports], options: LineOptions) -> BenchLine:
    """Make keys, cards, a secret and configurations for NORTH and SOUTH below `folder`."""
    secret = os.urandom(32)
    own_keys = {
        name: new_station_keys(os.urandom(64), station=station)
        for name, station in STATIONS.items()
    }
    cards = {
        name: make_card(keys, name=name, party=f"Bench {name.title()}", language="en")
        for name, keys in own_keys.items()
    }
    stations = {name: StationFiles(name, folder / name.lower()) for name in STATIONS}
    line_keys: dict[Station, LineKeys] = {}
    for name, files in stations.items():
        (far,) = set(STATIONS) - {name}
        _make_folders(files)
        _write_private(files.folder / "station.key", key_file_text(own_keys[name], cards[name]))
        _write_private(files.folder / f"{far}.secret", secret_text(secret))
        _write_private(files.folder / f"{far}.card", card_text(cards[far], own_keys[far]))
        text = _config(files, far, ports[name], options)
        files.config.write_text(text, encoding="utf-8")
        line_keys[STATIONS[name]] = derive_line_keys(own_keys[name], cards[far], secret, GENERATION)
    return BenchLine(stations, line_keys)


def _make_folders(files: StationFiles) -> None:
    files.folder.mkdir(mode=0o700)
    for folder in ("state", "run"):
        (files.folder / folder).mkdir(mode=0o700)


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _config(files: StationFiles, far: str, ports: Ports, options: LineOptions) -> str:
    folder, text = files.folder, _toml_text
    lines = [
        "# Made by `hotline bench`: throw-away keys, never for a real line.",
        "[station]",
        f"name = {text(files.name)}",
        f"state_folder = {text(folder / 'state')}",
        f"runtime_folder = {text(folder / 'run')}",
        f"key_file = {text(folder / 'station.key')}",
        "[[line]]",
        f"card = {text(folder / f'{far}.card')}",
        f"secret_file = {text(folder / f'{far}.secret')}",
        f"generation = {GENERATION}",
        *(line for link in options.links for line in _link(link, ports, options.baud)),
        "[indicators]",
        'factory = "mock"',
        "[log]",
        f"level = {text(options.log_level)}",
    ]
    if files.name in options.mqtt_urls:
        lines += [
            "[mqtt]",
            f"url = {text(options.mqtt_urls[files.name])}",
            'role = "duty_officer"',
            'submit = ["operation", "exercise", "simulation", "test"]',
            'precedence = "flash"',
            "answer = true",
        ]
    if options.policy:
        lines += ["[policy]", *(f"{name} = {value}" for name, value in options.policy.items())]
    return "\n".join(lines) + "\n"


def _link(link: str, ports: Ports, baud: int) -> list[str]:
    head = ["[[line.link]]", f"name = {_toml_text(link)}"]
    if link in (CABLE, SPARE):
        port = f"port = {_toml_text(ports.cable if link == CABLE else ports.spare)}"
        return [*head, 'driver = "serial"', port, f"bit_rate = {baud}"]
    port, node = f"port = {_toml_text(ports.radio)}", f"node = {_toml_text(ports.far_node)}"
    return [*head, 'driver = "meshtastic"', port, node]


def _toml_text(value: object) -> str:
    """A JSON string is a TOML basic string."""
    return json.dumps(str(value))
