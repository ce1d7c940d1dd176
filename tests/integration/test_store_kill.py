"""SIGKILL at seeded moments: what a commit has promised is there afterwards."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from random import Random

import pytest

from gateway.logbook.chain import verify
from gateway.store.base import LogRow
from gateway.store.database import FILE_NAME

CHILD = Path(__file__).parent / "store_child.py"
ROOT = Path(__file__).parents[2]
KILL_COUNT = 16


def run_and_kill(folder: Path, delay_s: float) -> tuple[int, int]:
    """One life of the child: what it found, and the last number that it printed before SIGKILL."""
    with subprocess.Popen(
        [sys.executable, str(CHILD), str(folder), "run"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as child:
        assert child.stdout is not None
        found = child.stdout.readline().split()
        assert found[0] == "recovered", found
        assert found[2] == "False", "a kill made the store rebuild its state"
        last = int(found[1])
        # A kill at a random moment is the input of this test, not a wait for luck.
        timer = threading.Timer(delay_s, child.kill)
        timer.start()
        for line in child.stdout:
            if line.endswith("\n"):
                last = int(line.split()[1])
        timer.join()
    return int(found[1]), last


@pytest.mark.parametrize("seed", [20_261_123, 81])
def test_killed_at_any_moment_nothing_promised_is_lost(seed: int, tmp_path: Path) -> None:
    """Every printed commit survives, with all its writes and an unbroken book, 16 kills long."""
    rng = Random(seed)
    promised = 0
    for _ in range(KILL_COUNT):
        found, last = run_and_kill(tmp_path, rng.uniform(0.0, 0.12))
        assert found >= promised, f"{promised} was promised, {found} was found"
        promised = last
        connection = sqlite3.connect(tmp_path / FILE_NAME)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("act", "publication", "log_entry")
        ]
        rows = connection.execute("SELECT number, octets, hash FROM log_entry ORDER BY number")
        assert verify(LogRow(*row) for row in rows) is None
        connection.close()
        # A commit is whole or not there: act, publication and entry go together.
        assert len(set(counts)) == 1, counts
        assert counts[0] >= promised
    assert promised > 10 * KILL_COUNT, "the kills came too early to prove anything"
