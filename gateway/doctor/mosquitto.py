"""The settings of a Mosquitto on this machine, from its files, against the shipped ones.

A broker tells nobody whether it writes anything down, so its configuration is read. Of another
machine's broker only a person can say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Final

from gateway.doctor.finding import Finding, look, ok
from gateway.doctor.machine import Machine
from gateway.queues.mqtt_socket import Broker

TOPIC: Final = "broker"
FRAGMENT: Final = "hotline.conf (/usr/share/hotline-gateway or gateway/queues/mosquitto)"
INCLUDE_DEPTH_MAX: Final = 4
_DEFAULT_FILE: Final = "/etc/mosquitto/mosquitto.conf"
_LISTENERS: Final = ("listener", "port")

Lines = list[tuple[str, str]]
"""Settings with their values, in the order in which Mosquitto reads them."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A setting that matters; `default` is Mosquitto's own."""

    default: str
    is_good: Callable[[str], bool]
    harm: str


def _is_true(value: str) -> bool:
    return value.lower() in ("true", "1")


def _between(least: int, most: int) -> Callable[[str], bool]:
    return lambda value: value.isdecimal() and least <= int(value) <= most


WISHES: Final[Mapping[str, Wish]] = {
    "persistence": Wish("false", _is_true, "a restart of the broker forgets every message"),
    "autosave_on_changes": Wish("false", _is_true, "it writes by the clock, not by what came"),
    "autosave_interval": Wish(
        "1800", _between(1, 1), "a kill or power cut takes what it acknowledged since it last wrote"
    ),
    "max_queued_messages": Wish(
        "1000",
        _between(1, 1_000),
        "an absent client may fill its memory, and each change writes all of it anew",
    ),
    "persistent_client_expiration": Wish(
        "", lambda value: not value, "a client that was away for longer loses its session"
    ),
}


def examine_mosquitto(machine: Machine, broker: Broker, *, is_near: bool) -> list[Finding]:
    """What of the configuration of `broker` is not as shipped. Reads files only."""
    unseen = "whether it keeps what it acknowledged cannot be seen from here"
    if not is_near:
        return [look(TOPIC, unseen, f"compare its configuration with {FRAGMENT}")]
    file, lines = _configuration(machine, broker)
    if not lines:
        remedy = f"is it Mosquitto? run this as root, or compare its settings with {FRAGMENT}"
        return [look(TOPIC, f"{unseen}: {file} cannot be read", remedy)]
    return list(judge_settings(file, dict(lines)))


def judge_settings(file: str, settings: Mapping[str, str]) -> Iterator[Finding]:
    """One finding for each setting with which messages get lost, or one that says it is well."""
    is_well = True
    for name, wish in WISHES.items():
        value = settings.get(name, wish.default)
        if wish.is_good(value):
            continue
        is_well = False
        wanted = shipped_settings().get(name)
        how = f"to {wanted}" if wanted is not None else "aside: remove it"
        text = f"{file}: {name} is {value or 'not set'}: {wish.harm}"
        yield look(TOPIC, text, f"set it {how}; {FRAGMENT} has all, for /etc/mosquitto/conf.d")
    if is_well:
        yield ok(TOPIC, f"{file}: it writes down each change, as the gateway's settings have it")


def shipped_settings() -> dict[str, str]:
    """What the fragment says."""
    text = (resources.files("gateway.queues.mosquitto") / "hotline.conf").read_text()
    return dict(_settings(text))


def _configuration(machine: Machine, broker: Broker) -> tuple[str, Lines]:
    """The file of the Mosquitto that listens where `broker` is, and what it says."""
    files = [*_running(machine), _DEFAULT_FILE]
    read = {file: _read(machine, file) for file in dict.fromkeys(files)}
    place = str(broker.unix_path or broker.port)
    for file, lines in read.items():
        values = [value.split() for name, value in lines if name in _LISTENERS]
        if any(place in words for words in values):
            return file, lines
    return files[0], read[files[0]]


def _running(machine: Machine) -> Iterator[str]:
    """The `-c` of each Mosquitto that runs."""
    for number, name in machine.processes():
        if name != "mosquitto":
            continue
        words = (machine.text(f"/proc/{number}/cmdline") or "").split("\0")
        for option, value in pairwise(words):
            if option in ("-c", "--config-file"):
                yield value


def _read(machine: Machine, file: str, depth: int = 0) -> Lines:
    """A file with what it includes, in order."""
    lines: Lines = []
    for name, value in _settings(machine.text(file) or ""):
        if name == "include_dir" and depth < INCLUDE_DEPTH_MAX:
            for one in machine.names(value):
                if one.endswith(".conf"):
                    lines += _read(machine, str(PurePosixPath(value) / one), depth + 1)
        else:
            lines.append((name, value))
    return lines


def _settings(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, _, value = line.strip().partition(" ")
        if name and not name.startswith("#"):
            yield name, value.strip()
