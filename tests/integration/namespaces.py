"""Machines on one machine: network namespaces of our own, whose cables can be pulled.

Nothing of the machine's own network is touched: the test steps into a fresh namespace, in which
bridges and the other namespaces hang, and steps back. Needs root and iproute2.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_CLONE_NEWNET = 0x4000_0000
_LIBC = ctypes.CDLL(None, use_errno=True)
NETS = {"clients": "10.77.1", "cluster": "10.77.2"}

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="needs root and iproute2"
)


class Machines:
    """So many machines, numbered from 1, each with a cable to the net `clients` and `cluster`."""

    def __init__(self, count: int) -> None:
        self._names = [f"hotline-{os.getpid()}-{number}" for number in range(1, count + 1)]

    def address(self, net: str, number: int) -> str:
        return f"{NETS[net]}.{number}"

    def prefix(self, number: int) -> tuple[str, ...]:
        """What runs a command there."""
        return "ip", "netns", "exec", self._names[number - 1]

    def cut(self, net: str, number: int) -> None:
        """Pull a cable: packets are lost and nobody is told, as when a switch dies."""
        _ip("link", "set", f"{net}{number}", "nomaster")

    def mend(self, net: str, number: int) -> None:
        _ip("link", "set", f"{net}{number}", "master", net)

    def make(self) -> None:
        _ip("link", "set", "lo", "up")
        for net, head in NETS.items():
            _ip("link", "add", net, "type", "bridge")
            _ip("address", "add", f"{head}.254/24", "dev", net)
            _ip("link", "set", net, "up")
        for number, name in enumerate(self._names, start=1):
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
            for net in NETS:
                near = f"{net}{number}"
                _ip("link", "add", near, "type", "veth", "peer", "name", net, "netns", name)
                _ip("link", "set", near, "master", net)
                _ip("link", "set", near, "up")
                _ip("-n", name, "address", "add", f"{self.address(net, number)}/24", "dev", net)
                _ip("-n", name, "link", "set", net, "up")

    def remove(self) -> None:
        for name in self._names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@contextmanager
def machines(count: int) -> Iterator[Machines]:
    """Sockets that are opened meanwhile, by this thread and its processes, are of that network."""
    with Path("/proc/self/ns/net").open("rb") as home:
        _call(_LIBC.unshare(_CLONE_NEWNET))
        made = Machines(count)
        try:
            made.make()
            yield made
        finally:
            made.remove()
            _call(_LIBC.setns(home.fileno(), _CLONE_NEWNET))


def _call(outcome: int) -> None:
    if outcome != 0:
        raise OSError(ctypes.get_errno(), "no namespace could be made")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
