"""The state folder's disk: room, read-only, whether a write reaches it, the ballast."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.doctor.finding import Finding, fault, look, ok
from gateway.doctor.machine import Machine
from gateway.store.folder import BALLAST_SIZE

TOPIC: Final = "disk"
FREE_MIN: Final = 16 << 20
"""Below it the gateway soon refuses (its ballast alone is 4 MiB)."""
FREE_FEW: Final = 256 << 20
INODES_MIN: Final = 100
BALLAST_NAME: Final = "ballast"
_TRIAL: Final = bytes(4096)


def examine_disk(machine: Machine, folder: Path) -> Iterator[Finding]:
    """`folder` is the state folder. The trial file goes again at once."""
    if not folder.is_dir():
        yield fault(
            TOPIC,
            f"the state folder {folder} is not there",
            "make it for the service's user, or correct state_folder in [station]",
        )
        return
    status = os.statvfs(folder)
    yield judge_room(
        folder, free=status.f_bavail * status.f_frsize, inodes=status.f_favail, total=status.f_files
    )
    if status.f_flag & os.ST_RDONLY:
        yield fault(
            TOPIC,
            f"the disk of {folder} is read-only; nothing can be accepted",
            "look why (dmesg), check the card, then: sudo mount -o remount,rw its mount point",
        )
    else:
        yield _try_writing(folder)
    is_running = machine.lock_holder(folder / "lock") is not None
    yield judge_ballast(folder / BALLAST_NAME, is_running=is_running)


def judge_room(folder: Path, *, free: int, inodes: int, total: int) -> Finding:
    """`free` octets and `inodes` that are left; `total` 0 means that none are counted."""
    room = f"{free >> 20} MiB free for {folder}"
    remedy = "free some room: journalctl --vacuum-size=50M, apt-get clean; then look again"
    if free < FREE_MIN or (total and inodes < INODES_MIN):
        return fault(TOPIC, f"the disk is full: {room}, {inodes} files more", remedy)
    if free < FREE_FEW:
        return look(TOPIC, f"the disk gets full: {room}", remedy)
    return ok(TOPIC, room)


def _try_writing(folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            file.write(_TRIAL)
            os.fsync(file.fileno())
    except PermissionError:
        return look(
            TOPIC,
            f"this user may not write to {folder}, so writing was not tried",
            "run: sudo hotline doctor",
        )
    except OSError as error:
        return fault(
            TOPIC,
            f"a write to {folder} failed ({error.strerror})",
            "check the disk (dmesg) and its room; change the card if it failed",
        )
    return ok(TOPIC, f"a write to {folder} reached the disk (fsync)")


def judge_ballast(path: Path, *, is_running: bool) -> Finding:
    """The ballast is there whenever a gateway runs, but on a full disk."""
    try:
        size = path.stat().st_size
    except PermissionError:
        return look(TOPIC, f"{path} may not be looked at", "run: sudo hotline doctor")
    except OSError:
        if not is_running:
            return ok(TOPIC, "no ballast yet; the gateway makes it at its start")
        size = 0
    if size == BALLAST_SIZE:
        return ok(TOPIC, "the ballast for a full disk is there (4 MiB)")
    return fault(
        TOPIC,
        f"the ballast {path} has {size} octets: the disk was full and has not healed",
        "free some room; the gateway makes the ballast again by itself",
    )
