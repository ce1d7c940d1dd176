"""`gateway/sim` as a whole: drawn histories of every profile hold, and a seed tells one history."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.life import Record
from gateway.core.watch import Watch
from gateway.model import Instant
from gateway.sim.profile import PROFILES
from gateway.sim.shrink import as_ranges, parse_ranges, shrink
from gateway.sim.simulate import Options, Run, simulate
from gateway.sim.speed import shrink_timed

SEEDS = Path(__file__).with_name("seeds.txt")


def check(seed: int, profile: str, hours: float) -> None:
    result = simulate(seed, Options(profile=PROFILES[profile], hours=hours))
    repeat = f"hotline simulate --seed {seed} --profile {profile} --hours {hours:g}"
    assert not result.violations, f"{repeat}: {result.violations[:5]}"
    assert result.notices


def found_seeds() -> list[tuple[int, str, float]]:
    lines = [line.partition("#")[0].split() for line in SEEDS.read_text().splitlines()]
    return [(int(words[0]), words[1], float(words[2])) for words in lines if words]


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_histories_of_each_profile_hold(profile: str) -> None:
    """Two seeds of each, one hour of faults: no violation, and all is closed after healing."""
    for seed in (1, 2):
        check(seed, profile, 1.0)


@pytest.mark.parametrize("seed", [2, 3])
def test_secrets_rotate_in_the_middle_of_it(seed: int) -> None:
    """Both end with a rotation half done: one end has the new secret alone, and all the same
    every notice is receipted and closed.
    """
    run = Run(seed, Options(profile=replace(PROFILES["hostile"], rotations=8.0), hours=1.0))
    result = run.perform()
    assert not result.violations, result.violations[:5]
    rings = [post.keys for post in run.world.posts.values()]
    newest = [line.generation for ring in rings for line in ring.lines.values()]
    assert max(newest) == min(newest) + 1


@pytest.mark.soak
@pytest.mark.parametrize(("seed", "profile", "hours"), found_seeds())
def test_a_seed_that_found_a_bug_holds(seed: int, profile: str, hours: float) -> None:
    """They stay, so that what was found stays found."""
    check(seed, profile, hours)


@pytest.mark.soak
@pytest.mark.parametrize("start", range(0, 1_000, 8))
def test_a_thousand_days(start: int) -> None:
    """1000 seeds of 24 simulated hours, through all profiles."""
    for seed in range(start, start + 8):
        check(seed, sorted(PROFILES)[seed % len(PROFILES)], 24.0)


def test_the_same_seed_gives_the_same_trace_in_any_process() -> None:
    """Two interpreters with other hash seeds: every event and effect is the same."""
    traces = set()
    for hash_seed in ("1", "2"):
        command = [sys.executable, "-m", "gateway.cli.main", "simulate", "--json", "--seed", "7"]
        run = subprocess.run(
            [*command, "--hours", "0.3", "--profile", "everything"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        )
        told = json.loads(run.stdout)
        assert told["violations"] == []
        traces.add(told["trace"])
    assert len(traces) == 1
    assert len(traces.pop()) == 64


def test_another_seed_and_fewer_actions_give_another_trace() -> None:
    """The trace tells histories apart."""
    options = Options(profile=PROFILES["radio-only"], hours=0.5)
    traces = {simulate(seed, options).trace for seed in (1, 2)}
    options.only = ()
    traces.add(simulate(1, options).trace)
    assert len(traces) == 3


def test_shrinking_finds_the_two_actions_that_matter() -> None:
    """Delta debugging leaves out 48 of 50, and stops at its bound."""
    tried: list[tuple[int, ...]] = []

    def fails(places: tuple[int, ...]) -> bool:
        tried.append(places)
        return {7, 31} <= set(places)

    assert shrink(range(50), fails) == (7, 31)
    assert len(tried) < 100
    assert shrink(range(50), lambda _: True) == ()
    assert {7, 31} <= set(shrink(range(50), fails, run_count_max=3))


def test_shrinking_ends_when_its_time_is_over() -> None:
    """What is left then still fails, and each run was told."""
    told: list[tuple[int, int]] = []
    left = shrink(
        range(8),
        lambda places: 7 in places,
        is_over=lambda: len(told) == 2,
        tell=lambda runs, count: told.append((runs, count)),
    )
    assert told == [(1, 8), (2, 4)]
    assert left == (4, 5, 6, 7)


def test_a_failing_history_is_run_only_as_far_as_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that forgets its limits: one notice is enough, and the rest of the day is left."""
    limits = Watch._limits

    def forgets(watch: Watch, record: Record) -> list[tuple[Instant, str]]:
        return [limit for limit in limits(watch, record) if limit[1] != "answer_due"]

    monkeypatch.setattr(Watch, "_limits", forgets)
    options = Options(PROFILES["cable-only"], 24.0, stops=lambda _: True)
    result = simulate(3, options)
    assert result.violations[1:] == ["stopped: nothing more was asked"]
    assert result.hours < 5
    places = tuple(range(result.actions))
    small = shrink_timed(3, "cable-only", 24.0, None, places, result.violations[0], lambda _: None)
    assert len(small) <= 2


def test_places_are_told_as_a_command_takes_them() -> None:
    """0-3,7 there and back."""
    assert as_ranges((0, 1, 2, 3, 7)) == "0-3,7"
    assert parse_ranges("0-3,7", 8) == (0, 1, 2, 3, 7)
    assert parse_ranges("7, 2,0 - 3", 8) == (0, 1, 2, 3, 7)
    assert parse_ranges(as_ranges(()), 0) == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("8", "the plan has no place 8; it has 0 to 7"),
        ("0-999999999999", "the plan has no place 999999999999; it has 0 to 7"),
        ("5-2", "5-2 runs backwards; write 2-5"),
        ("-3", "'-3' is no place; give places such as 0-3,7, or none"),
        ("3-", "'3-' is no place"),
        ("", "'' is no place"),
        ("x", "'x' is no place"),
    ],
)
def test_a_place_that_the_plan_has_not_is_refused(text: str, words: str) -> None:
    """At once, and with what is possible: an empty plan would hold and prove nothing."""
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_ranges(text, 8)
