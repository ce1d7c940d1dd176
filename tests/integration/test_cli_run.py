"""`hotline run` as a process: a missing port, a second daemon, what it says, an orderly stop."""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE_S = 30.0


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """NORTH, which trusts SOUTH over a cable that is not there."""
    path = tmp_path / "hotline.toml"
    path.write_text(
        f'[station]\nname = "NORTH"\nkey_file = "{tmp_path}/station.key"\n'
        f'state_folder = "{tmp_path}/state"\nruntime_folder = "{tmp_path}/run"\n'
        '[indicators]\nfactory = "none"\n'
    )
    far = tmp_path / "far"
    far.mkdir()
    for arguments in (
        ("key", "new", "--station", "1", "--name", "NORTH", "--party", "North"),
        ("key", "new", "--station", "2", "--name", "SOUTH", "--party", "S", "--file", f"{far}/k"),
        (
            *("key", "trust", f"{far}/SOUTH.card", "--new-secret", "--yes", "--add"),
            *("--cable", str(tmp_path / "no-cable"), "9600"),
        ),
    ):
        ended = hotline(path, *arguments)
        assert ended.returncode == 0, ended.stderr
    return path


def environment(config: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if "HOTLINE" not in name}
    return {**clean, "HOTLINE_CONFIG": str(config)}


def hotline(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        [sys.executable, "-m", "gateway.cli.main", *arguments],
        cwd=ROOT,
        env=environment(config),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    return ended


@contextmanager
def running(config: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A gateway that answers; it is killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.cli.main", "run", *arguments],
        cwd=ROOT,
        env=environment(config),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        limit = time.monotonic() + DEADLINE_S
        while hotline(config, "status").returncode != 0:
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < limit, "the gateway did not come up"
        yield process
        if process.poll() is None:
            process.kill()


@pytest.fixture
def daemon(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A running gateway; its end is the test's."""
    with running(config) as process:
        yield process


def test_a_gateway_runs_without_its_cable_and_alone(
    config: Path, daemon: subprocess.Popen[bytes]
) -> None:
    """A missing port is told and waited for; a second gateway on the state folder gets 78.

    OpenSSL, for which nobody asked, is not in its memory.
    """
    assert "libcrypto" not in Path(f"/proc/{daemon.pid}/maps").read_text()
    status = hotline(config, "status")
    assert "DOES NOT WORK" in status.stdout
    accepted = hotline(config, "send", "SOUTH", "-k", "CHECK", "-p", "R", "-o", "TEST", "ALPHA")
    assert accepted.returncode == 0
    waited = hotline(
        config, "send", "SOUTH", "-k", "CHECK", "-p", "R", "-o", "TEST", "--wait", "--timeout", "1s"
    )
    assert waited.returncode == 8
    second = hotline(config, "run")
    assert second.returncode == 78
    assert second.stderr.count("\n") == 1
    assert "is in use by another gateway" in second.stderr
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(DEADLINE_S) == 0
    assert daemon.stderr is not None
    assert daemon.stderr.read().decode().splitlines() == said(config)
    gone = hotline(config, "outbox")
    assert gone.returncode == 4
    assert "the gateway does not run" in gone.stderr


def said(config: Path) -> list[str]:
    """What a start says whose cable is not there."""
    folder = config.parent
    ready = f"station NORTH is ready; socket {folder}/run/api.sock, log in {folder}/state/log"
    lost = f"{folder}/no-cable is not there; plug the device in or correct `port`"
    return [f"{ready}; Ctrl-C stops it", f"link cable: our device DOES NOT WORK: {lost}"]


def read_lines(descriptor: int, count: int) -> list[str]:
    """The next lines of what a gateway says, as they come."""
    octets = b""
    limit = time.monotonic() + DEADLINE_S
    while octets.count(b"\n") < count:
        ready, _, _ = select.select([descriptor], [], [], limit - time.monotonic())
        assert ready, f"only {octets!r} was printed"
        octets += os.read(descriptor, 4096)
    return octets.decode().splitlines()


def test_a_person_at_a_terminal_is_told_what_does_not_work_and_what_does(config: Path) -> None:
    """Ready, then the cable that is missing; one line more when it is plugged in, and no other."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.cli.main", "run"],
        cwd=ROOT,
        env=environment(config),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        far_end, cable = pty.openpty()
        try:
            assert read_lines(ours, 2) == said(config)
            (config.parent / "no-cable").symlink_to(os.ttyname(cable))
            assert read_lines(ours, 1) == [
                f"link cable: our device works: {config.parent}/no-cable at 9600 bit/s"
            ]
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0
            for descriptor in (ours, far_end, cable):
                os.close(descriptor)


def test_a_reader_that_went_away_ends_no_gateway(config: Path) -> None:
    """`hotline run 2>&1 | head -1` goes on; what nobody reads is dropped."""
    with running(config) as process:
        assert process.stderr is not None
        process.stderr.close()
        far_end, cable = pty.openpty()
        (config.parent / "no-cable").symlink_to(os.ttyname(cable))
        limit = time.monotonic() + DEADLINE_S
        while "DOES NOT WORK" in (status := hotline(config, "status")).stdout:
            assert time.monotonic() < limit, status.stdout
        assert (status.returncode, process.poll()) == (0, None)
        os.close(far_end)
        os.close(cable)


def test_systemd_reads_the_log_and_hears_nothing_besides(config: Path, tmp_path: Path) -> None:
    """With NOTIFY_SOCKET standard error stays empty: the journal has the local log."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(DEADLINE_S)
        systemd.bind(str(tmp_path / "notify"))
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli.main", "run"],
            cwd=ROOT,
            env={**environment(config), "NOTIFY_SOCKET": str(tmp_path / "notify")},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            while systemd.recv(4096) != b"READY=1":
                pass
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.communicate(timeout=DEADLINE_S)[1] == ""


def test_a_radio_is_run_at_another_port(config: Path, tmp_path: Path) -> None:
    """`--port` takes the place of the configuration's, by the link's name where there are two."""
    with config.open("a") as file:
        file.write(
            "".join(
                f'[[line.link]]\nname = "{name}"\ndriver = "meshtastic"\n'
                f'port = "{tmp_path}/none-{name}"\nnode = "!4d4c00b2"\n'
                for name in ("radio", "second")
            )
        )
    for text, words in (
        ("tcp://127.0.0.1:1", "names none of the radios of the configuration (radio, second)"),
        (
            "third=/dev/ttyACM0",
            "no radio of the configuration is called 'third'; it has radio, second",
        ),
        ("radio=ttyACM0", "write /dev/hotline/..., /dev/serial/by-id/... or tcp://host:4403"),
    ):
        wrong = hotline(config, "run", "--port", text)
        assert (wrong.returncode, words in wrong.stderr) == (2, True), wrong.stderr
    twice = hotline(config, "run", "--port", f"radio={tmp_path}/none-second")
    assert (twice.returncode, "is already the port of" in twice.stderr) == (78, True)
    with running(config, "--port", "radio=tcp://127.0.0.1:1"):
        status = " ".join(hotline(config, "status").stdout.split())
        assert "tcp://127.0.0.1:1 is not there" in status
        assert f"{tmp_path}/none-second is not there" in status
