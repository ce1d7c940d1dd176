"""The packaged unit under a running systemd: sandbox, credentials, watchdog, restarts."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from gateway.config.settings import PinSettings
from gateway.sim.bench.files import CABLE
from gateway.sim.benchmark.storing import fill
from tests.hardware.machine.installation import Installed
from tests.hardware.machine.line import CONFIG, PATIENCE, START_S, Line, line_with, notice, until
from tests.hardware.machine.machine import Machine
from tests.hardware.machine.state import UNIT, mount_state, started_s, state_disk

pytestmark = [pytest.mark.hardware, pytest.mark.timeout(900)]

PINS = PinSettings()
DROP_INS = f"/etc/systemd/system/{UNIT}.service.d"
EXPOSURE_MAX = {"": 1.1, "unix-broker.conf": 0.4}
PYTHON = "python3 -I -c 'import sys; print(\"python%d.%d\" % sys.version_info[:2])'"
"""The folder of Debian's own in the environment."""
LAMP = f"/run/gpio/sim_gpio{PINS.alive}/value"
BLOCK_WHEN_LIT = (
    "import pathlib, signal, time; "
    f"block = lambda *_, signal=signal, time=time, lamp=pathlib.Path({LAMP!r}): "
    "time.sleep(600) if lamp.read_text().strip() == '1' "
    "else signal.setitimer(signal.ITIMER_REAL, 0.01); "
    "signal.signal(signal.SIGUSR2, block); signal.signal(signal.SIGALRM, block)"
)
"""Blocks the loop while the alive lamp is lit, which is a thirtieth of the time."""
LIT_S_MAX = 8
"""A blocked loop leaves the lamp lit for 4 s, on a machine that is not emulated."""
WATCHDOG_S = 30
OPEN_COUNT = 60_000
WAIT_S = 30
"""Longer than a start without notices takes, shorter than that with all of them."""
RESTART_S = 60
"""From the end of one process to the start of the next, on the emulated machine."""


async def test_the_sandbox_and_the_credentials(installed: Installed, tmp_path: Path) -> None:
    """With and without a network the unit drives its cable and its lamps, with keys that only root
    can read, and `systemd-analyze security` gives it at most 1.1 and 0.4.
    """
    async with line_with(installed, tmp_path, (CABLE,)) as line:
        machine = line.machine
        credentials = "".join(
            f"LoadCredential={name}:{CONFIG}/{name}\\n" for name in ("station.key", "SOUTH.secret")
        )
        await machine.must(
            f"chown root: {CONFIG}/station.key {CONFIG}/SOUTH.secret && mkdir {DROP_INS} && "
            f"printf '[Service]\\n{credentials}' >{DROP_INS}/credentials.conf"
        )
        for drop_in, exposure_max in EXPOSURE_MAX.items():
            if drop_in:
                await machine.must(f"cp /usr/share/hotline-gateway/{drop_in} {DROP_INS}/")
            await machine.must(f"systemctl daemon-reload && systemctl restart {UNIT}")
            await line.until_up()
            exposure = await machine.must(f"systemd-analyze security --no-pager {UNIT} | tail -1")
            print(drop_in or "as packaged", exposure.strip())
            assert float(exposure.split(":")[1].split()[0]) <= exposure_max
            await machine.must(f"systemd-analyze verify --man=no {UNIT}.service")
            assert await machine.level(PINS.link[0]) == 1
            await is_shut_in(machine)
            name = f"sandbox-{drop_in or 'plain'}"
            notice_id = (await line.north("POST", "/v1/notices", notice(name)))["id"]
            await until(lambda one=notice_id: is_receipted(line, one))


async def test_a_start_that_reads_a_big_store(installed: Installed, tmp_path: Path) -> None:
    """A start that takes longer than systemd waits asks for time and is not ended: it would never
    get through.
    """
    disk = state_disk(tmp_path)
    async with line_with(installed, tmp_path, (CABLE,), disks={"state": disk}) as line:
        machine, north = line.machine, line.files.stations["NORTH"]
        await fill(north, OPEN_COUNT)
        await asyncio.to_thread(state_disk, tmp_path, content=north.folder / "state")
        await mount_state(machine)
        await machine.must(
            f"printf '[Service]\\nTimeoutStartSec={WAIT_S}\\n' >{PATIENCE}/patience.conf && "
            "systemctl daemon-reload"
        )
        await machine.must(f"systemctl start {UNIT}", timeout_s=START_S)
        seconds = await started_s(machine)
        print(f"{OPEN_COUNT} open notices: ready after {seconds} s, {WAIT_S} s allowed")
        assert seconds > WAIT_S, "it proves nothing: take more notices"
        restarts = await machine.must(f"systemctl show -P NRestarts {UNIT}")
        assert restarts == "0\n"


async def is_shut_in(machine: Machine) -> None:
    """What the kernel says of the process: no right, no privilege, the service's own user."""
    pid = int(await machine.must(f"systemctl show -P MainPID {UNIT}"))
    status = dict(
        line.split(":\t", 1)
        for line in (await machine.read(f"/proc/{pid}/status")).splitlines()
        if ":\t" in line
    )
    user = (await machine.must("id -u hotline")).strip()
    assert set(status["Uid"].split()) == {user}
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    for path in ("/etc", "/usr", "/opt/hotline-gateway"):
        ended = await machine.run(f"nsenter -t {pid} -m touch {path}/written")
        assert ended.status != 0, f"{path} is read-only for the service"
        assert "Read-only" in ended.output


async def test_a_blocked_loop_is_killed_and_started_again(
    installed: Installed, tmp_path: Path
) -> None:
    """The loop is blocked on purpose during a notice: within the watchdog's time systemd starts the
    daemon again, the alive lamp goes dark meanwhile, the notice arrives once.
    """
    async with line_with(installed, tmp_path, (CABLE,)) as line:
        machine = line.machine
        folder = f"/opt/hotline-gateway/lib/{(await machine.must(PYTHON)).strip()}/site-packages"
        await machine.write(f"{folder}/blocker.pth", BLOCK_WHEN_LIT + "\n")
        await machine.must(f"systemctl start {UNIT}")
        await line.until_up()
        before = await machine.must(f"systemctl show -P MainPID {UNIT}")
        line.media.cut(CABLE)
        notice_id = (await line.north("POST", "/v1/notices", notice("blocked-1")))["id"]
        sampled = asyncio.create_task(machine.sample(LAMP, WATCHDOG_S))
        await machine.must(f"systemctl kill -s USR2 --kill-whom=main {UNIT}")
        blocked_s = time.monotonic()
        line.media.restore(CABLE)

        async def is_another() -> bool:
            return await machine.must(f"systemctl show -P MainPID {UNIT}") not in (before, "0\n")

        await until(is_another, deadline_s=WATCHDOG_S + RESTART_S)
        print(f"blocked; started again after {time.monotonic() - blocked_s:.1f} s")
        await line.until_up(deadline_s=START_S)
        assert "Watchdog timeout" in await machine.must(f"journalctl -q -u {UNIT} -o cat")
        await until(lambda: is_receipted(line, notice_id))
        feed = (await line.south.api.request("GET", "/v1/notices?after=0&topic=notice"))[1]
        assert [one["document"]["text"] for one in feed["publications"]] == ["blocked-1"]
        changes, ended_s = await sampled
        print("alive lamp:", [(round(at - changes[0][0], 1), level) for at, level in changes])
        assert 0.5 < longest_s("1", changes, ended_s) < LIT_S_MAX, "it was blocked while lit"
        assert longest_s("0", changes, ended_s) > WATCHDOG_S / 3


def longest_s(wanted: str, changes: list[tuple[float, str]], ended_s: float) -> float:
    """The longest time at a level; the last one lasts until the sampling ended."""
    ends = [*(moment for moment, _ in changes[1:]), ended_s]
    times = (end - at for (at, level), end in zip(changes, ends, strict=True) if level == wanted)
    return max(times, default=0.0)


async def test_ends_that_are_started_again_and_one_that_is_not(
    installed: Installed, tmp_path: Path
) -> None:
    """SIGKILL ten times in a row: always started again. A wrong configuration: exit code 78, and
    nothing is started until a person has changed it.
    """
    async with line_with(installed, tmp_path, (CABLE,)) as line:
        machine = line.machine
        await machine.must(f"systemctl start {UNIT}")
        for _ in range(10):
            await killed_and_back(machine)
        await line.until_up()
        await machine.must(f"sed -i 's/^name = \"NORTH\"/name = 7/' {CONFIG}/hotline.toml")
        ended = await machine.run(f"systemctl restart {UNIT}")
        assert ended.status != 0
        shown = await machine.must(f"systemctl show -p ActiveState,ExecMainStatus {UNIT}")
        assert set(shown.split()) == {"ActiveState=failed", "ExecMainStatus=78"}
        said = await machine.must(f"journalctl -q -u {UNIT} -o cat -n 20")
        assert "name" in said
        assert "Traceback" not in said
        await machine.must(f"sed -i 's/^name = 7/name = \"NORTH\"/' {CONFIG}/hotline.toml")
        await machine.must(f"systemctl start {UNIT}")
        await line.until_up()


async def killed_and_back(machine: Machine) -> None:
    before = await machine.must(f"systemctl show -P MainPID {UNIT}")
    await machine.must(f"systemctl kill -s KILL {UNIT}")

    async def is_another() -> bool:
        return await machine.must(f"systemctl show -P MainPID {UNIT}") not in (before, "0\n")

    await until(is_another, deadline_s=RESTART_S)


async def is_receipted(line: Line, notice_id: str) -> bool:
    document = await line.north("GET", f"/v1/notices/{notice_id}")
    return bool(document["state"] in ("MACHINE RECEIPT", "DISPLAYED"))
