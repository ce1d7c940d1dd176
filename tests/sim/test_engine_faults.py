"""Drawn histories of faults: nothing lost, nothing doubled, everything receipted after healing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.sim.history import History


def check(seed: int) -> None:
    outcome = History(seed).run()
    assert not outcome.problems, f"seed {seed}: {outcome.problems}"
    assert len(outcome.notices) > 20


@pytest.mark.parametrize("seed", range(1, 17))
def test_a_history_of_faults(seed: int) -> None:
    """Ten minutes of faults at 60 notices; every accepted one arrives exactly once."""
    check(seed)


# Seeds that found a bug: fragments that the far side had forgotten after a kill.
@pytest.mark.parametrize("seed", [26, 69, 120, 144])
def test_seeds_that_found_a_bug(seed: int) -> None:
    """They stay, beside the rest."""
    check(seed)


@pytest.mark.soak
@pytest.mark.parametrize("start", range(1_000, 1_400, 10))
def test_many_histories_of_faults(start: int) -> None:
    """400 seeds; about five minutes on two cores."""
    for seed in range(start, start + 10):
        check(seed)


def test_the_same_seed_gives_the_same_trace_in_any_process() -> None:
    """Two interpreters with other hash seeds tell the same history to the octet."""
    traces = set()
    for hash_seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-m", "tests.sim.history", "5"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        )
        traces.add(run.stdout)
    assert len(traces) == 1
    assert len(traces.pop()) == 64
