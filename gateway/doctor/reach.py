"""Whether the service may reach the brokers and radios of the configuration by network.

The doctor runs outside the unit's sandbox and reaches them; so it reads the unit and its drop-ins.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gateway.config.hosts import host_of, is_address, is_local, network_addresses
from gateway.config.settings import Settings
from gateway.doctor.finding import Finding, fault, ok
from gateway.doctor.machine import SERVICE, Machine

TOPIC: Final = "service"
RESOLVE_S: Final = 10.0
_FOLDERS: Final = ("/lib/systemd/system", "/usr/lib/systemd/system", "/run/systemd/system",
                   "/etc/systemd/system")  # fmt: skip
"""The later ones take the place of files of the same name in the earlier ones."""
_DROP_INS: Final = f"/etc/systemd/system/{SERVICE}.d"
_WORDS: Final = {
    "any": ("0.0.0.0/0", "::/0"),
    "localhost": ("127.0.0.0/8", "::1/128"),
    "link-local": ("169.254.0.0/16", "fe80::/64"),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
}
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Unit:
    """What the installed unit says of the network."""

    allowed: tuple[Network, ...]
    denied: tuple[Network, ...]
    is_private: bool

    def lets_out(self, address: str) -> bool:
        """As systemd.resource-control(5): allowed, else denied, else free."""
        try:
            number = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return True
        return any(number in it for it in self.allowed) or not any(
            number in it for it in self.denied
        )


def read_unit(machine: Machine) -> Unit | None:
    """None where no unit is installed: on a bench nothing is forbidden."""
    unit, drop_ins = None, {}
    for folder in _FOLDERS:
        unit = machine.text(f"{folder}/{SERVICE}") or unit
        for name in machine.names(f"{folder}/{SERVICE}.d"):
            if name.endswith(".conf"):
                drop_ins[name] = machine.text(f"{folder}/{SERVICE}.d/{name}") or ""
    if unit is None:
        return None
    allowed: list[Network] = []
    denied: list[Network] = []
    is_private = False
    for text in (unit, *[drop_ins[name] for name in sorted(drop_ins)]):
        for line in text.splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "PrivateNetwork":
                is_private = value.strip().lower() in ("yes", "true", "on", "1")
            kept = {"IPAddressAllow": allowed, "IPAddressDeny": denied}.get(key.strip())
            if kept is None:
                continue
            if not value.strip():
                kept.clear()
            for word in value.split():
                kept += _networks(word)
    return Unit(tuple(allowed), tuple(denied), is_private)


def _networks(word: str) -> Iterator[Network]:
    for one in _WORDS.get(word, (word,)):
        with suppress(ValueError):
            yield ipaddress.ip_network(one, strict=False)


def addresses_of(host: str) -> list[str]:
    """Ask the system for the addresses of a host; none where it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(it[4][0]) for it in found))


def examine_reach(
    machine: Machine, settings: Settings, resolve: Callable[[str], Sequence[str]] = addresses_of
) -> Iterator[Finding]:
    """Each broker, server and radio on TCP. Asks the name server: some seconds at worst."""
    unit = read_unit(machine)
    if unit is None:
        return
    for url in network_addresses(settings):
        host = host_of(url) or ""
        if unit.is_private:
            yield fault(
                TOPIC,
                f"the unit has no network at all (PrivateNetwork), so the service cannot reach"
                f" {url}",
                f"sudo rm {_DROP_INS}/unix-broker.conf, then: {_AGAIN}",
            )
        elif not is_local(host):
            yield _judge_host(machine, unit, url, host, resolve(host))


def _judge_host(
    machine: Machine, unit: Unit, url: str, host: str, addresses: Sequence[str]
) -> Finding:
    # One that is allowed is enough: they are tried one after the other.
    if addresses and not any(unit.lets_out(it) for it in addresses):
        shown = ", ".join(addresses)
        text = f"the unit does not let the service reach {url}: IPAddressAllow lacks {shown}"
        return fault(TOPIC, text, _allow(shown))
    servers = _name_servers(machine, host)
    if servers and not any(unit.lets_out(it) for it in servers):
        shown = ", ".join(servers)
        text = f"the unit does not let the service ask the name server for {host}: {shown}"
        return fault(TOPIC, text, f"{_allow(shown)}; or write the IP address of {host} instead")
    return ok(TOPIC, f"the unit lets the service reach {url}")


def _name_servers(machine: Machine, host: str) -> list[str]:
    """Those that are asked for a host: none for a number, or a name that this machine knows."""
    hosts = [line.partition("#")[0] for line in (machine.text("/etc/hosts") or "").splitlines()]
    if is_address(host) or host.endswith(".local") or any(host in it.split()[1:] for it in hosts):
        return []
    lines = [line.split() for line in (machine.text("/etc/resolv.conf") or "").splitlines()]
    return [words[1] for words in lines if words[:1] == ["nameserver"] and len(words) > 1]


_AGAIN: Final = "sudo systemctl daemon-reload && sudo systemctl restart hotline-gateway"


def _allow(addresses: str) -> str:
    drop_in = "remote-broker.conf"
    return (
        f"sudo install -D -m 0644 -t {_DROP_INS} /usr/share/hotline-gateway/{drop_in} (once), write"
        f" {addresses} there: sudoedit {_DROP_INS}/{drop_in}, then: {_AGAIN}"
    )
