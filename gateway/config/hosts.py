"""Which addresses of the configuration are on other machines. The unit lets the service reach
this machine alone; others need its drop-in remote-broker.conf.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from urllib.parse import urlsplit

from gateway.config.settings import Settings


def host_of(address: str) -> str | None:
    """Host of `mqtt://`, `nats://`, `tls://` or `tcp://host`; None for devices and sockets."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return None if parts.scheme in ("", "unix") else parts.hostname


def is_local(host: str) -> bool:
    """Whether a host is this machine."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host.lower().rstrip(".") == "localhost"


def is_address(host: str) -> bool:
    """Whether a host is a number, for which no name server is asked."""
    with suppress(ValueError):
        return bool(ipaddress.ip_address(host))
    return False


def remote_host(address: str) -> str | None:
    """Host of an address, where that is another machine."""
    host = host_of(address)
    return None if host is None or is_local(host) else host


def network_addresses(settings: Settings) -> list[str]:
    """What the gateway reaches by IP: the broker, the servers, radios on TCP."""
    addresses = [] if settings.mqtt is None else [settings.mqtt.url]
    addresses += [] if settings.nats is None else settings.nats.servers
    addresses += [link.port for link in settings.links]
    return [address for address in dict.fromkeys(addresses) if host_of(address) is not None]
