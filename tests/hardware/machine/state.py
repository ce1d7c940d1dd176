"""A disk of its own for the state folder, as the README has it, and what systemd measured."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from tests.hardware.machine.machine import Machine

STATE: Final = "/var/lib/hotline-gateway"
UNIT: Final = "hotline-gateway"
_DISK_SIZE: Final = 160 << 20


def state_disk(folder: Path, *, content: Path | None = None) -> Path:
    """An image with a file system, which has what is in `content`, labelled as the README has it.
    Overwrites one that is there.
    """
    disk = folder / "state.img"
    with disk.open("ab") as file:
        file.truncate(_DISK_SIZE)
    filled = [] if content is None else ["-d", str(content)]
    subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "hotline", *filled, str(disk)], check=True)
    return disk


async def mount_state(machine: Machine) -> None:
    """Mount the disk named `state`, with what a power cut left or what was put there."""
    await machine.must(
        f"mkdir -p {STATE} && blockdev --flushbufs /dev/disk/by-id/virtio-state && "
        f"mount -o noatime /dev/disk/by-id/virtio-state {STATE} && chown -R hotline: {STATE}"
    )


async def started_s(machine: Machine) -> float:
    """From the start of the service to its readiness, in seconds of the emulated machine."""
    shown = await machine.must(
        f"systemctl show -p InactiveExitTimestampMonotonic,ActiveEnterTimestampMonotonic {UNIT}"
    )
    begun, ready = sorted(int(line.split("=")[1]) for line in shown.split())
    return round((ready - begun) / 1e6, 1)
