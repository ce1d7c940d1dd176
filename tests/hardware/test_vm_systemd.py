"""The packaged unit under a running systemd: sandbox, credentials, restarts."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.settings import PinSettings
from gateway.sim.bench.files import CABLE
from tests.hardware.machine.installation import Installed
from tests.hardware.machine.line import CONFIG, Line, line_with, notice, until
from tests.hardware.machine.machine import Machine

pytestmark = [pytest.mark.hardware, pytest.mark.timeout(900)]

PINS = PinSettings()
UNIT = "hotline-gateway"
DROP_INS = f"/etc/systemd/system/{UNIT}.service.d"
EXPOSURE_MAX = {"": 1.1, "unix-broker.conf": 0.4}
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
