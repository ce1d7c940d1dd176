"""The airtime governor: never over the duty cycle in any rolling hour, and a true forecast."""

from __future__ import annotations

import random

from gateway.core.governor import HOUR_MS, MINUTE_MS, Governor
from gateway.model import Instant, Precedence

ROUTINE, FLASH = Precedence.ROUTINE, Precedence.FLASH


def governor(share: float | None = 0.1) -> Governor:
    made = Governor(reserve=0.2)
    made.limit(share)
    return made


def test_without_a_duty_cycle_everything_fits() -> None:
    """A cable, or a region without a limit: it only counts."""
    free = governor(None)
    free.spend(Instant(5), 10 * HOUR_MS)
    assert free.fits(Instant(6), HOUR_MS, ROUTINE)
    assert free.fits_at(Instant(6), HOUR_MS, ROUTINE) == 6


def test_the_reserve_is_for_flash_and_immediate() -> None:
    """At 10 % and a reserve of a fifth, ROUTINE ends at 288 s of the hour, FLASH at 360 s."""
    spent = governor()
    spent.spend(Instant(0), 288_000)
    assert not spent.fits(Instant(1), 1, ROUTINE)
    assert spent.fits(Instant(1), 72_000, FLASH)
    assert not spent.fits(Instant(1), 72_001, FLASH)
    assert spent.fits(Instant(1), 72_000, Precedence.IMMEDIATE)


def test_airtime_is_rounded_up() -> None:
    """A fraction of a millisecond is charged as a whole one."""
    spent = governor()
    spent.spend(Instant(0), 0.1)
    assert spent.spent_ms(Instant(0)) == 1


def test_the_radio_may_know_of_more() -> None:
    """Its own count tops ours up and never lowers it; what is given back stays so."""
    spent = governor(0.1)
    spent.spend(Instant(0), 3_000)
    spent.resume(Instant(5), 2_000)
    assert spent.spent_ms(Instant(5)) == 3_000
    spent.resume(Instant(90_000), 4_500)
    assert spent.minutes() == ((0, 3_000), (1, 1_500))
    spent.give_back(Instant(10), 2_000)
    assert spent.minutes() == ((0, 1_000), (1, 1_500))


def test_acks_of_an_absence_stay_counted_when_older_charges_are_forgotten() -> None:
    """We charged 20 s, half of it for nothing; the radio then acked 10 s unheard. Its hour holds
    them after ours has forgotten: the governor never counts less, and its forecast is true.
    """
    spent = governor(0.01)
    spent.spend(Instant(0), 20_000)
    back = Instant(50 * MINUTE_MS)
    spent.resume(back, 20_000)
    spent.spend(back, 5_000)
    spent.give_back(back, 1_000)
    late = Instant(70 * MINUTE_MS)
    assert spent.minutes() == ((0, 20_000), (50, 4_000))
    assert spent.spent_ms(late) == 24_000
    assert not spent.fits(late, 12_001, FLASH)
    due = spent.fits_at(late, 12_001, FLASH)
    assert due == Instant((50 + 62) * MINUTE_MS)
    assert not spent.fits(Instant(due - 1), 12_001, FLASH)
    assert spent.fits(due, 12_001, FLASH)


def test_any_rolling_hour_stays_within_the_budget_and_forecasts_are_true() -> None:
    """3000 drawn frames, sent as soon as they fit: no hour holds more than the duty cycle."""
    rng = random.Random(3)
    spent = governor()
    now, sent = Instant(0), []
    for _ in range(3_000):
        airtime = rng.randrange(200, 2_200)
        precedence = rng.choice([FLASH, ROUTINE, ROUTINE])
        due = spent.fits_at(now, airtime, precedence)
        if due > now:
            assert not spent.fits(Instant(due - 1), airtime, precedence)
        assert spent.fits(due, airtime, precedence)
        now = due
        spent.spend(now, airtime)
        sent.append((now, airtime))
        now = Instant(now + airtime + rng.randrange(0, 20_000))
    for end, _ in sent:
        assert sum(ms for at, ms in sent if end - HOUR_MS < at <= end) <= 0.1 * HOUR_MS


def test_a_frame_larger_than_the_budget_goes_when_the_hour_is_empty() -> None:
    """It is not held for ever."""
    spent = governor(0.0001)
    spent.spend(Instant(0), 300)
    due = spent.fits_at(Instant(1), 2_000, ROUTINE)
    assert due == 62 * MINUTE_MS
    assert spent.spent_ms(due) == 0
