"""The clock: trust, quality and jumps, over a table instead of the kernel."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.core.events import ClockStepped
from gateway.model import TimeQuality
from gateway.runtime.clock import SYNCHRONISED_MS, UTC_EARLIEST, Clock, KernelSources


@dataclass
class Table:
    """A machine whose clocks a test sets."""

    boot: int = 5_000
    wall: int = (UTC_EARLIEST + 100) * 1000
    synchronised: bool = True

    def boot_ms(self) -> int:
        return self.boot

    def wall_ms(self) -> int:
        return self.wall

    def is_synchronised(self) -> bool:
        return self.synchronised

    def boot_id(self) -> str:
        return "boot"


def test_synchronised_clock_is_trusted() -> None:
    """A wall clock that the kernel vouches for gives utc and SYNCHRONISED."""
    now = Clock(Table()).now()
    assert (now.instant, now.utc, now.quality) == (
        5_000,
        UTC_EARLIEST + 100,
        TimeQuality.SYNCHRONISED,
    )


def test_clock_nobody_vouches_for_gives_no_utc() -> None:
    """Without NTP and without the operator's word, utc is None and quality NONE."""
    now = Clock(Table(synchronised=False)).now()
    assert (now.utc, now.quality) == (None, TimeQuality.NONE)


def test_the_untrusted_wall_clock_is_told_apart() -> None:
    """The local log may ask what the wall clock says, whatever it is worth."""
    clock = Clock(Table(wall=1_500, synchronised=False))
    assert (clock.wall(), clock.now().utc) == (1.5, None)


def test_operator_may_vouch() -> None:
    """`is_manual` trusts an unsynchronised clock as MANUAL."""
    now = Clock(Table(synchronised=False), is_manual=True).now()
    assert (now.utc, now.quality) == (UTC_EARLIEST + 100, TimeQuality.MANUAL)


def test_clock_before_this_software_is_never_trusted() -> None:
    """A Pi that booted in the past gives no utc, whoever vouches."""
    now = Clock(Table(wall=(UTC_EARLIEST - 1) * 1000), is_manual=True).now()
    assert (now.utc, now.quality) == (None, TimeQuality.NONE)


def test_step_is_reported_once() -> None:
    """A jump of the wall clock against the boot clock is one ClockStepped; slewing is none."""
    table = Table()
    clock = Clock(table)
    table.boot, table.wall = table.boot + 1_000, table.wall + 2_900
    assert clock.poll() is None
    table.wall += 3_600_000
    assert clock.poll() == ClockStepped(step_s=3600)
    assert clock.poll() is None


def test_change_of_quality_is_reported() -> None:
    """Losing synchronisation is a ClockStepped of 0 s, and utc goes."""
    table = Table()
    clock = Clock(table)
    table.synchronised = False
    assert clock.poll() == ClockStepped(step_s=0)
    assert clock.now().utc is None


def test_kernel_sources_answer() -> None:
    """The real kernel gives a boot id, a rising boot clock and an answer about NTP."""
    sources = KernelSources()
    assert len(sources.boot_id()) == 36
    assert sources.boot_ms() <= sources.boot_ms()
    assert sources.is_synchronised() in (True, False)


def test_where_the_kernel_may_not_be_asked_timesyncd_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ProtectClock= forbids adjtimex; the file counts as long as the kernel's own word would."""
    told = tmp_path / "synchronized"
    sources = KernelSources(synchronised=told)
    monkeypatch.setattr(sources, "_ntp_adjtime", lambda _timex: -1)
    assert not sources.is_synchronised()
    told.touch()
    assert sources.is_synchronised()
    now_s = sources.wall_ms() / 1000
    for age_s, is_fresh in (
        (SYNCHRONISED_MS / 1000 - 60, True),
        (SYNCHRONISED_MS / 1000 + 60, False),
    ):
        os.utime(told, (now_s - age_s, now_s - age_s))
        assert sources.is_synchronised() is is_fresh
