"""The package on a Debian of its own: installed, set up, started, purged."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.cli.main import main
from tests.hardware.machine.installation import Installed
from tests.hardware.machine.line import allow_a_slow_start
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
