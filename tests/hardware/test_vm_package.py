"""The package on a Debian of its own: installed, set up, started, upgraded, purged."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.sim.bench.files import CABLE
from tests.hardware.machine.installation import INSTALL_S, Installed, next_revision
from tests.hardware.machine.line import allow_a_slow_start, line_with, notice, until
from tests.hardware.machine.machine import Machine

pytestmark = [pytest.mark.hardware, pytest.mark.timeout(2400)]

STATE = "/var/lib/hotline-gateway"
INIT = 'hotline init --station 1 --name NORTH --party "Party A" --lamps lgpio --yes'


def test_the_installation_says_what_comes_next(installed: Installed) -> None:
    """`apt install` succeeds without any network, and ends with the commands that follow."""
    assert "sudo hotline init" in installed.output
    assert "systemctl enable --now hotline-gateway" in installed.output
    print(f"booted in {installed.boot_s:.1f} s, installed in {installed.install_s:.1f} s")


async def test_from_init_to_purge(installed: Installed, tmp_path: Path) -> None:
    """The README's way: init, check, start, purge. The log book stays, with the cards that verify
    it, and nothing else does.
    """
    async with Machine(tmp_path, saved=installed.saved) as machine:
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
        purged = await machine.must("apt purge -y hotline-gateway")
        assert f"which is kept in {STATE}/logbook" in purged
        await left_nothing_but_the_log_book(machine)


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


async def main_pid(machine: Machine) -> int:
    return int(await machine.must("systemctl show -P MainPID hotline-gateway"))
