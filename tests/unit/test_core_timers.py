"""The timer table and the button: small machines with time passed in."""

from __future__ import annotations

import random

from gateway.core.button import HOLD_TIMER, Button, Candidate, Press, Refusal
from gateway.core.policy import Policy
from gateway.core.timers import Timers
from gateway.model import ActId, Epoch, Instant, Precedence, Serial, Station

NOTICE = ActId(Station(2), Epoch(7), Serial(1))


def candidate(
    precedence: Precedence = Precedence.PRIORITY, *, displayed: bool = True, since: int = 0
) -> Candidate:
    return Candidate(NOTICE, precedence, Instant(since), displayed)


def test_timers_fire_in_order_and_move() -> None:
    """Setting a name again moves it; dropping takes it out; equal instants keep their order."""
    timers = Timers()
    timers.set(("a",), Instant(10))
    timers.set(("b",), Instant(5))
    timers.set(("c",), Instant(5))
    timers.set(("a",), Instant(1))
    timers.drop(("c",))
    timers.set_earlier(("b",), Instant(99))
    assert timers.earliest() == 1
    assert timers.pop_due(Instant(0)) is None
    assert [timers.pop_due(Instant(50)) for _ in range(3)] == [("a",), ("b",), None]


def test_timers_against_a_plain_list() -> None:
    """10 000 drawn operations: the table names the same deadline as a dictionary would."""
    rng = random.Random(7)
    timers, model = Timers(), {}
    for _ in range(10_000):
        name = (rng.randrange(50),)
        if rng.random() < 0.7:
            due = Instant(rng.randrange(1000))
            timers.set(name, due)
            model[name] = due
        else:
            timers.drop(name)
            model.pop(name, None)
        assert timers.earliest() == (min(model.values()) if model else None)
        assert len(timers) == len(model)


def press(
    button: Button, target: Candidate | None, *, at: int, held_ms: int = 300, sounds: bool = False
) -> Press | Refusal:
    first = button.press(Instant(at), is_sounding=sounds)
    return first if first is Press.SILENCED else button.release(Instant(at + held_ms), target)


def test_a_press_is_a_roger_only_for_what_was_shown() -> None:
    """Indicated 2 s, displayed, released within 1 s: ROGER; anything else a refusal blink."""
    button = Button(Policy(), Timers())
    assert press(button, candidate(), at=5_000) is Press.ROGER
    assert press(button, candidate(since=4_000), at=5_000) is Refusal.TOO_SOON
    assert press(button, candidate(displayed=False), at=5_000) is Refusal.NOT_SHOWN
    assert press(button, candidate(), at=5_000, held_ms=1_500) is Refusal.TOO_LONG
    assert press(button, None, at=5_000) is Press.NOTHING


def test_a_press_while_the_buzzer_sounds_only_silences() -> None:
    """And its release means nothing."""
    button = Button(Policy(), Timers())
    assert press(button, candidate(), at=5_000, sounds=True) is Press.SILENCED
    assert button.release(Instant(5_300), candidate()) is Press.NOTHING


def test_flash_needs_a_second_press_in_time() -> None:
    """Within 5 s of the first; a late one counts as a first again."""
    button = Button(Policy(), Timers())
    flash = candidate(Precedence.FLASH)
    assert press(button, flash, at=5_000) is Press.ONCE_MORE
    assert press(button, flash, at=8_000) is Press.ROGER
    assert press(button, flash, at=20_000) is Press.ONCE_MORE
    assert press(button, flash, at=26_000) is Press.ONCE_MORE


def test_held_at_boot_means_nothing_and_holding_tests_the_lamps() -> None:
    """A release without a press is nothing; down for 3 s is a lamp test, and no ROGER after it."""
    timers = Timers()
    button = Button(Policy(), timers)
    assert button.release(Instant(100), candidate()) is Press.NOTHING
    button.press(Instant(5_000), is_sounding=False)
    assert timers.pop_due(Instant(7_999)) is None
    assert timers.pop_due(Instant(8_000)) == HOLD_TIMER
    assert button.is_held()
    assert button.release(Instant(8_500), candidate()) is Press.NOTHING
