"""Words to systemd over a real datagram socket."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from gateway.runtime.sd_notify import SystemdNotifier


def test_words_reach_the_socket(tmp_path: Path) -> None:
    """More time, READY, STATUS on one line, WATCHDOG and STOPPING arrive as systemd reads them."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        notifier = SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        notifier.starting(120)
        notifier.ready()
        notifier.status("one\ntwo")
        notifier.watchdog()
        notifier.stopping()
        words = [systemd.recv(1024) for _ in range(6)]
    start = [b"EXTEND_TIMEOUT_USEC=120000000", b"WATCHDOG=1"]
    assert words == [*start, b"READY=1", b"STATUS=one two", b"WATCHDOG=1", b"STOPPING=1"]


def test_full_socket_does_not_block(tmp_path: Path) -> None:
    """A socket that systemd does not read costs a lost word, never a hanging daemon."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        notifier = SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        for _ in range(2_000):
            notifier.watchdog()


def test_without_systemd_nothing_happens() -> None:
    """No NOTIFY_SOCKET, and one that is gone, are both silent."""
    SystemdNotifier({}).ready()
    SystemdNotifier({"NOTIFY_SOCKET": "/nonexistent/notify"}).ready()


def test_watchdog_interval_is_for_this_process_only() -> None:
    """WATCHDOG_USEC counts only without WATCHDOG_PID or with ours."""
    assert SystemdNotifier({"WATCHDOG_USEC": "15000000"}).watchdog_s == 15.0
    own = {"WATCHDOG_USEC": "15000000", "WATCHDOG_PID": str(os.getpid())}
    assert SystemdNotifier(own).watchdog_s == 15.0
    assert SystemdNotifier({**own, "WATCHDOG_PID": "1"}).watchdog_s is None
    assert SystemdNotifier({"WATCHDOG_USEC": "soon"}).watchdog_s is None
