"""Lamps and button on a GPIO chip of the kernel: the packaged service drives gpio-sim."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.config.settings import PinSettings
from gateway.indicators.lamps import ALIVE_PERIOD_MS
from gateway.sim.bench.files import CABLE
from tests.hardware.machine.installation import Installed
from tests.hardware.machine.line import Line, line_with, until
from tests.hardware.machine.machine import Machine
from tests.integration.live_line import post, state_of

pytestmark = [pytest.mark.hardware, pytest.mark.timeout(900)]

PINS = PinSettings()
LAMPS = {
    "alive": PINS.alive,
    "link": PINS.link[0],
    "pending_in": PINS.pending_in,
    "pending_out": PINS.pending_out,
    "alarm": PINS.alarm,
    "exercise": PINS.exercise,
    "buzzer": PINS.buzzer,
}
PYTHON = "/opt/hotline-gateway/bin/python3"
HOLD = (
    "import lgpio, time; from gateway.indicators.gpio import _find_chip; "
    f"lgpio.gpio_claim_output(lgpio.gpiochip_open(_find_chip(lgpio)), {PINS.alarm}, 1); "
    "time.sleep(600)"
)
OPERATION = {
    "to": "NORTH",
    "kind": "NOTIFY",
    "precedence": "IMMEDIATE",
    "operation": "OPERATION",
    "text": "Two helicopters cross the river at 1430Z.",
    "request_id": "lamps-1",
}


async def test_lamps_and_button_on_the_kernels_interface(
    installed: Installed, tmp_path: Path
) -> None:
    """Alive blinks; a notice lights its lamp; a bouncing press silences, the next one rogers; all
    lamps are dark after a stop and after SIGKILL.
    """
    async with line_with(installed, tmp_path, (CABLE,)) as line:
        machine = line.machine
        await machine.must("systemctl start hotline-gateway")
        await line.until_up()
        await machine.drive(PINS.button, high=True)
        await alive_blinks(machine)
        await until(lambda: is_lit(machine, "link"))
        for dark in ("pending_in", "pending_out", "alarm", "exercise", "buzzer"):
            assert await machine.level(LAMPS[dark]) == 0, dark

        await answer_by_button(line)

        await machine.must("systemctl kill -s KILL hotline-gateway")
        await until(lambda: all_dark(machine), deadline_s=5)
        await line.until_up()
        await alive_blinks(machine)
        await machine.must("systemctl stop hotline-gateway")
        assert await all_dark(machine)


async def test_a_pin_that_another_program_holds(installed: Installed, tmp_path: Path) -> None:
    """The line works without lamps and tells why; they come when the pin is free, by themselves."""
    async with line_with(installed, tmp_path, (CABLE,)) as line:
        machine = line.machine
        await machine.must(f'systemd-run --unit holder {PYTHON} -I -c "{HOLD}"')
        await until(lambda: is_lit(machine, "alarm"))
        await machine.must("systemctl start hotline-gateway")
        await line.until_up()
        (alarm,) = (await line.north("GET", "/v1/status"))["alarms"]
        assert alarm["code"] == "device does not work"
        assert "pins" in alarm["text"]
        await machine.must("systemctl stop holder")

        async def is_over() -> bool:
            return not (await line.north("GET", "/v1/status"))["alarms"]

        await until(is_over)
        await alive_blinks(machine)


async def answer_by_button(line: Line) -> None:
    """The notice of SOUTH comes, is silenced and rogered."""
    machine = line.machine
    notice_id = (await post(line.south, "/v1/notices", OPERATION))["id"]
    await until(lambda: changes(machine, "pending_in"))
    await until(lambda: changes(machine, "buzzer"))
    # Nobody answers what was not read: a screen shows it, as the README has it.
    assert "helicopters" in await machine.must("script -qec 'hotline inbox' /dev/null")
    await press(machine, bounces=10)
    await until(lambda: is_silent(machine))
    assert await state_of(line.south, notice_id) != "ROGER", "a bouncing press is one press"
    await press(machine, bounces=10)
    await until(lambda: is_rogered(line, notice_id))

    async def is_dark() -> bool:
        return not await changes(machine, "pending_in")

    await until(is_dark)


async def is_rogered(line: Line, notice_id: str) -> bool:
    return await state_of(line.south, notice_id) == "ROGER"


async def is_lit(machine: Machine, lamp: str) -> bool:
    return await machine.level(LAMPS[lamp]) == 1


async def changes(machine: Machine, lamp: str) -> bool:
    """Does a lamp blink, or is it lit, in two seconds?"""
    seen, _ = await machine.sample(f"/run/gpio/sim_gpio{LAMPS[lamp]}/value", 2.0)
    return any(level == "1" for _, level in seen)


async def is_silent(machine: Machine) -> bool:
    return not await changes(machine, "buzzer")


async def all_dark(machine: Machine) -> bool:
    return not any([await machine.level(pin) for pin in LAMPS.values()])


async def alive_blinks(machine: Machine) -> None:
    """On for a moment in each period of 3 s, on time."""
    seconds = 3 * ALIVE_PERIOD_MS / 1000
    seen, _ = await machine.sample(f"/run/gpio/sim_gpio{LAMPS['alive']}/value", seconds)
    lit = [moment for moment, level in seen if level == "1"]
    assert 2 <= len(lit) <= 4, seen
    for before, after in pairwise(lit):
        assert after - before == pytest.approx(ALIVE_PERIOD_MS / 1000, abs=0.5)


async def press(machine: Machine, *, bounces: int) -> None:
    """A finger for 0.3 s on a contact that bounces before it closes."""
    pull = f"/run/gpio/sim_gpio{PINS.button}/pull"
    bounce = f"for n in {{1..{bounces}}}; do echo pull-down >{pull}; echo pull-up >{pull}; done; "
    await machine.must(f"{bounce} echo pull-down >{pull}; sleep 0.3; echo pull-up >{pull}")
    await asyncio.sleep(0.1)  # a second press shall be one of its own
