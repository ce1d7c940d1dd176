"""From the files that the configuration names to the engine's key ring."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from gateway.config.document import Problem
from gateway.config.files import FileProblemError, read_private, read_public
from gateway.config.settings import LineSettings, MqttSettings, NatsSettings, StationSettings
from gateway.errors import FieldError
from gateway.model import Station
from gateway.security.cards import parse_card, parse_key_file
from gateway.security.keys import Card, KeyRing, Line, LineKeys, StationKeys, derive_line_keys
from gateway.security.nkey import Nkey, parse_nkey
from gateway.security.secrets import LineSecrets, parse_secrets

T = TypeVar("T")
Read = Callable[[str, Path], bytes]


def read_keyring(
    station: StationSettings | None,
    settings_lines: Iterable[LineSettings | None],
    problems: list[Problem],
) -> KeyRing | None:
    """Read the key, cards and secrets; None when anything is wrong, which `problems` then says.

    None stands for a table that could not be read: its files are left out.
    """
    count = len(problems)
    own = None if station is None else _read_own(station, problems)
    lines: dict[Station, Line] = {}
    cards: set[Path] = set()
    for number, settings_line in enumerate(settings_lines, start=1):
        if settings_line is None:
            continue
        line = _read_line(f"[[line]] {number}", settings_line, own, problems)
        if line is not None and own is not None:
            if settings_line.card not in cards:  # Else `checks` says that one file stands twice.
                problems += _clashes(f"[[line]] {number} card", line.card, own[1], lines)
            lines[line.card.station] = line
        cards.add(settings_line.card)
    if len(problems) > count or own is None:
        return None
    return KeyRing(own[0], own[1], lines)


def check_other_files(
    mqtt: MqttSettings | None, nats: NatsSettings | None, problems: list[Problem]
) -> None:
    """Read what adapters will need, so that it is missed now and not at night."""
    for table, settings in (("[mqtt]", mqtt), ("[nats]", nats)):
        if settings is None:
            continue
        for name, path, read, parse in (
            ("password_file", settings.password_file, read_private, str),
            ("ca_file", settings.ca_file, read_public, _certificate),
            ("cert_file", settings.cert_file, read_public, _certificate),
            ("key_file", settings.key_file, read_private, _private_key),
        ):
            if path is not None:
                _parsed(f"{table} {name}", path, read, parse, problems)
    if nats is None:
        return
    if find_spec("nats") is None:
        what = "needs nats-py, which is not installed"
        problems.append(Problem("[nats]", what, "pip install 'hotline-gateway[nats]'"))
    if nats.nkey_file is not None:
        _parsed("[nats] nkey_file", nats.nkey_file, read_private, parse_nkey, problems)


def _certificate(text: str) -> str:
    if not re.search("-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----", text):
        remedy = "name a PEM file, which has a line -----BEGIN CERTIFICATE-----"
        raise FieldError("it", "holds no certificate", remedy)
    return text


def _private_key(text: str) -> str:
    if not re.search("-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----", text):
        remedy = "name the PEM file of the key, which has a line -----BEGIN PRIVATE KEY-----"
        raise FieldError("it", "holds no private key", remedy)
    return text


def read_nkey(path: Path) -> Nkey:
    """Read a user's seed. Raises `FileProblemError`, `FieldError`."""
    return parse_nkey(read_private("nkey_file", path).decode(errors="replace"))


def read_password(path: Path) -> str:
    """Read the one line of a password file. Raises `FileProblemError`."""
    return read_private("password_file", path).decode(errors="replace").strip("\r\n")


def _read_own(station: StationSettings, problems: list[Problem]) -> tuple[StationKeys, Card] | None:
    own = _parsed("[station] key_file", station.key_file, read_private, parse_key_file, problems)
    if own and own[1].name != station.name:
        what = f"the key file is of the station {own[1].name}, not {station.name}"
        problems.append(Problem("[station] name", what, "correct the one that is wrong"))
    return own


def _read_line(
    where: str,
    settings: LineSettings,
    own: tuple[StationKeys, Card] | None,
    problems: list[Problem],
) -> Line | None:
    card = _parsed(f"{where} card", settings.card, read_public, parse_card, problems)
    place = f"{where} secret_file"
    parse = partial(parse_secrets, generation=settings.generation)
    secrets = _parsed(place, settings.secret_file, read_private, parse, problems)
    if card is None or secrets is None or own is None:
        return None
    try:
        keys = line_keys(own[0], card, secrets)
    except FieldError as error:
        problems.append(Problem(f"{where} {error.field}", error.problem, error.remedy))
        return None
    return Line(card, keys, secrets.newest, is_revoked=card.sign_public in secrets.revoked)


def line_keys(own: StationKeys, card: Card, secrets: LineSecrets) -> LineKeys:
    """The keys of a line from what its file holds. Raises `FieldError`."""
    return derive_line_keys(
        own,
        card,
        secrets.generations[secrets.newest],
        secrets.newest,
        hello_secret=secrets.first,
        former=secrets.former,
    )


def _clashes(where: str, card: Card, own: Card, lines: dict[Station, Line]) -> Iterator[Problem]:
    """Find stations that could not be told apart."""
    others = [own, *(line.card for line in lines.values())]
    for other in others:
        if card.station == other.station:
            what = f"{card.name} has the number {card.station}, as {other.name} has"
            yield Problem(where, what, "give each station that shares a line its own number")
        elif card.name == other.name:
            what = f"two stations have the name {card.name}"
            yield Problem(where, what, "rename one and bring its new card")


def _parsed(
    where: str,
    path: Path,
    read: Read,
    parse: Callable[[str], T],
    problems: list[Problem],
) -> T | None:
    try:
        return parse(read(where, path).decode())
    except FileProblemError as error:
        problems.append(error.problem)
    except UnicodeDecodeError:
        problems.append(Problem(where, f"{path} is not text", "name the right file"))
    except FieldError as error:
        problems.append(Problem(where, f"{path}: {error.field} {error.problem}", error.remedy))
    return None
