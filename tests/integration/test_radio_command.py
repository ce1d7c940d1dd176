"""`hotline radio simulate` as a process, and the official `meshtastic` command line on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0
NORTH, SOUTH = "!4d4c00a1", "!4d4c00b2"


@contextmanager
def simulated(*arguments: str) -> Iterator[dict[str, Any]]:
    """What the command printed about its radios, which run until the block ends with SIGINT."""
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.cli.main", "radio", "simulate", "--json", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield json.loads(line)
            process.send_signal(signal.SIGINT)
            assert process.wait(DEADLINE_S) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()


def meshtastic(*arguments: str) -> str:
    """The real command line; what it printed."""
    ended = subprocess.run(
        [sys.executable, "-m", "meshtastic", *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    # What it writes to stderr is not judged: on TCP its reader thread still sends a heartbeat into
    # the socket that its main thread has shut down already, and prints the broken pipe.
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.parametrize("medium", ["pty", "tcp"])
def test_the_official_command_line_takes_them_for_radios(medium: str, tmp_path: Path) -> None:
    """--info, --nodes, --sendtext and --ack, unchanged, over a pty and over TCP."""
    options = ["--tcp"] if medium == "tcp" else ["--folder", os.path.relpath(tmp_path, ROOT)]
    with simulated("--preset", "SHORT_FAST", "--seed", "1", *options) as document:
        address = document["radios"][0]["address"]
        assert medium == "tcp" or address.startswith("/")  # as `--port` takes it
        where = ("--host" if medium == "tcp" else "--port", address)
        info = meshtastic(*where, "--info")
        assert NORTH in info
        assert SOUTH in info
        assert '"modemPreset": "SHORT_FAST"' in info
        # The direct text goes first: within 2 s of another the radio drops it silently.
        sent = meshtastic(*where, "--dest", SOUTH, "--sendtext", "to one", "--ack")
        assert "Received an ACK." in sent
        nodes = meshtastic(*where, "--nodes")
        assert NORTH in nodes
        assert SOUTH in nodes
        assert "Sending text message" in meshtastic(*where, "--sendtext", "to all")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--preset", "FAST"), 2, "preset 'FAST' is unknown"),
        (("--region", "MARS"), 2, "region 'MARS' is unknown"),
        (("--folder", "/nonexistent"), 5, "/nonexistent is no folder"),
        (("--folder", "/proc"), 6, "/proc takes no ports"),
        (("--count", "9"), 2, "9"),
    ],
)
def test_what_cannot_be_simulated_is_refused_in_one_sentence(
    arguments: tuple[str, ...], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exit code of the table and no traceback."""
    assert main(["radio", "simulate", *arguments]) == code
    problem = capsys.readouterr().err
    assert words in problem
    assert problem.count("\n") == 1
