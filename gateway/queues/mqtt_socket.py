"""Where a broker is, and a connected socket to it: non-blocking, TLS done, on the event loop."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.errors import ConfigError

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


class UnreachableError(Exception):
    """No connection; what is wrong with the broker, and what to do."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a broker is and how to speak to it."""

    url: str
    host: str
    port: int
    unix_path: str | None = None
    is_tls: bool = False

    @classmethod
    def parse(cls, url: str) -> Broker:
        """`mqtt://host[:port]`, `mqtts://host[:port]`, `unix:///path`. Raises `ConfigError`."""
        try:
            parts = urlsplit(url)
            port, user = parts.port, parts.username
        except ValueError as error:
            raise _bad_url(url, "cannot be read") from error
        if user is not None:
            hidden = f"{parts.scheme}://...@{parts.hostname}"  # a password may stand there
            raise _bad_url(hidden, "has a user in it; use mqtt.user and mqtt.password_file")
        if parts.query or parts.fragment:
            raise _bad_url(url, "has more than host, port or path")
        if parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc:
            return cls(url, "localhost", 1883, unix_path=parts.path)
        if parts.scheme in _PORTS and parts.hostname and parts.path in ("", "/"):
            is_tls = parts.scheme == "mqtts"
            return cls(url, parts.hostname, port or _PORTS[parts.scheme], is_tls=is_tls)
        raise _bad_url(url, "is not understood")


def _bad_url(url: str, problem: str) -> ConfigError:
    return ConfigError(
        [f"mqtt.url: {url[:80]!a} {problem}; write mqtt://host:1883, mqtts://host or unix:///path"]
    )


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a mqtts:// connection; the CA of the system where none is named."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


async def connected_socket(broker: Broker, tls: Tls) -> socket.socket:
    """Connect and shake hands. Raises `UnreachableError`; the caller sets the deadline."""
    try:
        return await _connected(broker, tls)
    except OSError as error:
        raise UnreachableError(f"cannot be reached ({reason_of(error)})") from error
    except UnicodeError as error:  # from IDNA, before anyone is asked
        raise UnreachableError("has no possible host name; correct mqtt.url") from error


async def _connected(broker: Broker, tls: Tls) -> socket.socket:
    """Connected, TLS done, non-blocking. Raises OSError (SSLError is one)."""
    if broker.unix_path is not None:
        return await _connect(socket.AF_UNIX, broker.unix_path)
    addresses = await asyncio.get_running_loop().getaddrinfo(
        broker.host, broker.port, type=socket.SOCK_STREAM
    )
    failure: OSError = OSError("the host has no address")
    for family, _, _, _, address in addresses:
        try:
            connected = await _connect(family, address)
        except OSError as error:
            failure = error
            continue
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return await _secured(connected, broker.host, tls) if broker.is_tls else connected
    raise failure


async def _secured(connected: socket.socket, host: str, tls: Tls) -> socket.socket:
    # The system's OpenSSL costs 5 MB: it is loaded for mqtts:// alone.
    from gateway.queues.mqtt_tls import TlsRefusedError, shake_hands

    try:
        return await shake_hands(connected, host, tls)
    except TlsRefusedError as error:
        raise UnreachableError(f"refuses TLS ({error}); check ca_file and host") from error


async def _connect(family: int, address: Any) -> socket.socket:  # noqa: ANN401 (per family)
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connecting, address)
    except BaseException:
        connecting.close()
        raise
    return connecting


def reason_of(error: OSError) -> str:
    """Without the address that asyncio puts into it."""
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno)
