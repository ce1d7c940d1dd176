"""Words to systemd (sd_notify(3)): ready, alive, what we do. Never blocks or fails."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Final

STATUS_SIZE_MAX: Final = 512
_DATAGRAM: Final = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC


class SystemdNotifier:
    """Sends datagrams to NOTIFY_SOCKET; without one every call does nothing.

    A datagram that the socket does not take at once is dropped: a blocking send can hang the
    daemon while systemd is busy, and a lost WATCHDOG=1 is followed by the next.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        self.watchdog_s = _watchdog_s(environment)
        """Within this many seconds systemd wants a `watchdog` word; None: not at all."""

    def ready(self) -> None:
        self._send("READY=1")

    def watchdog(self) -> None:
        self._send("WATCHDOG=1")

    def starting(self, extension_s: int) -> None:
        """A start that goes on: `extension_s` more from now until `ready`, and no watchdog yet."""
        self._send(f"EXTEND_TIMEOUT_USEC={extension_s * 1_000_000}")
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`, at most 512 characters."""
        self._send("STATUS=" + text.replace("\n", " ")[:STATUS_SIZE_MAX])

    def news(self, sentence: str) -> None:
        """What changed on a link or line: nothing for systemd, whose journal has the local log."""

    def _send(self, word: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, _DATAGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(word.encode(), self._address)


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """WATCHDOG_USEC in seconds when it is meant for this process (sd_watchdog_enabled(3))."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    process = environment.get("WATCHDOG_PID", "")
    if process and process != str(os.getpid()):
        return None
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) else None
