"""Ports and radios' numbers as people type them, and the option that names a radio's port."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

LASTING_FOLDER: Final = Path("/dev/hotline")
"""Where the rules of udev name each serial device by its own number."""


class PortType(click.ParamType[str]):
    """A tty's whole path, its name in /dev/hotline, or `tcp://host[:port]`."""

    name = "port"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        text = port_text(str(value))
        if not (text.startswith("/") or _has_host(text)):
            remedy = "write /dev/hotline/..., /dev/serial/by-id/... or tcp://host:4403"
            self.fail(f"{text!r} is no port; {remedy} ({lasting_words()})", param, ctx)
        return text


def port_text(text: str) -> str:
    """The port with its folder where only the name was typed of what is in /dev/hotline."""
    return str(LASTING_FOLDER / text) if text in _lasting_names() else text


def lasting_words() -> str:
    """What may be typed here: `/dev/hotline has: cable-A1, radio-77`."""
    return f"{LASTING_FOLDER} has: {', '.join(_lasting_names()) or 'nothing'}"


def absence(port: str) -> str | None:
    """A device may come later, and the daemon retries for ever: only something to be told."""
    if not port.startswith("/") or Path(port).exists():
        return None
    return f"{port} is not there now; the gateway will wait for it, plug it in or correct the path"


def node_text(text: str) -> str:
    """A radio's number as the configuration has it; what is none stays as it is.

    Its `!` may be missing: a shell takes that for one of its own unless it is quoted.
    """
    return f"!{text[-8:].lower()}" if re.fullmatch("!?[0-9A-Fa-f]{8}", text) else text


def _lasting_names() -> list[str]:
    try:
        return sorted(os.listdir(LASTING_FOLDER))  # noqa: PTH208 (names, not paths)
    except OSError:
        return []


def _has_host(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme == "tcp" and bool(parts.hostname)
