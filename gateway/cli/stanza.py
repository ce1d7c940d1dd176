"""The `[[line]]` of a far station, as text to add to the configuration."""

from __future__ import annotations

import tomllib
from pathlib import Path

import click

from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.keyfiles import FILE_SIZE_MAX, read_text_file, write_new


def stanza_text(
    card_path: Path,
    secret_path: Path,
    *,
    radio: tuple[str, str] | None,
    cable: tuple[str, str] | None,
    generation: int = 1,
) -> str:
    """The `[[line]]` for the configuration; links that were not given stand there as examples."""
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
            f'{mark}name = "radio"',
            f'{mark}driver = "meshtastic"',
            f"{mark}port = {quoted(port)}",
            f"{mark}node = {quoted(node)}",
        ]
    port, rate = cable or ("/dev/hotline/cable-...", "9600")
    mark = "" if cable else "# "
    if cable or not radio:
        lines += [
            f"{mark}[[line.link]]",
            f'{mark}name = "cable"',
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
    if not rate.isascii() or not rate.isdigit():
        raise click.UsageError("--cable takes a port and a bit rate, as in --cable /dev/ttyS0 9600")
    return int(rate)


def append(path: Path, stanza: str, card_path: Path) -> None:
    """Add the stanza to the configuration, whole or not at all; the old text stays as it is."""
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
            ExitCode.CONFLICT, f"{path} has a [[line]] with {card_path} already; edit it by hand"
        )
    joint = "" if text.endswith("\n\n") or not text else "\n" if text.endswith("\n") else "\n\n"
    if len(text) + len(stanza) > FILE_SIZE_MAX:
        raise CommandError(ExitCode.CONFIGURATION, f"{path} is too long; shorten its comments")
    mode = path.stat().st_mode & 0o777
    write_new(path, f"{text}{joint}{stanza}", mode=mode, replace=True)
