"""The files of keys: who may read them, and the words by which people compare cards."""

from __future__ import annotations

import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.config.files import FILE_SIZE_MAX
from gateway.config.settings import Settings
from gateway.doctor.finding import Finding, fault, look, ok
from gateway.doctor.ports import service_person
from gateway.errors import GatewayError
from gateway.security.cards import fingerprint_words, parse_card, parse_key_file
from gateway.security.keys import Card

TOPIC: Final = "key"


def examine_keys(settings: Settings) -> Iterator[Finding]:
    """The station's key, then each line's card and secrets."""
    service = service_person()
    reader = None if service is None else service.user_id
    key_file = settings.station.key_file
    yield judge_private(key_file, reader)
    yield _own_card(key_file)
    for line in settings.line:
        yield _far_card(line.card)
        yield judge_private(line.secret_file, reader)
    for path in _broker_files(settings):
        if path is not None:
            yield judge_private(path, reader)


def _broker_files(settings: Settings) -> tuple[Path | None, ...]:
    """What nobody else may read of the access to a broker."""
    mqtt, nats = settings.mqtt, settings.nats
    files = () if mqtt is None else (mqtt.password_file, mqtt.key_file)
    return files if nats is None else (*files, nats.password_file, nats.nkey_file, nats.key_file)


def judge_private(path: Path, reader: int | None) -> Finding:
    """Mode and owner; `reader` is the service's user id, None where there is none."""
    try:
        status = path.stat()
    except OSError as error:
        return fault(
            TOPIC,
            f"{path} cannot be found ({error.strerror})",
            "make it (hotline key), or correct its path in the configuration",
        )
    mode = stat.S_IMODE(status.st_mode)
    owner = _user_name(status.st_uid)
    text = f"{path}: mode {mode:04o}, owner {owner}"
    if mode & 0o077:
        return fault(TOPIC, f"{text}; others may read or change it", f"sudo chmod 600 {path}")
    if reader is not None and status.st_uid != reader:
        user = _user_name(reader)
        return fault(
            TOPIC, f"{text}; the service's user {user} cannot read it", f"sudo chown {user} {path}"
        )
    return ok(TOPIC, text)


def _own_card(path: Path) -> Finding:
    try:
        _, card = parse_key_file(_text(path))
    except PermissionError:
        return look(TOPIC, f"{path} may not be read by this user", "run: sudo hotline doctor")
    except (OSError, UnicodeDecodeError, GatewayError) as error:
        return _unreadable(path, error)
    return ok(TOPIC, f"own card {_card_text(card)}")


def _far_card(path: Path) -> Finding:
    try:
        card = parse_card(_text(path))
    except PermissionError:
        return look(TOPIC, f"{path} may not be read by this user", "run: sudo hotline doctor")
    except (OSError, UnicodeDecodeError, GatewayError) as error:
        return _unreadable(path, error)
    return ok(TOPIC, f"far card {_card_text(card)}")


def _card_text(card: Card) -> str:
    return f"{card.name} (station {card.station}): words {' '.join(fingerprint_words(card))}"


def _unreadable(path: Path, error: Exception) -> Finding:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return fault(TOPIC, f"{path} cannot be used: {reason}", "bring the right file: hotline key")


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(FILE_SIZE_MAX).decode()


def _user_name(user_id: int) -> str:
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)
