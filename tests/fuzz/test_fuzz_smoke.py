"""A short run of every fuzz target, and everything in its corpus: what was found stays found."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.fuzz import program
from tests.fuzz.mutation import Mutator
from tests.fuzz.target import CORPUS, Target
from tests.fuzz.targets import TARGETS

COUNTS = {
    "api": 250,
    "config": 120,
    "peer": 40,
    "stream": 250,
    "radio": 500,
    "mqtt": 1_000,
    "text": 250,
}
"""Inputs drawn for a target, by its speed; 2000 for the others."""


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_corpus_and_a_short_run(target: Target) -> None:
    """Every kept input, then drawn ones: nothing is raised."""
    inputs = target.inputs()
    mutator = Mutator(inputs, pieces=target.pieces, size_max=target.size_max, seed=1)
    drawn = [mutator.draw() for _ in range(COUNTS.get(target.name, 1_000))]
    with target.prepare() as take:
        for octets in [*inputs, *drawn]:
            try:
                take(octets)
            except Exception:
                print(f"the input of {target.name}: {octets.hex()}")
                raise


def test_every_kept_input_belongs_to_a_target() -> None:
    """A renamed target does not leave its findings behind."""
    assert {folder.name for folder in CORPUS.iterdir()} <= set(TARGETS)


def test_the_same_seed_draws_the_same_inputs() -> None:
    """A finding's command repeats the run; another seed is another run."""
    inputs = TARGETS["decoder"].inputs()
    runs = [
        [mutator.draw() for _ in range(200)]
        for seed in (1, 1, 2)
        for mutator in [Mutator(inputs, pieces=(b"x",), size_max=300, seed=seed)]
    ]
    assert runs[0] == runs[1] != runs[2]
    assert max(map(len, runs[0])) <= 300
    assert len(set(runs[0])) > 150


def test_a_finding_is_kept_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run ends non-zero, keeps the input, and prints the one command that finds it again."""

    def take(octets: bytes) -> None:
        assert b"\x00" not in octets, "a planted bug"

    planted = Target("planted", "raises", lambda: nullcontext(take), lambda: [b"abcdef"])
    monkeypatch.setattr("tests.fuzz.target.CORPUS", tmp_path)
    monkeypatch.setitem(TARGETS, "planted", planted)
    assert program.main(["planted", "--executions", "20000", "--seed", "1"]) == 1
    told = capsys.readouterr().out
    [kept] = (tmp_path / "planted").iterdir()
    assert f"planted --input {os.path.relpath(kept)}\n" in told
    assert "a planted bug" in told
    assert program.main(["planted", "--input", str(kept)]) == 1
    kept.write_bytes(b"harmless")
    assert program.main(["planted", "--input", str(kept)]) == 0
    kept.unlink()
    assert program.main(["planted", "--executions", "1", "--seed", "1"]) == 0
