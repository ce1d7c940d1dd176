"""Lamps and button through gpiozero's mock pins and the pins socket, on a real loop."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.config.settings import PinSettings
from gateway.core.effects import PendingNotice
from gateway.core.events import ButtonPressed, ButtonReleased, LampsTold
from gateway.errors import ConfigError, IndicatorsFailedError
from gateway.indicators import driver, gpio, mock
from gateway.indicators.driver import Factory, Indicators, PanelEvent
from gateway.indicators.gpio import OpenFactory
from gateway.indicators.pins import lamp_pins
from gateway.model import (
    ActId,
    DeliveryState,
    Epoch,
    Instant,
    LinkName,
    Operation,
    Precedence,
    Serial,
    Station,
)
from gateway.runtime.standby_words import nothing_to_show

DEADLINE_S = 20
ROOT = Path(__file__).parents[2]
QUIET = nothing_to_show(Station(1))
LATER = dataclasses.replace(QUIET, lamp_test_until=Instant(2**60))
"""Every lamp steady: a status whose levels do not depend on the instant."""
WAITING = PendingNotice(
    notice_id=ActId(Station(2), Epoch(1), Serial(1)),
    precedence=Precedence.FLASH,
    operation=Operation.OPERATION,
    state=DeliveryState.DISPLAYED,
    since=Instant(0),
    displayed=True,
    overdue=False,
)


def clock() -> Instant:
    return Instant(time.monotonic_ns() // 1_000_000)


class Panel:
    """A running panel with a client of its pins socket."""

    def __init__(self, folder: Path, own_clock: Callable[[], Instant] = clock) -> None:
        self.folder = folder
        self.clock = own_clock
        self.events: asyncio.Queue[PanelEvent] = asyncio.Queue()
        self.is_turning = True
        self.indicators = self.make("mock")

    def make(self, factory: Factory) -> Indicators:
        return Indicators(
            factory=factory,
            pins=PinSettings(),
            links=[LinkName("radio"), LinkName("cable")],
            runtime_folder=self.folder,
            clock=self.clock,
            emit=self.events.put_nowait,
            is_turning=lambda: self.is_turning,
            console=True,
        )

    async def ask(self, line: bytes) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(self.folder / "pins.sock")
        try:
            writer.write(line + b"\n")
            answer: dict[str, Any] = json.loads(await reader.readline())
            return answer
        finally:
            writer.close()
            await writer.wait_closed()

    async def lamps(self) -> dict[str, int]:
        answer = await self.ask(b'{"lamps": true}')
        lamps: dict[str, int] = answer["lamps"]
        return lamps

    async def until(self, is_true: Callable[[dict[str, int]], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not is_true(await self.lamps()):
                await asyncio.sleep(0.01)


@pytest.fixture
async def panel(tmp_path: Path) -> AsyncIterator[Panel]:
    async with running_panel(tmp_path) as panel:
        yield panel


@contextlib.asynccontextmanager
async def running_panel(
    tmp_path: Path, own_clock: Callable[[], Instant] = clock
) -> AsyncIterator[Panel]:
    panel = Panel(tmp_path, own_clock)
    task = asyncio.create_task(panel.indicators.run())
    async with asyncio.timeout(DEADLINE_S):
        while not (tmp_path / "pins.sock").exists():
            await asyncio.sleep(0.005)
    yield panel
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_press_travels_the_real_path(panel: Panel) -> None:
    """The mock pin goes low and high; gpiozero's callbacks become one press and one release."""
    answer = await panel.ask(b'{"press_ms": 60}')
    assert answer == {"pressed_ms": 60}
    async with asyncio.timeout(DEADLINE_S):
        assert await panel.events.get() == ButtonPressed()
        assert await panel.events.get() == ButtonReleased()
    assert panel.events.empty()


async def test_pins_follow_the_status(panel: Panel) -> None:
    """True levels are read back from the pins: dark before a status, then as the pattern says."""
    before = await panel.lamps()
    assert set(before) == {
        "alive", "link.radio", "link.cable", "pending_in", "pending_out", "alarm", "exercise",
        "buzzer",
    }  # fmt: skip
    assert set(before.values()) == {0}
    panel.indicators.show(dataclasses.replace(QUIET, store_refused=True))
    await panel.until(lambda lamps: lamps["alarm"] == 1)
    await panel.until(lambda lamps: lamps["alarm"] == 0)
    panel.indicators.show(QUIET)
    answer = await panel.ask(b'{"lamps": true}')
    assert answer["patterns"]["alarm"] == "off"
    assert answer["lamps"]["alarm"] == 0


async def test_life_is_shown_only_while_the_engine_turns(panel: Panel) -> None:
    """A stuck engine must not blink; when it turns again, the lamp comes back by itself."""
    panel.indicators.show(QUIET)
    await panel.until(lambda lamps: lamps["alive"] == 1)
    panel.is_turning = False
    panel.indicators.show(QUIET)
    for _ in range(50):
        assert (await panel.lamps())["alive"] == 0
    panel.is_turning = True
    await panel.until(lambda lamps: lamps["alive"] == 1)


@pytest.mark.parametrize("is_lamp_test", [False, True])
async def test_a_blocked_loop_leaves_no_lamp_that_says_it_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_lamp_test: bool
) -> None:
    """Whoever stopped the loop while the lamp was lit; it comes back with the loop."""
    monkeypatch.setattr("gateway.indicators.guard.CHECK_S", 0.02)
    monkeypatch.setattr("gateway.indicators.guard.LATE_MAX_MS", 150)
    async with running_panel(tmp_path) as panel:
        panel.indicators.show(LATER if is_lamp_test else QUIET)
        await until_alive_is_lit(panel)
        board = panel.indicators._board
        assert board is not None
        limit = time.monotonic() + DEADLINE_S
        while board.levels()["alive"]:  # the loop is blocked from here on
            time.sleep(0.01)
            assert time.monotonic() < limit
        await panel.until(lambda lamps: lamps["alive"] == 1)
    assert not [one for one in threading.enumerate() if one.name == "alive-guard"]


async def test_a_lamp_test_lights_alive_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that begins while alive is lit by its heartbeat: a dark one would be taken for
    dead. On a clock of its own, so that no busy machine makes the loop late.
    """
    monkeypatch.setattr("gateway.indicators.guard.CHECK_S", 0.001)
    now = Instant(3_000)
    look_count = 0

    def own_clock() -> Instant:
        nonlocal look_count
        look_count += threading.current_thread().name == "alive-guard"
        return now

    async with running_panel(tmp_path, own_clock) as panel:
        panel.indicators.show(QUIET)
        await until_alive_is_lit(panel)
        until = Instant(now + 3_000)
        panel.indicators.show(dataclasses.replace(QUIET, lamp_test_until=until))
        board = panel.indicators._board
        assert board is not None
        while now < until - 100:
            now = Instant(now + 100)
            panel.indicators._turn()
            async with asyncio.timeout(DEADLINE_S):
                looked_count = look_count
                while look_count < looked_count + 2:
                    await asyncio.sleep(0.001)
            assert board.levels()["alive"], f"dark after {now - 3_000} ms"


async def until_alive_is_lit(panel: Panel) -> None:
    board = panel.indicators._board
    assert board is not None
    async with asyncio.timeout(DEADLINE_S):
        while not board.levels()["alive"]:
            await asyncio.sleep(0.005)


async def test_a_status_that_changes_no_lamp_wakes_nobody(tmp_path: Path) -> None:
    """Counters move with every frame; only a change of the panel is worth a turn of the loop."""
    indicators = Panel(tmp_path).make("none")
    running = asyncio.create_task(indicators.run())
    await asyncio.sleep(0)
    edge = indicators._next
    indicators.show(dataclasses.replace(QUIET, store_refused=True))
    turn = indicators._next
    assert turn is not edge
    indicators.show(dataclasses.replace(QUIET, store_refused=True, pending_out_count=0))
    assert indicators._next is turn
    indicators.show(QUIET)
    assert indicators._next is not turn
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert indicators._next is None


async def test_two_presses_come_one_after_the_other(panel: Panel) -> None:
    """Two clients have one finger: presses never overlap."""
    await asyncio.gather(panel.ask(b'{"press_ms": 50}'), panel.ask(b'{"press_ms": 50}'))
    async with asyncio.timeout(DEADLINE_S):
        kinds = [type(await panel.events.get()) for _ in range(4)]
    assert kinds == [ButtonPressed, ButtonReleased, ButtonPressed, ButtonReleased]


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b'{"press_ms": 0}', b'{"press_ms": true}', b'{"press_ms": 10001}',
     b'{"lamps": 1}', b"[" * 900, b"x" * 5000],
)  # fmt: skip
async def test_a_wrong_line_is_answered_and_presses_nothing(panel: Panel, line: bytes) -> None:
    """The socket says what it takes, stays open for others, and the button stays up."""
    assert "error" in await panel.ask(line)
    assert panel.events.empty()
    assert "lamps" in await panel.ask(b'{"lamps": true}')


async def test_the_socket_is_the_daemons_own(panel: Panel) -> None:
    """Nobody else can press the button of a bench."""
    mode = (panel.folder / "pins.sock").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


async def test_a_terminal_gets_a_line_for_each_change_of_a_rhythm(
    panel: Panel, capsys: pytest.CaptureFixture[str]
) -> None:
    """A daemon on a terminal shows the lamps without drawing every blink."""
    panel.indicators.show(dataclasses.replace(QUIET, pending_in=(WAITING,), pending_in_count=1))
    await panel.until(lambda lamps: lamps["pending_in"] == 1)
    await panel.until(lambda lamps: lamps["pending_in"] == 0)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) <= 2
    assert "pending in [fast, paused]" in lines[-1]


async def test_lamps_go_dark_and_the_socket_goes_when_the_panel_ends(tmp_path: Path) -> None:
    """After the end no pin is lit, and a second panel can start at once."""
    for _ in range(2):
        panel = Panel(tmp_path)
        task = asyncio.create_task(panel.indicators.run())
        async with asyncio.timeout(DEADLINE_S):
            while not (tmp_path / "pins.sock").exists():
                await asyncio.sleep(0.005)
        panel.indicators.show(LATER)
        await panel.until(lambda lamps: lamps["alarm"] == 1)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert not (tmp_path / "pins.sock").exists()


async def test_no_other_factory_is_tried(tmp_path: Path) -> None:
    """Without a Pi's chip lgpio says so in one sentence; gpiozero's fallback never runs."""
    if list(Path("/dev").glob("gpiochip*")):
        pytest.skip("this machine has GPIO")
    folder = Path.cwd()
    panel = Panel(tmp_path)
    task = asyncio.create_task(panel.make("lgpio").run())
    try:
        async with asyncio.timeout(DEADLINE_S):
            told = await panel.events.get()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        os.chdir(folder)  # lgpio moves the process into LG_WD
    assert isinstance(told, LampsTold)
    assert "no chip has the label of a Pi's header" in told.problem


@pytest.mark.parametrize(
    ("labels", "number"),
    [
        ({0: "raspberrypi-exp-gpio", 1: "pinctrl-bcm2711"}, 1),
        ({0: "pinctrl-bcm2835", 1: "raspberrypi-exp-gpio"}, 0),
        ({0: "gpio-brcmstb@107d508500", 4: "pinctrl-rp1", 10: "gpio-brcmstb@107d517c00"}, 4),
        ({0: "gpio-brcmstb@107d508500", 1: "raspberrypi-exp-gpio"}, None),
    ],
)
def test_the_headers_chip_is_found_by_its_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: dict[int, str], number: int | None
) -> None:
    """On a Pi 4, an older one, and a Pi 5 with an old kernel; where none has it, no other is taken.

    With chips that only have names; `make test-vm` finds the kernel's.
    """
    monkeypatch.setattr(gpio, "_DEVICES", tmp_path)
    for chip in labels:
        (tmp_path / f"gpiochip{chip}").touch()
    lgpio = SimpleNamespace(
        error=OSError,
        gpiochip_open=lambda chip: chip,
        gpiochip_close=lambda _: None,
        gpio_get_chip_info=lambda chip: (0, 54, f"gpiochip{chip}", labels[chip]),
    )
    if number is not None:
        assert gpio._find_chip(lgpio) == number
        return
    with pytest.raises(IndicatorsFailedError) as refused:
        gpio._find_chip(lgpio)
    assert "gpiochip1 (raspberrypi-exp-gpio)" in str(refused.value)


def test_lgpio_writes_into_the_runtime_folder_alone(tmp_path: Path) -> None:
    """It makes a pipe when it is imported, in the working folder: a sandboxed one is read-only."""
    runtime, working = tmp_path / "run", tmp_path / "working"
    runtime.mkdir()
    working.mkdir()
    script = (
        "import sys; from pathlib import Path; from gateway.indicators import gpio\n"
        "gpio._DEVICES = Path('/nowhere')\n"
        "try: gpio.open_lgpio(Path(sys.argv[1]))\n"
        "except gpio.IndicatorsFailedError: import lgpio"
    )
    command = [sys.executable, "-c", script, str(runtime)]
    subprocess.run(command, cwd=working, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert [one.name[:4] for one in runtime.iterdir()] == [".lgd"]
    assert not list(working.iterdir())


def test_links_have_the_lamps_in_their_order() -> None:
    """The first link of the configuration has the first link lamp of the panel, as drawn."""
    links = [LinkName("radio"), LinkName("cable")]
    found = lamp_pins(PinSettings(), links)
    assert [found[f"link.{name}"] for name in links] == list(PinSettings().link[:2])


async def test_a_chip_that_fails_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Busy at the start, then there, then gone, then there: told at each change, lit at the end."""
    monkeypatch.setattr(driver, "RETRY_S", 0.01)
    opened = mock.open_mock
    failures = [IndicatorsFailedError("GPIO busy"), IndicatorsFailedError("GPIO busy"), None]

    def open_mock() -> OpenFactory:
        if failures and (failure := failures.pop(0)) is not None:
            raise failure
        return opened()

    monkeypatch.setattr(mock, "open_mock", open_mock)
    async with running_panel(tmp_path) as panel:
        assert await panel.events.get() == LampsTold("GPIO busy")
        assert await panel.events.get() == LampsTold("")
        board = panel.indicators._board
        assert board is not None
        monkeypatch.setattr(board, "set", refuse)
        panel.indicators.show(LATER)
        assert await panel.events.get() == LampsTold("lamp alarm: chip is gone")
        assert await panel.events.get() == LampsTold("")
        await panel.until(lambda lamps: lamps["alarm"] == 1)
        assert panel.events.empty()


def refuse(*_: object, **__: object) -> None:
    raise OSError("lamp alarm: chip is gone")


async def test_pins_that_clash_are_refused(tmp_path: Path) -> None:
    """A pin claimed twice is one sentence that names the table."""
    panel = Panel(tmp_path)
    indicators = Indicators(
        factory="mock",
        pins=PinSettings(alarm=17),
        links=[],
        runtime_folder=tmp_path,
        clock=clock,
        emit=panel.events.put_nowait,
    )
    with pytest.raises(ConfigError, match=r"\[indicators.pins\]: "):
        await indicators.run()


async def test_a_missing_runtime_folder_is_one_sentence(tmp_path: Path) -> None:
    """The operator learns which folder to make."""
    panel = Panel(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"runtime_folder: .*pins.sock cannot be made"):
        await panel.indicators.run()


async def test_a_station_without_lamps_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Factory none needs no pins, makes no socket, and still knows its panel."""
    panel = Panel(tmp_path)
    indicators = panel.make("none")
    task = asyncio.create_task(indicators.run())
    indicators.show(dataclasses.replace(QUIET, store_refused=True))
    async with asyncio.timeout(DEADLINE_S):
        while "alarm [fast]" not in capsys.readouterr().err:
            await asyncio.sleep(0.005)
    assert not (tmp_path / "pins.sock").exists()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
