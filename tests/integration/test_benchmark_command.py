"""`hotline benchmark` as a process that is ended: nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: sockets in pytest's own folder may exceed what their addresses hold."""
    with tempfile.TemporaryDirectory(prefix="hotline-test-") as name:
        yield Path(name)


def test_sigterm_leaves_no_folder_and_no_gateway(folder: Path) -> None:
    """As Ctrl-C does: its gateways are stopped, their folders removed; one sentence, exit 130."""
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.cli.main", "benchmark", "--quick", "--only", "octets"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        limit = time.monotonic() + DEADLINE_S
        while not list(folder.glob("hotline-bm-*/**/api.sock")):
            assert process.poll() is None
            assert time.monotonic() < limit, "no gateway came up"
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130, told
    assert told.endswith("hotline: stopped; nothing of it runs or is left\n")
    assert list(folder.iterdir()) == []
    for process_folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (process_folder / "cmdline").read_bytes()
        except OSError:
            continue  # It ended meanwhile.
        assert os.fsencode(folder) not in words
