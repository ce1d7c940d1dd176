"""`hotline simulate`: the order of results, what is shown meanwhile, and what cannot be asked."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.cli import histories
from gateway.cli.histories import Order, run_histories
from gateway.cli.main import main
from gateway.cli.progress import Lines
from gateway.sim.simulate import Result

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--seed", "1", "--hours", "1", "--only", "99999"), "the plan has no place 99999; it has"),
        (("--seed", "1", "--only", "5-2"), "5-2 runs backwards; write 2-5"),
        (("--seed", "1", "--only", "0-999999999", "--plan"), "the plan has no place 999999999"),
        (("--only", "1"), "give its --seed"),
        (("--seeds", "1-2", "--only", "1"), "give its --seed"),
    ],
)
def test_a_place_outside_the_plan_is_a_typing_error(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is run for it: neither a violation nor an empty plan that holds."""
    assert main(["simulate", *arguments]) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert shown.out == ""


def test_all_plans_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each under its seed, for people and for programs."""
    assert main(["simulate", "--seeds", "1-3", "--hours", "0.5", "--plan"]) == 0
    heads = [line for line in capsys.readouterr().out.splitlines() if line.startswith("seed ")]
    assert [line.split(":")[0] for line in heads] == ["seed 1", "seed 2", "seed 3"]
    assert main(["simulate", "--seeds", "1-3", "--hours", "0.5", "--plan", "--json"]) == 0
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["seed"] for one in documents] == [1, 2, 3]
    assert all(one["actions"] for one in documents)


def test_results_come_in_the_order_of_seeds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also where a later one is there first; meanwhile it is told how far all of them are."""

    def run(seed: int, _order: Order, _progress: Callable[[float, float], None]) -> Result:
        """The first waits for the second."""
        limit = time.monotonic() + DEADLINE_S
        while seed == 1 and not (tmp_path / "2").exists():
            assert time.monotonic() < limit
            os.sched_yield()
        (tmp_path / str(seed)).touch()
        return Result(seed, "calm", 2.0, 0, 0, [], "")

    monkeypatch.setattr(histories, "_run", run)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    told: list[tuple[float, str]] = []
    order = Order("calm", 2.0, None)
    results = run_histories(range(1, 4), order, lambda share, text: told.append((share, text)))
    assert [one.seed for one in results] == [1, 2, 3]
    assert told[-1] == (1.0, "6.0 of 6.0 h")


def test_one_seed_tells_its_hours_through_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """A line each so often, and not each time."""
    often, seldom = Lines("seed 2", every_s=0.0), Lines("seed 2")

    def tell(share: float, text: str) -> None:
        often.tell(share, text)
        seldom.tell(share, text)

    (result,) = run_histories(range(2, 3), Order("calm", 0.5, None), tell)
    assert not result.violations
    assert capsys.readouterr().err.splitlines() == [
        "seed 2: 0.2 of 0.5 h",
        "seed 2: 0.3 of 0.5 h",
        "seed 2: 0.5 of 0.5 h",
    ]


def test_a_terminal_shows_the_hours_and_gets_no_result_that_is_for_a_file() -> None:
    """The bar is on the terminal, the result in the file, and whole."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "gateway.cli.main", "simulate", "--json"),
            *("--seed", "2", "--hours", "0.5", "--profile", "calm"),
        ],
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        octets = b""
        while chunk := _read(ours):
            octets += chunk
        output, _ = process.communicate(timeout=DEADLINE_S)
    os.close(ours)
    shown = octets.decode()
    assert process.returncode == 0, shown
    assert json.loads(output)["seed"] == 2
    assert " of 0.5 h" in shown
    assert "trace" not in shown


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # EIO: the other side is closed.
        return b""
