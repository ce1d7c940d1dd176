"""A USB serial adapter is pulled out of the machine during a notice, and put in again."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from gateway.core.policy import Policy
from gateway.sim.bench.files import CABLE, SPARE
from tests.hardware.machine.installation import Installed
from tests.hardware.machine.line import Line, line_with, notice, until
from tests.hardware.machine.machine import Machine

pytestmark = [pytest.mark.hardware, pytest.mark.timeout(900)]

FALLBACK_S = 0.2
BACK_S = 5.0
SLOWNESS_MAX = 20.0
"""More is not granted: a host that busy shall fail the test."""
WORK = "sum(number * number % 7 for number in range(200_000))"
"""What tells how much slower than the host the emulated machine is, just now."""
TRACING = "/sys/kernel/tracing"
TRACE = (
    f"mount -t tracefs tracefs {TRACING} && cd {TRACING} && echo mono >trace_clock && "
    "echo 'p:gone usb_serial_disconnect' >kprobe_events && "
    "echo 'p:sent usb_serial_generic_write size=$arg4:u32' >>kprobe_events && "
    "echo 1 >events/kprobes/enable"
)
"""The kernel's own clock for both: the adapter is gone, octets are handed to the other one."""
NOTICE_SIZE_MIN = 100
"""Beats and receipts are smaller, and no evidence that the notice was taken."""
TEXT = "Intended activity for tomorrow, in the order of the agreed list. "


async def test_the_other_link_takes_a_notice_when_its_adapter_is_pulled_out(
    installed: Installed, tmp_path: Path
) -> None:
    """The primary cable swallows a notice, then its adapter is pulled: the alternate has the notice
    within 0.2 s, from the kernel's word that the adapter is gone to the frame that is handed to the
    other one. Put in again it is in use within 5 s, by the same process: UP, and then `restore_ms`.
    Both are seconds of a machine as fast as the host: those of the emulated one are divided by how
    much slower it is.
    """
    policy = {"rto_slack_ms": 3_000}
    async with line_with(installed, tmp_path, (CABLE, SPARE), policy=policy) as line:
        machine = line.machine
        await machine.must("systemctl start hotline-gateway")
        await line.until_up()
        process = await machine.must("systemctl show -P MainPID hotline-gateway")
        await machine.must(TRACE)
        await until_in_use(line, "first")
        before = await slowness(machine)
        fallbacks = [await pull(line, number) for number in range(3)]
        slower = min(before, await slowness(machine), SLOWNESS_MAX)
        assert await machine.must("systemctl show -P MainPID hotline-gateway") == process
        for fallback_s, back_s in fallbacks:
            print(
                f"emulated, some {slower:.0f} times slower than here: on the other link "
                f"{fallback_s:.3f} s after the kernel's word, UP {back_s:.1f} s after the plug"
            )
        for fallback_s, back_s in fallbacks:
            assert fallback_s / slower < FALLBACK_S
            assert back_s / slower < BACK_S - Policy().restore_ms / 1000


async def test_an_adapter_that_comes_after_a_start_without_it(
    installed: Installed, tmp_path: Path
) -> None:
    """Its driver is not even loaded when the service starts; plugged in, it is used."""
    async with line_with(installed, tmp_path, (CABLE,)) as line:
        machine = line.machine
        await line.unplug(CABLE)
        drivers = "modprobe -r ftdi_sio cdc_acm usbserial"
        await until(lambda: succeeds(machine, drivers))
        await machine.must("systemctl start hotline-gateway")
        assert (await line.link_states()).get(CABLE, "DOWN") == "DOWN"
        process = await machine.must("systemctl show -P MainPID hotline-gateway")
        await line.plug(CABLE)
        await line.until_up(CABLE)
        assert await machine.must("systemctl show -P MainPID hotline-gateway") == process


async def succeeds(machine: Machine, command: str) -> bool:
    return (await machine.run(command)).status == 0


async def slowness(machine: Machine) -> float:
    """The same work in the machine and here: time there by processor time here; at least 1.

    The work of the host counts by its processor time, so that whatever else runs on the host makes
    the machine slower, as it does.
    """
    program = f"import time; begun = time.monotonic(); {WORK}; print(time.monotonic() - begun)"
    there_s = float(await machine.must(f'python3 -I -c "{program}"'))
    begun_s = time.process_time()
    sum(number * number % 7 for number in range(200_000))
    return max(1.0, there_s / (time.process_time() - begun_s))


async def pull(line: Line, number: int) -> tuple[float, float]:
    """Seconds from the kernel's word to the notice on the other link, and from the plug to UP."""
    line.media.cut(CABLE)
    document = notice(f"pulled-{number} {TEXT}")
    notice_id = (await line.north("POST", "/v1/notices", document))["id"]

    async def is_under_way() -> bool:
        return line.first_on(CABLE, notice_id) is not None

    await until(is_under_way, deadline_s=30, interval_s=0.005)
    assert line.first_on(SPARE, notice_id) is None, "not hedged yet"
    await line.machine.write(f"{TRACING}/trace", "")
    await line.unplug(CABLE)

    async def is_on_the_other() -> float | None:
        return line.first_on(SPARE, notice_id)

    await until(is_on_the_other, deadline_s=30)
    fallback_s = first_after_it_was_gone(await line.machine.read(f"{TRACING}/trace"))
    await until(lambda: is_receipted(line, notice_id))
    assert (await line.link_states())[CABLE] == "DOWN"
    line.media.restore(CABLE)
    plugged_s = time.monotonic()
    await line.plug(CABLE)
    await line.until_up(CABLE)
    back_s = time.monotonic()
    await until_in_use(line, f"back-{number}")
    return fallback_s, back_s - plugged_s


async def until_in_use(line: Line, name: str) -> None:
    """Notices go by the cable first: the other one has them `restore_ms` long after it is UP."""
    sent: list[str] = []

    async def is_in_use() -> bool:
        made = await line.north("POST", "/v1/notices", notice(f"{name}-{len(sent)}"))
        sent.append(made["id"])
        return any(is_primary(line, one) for one in sent)

    await until(is_in_use, deadline_s=60, interval_s=1)
    for one in sent:
        await until(lambda one=one: is_receipted(line, one))


def is_primary(line: Line, notice_id: str) -> bool:
    """Whether it was on the cable first."""
    cable, spare = (line.first_on(link, notice_id) for link in (CABLE, SPARE))
    return cable is not None and (spare is None or cable < spare)


def first_after_it_was_gone(trace: str) -> float:
    """Seconds from the disconnect to the first frame that is large enough to be the notice."""
    found = re.findall(r" ([0-9.]+): (gone|sent): \([^)]*\)(?: size=([0-9]+))?", trace)
    gone_s = next(float(at) for at, what, _ in found if what == "gone")
    return next(
        float(at) - gone_s for at, what, size in found
        if what == "sent" and int(size) >= NOTICE_SIZE_MIN and float(at) > gone_s
    )  # fmt: skip


async def is_receipted(line: Line, notice_id: str) -> bool:
    document = await line.north("GET", f"/v1/notices/{notice_id}")
    return bool(document["state"] in ("MACHINE RECEIPT", "DISPLAYED"))
