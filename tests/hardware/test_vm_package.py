"""The package on a Debian of its own: installed, set up, started, upgraded, purged."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.sim.bench.files import CABLE
from gateway.store.connection import SCHEMA_VERSION
from tests.hardware.machine.installation import INSTALL_S, Installed, next_revision
from tests.hardware.machine.line import Line, allow_a_slow_start, line_with, notice, until
from tests.hardware.machine.machine import Machine
from tests.hardware.machine.state import STATE, mount_state, state_disk
from tests.integration.live_line import post, state_of

pytestmark = [pytest.mark.hardware, pytest.mark.timeout(2400)]

INIT = 'hotline init --station 1 --name NORTH --party "Party A" --lamps lgpio --yes'


def test_the_installation_says_what_comes_next(installed: Installed) -> None:
    """`apt install` succeeds without any network, and ends with the commands that follow."""
    assert "sudo hotline init" in installed.output
    assert "systemctl enable --now hotline-gateway" in installed.output
    print(f"booted in {installed.boot_s:.1f} s, installed in {installed.install_s:.1f} s")


async def test_from_init_to_purge(installed: Installed, deb: Path, tmp_path: Path) -> None:
    """The README's way: init, check, start, purge. The log book stays, with the cards that verify
    it, and nothing else does. Before that a damaged package changes nothing, and the station that
    was removed and is installed again goes on.
    """
    with adapter() as serial:
        async with Machine(tmp_path, saved=installed.saved, serial=serial) as machine:
            await from_init_to_purge(machine, deb, tmp_path)


@contextmanager
def adapter() -> Iterator[dict[str, str]]:
    """For `Machine.plug`: one with nobody at its far end."""
    master, slave = os.openpty()
    try:
        yield {"adapter": os.ttyname(slave)}
    finally:
        os.close(master)
        os.close(slave)


async def from_init_to_purge(machine: Machine, deb: Path, tmp_path: Path) -> None:
    await allow_a_slow_start(machine)
    said = await machine.must(INIT)
    print(said)
    assert "hotline.toml" in said
    await join(machine, tmp_path)
    await machine.must("systemctl enable --now hotline-gateway")
    assert await machine.must("systemctl is-active hotline-gateway") == "active\n"
    assert await machine.must("systemctl is-enabled hotline-gateway") == "enabled\n"
    status, document = await machine.request("GET", "/v1/status")
    assert (status, document["station"]) == (200, "NORTH")
    await is_untouched_by_a_damaged_package(machine, deb)
    await is_removed_and_back(machine)
    purged = await machine.must("apt purge -y hotline-gateway")
    assert f"which is kept in {STATE}/logbook" in purged
    await left_nothing_but_the_log_book(machine)


async def is_untouched_by_a_damaged_package(machine: Machine, deb: Path) -> None:
    """What dpkg began is undone: the libraries are compiled again, the service never stopped."""
    before = await main_pid(machine)
    await machine.put(deb, "/tmp/package.deb")
    cut = f"head -c {deb.stat().st_size * 3 // 4} /tmp/package.deb >/tmp/damaged.deb"
    ended = await machine.run(f"{cut}; dpkg -i /tmp/damaged.deb", timeout_s=INSTALL_S)
    assert ended.status == 1, ended.output
    assert await main_pid(machine) == before
    await machine.must("ls /opt/hotline-gateway/lib/both/gateway/__pycache__/*.pyc")


async def is_removed_and_back(machine: Machine) -> None:
    """Devices go back to whom they were of; the service is enabled and runs afterwards."""
    await machine.plug("adapter", number="0001")
    await until(lambda: succeeds(machine, "ls /dev/hotline/cable-at-*"))
    await until(lambda: belong(machine, "root hotline 660\n" * 2))
    await machine.must("systemctl kill -s KILL hotline-gateway; apt remove -y hotline-gateway")
    await until(lambda: belong(machine, "root root 600\nroot dialout 660\n"))
    await until(lambda: succeeds(machine, "! ls /dev/hotline/*"))
    assert (await machine.run("find /dev -group hotline | grep .")).status == 1
    assert "hotline" not in await machine.must("systemctl --failed --no-legend")
    said = await machine.must("apt install -y /tmp/package.deb", timeout_s=INSTALL_S)
    assert "disabled" not in said
    assert await machine.must("systemctl is-enabled hotline-gateway") == "enabled\n"
    assert await machine.must("systemctl is-active hotline-gateway") == "active\n"


async def belong(machine: Machine, owners: str) -> bool:
    """Whether the header and the adapter have these owners and modes."""
    shown = await machine.must("stat -c '%U %G %a' /dev/gpiochip0 /dev/ttyUSB0")
    return shown == owners


async def succeeds(machine: Machine, command: str) -> bool:
    return (await machine.run(command)).status == 0


async def test_a_purge_where_state_is_on_a_disk_of_its_own(
    installed: Installed, tmp_path: Path
) -> None:
    """The folder cannot be removed then, and that is no failure: nothing else stays."""
    disks = {"state": state_disk(tmp_path)}
    async with Machine(tmp_path, saved=installed.saved, disks=disks) as machine:
        await mount_state(machine)
        await machine.must(INIT)
        purged = await machine.must("apt purge -y hotline-gateway")
        assert f"{STATE} is empty and is left" in purged
        assert (await machine.run("test -e /etc/hotline-gateway")).status == 1
        assert (await machine.must(f"ls -A {STATE}")) == ""


async def join(machine: Machine, folder: Path) -> None:
    """SOUTH invites on the host, NORTH accepts."""
    south = ("--config", str(folder / "south.toml"))
    who = ("--station", "2", "--name", "SOUTH", "--party", "Party B", "--lamps", "none")
    assert await asyncio.to_thread(main, [*south, "init", *who, "--yes"]) == 0
    invitation = folder / "invitation"
    invite = [*south, "line", "invite", "--file", str(invitation)]
    assert await asyncio.to_thread(main, invite) == 0
    await machine.put(invitation, "/tmp/invitation")
    await machine.must(
        "hotline line accept --add --cable /dev/hotline/cable-A1 9600 --yes --file /tmp/reply "
        "/tmp/invitation && hotline config check"
    )


async def left_nothing_but_the_log_book(machine: Machine) -> None:
    gone = "/opt/hotline-gateway /etc/hotline-gateway /run/hotline-gateway /usr/bin/hotline"
    for path in gone.split():
        assert (await machine.run(f"test -e {path}")).status == 1, path
    assert (await machine.run("getent passwd hotline")).status != 0
    assert (await machine.run("systemctl cat hotline-gateway")).status != 0
    left = (await machine.must(f"cd {STATE} && find . -type f")).split()
    assert left, "the log book is there"
    assert all(name.startswith("./logbook") for name in left), left
    assert any(name.endswith(".card") for name in left), left


async def test_an_upgrade_keeps_what_is_open(
    installed: Installed, deb: Path, tmp_path: Path
) -> None:
    """A notice accepted before the upgrade is still open after it, and arrives then."""
    newer = next_revision(deb, tmp_path)
    async with line_with(installed, tmp_path, (CABLE,)) as line:
        machine = line.machine
        line.media.cut(CABLE)
        await machine.must("systemctl start hotline-gateway")
        notice_id = (await line.north("POST", "/v1/notices", notice("upgrade-1")))["id"]
        before = await main_pid(machine)
        await machine.put(newer, "/tmp/package.deb")
        await machine.must("apt install -y /tmp/package.deb", timeout_s=INSTALL_S)
        assert await main_pid(machine) not in (0, before), "the other version was started"
        document = await line.north("GET", f"/v1/notices/{notice_id}")
        assert document["state"] in ("QUEUED", "SENT"), document["state"]
        line.media.restore(CABLE)

        async def is_receipted() -> bool:
            document = await line.north("GET", f"/v1/notices/{notice_id}")
            return bool(document["state"] in ("MACHINE RECEIPT", "DISPLAYED"))

        await until(is_receipted)


async def test_a_rollback_keeps_what_is_open(
    installed: Installed, deb: Path, tmp_path: Path
) -> None:
    """A newer version changes the form of the database; the older one, installed again, refuses it
    and says what to do. After that everything is open that was: from before the upgrade, and from
    the newer version's time. Each arrives once.
    """
    newer = next_revision(deb, tmp_path, has_next_schema=True)
    async with line_with(installed, tmp_path, (CABLE,)) as line:
        machine = line.machine
        await machine.must("systemctl start hotline-gateway")
        await line.until_up()
        asked = (await post(line.south, "/v1/notices", notice("asked-1", to="NORTH")))["id"]
        await until(lambda: is_at_north(line, asked))
        line.media.cut(CABLE)
        ids = {await hand_in(line, "before-1")}
        await machine.put(newer, "/tmp/newer.deb")
        print(await machine.must("apt install -y /tmp/newer.deb", timeout_s=INSTALL_S))
        assert (await machine.must(f"ls {STATE}/*.schema-{SCHEMA_VERSION}")).strip()
        await until(lambda: answers(line))
        ids.add(await hand_in(line, "between-1"))
        await machine.put(deb, "/tmp/older.deb")
        back = "apt install -y --allow-downgrades /tmp/older.deb"
        said = await machine.must(back, timeout_s=INSTALL_S)
        print(said)
        assert "hotline restore --before-upgrade" in said
        assert "Traceback" not in said
        state = await machine.must("systemctl show -p ActiveState,ExecMainStatus hotline-gateway")
        assert set(state.split()) == {"ActiveState=failed", "ExecMainStatus=78"}
        print(await machine.must("hotline restore --before-upgrade"))
        await machine.must("systemctl start hotline-gateway")
        print(await machine.must("hotline alarm list"))
        for notice_id in ids:
            assert await is_in(line, notice_id, "QUEUED", "SENT"), notice_id
        line.media.restore(CABLE)
        for notice_id in ids:
            await until(lambda one=notice_id: is_in(line, one, "MACHINE RECEIPT", "DISPLAYED"))
        feed = (await line.south.api.request("GET", "/v1/notices?after=0&topic=notice"))[1]
        texts = [one["document"]["text"] for one in feed["publications"]]
        assert sorted(texts) == ["before-1", "between-1"]
        await machine.must(f"hotline answer {asked} ROGER")
        await until(lambda: is_rogered(line, asked))


async def hand_in(line: Line, text: str) -> str:
    return str((await line.north("POST", "/v1/notices", notice(text)))["id"])


async def answers(line: Line) -> bool:
    return (await line.machine.request("GET", "/v1/status"))[0] == 200


async def is_in(line: Line, notice_id: str, *states: str) -> bool:
    """Whether NORTH has the notice in one of the states."""
    return (await line.north("GET", f"/v1/notices/{notice_id}"))["state"] in states


async def is_at_north(line: Line, notice_id: str) -> bool:
    return await state_of(line.south, notice_id) in ("MACHINE RECEIPT", "DISPLAYED")


async def is_rogered(line: Line, notice_id: str) -> bool:
    return await state_of(line.south, notice_id) == "ROGER"


async def main_pid(machine: Machine) -> int:
    return int(await machine.must("systemctl show -P MainPID hotline-gateway"))
