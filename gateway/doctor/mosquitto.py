"""The settings of a Mosquitto on this machine, from its files, against the shipped ones.

A broker tells nobody whether it writes anything down, so its configuration is read. Of another
machine's broker only a person can say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Final

from gateway.doctor.finding import Finding, Mark, look, ok
from gateway.doctor.machine import Machine
from gateway.queues.mqtt_socket import Broker

TOPIC: Final = "broker"
FRAGMENT: Final = "hotline.conf (/usr/share/hotline-gateway or gateway/queues/mosquitto)"
INCLUDE_DEPTH_MAX: Final = 4
_DEFAULT_FILE: Final = "/etc/mosquitto/mosquitto.conf"
_LISTENERS: Final = ("listener", "port")
_NOISY: Final = frozenset({"information", "debug", "all"})
PACKET_SIZE_FEW: Final = 16_384
"""A notice as JSON has up to 8 kB, with its history more."""

Lines = list[tuple[str, str]]
"""Settings with their values, in the order in which Mosquitto reads them."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a setting must not be; `default` is Mosquitto's own."""

    name: str
    default: str
    is_good: Callable[[str], bool]
    harm: str
    mark: Mark = Mark.LOOK


def _is_true(value: str) -> bool:
    return value.lower() in ("true", "1")


def _is_false(value: str) -> bool:
    return not _is_true(value)


def _is_empty(value: str) -> bool:
    return not value


def _between(least: int, most: int) -> Callable[[str], bool]:
    return lambda value: value.isdecimal() and least <= int(value) <= most


def _at_least(least: int, *, or_zero: bool = True) -> Callable[[str], bool]:
    """Zero is Mosquitto's word for no bound."""
    return lambda value: (
        value.isdecimal() and (int(value) >= least or (or_zero and int(value) == 0))
    )


_DROPS: Final = "it drops what comes beyond that for an absent client, and acknowledges it"
_WRITES: Final = "an absent client may fill its memory, and each change writes all of it anew"
_PACKETS: Final = "a long notice, or one with its history, does not pass"

WISHES: Final = (
    Wish(
        "persistence",
        "false",
        _is_true,
        "a restart of the broker forgets every message",
        Mark.FAULT,
    ),
    Wish("autosave_on_changes", "false", _is_true, "it writes by the clock, not by what came"),
    Wish(
        "autosave_interval",
        "1800",
        _between(1, 1),
        "a kill or power cut takes what it acknowledged since it last wrote",
    ),
    Wish("max_queued_messages", "1000", _at_least(100), _DROPS, Mark.FAULT),
    Wish("max_queued_messages", "1000", _between(1, 1_000), _WRITES),
    Wish("max_queued_bytes", "0", _at_least(200_000), _DROPS, Mark.FAULT),
    Wish("max_queued_bytes", "0", _between(1, 2_000_000), _WRITES),
    Wish("max_packet_size", "0", _at_least(PACKET_SIZE_FEW), _PACKETS, Mark.FAULT),
    Wish("message_size_limit", "0", _at_least(PACKET_SIZE_FEW), _PACKETS, Mark.FAULT),
    Wish(
        "upgrade_outgoing_qos",
        "false",
        _is_false,
        "messages of QoS 0 are queued too, and push out what must not get lost",
    ),
    Wish(
        "persistent_client_expiration",
        "",
        _is_empty,
        "a client that was away for longer loses its session",
    ),
    Wish(
        "log_type",
        "error warning notice information",
        lambda value: not _NOISY & set(value.split()),
        "each save is a line in its log, which wears the card out",
    ),
)
"""A setting may have several, of which the first that is not kept is told."""


def examine_mosquitto(machine: Machine, broker: Broker, *, is_near: bool) -> list[Finding]:
    """What of the configuration of `broker` is not as shipped. Reads files only."""
    unseen = "whether it keeps what it acknowledged cannot be seen from here"
    if not is_near:
        return [look(TOPIC, unseen, f"compare its configuration with {FRAGMENT}")]
    file, lines = _configuration(machine, broker)
    if not lines:
        remedy = f"is it Mosquitto? run this as root, or compare its settings with {FRAGMENT}"
        return [look(TOPIC, f"{unseen}: {file} cannot be read", remedy)]
    return list(judge_settings(file, lines))


def judge_settings(file: str, lines: Lines) -> Iterator[Finding]:
    """One finding for each setting with which messages get lost, or one that says it is well."""
    settings, shipped = _values(lines), shipped_settings()
    told: set[str] = set()
    for wish in WISHES:
        value = settings.get(wish.name, wish.default)
        if wish.name in told or wish.is_good(value):
            continue
        told.add(wish.name)
        wanted = shipped.get(wish.name)
        how = f"to {wanted}" if wanted is not None else "aside: remove it"
        text = f"{file}: {wish.name} is {value or 'not set'}: {wish.harm}"
        remedy = f"set it {how}; {FRAGMENT} has all, for /etc/mosquitto/conf.d"
        yield Finding(TOPIC, wish.mark, text, remedy)
    if not told:
        yield ok(TOPIC, f"{file}: it writes down each change, as the gateway's settings have it")


def shipped_settings() -> dict[str, str]:
    """What the fragment says."""
    text = (resources.files("gateway.queues.mosquitto") / "hotline.conf").read_text()
    return _values(list(_settings(text)))


def _values(lines: Lines) -> dict[str, str]:
    """The last word of each setting; of `log_type`, which adds up, all."""
    types = " ".join(value for name, value in lines if name == "log_type")
    return dict(lines) | ({"log_type": types} if types else {})


def _configuration(machine: Machine, broker: Broker) -> tuple[str, Lines]:
    """The file of the Mosquitto that listens where `broker` is, and what it says."""
    files = {**dict(_running(machine)), _DEFAULT_FILE: "/"}
    read = {file: _read(machine, file, folder) for file, folder in files.items()}
    place = str(broker.unix_path or broker.port)
    for file, lines in read.items():
        values = [value.split() for name, value in lines if name in _LISTENERS]
        if any(place in words for words in values):
            return file, lines
    return next(iter(read.items()))


def _running(machine: Machine) -> Iterator[tuple[str, str]]:
    """The `-c` of each Mosquitto that runs, and the folder that it was started in.

    A relative name stays so where that folder cannot be seen (another user's process).
    """
    for number, name in machine.processes():
        if name != "mosquitto":
            continue
        words = (machine.text(f"/proc/{number}/cmdline") or "").split("\0")
        folder = machine.target(f"/proc/{number}/cwd") or ""
        for option, value in pairwise(words):
            if option in ("-c", "--config-file"):
                yield str(PurePosixPath(folder) / value), folder


def _read(machine: Machine, file: str, folder: str, depth: int = 0) -> Lines:
    """A file with what it includes, in order; `folder` is where relative names begin."""
    lines: Lines = []
    if not file.startswith("/"):
        return lines
    for name, value in _settings(machine.text(file) or ""):
        if name == "include_dir" and depth < INCLUDE_DEPTH_MAX:
            included = PurePosixPath(folder) / value
            for one in machine.names(str(included)):
                if one.endswith(".conf"):
                    lines += _read(machine, str(included / one), folder, depth + 1)
        else:
            lines.append((name, value))
    return lines


def _settings(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, _, value = line.strip().partition(" ")
        if name and not name.startswith("#"):
            yield name, value.strip()
