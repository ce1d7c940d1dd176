"""The option that names a radio's port."""

from __future__ import annotations

from urllib.parse import urlsplit

import click


class PortType(click.ParamType[str]):
    """A tty's whole path, or `tcp://host[:port]`."""

    name = "port"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        text = str(value)
        if not (text.startswith("/") or _has_host(text)):
            remedy = "write /dev/hotline/..., /dev/serial/by-id/... or tcp://host:4403"
            self.fail(f"{text!r} is no port; {remedy}", param, ctx)
        return text


def _has_host(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme == "tcp" and bool(parts.hostname)
