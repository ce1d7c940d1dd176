"""A card as the README makes it: installed, its root read-only, its watchdog on, the plug pulled.

The machine boots from it each time, as a Pi does, and the gateway comes up by itself.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from gateway.sim.bench.files import CABLE
from tests.hardware.machine.installation import INSTALL_S
from tests.hardware.machine.line import Line, line_with, notice, until
from tests.hardware.machine.machine import IMAGES, Machine
from tests.hardware.machine.state import STATE, UNIT, state_disk

pytestmark = [pytest.mark.hardware, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
FSTAB = "LABEL=root  /  ext4  defaults,noatime  0 1\n"
"""As Raspberry Pi OS has it, but for the name of the partition."""
STAND_STILL = "echo 1 >/sys/fs/cgroup/init.scope/cgroup.freeze"
"""Systemd itself."""
OFF_S = 180
"""For a shutdown, or a watchdog's 15 s, on an emulated machine."""


@pytest.fixture(scope="module")
def card(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Debian with nothing left out for the sake of speed, and the package."""
    return asyncio.run(write_card(deb, tmp_path_factory.mktemp("card")))


async def write_card(deb: Path, folder: Path) -> Path:
    path = folder / "card.img"
    await asyncio.to_thread(shutil.copyfile, IMAGES / "root.img", path)
    subprocess.run(["tune2fs", "-j", str(path)], check=True, capture_output=True)
    async with Machine(folder, card=path) as machine:
        await machine.must("mount -o remount,rw /")
        await machine.must("find /etc/systemd/system -lname /dev/null -delete")
        await machine.write("/etc/fstab", FSTAB)
        await machine.put(deb, f"/root/{deb.name}")
        await machine.must(f"apt install -y /root/{deb.name}", timeout_s=INSTALL_S)
        await machine.run_until_off("systemctl poweroff", timeout_s=OFF_S)
    return path


async def test_a_read_only_card(card: Path, tmp_path: Path) -> None:
    """With the README's own lines: the root is read-only from a boot on, and what was accepted
    outlives that boot and a pulled plug.
    """
    disks = {"state": state_disk(tmp_path)}
    async with line_with(None, tmp_path, (CABLE,), card=copy_of(card), disks=disks) as line:
        machine = line.machine
        await machine.must(f"mkdir -p {STATE}")
        await append_to_fstab(machine, *readme_lines("LABEL=hotline"))
        await machine.must("systemctl daemon-reload && mount -a")
        await machine.must(f"chown hotline: {STATE} && systemctl enable --now {UNIT}")
        await line.until_up()
        first = await carried(line, "before-1")
        await machine.must("sed -i 's/defaults/defaults,ro/' /etc/fstab")
        await append_to_fstab(machine, *readme_lines("tmpfs  "))
        await keep_the_journal_in_memory(machine)
        await machine.run_until_off("systemctl reboot", timeout_s=OFF_S)
        await boot(line)
        assert (await machine.must("findmnt -no OPTIONS /")).startswith("ro,")
        assert "/dev/vdb" in await machine.must(f"findmnt {STATE}")
        assert "Read-only" in (await machine.run("touch /etc/written")).output
        failed = await machine.must("systemctl --failed --no-legend --plain")
        print("failed units:", failed.strip() or "none")
        assert UNIT not in failed
        second = await carried(line, "read-only-1")
        await ask_as_an_operator(machine)
        await machine.kill()
        await boot(line)
        assert await is_receipted(line, first)
        assert await is_receipted(line, second)
        await carried(line, "after-the-cut-1")


async def test_the_hardware_watchdog(card: Path, tmp_path: Path) -> None:
    """Systemd stands still: the chip resets the machine, and what was accepted goes out then."""
    async with line_with(None, tmp_path, (CABLE,), card=copy_of(card)) as line:
        machine = line.machine
        await switch_watchdog_on(machine)
        shown = await machine.must("systemctl show -p RuntimeWatchdogUSec")
        assert shown == "RuntimeWatchdogUSec=15s\n", "as hw/bring-up.md has it"
        await machine.must(f"systemctl enable --now {UNIT}")
        await line.until_up()
        line.media.cut(CABLE)
        open_id = (await line.north("POST", "/v1/notices", notice("open-1")))["id"]
        still_s = time.monotonic()
        await machine.run_until_off(STAND_STILL, timeout_s=OFF_S)
        print(f"reset {time.monotonic() - still_s:.1f} s after systemd stood still")
        line.media.restore(CABLE)
        await boot(line)
        await until(lambda: is_receipted(line, open_id))


def copy_of(card: Path) -> Path:
    """In the same folder, which is kept for as long as the card is."""
    copy = card.with_name(f"copy-{len(list(card.parent.iterdir()))}.img")
    return Path(shutil.copyfile(card, copy))


async def boot(line: Line) -> None:
    """As a power supply does it: nothing else is asked of the machine."""
    await line.machine.start()
    for link in line.links:
        await line.plug(link)
    await line.until_up()


async def carried(line: Line, text: str) -> str:
    """The id of a notice that has arrived."""
    notice_id = str((await line.north("POST", "/v1/notices", notice(text)))["id"])
    await until(lambda: is_receipted(line, notice_id))
    return notice_id


async def is_receipted(line: Line, notice_id: str) -> bool:
    document = await line.north("GET", f"/v1/notices/{notice_id}")
    return bool(document["state"] in ("MACHINE RECEIPT", "DISPLAYED"))


async def ask_as_an_operator(machine: Machine) -> None:
    """What the README has an operator type, where nothing but memory may be written."""
    for command in (
        "hotline status",
        "hotline doctor",
        'hotline send SOUTH -k NOTIFY -p O -o EXERCISE "typed at the box"',
        "hotline outbox",
        "hotline backup /tmp/backup",
    ):
        ended = await machine.run(command)
        print(f"$ {command}\n{ended.output}")
        assert "Traceback" not in ended.output
        assert ended.status == 0, command


def readme_lines(start: str) -> list[str]:
    """The lines that the README says to put into a file, by how they begin."""
    lines = (ROOT / "README.md").read_text().splitlines()
    found = [line for line in lines if line.startswith(start)]
    assert found, f"the README has no line that begins with {start!r}"
    return found


async def append_to_fstab(machine: Machine, *lines: str) -> None:
    for line in lines:
        await machine.must(f"echo {shlex.quote(line)} >>/etc/fstab")


async def keep_the_journal_in_memory(machine: Machine) -> None:
    folder = "/etc/systemd/journald.conf.d"
    await machine.must(f"mkdir -p {folder}")
    await machine.write(f"{folder}/hotline.conf", "[Journal]\nStorage=volatile\n")


async def switch_watchdog_on(machine: Machine) -> None:
    """As hw/power.md has it."""
    text = (ROOT / "hw/power.md").read_text()
    found = re.search(r"```ini\n(\[Manager\]\n.*?)```", text, re.DOTALL)
    assert found, "hw/power.md has no [Manager] to put into a file"
    folder = "/etc/systemd/system.conf.d"
    await machine.must(f"mkdir -p {folder}")
    await machine.write(f"{folder}/hotline.conf", found[1])
    await machine.must("systemctl daemon-reexec")
