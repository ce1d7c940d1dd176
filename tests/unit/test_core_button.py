"""A press that is too long, whichever of the two timers sees it first."""

from __future__ import annotations

import pytest

from gateway.core.button import Button, Candidate, Press, Refusal
from gateway.core.policy import Policy
from gateway.core.timers import Timers
from gateway.errors import FieldError
from gateway.model import (
    ActId,
    Answer,
    AnswerCode,
    Epoch,
    Instant,
    Kind,
    Notice,
    Operation,
    Precedence,
    Serial,
    Station,
    TimeQuality,
)

NOTICE = ActId(Station(2), Epoch(7), Serial(2))


def candidate(serial: int = 2, precedence: Precedence = Precedence.FLASH) -> Candidate:
    act_id = ActId(Station(2), Epoch(7), Serial(serial))
    return Candidate(act_id, precedence, Instant(0), is_displayed=True)


def test_a_release_after_three_seconds_is_nothing_even_before_its_timer_ran() -> None:
    """A busy loop may serve the release first: neither ROGER nor a blink."""
    button = Button(Policy(), Timers())
    button.press(Instant(5_000), is_sounding=False)
    assert button.release(Instant(8_000), candidate()) is Press.NOTHING


def test_the_second_press_for_flash_must_mean_the_same_notice() -> None:
    """Another FLASH came in front between the two: armed for the new one only."""
    button = Button(Policy(), Timers())
    presses = []
    for at, serial in ((5_000, 2), (6_000, 3), (7_000, 3)):
        button.press(Instant(at), is_sounding=False)
        presses.append(button.release(Instant(at + 100), candidate(serial)))
    assert presses == [Press.ONCE_MORE, Press.ONCE_MORE, Press.ROGER]


def test_a_refused_press_disarms() -> None:
    """First press, then a long one, then a short one: the short one is a first again."""
    button = Button(Policy(), Timers())
    presses = []
    for at, held in ((5_000, 100), (6_000, 1_500), (8_000, 100)):
        button.press(Instant(at), is_sounding=False)
        presses.append(button.release(Instant(at + held), candidate()))
    assert presses == [Press.ONCE_MORE, Refusal.TOO_LONG, Press.ONCE_MORE]


def test_references_to_third_stations_make_no_value() -> None:
    """A notice refers to its own line; an answer to a notice of its addressee."""
    third = ActId(Station(9), Epoch(7), Serial(2))
    with pytest.raises(FieldError, match="third station"):
        Notice(
            id=NOTICE,
            to=Station(1),
            kind=Kind.NOTIFY,
            precedence=Precedence.ROUTINE,
            operation=Operation.TEST,
            created=None,
            time_quality=TimeQuality.NONE,
            lifetime_min=1,
            reference=third,
        )
    with pytest.raises(FieldError, match="not a notice of the addressee"):
        Answer(
            id=NOTICE,
            to=Station(1),
            precedence=Precedence.ROUTINE,
            operation=Operation.TEST,
            created=None,
            time_quality=TimeQuality.NONE,
            reference=third,
            code=AnswerCode.ROGER,
        )
