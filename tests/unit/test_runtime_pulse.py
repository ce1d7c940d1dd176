"""The pulse beats with the alive lamp, often enough for systemd, and tells what went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from gateway.core.effects import Observe
from gateway.core.events import ClockStepped
from gateway.indicators.lamps import Rhythm, level_at
from gateway.model import Instant
from gateway.runtime.clock import Clock
from gateway.runtime.inbox import Inbox
from gateway.runtime.pulse import Pulse
from gateway.runtime.sd_notify import SystemdNotifier


class Boot:
    """A clock that only `sleep` moves; `late_ms` comes on top of every sleep."""

    def __init__(self, boot_ms: int) -> None:
        self.ms = boot_ms
        self.late_ms = 0
        self.has_traffic = False
        self.stuck: tuple[str, ...] = ()
        self.is_turning: list[bool] = []
        self.beats: list[int] = []
        self.forced_count = 0
        """Turns of the engine that only the pulse asked for."""

    def boot_ms(self) -> int:
        return self.ms

    def wall_ms(self) -> int:
        return self.ms

    def is_synchronised(self) -> bool:
        return False

    def boot_id(self) -> str:
        return "boot"


async def beats_from(
    boot: Boot, count: int, monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]
) -> list[str]:
    """Let a pulse beat `count` times; gives the events that it told."""
    told: list[Observe] = []
    inbox = Inbox()
    pulse = Pulse(
        inbox=inbox,
        clock=Clock(boot),
        notifier=SystemdNotifier(environment),
        observe=told.append,
        stuck=lambda: boot.stuck,
    )
    is_over = asyncio.Event()

    async def sleep(delay_s: float) -> None:
        boot.ms += round(1000 * delay_s) + boot.late_ms
        boot.is_turning.append(pulse.is_turning())
        boot.beats.append(boot.ms)
        if boot.has_traffic:
            await inbox.deliver(ClockStepped(step_s=0))
        if len(boot.beats) == count:
            is_over.set()
            await asyncio.Event().wait()

    async def turn() -> None:
        while True:
            await inbox.wait(None)
            for entry in inbox.take(8):
                boot.forced_count += entry.event is None
                entry.settle()

    with monkeypatch.context() as patched:
        patched.setattr("gateway.runtime.pulse.asyncio.sleep", sleep)
        patched.setattr(asyncio.get_running_loop(), "time", lambda: boot.ms / 1000)
        tasks = [asyncio.ensure_future(pulse.run()), asyncio.ensure_future(turn())]
        await is_over.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [one.event for one in told]


async def test_beats_come_when_the_alive_lamp_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """One wake-up of the processor serves both, wherever the start was."""
    boot = Boot(7_123)
    assert await beats_from(boot, 4, monkeypatch, {}) == []
    assert boot.beats == [12_000, 18_000, 24_000, 30_000]
    for beat in boot.beats:
        assert not level_at(Rhythm.ALIVE, Instant(beat - 1))
        assert level_at(Rhythm.ALIVE, Instant(beat))


async def test_only_a_quiet_engine_is_turned_by_the_pulse(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole turn since the last beat shows as much as one more would."""
    quiet, busy = Boot(7_123), Boot(7_123)
    busy.has_traffic = True
    await beats_from(quiet, 5, monkeypatch, {})
    await beats_from(busy, 5, monkeypatch, {})
    assert (quiet.forced_count, busy.forced_count) == (5, 1)


async def test_a_short_watchdog_is_answered_three_times_in_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The interval of systemd comes before the lamp's."""
    boot = Boot(7_123)
    await beats_from(boot, 3, monkeypatch, {"WATCHDOG_USEC": "3000000"})
    assert boot.beats == [8_000, 9_000, 10_000]


async def test_a_late_wake_up_is_told_and_the_beats_stay_with_the_lamp(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lateness does not add up."""
    boot = Boot(6_000)
    boot.late_ms = 400
    assert await beats_from(boot, 3, monkeypatch, {}) == ["loop_lag", "loop_lag"]
    assert boot.beats == [12_400, 18_400, 24_400]


async def test_a_stuck_part_starves_the_watchdog_and_darkens_the_lamp(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The engine turns, and yet systemd hears nothing: told once, fed again once it moves."""
    words: list[str] = []
    monkeypatch.setattr(SystemdNotifier, "_send", lambda _self, word: words.append(word))
    boot = Boot(7_123)
    boot.stuck = ("radio",)
    assert await beats_from(boot, 4, monkeypatch, {}) == ["stuck"]
    assert words == []
    assert boot.is_turning == [False] * 4
    well = Boot(7_123)
    assert await beats_from(well, 4, monkeypatch, {}) == []
    assert words == ["WATCHDOG=1"] * 4
    assert all(well.is_turning)
