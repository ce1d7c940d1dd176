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

from gateway.doctor.finding import Finding, Mark, fault, look, ok
from gateway.doctor.machine import Machine
from gateway.doctor.mosquitto_folder import judge_folder
from gateway.queues.mqtt_socket import Broker

TOPIC: Final = "broker"
FRAGMENT: Final = "hotline.conf (/usr/share/hotline-gateway or gateway/queues/mosquitto)"
_DEFAULT_FILE: Final = "/etc/mosquitto/mosquitto.conf"
_DEFAULT_PORT: Final = "1883"
_LISTENERS: Final = ("listener", "port")
_NOISY: Final = frozenset({"information", "debug", "all"})
PACKET_SIZE_FEW: Final = 16_384
"""A notice as JSON has up to 8 kB, with its history more."""

Lines = list[tuple[str, str]]
"""Settings with their values, in the order in which Mosquitto reads them."""


@dataclass(frozen=True, slots=True)
class Running:
    """A Mosquitto that runs here."""

    name: str
    """Its file, or what else it is called by."""
    ports: tuple[str, ...]
    """Of its command line, which count where its file has no listener."""
    lines: Lines | None
    """What it has read; None where we cannot."""
    number: int = 0
    """Of its process."""
    unread: tuple[str, ...] = ()
    """What its file includes and we cannot read: it may say otherwise."""
    has_file: bool = True

    def listens_at(self, place: str) -> bool:
        """Whether it is set to listen at a port, or a Unix socket."""
        if self.lines is None:
            return False
        listeners = [value.split() for name, value in self.lines if name in _LISTENERS]
        if not listeners:
            return place in (self.ports or (_DEFAULT_PORT,))
        if place.startswith("/"):
            return any(place in words for words in listeners)
        return any(words[:1] == [place] for words in listeners)


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
    running = list(_running(machine))
    place = str(broker.unix_path or broker.port)
    there = [it for it in running if it.listens_at(place)]
    if len(there) == 1 and not there[0].unread:
        return list(_judge(machine, there[0]))
    unread = [it.name for it in running if it.lines is None]
    unread += [name for it in running for name in it.unread]
    if len(there) == 1:
        reason = f"{', '.join(there[0].unread)} cannot be read"
    elif there:
        reason = f"{' and '.join(it.name for it in there)} listen at {place} by their settings"
    elif unread:
        reason = f"{', '.join(unread)} cannot be read"
    else:
        reason = f"no Mosquitto is seen that listens at {place}"
    remedy = f"is it Mosquitto? run this as root, or compare its settings with {FRAGMENT}"
    return [look(TOPIC, f"{unseen}: {reason}", remedy)]


def _judge(machine: Machine, running: Running) -> Iterator[Finding]:
    if running.has_file:
        lines = running.lines or []
        found = list(judge_settings(running.name, lines))
        settings = _values(lines)
        if _is_true(settings.get("persistence", "false")):
            place = list(judge_folder(machine, running.name, settings, running.number))
            found = [*place, *(it for it in found if not place or it.mark is not Mark.OK)]
        yield from found
        return
    remedy = f"start it with -c {_DEFAULT_FILE}, and {FRAGMENT} in /etc/mosquitto/conf.d"
    yield fault(TOPIC, f"{running.name}: a restart of the broker forgets every message", remedy)


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


def _running(machine: Machine) -> Iterator[Running]:
    """Each Mosquitto that runs, with what it was started with."""
    for number, name in machine.processes():
        if name != "mosquitto":
            continue
        words = (machine.text(f"/proc/{number}/cmdline") or "").split("\0")
        options = list(pairwise(words))
        ports = tuple(value for option, value in options if option in ("-p", "--port"))
        files = [value for option, value in options if option in ("-c", "--config-file")]
        if files:
            # A relative name stays so where the folder cannot be seen (another user's process).
            folder = machine.target(f"/proc/{number}/cwd") or ""
            file = str(PurePosixPath(folder) / files[-1])
            lines, unread = _read(machine, file, folder)
            yield Running(file, ports, lines, number, unread)
        else:
            yield Running(
                f"mosquitto without a file (process {number})", ports, [], number, has_file=False
            )


def _read(machine: Machine, file: str, folder: str) -> tuple[Lines | None, tuple[str, ...]]:
    """A file with what it includes, in order, and what of that cannot be read; `folder` is where
    relative names begin.

    None: the file itself cannot be read.
    """
    text = machine.text(file) if file.startswith("/") else None
    if text is None:
        return None, ()
    lines: Lines = []
    unread: list[str] = []
    for name, value in _settings(text):
        if name != "include_dir":
            lines.append((name, value))
            continue
        included = PurePosixPath(folder, value)
        # Mosquitto does not start without that folder, so one that is not seen is hidden from us.
        names = machine.listed(str(included)) if included.is_absolute() else None
        if names is None:
            unread.append(str(included))
            continue
        for one in sorted(filter(_is_included, names), key=_place):
            part = machine.text(str(included / one))
            if part is None:
                unread.append(str(included / one))
            else:
                # It heeds include_dir in its first file only.
                lines += [it for it in _settings(part) if it[0] != "include_dir"]
    return lines, tuple(unread)


def _is_included(name: str) -> bool:
    return name.endswith(".conf") and name != ".conf"


def _place(name: str) -> list[tuple[str, str]]:
    """Where Mosquitto has it in the order: without case, character by character, capitals first."""
    return [(one.upper(), one) for one in name]


def _settings(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, _, value = line.strip().partition(" ")
        if name and not name.startswith("#"):
            yield name, value.strip()
