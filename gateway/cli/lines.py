"""The lines of the configuration with their cards and secret files, for who changes them."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.keyfiles import (
    PRIVATE_MODE,
    configured_key_file,
    read_text_file,
    write_new,
)
from gateway.cli.options import Common
from gateway.errors import GatewayError

if TYPE_CHECKING:
    from gateway.model import Station
    from gateway.security.cards import Card
    from gateway.security.secrets import LineSecrets


@dataclass(frozen=True, slots=True)
class ConfiguredLine:
    """One far station."""

    card: Card
    secret_path: Path
    generation: int
    """Of a secret file with one line of digits."""

    def secrets(self) -> LineSecrets:
        """What its file holds; the file must be private."""
        return read_secrets(self.secret_path, generation=self.generation)


def configured_lines(common: Common) -> list[ConfiguredLine]:
    """Every `[[line]]` whose card can be read."""
    from gateway.security.cards import parse_card

    path = common.config_path
    try:
        tables = tomllib.loads(read_text_file(path)).get("line", [])
    except tomllib.TOMLDecodeError as error:
        raise CommandError(
            ExitCode.CONFIGURATION, f"{path} is not TOML ({error}); see `hotline config check`"
        ) from error
    lines: list[ConfiguredLine] = []
    for table in tables if isinstance(tables, list) else []:
        match table:
            case {"card": str(card_path), "secret_file": str(secret_path)}:
                pass
            case _:
                continue
        try:
            card = parse_card(read_text_file(Path(card_path)))
        except (CommandError, GatewayError):
            continue  # `hotline config check` says what is wrong with it
        generation = table.get("generation", 1)
        lines.append(ConfiguredLine(card, Path(secret_path), int(generation)))
    return lines


def configured_cards(common: Common) -> dict[Station, Card]:
    """Cards of the configuration, our own where it lies beside the key; none that fails.

    For names only: whoever may ask the gateway need not be able to read its files.
    """
    from gateway.security.cards import parse_card

    cards: list[Card] = []
    with suppress(CommandError, GatewayError, OSError, ValueError):
        cards += [line.card for line in configured_lines(common)]
        for path in configured_key_file(common).parent.glob("*.card"):
            with suppress(CommandError, GatewayError):
                card = parse_card(read_text_file(path))
                cards += [card] if card.station not in {one.station for one in cards} else []
    return {card.station: card for card in cards}


def line_to(common: Common, name: str) -> ConfiguredLine:
    """The line to a station by its name."""
    lines = configured_lines(common)
    for line in lines:
        if line.card.name == name.upper():
            return line
    names = ", ".join(line.card.name for line in lines) or "none"
    raise CommandError(
        ExitCode.NOT_FOUND,
        f"{common.config_path} has no line to {name.upper()}; its lines go to: {names}",
    )


def read_secrets(path: Path, *, generation: int = 1) -> LineSecrets:
    """Raises `FieldError`, which never quotes a secret."""
    from gateway.security.secrets import parse_secrets

    return parse_secrets(read_text_file(path, private=True), generation=generation)


def write_secrets(path: Path, secrets: LineSecrets) -> None:
    """In place of what is there, at once: whole or not at all."""
    from gateway.security.secrets import secrets_text

    write_new(path, secrets_text(secrets), mode=PRIVATE_MODE, replace=True)
