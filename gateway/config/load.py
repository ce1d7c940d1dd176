"""Read the configuration file and the files that it names. Every failure is one `ConfigError`."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import json, structs

from gateway.config.asked import check_asked
from gateway.config.checks import build_policy, check_fields
from gateway.config.document import Fields, Problem, read_fields
from gateway.config.files import FILE_SIZE_MAX
from gateway.config.keys import check_other_files, read_keyring
from gateway.config.settings import Settings
from gateway.core.policy import Policy
from gateway.errors import ConfigError
from gateway.security.keys import KeyRing


def load_settings(path: Path, *, check_files: bool = True, is_asked: bool = False) -> Settings:
    """Read the file at `path`. Raises `ConfigError` with all its problems.

    `check_files` reads the keys, cards and secrets too, which only the daemon's user may.
    `is_asked`: by a person, who wants to know also what the daemon starts without.
    """
    problems: list[Problem] = []
    fields: Fields = read_fields(Settings, _read_toml(path), "", problems)
    problems += check_fields(fields)
    if check_files:
        # Also with problems above: the tables that could be read name files that may be missing.
        read_keyring(fields.get("station"), fields.get("line") or (), problems)
        check_other_files(fields.get("mqtt"), fields.get("nats"), problems)
        problems += check_asked(fields) if is_asked else ()
    _raise(path, problems)
    return Settings(**fields)


def check_document(document: dict[str, Any]) -> None:
    """Check what shall become a configuration file, without the files that it names.

    Raises `ConfigError` with all its problems.
    """
    problems: list[Problem] = []
    problems += check_fields(read_fields(Settings, document, "", problems))
    if problems:
        raise ConfigError([str(problem) for problem in problems])


def settings_digest(settings: Settings) -> str:
    """16 hexadecimal digits over all settings, defaults too: tells that one was changed."""
    octets = json.encode(settings, enc_hook=str, order="deterministic")
    return hashlib.sha256(octets).hexdigest()[:16]


def with_port(settings: Settings, name: str, port: str) -> Settings:
    """The same settings with another port for one link. Raises `ConfigError`."""
    lines = tuple(
        structs.replace(
            line,
            link=tuple(
                structs.replace(link, port=port) if link.name == name else link
                for link in line.link
            ),
        )
        for line in settings.line
    )
    if problems := check_fields({"line": lines}):
        raise ConfigError([str(problem) for problem in problems])
    return structs.replace(settings, line=lines)


def load_keyring(settings: Settings) -> KeyRing:
    """Give the keys, card and lines of the station. Raises `ConfigError`."""
    problems: list[Problem] = []
    keyring = read_keyring(settings.station, settings.line, problems)
    if keyring is None:
        raise ConfigError([str(problem) for problem in problems])
    return keyring


def load_policy(settings: Settings) -> Policy:
    """Give the engine's numbers with the overrides of `[policy]`, which are checked already."""
    return build_policy(settings.policy)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        octets = path.read_bytes()
        if len(octets) > FILE_SIZE_MAX:
            raise ConfigError(
                [f"{path}: has more than {FILE_SIZE_MAX} octets; name the right file"]
            )
        return tomllib.loads(octets.decode())
    except FileNotFoundError as error:
        what = "is not there; set this station up with `sudo hotline init`, or name the file with"
        raise ConfigError([f"{path}: {what} --config"]) from error
    except PermissionError as error:
        sentence = f"{path}: may not be read by this user; run it with sudo"
        raise ConfigError([sentence]) from error
    except OSError as error:
        sentence = f"{path}: cannot be read ({error.strerror}); name the file with --config"
        raise ConfigError([sentence]) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        sentence = f"{path}: line {line} is not UTF-8; save the file as UTF-8"
        raise ConfigError([sentence]) from error
    except tomllib.TOMLDecodeError as error:
        # The parser's text ends with the place: (at line 3, column 7).
        sentence = f"{path}: is not TOML: {error}; correct it there"
        raise ConfigError([sentence]) from error
    except RecursionError as error:
        sentence = f"{path}: is nested too deeply; write plain tables"
        raise ConfigError([sentence]) from error


def _raise(path: Path, problems: Iterable[Problem]) -> None:
    if sentences := [f"{path}: {problem}" for problem in problems]:
        raise ConfigError(sentences)
