"""The package on a Debian of its own: installed, set up, started, upgraded, rolled back, purged."""

from __future__ import annotations

import pytest

from tests.hardware.machine.installation import Installed

pytestmark = [pytest.mark.hardware, pytest.mark.timeout(2400)]

STATE = "/var/lib/hotline-gateway"
INIT = 'hotline init --station 1 --name NORTH --party "Party A" --lamps lgpio --yes'


def test_the_installation_says_what_comes_next(installed: Installed) -> None:
    """`apt install` succeeds without any network, and ends with the commands that follow."""
    assert "sudo hotline init" in installed.output
    assert "systemctl enable --now hotline-gateway" in installed.output
    print(f"booted in {installed.boot_s:.1f} s, installed in {installed.install_s:.1f} s")
