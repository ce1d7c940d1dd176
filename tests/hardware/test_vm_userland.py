"""The arm64 package in arm64's own userland, by qemu-user-static: as fast as emulation gets."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.hardware.machine.machine import IMAGES, architecture

pytestmark = [pytest.mark.hardware, pytest.mark.timeout(1200)]

PREPARE = """
mkdir lower upper new
mount -o loop,ro "$1" lower
mount -t tmpfs tmpfs upper
mkdir upper/files upper/work
mount -t overlay -o lowerdir=lower,upperdir=upper/files,workdir=upper/work overlay new
mount -t proc proc new/proc
mount --rbind /dev new/dev
cp "$2" new/tmp/package.deb
chroot new env LANG=C.UTF-8 apt-get install -y /tmp/package.deb >&2
time chroot new env LANG=C.UTF-8 hotline --version >&2
time chroot new env LANG=C.UTF-8 hotline bench --json
"""
"""In a mount namespace of its own, which takes all of it away."""


def test_installation_and_bench_in_an_arm64_userland(deb: Path, tmp_path: Path) -> None:
    """The package installs with `apt install` and without a network, and `hotline bench` carries
    every notice once.
    """
    if architecture() != "arm64":
        pytest.skip("the host's own architecture: `make test-vm ARCH=arm64`")
    command = ["unshare", "--mount", "--propagation", "private", "bash", "-euc", PREPARE, "bash"]
    ended = subprocess.run(
        [*command, str((IMAGES / "root.img").resolve()), str(deb)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    print(ended.stderr[-1500:])
    assert ended.returncode == 0
    found = json.loads(ended.stdout)
    print(f"bench: {len(found['notices'])} notices in {found['elapsed_s']} s")
    assert found["notices"]
    assert (found["lost"], found["doubled"], found["problems"]) == (0, 0, [])
