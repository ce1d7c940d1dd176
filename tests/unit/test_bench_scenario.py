"""Scenarios are read strictly, and every problem is said at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.sim.bench.scenario import DEFAULT_PATH, Cut, Send, load_scenario

SEND = """
[[step]]
do = "send"
name = "one"
notice = { kind = "NOTIFY", operation = "TEST", text = "a test" }
"""


def problems_of(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "scenario.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_scenario(path)
    assert all(problem.startswith(str(path)) for problem in caught.value.problems)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


def test_default_scenario_cuts_the_radio_in_the_middle_of_a_notice() -> None:
    """What ships is valid, uses both directions, and has the cut that the bench is for."""
    scenario = load_scenario(DEFAULT_PATH)
    cuts = [step for step in scenario.step if isinstance(step, Cut)]
    assert [(cut.link, cut.during) for cut in cuts] == [("radio", "long notice")]
    assert {step.sender for step in scenario.step if isinstance(step, Send)} == {"NORTH", "SOUTH"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("step = [", "is not TOML"),
        ("baud = 9600", "missing required field `step`"),
        ('[[step]]\ndo = "fly"', "Invalid value 'fly'"),
        (SEND + "extra = 1", "unknown field `extra`"),
        (SEND + 'link = "pigeon"', "Invalid enum value 'pigeon'"),
        ("step = []", "has 0 steps"),
        ("baud = 1\n" + SEND, "baud: 1 is out of range; give 300 to 1000000"),
        ("loss = 1.0\n" + SEND, "loss: 1.0 is out of range"),
        (SEND + SEND, "name: 'one' is empty or used before"),
        (SEND + 'answers = ["ROGER", "YES"]', "answers: 'YES' is no answer; give BUTTON or ROGER"),
        (SEND.replace("NOTIFY", "SHOUT"), "notice.kind"),
        (SEND.replace("text =", 'to = "SOUTH", text ='), "to and request_id are the bench's own"),
        (SEND.replace('text = "a test"', "reply_by_min = 5"), "notice.text: is missing"),
        (SEND + '[[step]]\ndo = "cut"\nlink = "radio"\nduring = "two"', "'two' was not sent"),
        (SEND + '[[step]]\ndo = "cut"\nlink = "radio"\nafter_frames = 0', "after_frames: 0"),
        (SEND + '[[step]]\ndo = "pause"\nseconds = -1', "seconds: -1.0 is out of range"),
    ],
)
def test_a_wrong_scenario_says_what_is_wrong(tmp_path: Path, text: str, problem: str) -> None:
    """Unknown words, ranges, repeated names and texts, and steps that refer to nothing."""
    assert any(problem in found for found in problems_of(tmp_path, text))


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    """The second mistake is not left for the second run."""
    text = "baud = 1\nloss = 0.95\n" + SEND + SEND
    assert len(problems_of(tmp_path, text)) >= 3


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    """The path and what to do."""
    with pytest.raises(ConfigError, match="give the path of a scenario"):
        load_scenario(tmp_path / "none.toml")
