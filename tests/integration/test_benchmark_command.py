"""`hotline benchmark` as a process that is ended: nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0


def test_sigterm_leaves_no_folder_and_no_gateway(tmp_path: Path) -> None:
    """As Ctrl-C does: its gateways are stopped, their folders removed; one sentence, exit 130."""
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.cli.main", "benchmark", "--quick", "--only", "octets"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        limit = time.monotonic() + DEADLINE_S
        while not list(tmp_path.glob("hotline-bm-*/**/api.sock")):
            assert process.poll() is None
            assert time.monotonic() < limit, "no gateway came up"
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130, told
    assert told.endswith("hotline: stopped; nothing of it runs or is left\n")
    assert list(tmp_path.iterdir()) == []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue  # It ended meanwhile.
        assert os.fsencode(tmp_path) not in words
