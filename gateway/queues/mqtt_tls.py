"""TLS to a broker: certificates and handshake. Imported for mqtts:// alone: OpenSSL costs 5 MB."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.errors import QueueUnavailableError

if TYPE_CHECKING:
    from gateway.queues.mqtt_socket import Tls


class TlsRefusedError(Exception):
    """The handshake failed; why, as OpenSSL says it."""


async def shake_hands(connected: socket.socket, host: str, tls: Tls) -> socket.socket:
    """Give the secured socket; the caller sets the deadline. Raises `TlsRefusedError`, OSError and,
    for files that cannot be used, `QueueUnavailableError`.
    """
    try:
        secured = tls_context(tls, "MQTT").wrap_socket(
            connected, server_hostname=host, do_handshake_on_connect=False
        )
    except ssl.SSLError as error:
        connected.close()
        raise _refused(error) from error
    except BaseException:
        connected.close()
        raise
    try:
        await _finish(secured)
    except ssl.SSLError as error:
        secured.close()
        raise _refused(error) from error
    except BaseException:
        secured.close()
        raise
    return secured


async def _finish(secured: ssl.SSLSocket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            secured.do_handshake()
            return
        except ssl.SSLWantReadError:
            await _ready(loop.add_reader, loop.remove_reader, secured)
        except ssl.SSLWantWriteError:
            await _ready(loop.add_writer, loop.remove_writer, secured)


def tls_context(tls: Tls, queue: str) -> ssl.SSLContext:
    """Raises `QueueUnavailableError` when a file cannot be used: it may come back."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.cert_file is not None:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or str(error)
        raise QueueUnavailableError(
            f"the certificate files of {queue} cannot be used ({reason}); check their paths"
        ) from error
    return context


def _refused(error: ssl.SSLError) -> TlsRefusedError:
    return TlsRefusedError(error.reason or str(error))


async def _ready(
    add: Callable[..., None], remove: Callable[..., bool], subject: socket.socket
) -> None:
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    add(subject, _wake, ready)
    try:
        await ready
    finally:
        remove(subject)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
