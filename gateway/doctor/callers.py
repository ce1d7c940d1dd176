"""Who uses a radio's port now: a tty, or a TCP port, which a second client would take away.

A tty refuses a second opening by itself; a node on TCP puts the first client out instead, and so
it is looked for first. What another machine does is not seen.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from gateway.doctor.machine import Holder, Machine
from gateway.errors import LinkLostError
from gateway.links.meshtastic.driver import tcp_address

Address = IPv4Address | IPv6Address
_ESTABLISHED = "01"
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def users_of(machine: Machine, port: str) -> list[Holder]:
    """Programs of this machine that have `/dev/...` open or are connected to `tcp://...`.

    Looks names up: call it in a thread. Other users' programs need root to be named.
    """
    if not port.startswith("tcp://"):
        return machine.holders(port)
    try:
        host, number = tcp_address(port)
        found = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)
    except (LinkLostError, OSError):
        return []  # The opening says what is wrong with it.
    return callers(machine, {ip_address(it[4][0]) for it in found}, number)


def callers(machine: Machine, addresses: set[Address], port: int) -> list[Holder]:
    """Programs that are connected to this TCP port of one of these addresses."""
    is_here = any(it.is_loopback for it in addresses)
    sockets = [
        inode
        for there, number, inode in _connections(machine)
        if number == port and (there in addresses or (is_here and there.is_loopback))
    ]
    return machine.socket_holders(sockets)


def _connections(machine: Machine) -> Iterator[tuple[Address, int, str]]:
    """Far address, far port and inode of each established connection."""
    for table in _TABLES:
        for line in (machine.text(table) or "").splitlines()[1:]:
            words = line.split()
            if len(words) > 9 and words[3] == _ESTABLISHED:
                there, _, port = words[2].partition(":")
                yield _address(there), int(port, 16), words[9]


def _address(word: str) -> Address:
    """From the kernel's hexadecimal, which has each 4 octets in the machine's own order."""
    octets = b"".join(
        int(word[start : start + 8], 16).to_bytes(4, sys.byteorder)
        for start in range(0, len(word), 8)
    )
    address = ip_address(octets)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
