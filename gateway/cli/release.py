"""The last look before a notice or an answer leaves: what it says, and the question."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from typing import Any, Final

import click

from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.output import BLOCK_MARGIN
from gateway.cli.text import indented, visible
from gateway.cli.view import body_text, notice_fields

INPUT_SIZE_MAX: Final = 65_536
_SHOWN: Final = frozenset(
    (
        *("to", "kind", "precedence", "operation", "released by", "expires", "reply by"),
        *("reference", "place", "window", "phrase"),
    )
)


def new_request_id() -> str:
    """A fresh name for a request (`os.urandom` behind it), so that a repeat is harmless."""
    return f"cli-{uuid.uuid4()}"


def read_text() -> str:
    """The text from standard input; a line feed at its end is not part of it."""
    octets = sys.stdin.buffer.read(INPUT_SIZE_MAX + 1)
    if len(octets) > INPUT_SIZE_MAX:
        raise CommandError(
            ExitCode.USAGE,
            f"text: standard input has more than {INPUT_SIZE_MAX} octets; shorten the text",
        )
    try:
        return octets.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise CommandError(
            ExitCode.USAGE,
            f"text: standard input is not UTF-8 at octet {error.start}; convert it first",
        ) from error


def ask_release(document: Mapping[str, Any], *, size: str, links: str, language: str) -> None:
    """Show what will be sent, on standard error, and end the command unless it is released.

    `size` and `links` (how the line is now) are shown below the text; a phrase is shown in
    `language`.
    """
    click.echo("THIS WILL BE SENT", err=True)
    for name, value in notice_fields(document):
        if name in _SHOWN and value is not None:
            click.echo(f"{name:<12}{visible(value)}", err=True)
    body = body_text(document, language)
    if body:
        click.echo("text", err=True)
        click.echo(indented(body, BLOCK_MARGIN), err=True)
    click.echo(f"{'size':<12}{size}", err=True)
    click.echo(f"{'line now':<12}{visible(links)}", err=True)
    if not click.confirm("Release it?", err=True):
        raise CommandError(ExitCode.INTERRUPTED, "not released; nothing was sent")
