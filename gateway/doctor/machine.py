"""Reading a machine through its files: processes, open devices, locks. Read only."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FILE_SIZE_MAX: Final = 65_536
SHOWN_COUNT: Final = 3
SERVICE: Final = "hotline-gateway.service"


@dataclass(frozen=True, slots=True)
class Holder:
    """A program that has a device open."""

    number: int
    name: str
    is_gateway: bool = False
    is_service: bool = False
    """systemd started it as our service."""

    def __str__(self) -> str:
        if self == UNSEEN:
            return self.name
        name = "the running gateway" if self.is_gateway else self.name
        return f"{name} (process {self.number})"

    @property
    def remedy(self) -> str:
        """How it gives the device back."""
        if self == UNSEEN:
            return "run this as root, which sees it"
        if self.is_service:
            return f"stop it: sudo systemctl stop {SERVICE.removesuffix('.service')}"
        if self.is_gateway:
            return f"stop it: Ctrl-C where it runs, or kill {self.number}"
        return f"end {self}"


UNSEEN: Final = Holder(0, "a program of another user")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine below `root`: this one, or a folder that looks like one."""

    root: Path = Path("/")

    def path(self, name: str) -> Path:
        """Where the file `/...` of the machine is."""
        return self.root / name.lstrip("/")

    def text(self, name: str) -> str | None:
        """The start of a file, stripped; None when it cannot be read."""
        try:
            with self.path(name).open("rb") as file:
                return file.read(FILE_SIZE_MAX).decode(errors="replace").strip()
        except OSError:
            return None

    def target(self, link: str) -> str | None:
        """Where a symbolic link leads; None when it cannot be seen."""
        try:
            return str(self.path(link).readlink())
        except OSError:
            return None

    def names(self, folder: str) -> list[str]:
        """What a folder holds, sorted; nothing when it is not there."""
        return self.listed(folder) or []

    def listed(self, folder: str) -> list[str] | None:
        """As `names`; None when the folder is not there, or may not be read."""
        try:
            return sorted(os.listdir(self.path(folder)))  # noqa: PTH208 (names, not paths)
        except OSError:
            return None

    def processes(self) -> Iterator[tuple[int, str]]:
        """Number and name of every process that can be seen."""
        for name in self.names("/proc"):
            if name.isdecimal() and (word := self.text(f"/proc/{name}/comm")) is not None:
                yield int(name), word

    def holders(self, device: str) -> list[Holder]:
        """Programs that have a device open. Others' need root to see."""
        return self._having({str(self._real(device))})

    def socket_holders(self, inodes: Sequence[str]) -> list[Holder]:
        """Programs that have one of these sockets; `UNSEEN` where nobody is seen to have it."""
        if not inodes:
            return []
        return self._having({f"socket:[{inode}]" for inode in inodes}) or [UNSEEN]

    def _having(self, targets: set[str]) -> list[Holder]:
        """Programs of which a descriptor is one of these."""
        found: list[Holder] = []
        for number, word in self.processes():
            folder = f"/proc/{number}/fd"
            for name in self.names(folder):
                with suppress(OSError):
                    if str(self.path(f"{folder}/{name}").readlink()) in targets:
                        found.append(self._holder(number, word))
                        break
        return found

    def _holder(self, number: int, word: str) -> Holder:
        words = (self.text(f"/proc/{number}/cmdline") or "").split("\0")
        is_ours = any(it.endswith("/hotline") or it == "gateway.cli.main" for it in words)
        group = self.text(f"/proc/{number}/cgroup") or ""
        return Holder(
            number, word, is_gateway=is_ours and "run" in words, is_service=f"/{SERVICE}" in group
        )

    def is_tty(self, device: str) -> bool:
        """Whether a path is a tty's, without opening it: an open may reset the board behind it.

        True too where the kernel does not say.
        """
        try:
            status = self.path(device).stat()
        except OSError:
            return True
        drivers = self.text("/proc/tty/drivers")
        if not drivers:
            return True
        number = (os.major(status.st_rdev), os.minor(status.st_rdev))
        return stat.S_ISCHR(status.st_mode) and any(
            _drives(line.split(), *number) for line in drivers.splitlines()
        )

    def lock_holder(self, path: Path) -> int | None:
        """The process that holds a lock on a file, without trying the lock; None: nobody."""
        try:
            status = path.stat()
        except OSError:
            return None
        device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
        for line in (self.text("/proc/locks") or "").splitlines():
            words = line.split()
            if len(words) > 5 and words[5] == f"{device}:{status.st_ino}":
                return int(words[4])
        return None

    def _real(self, device: str) -> Path:
        """The path of a device as the kernel shows it, behind the links of by-id."""
        path = self.path(device)
        with suppress(OSError):
            path = path.resolve(strict=True)
        return path


def named(holders: Sequence[Holder]) -> str:
    """The first few, and how many there are besides."""
    shown = ", ".join(str(holder) for holder in holders[:SHOWN_COUNT])
    more = len(holders) - SHOWN_COUNT
    return f"{shown} and {more} more" if more > 0 else shown


def _drives(words: list[str], major: int, minor: int) -> bool:
    """Whether a line of /proc/tty/drivers is of this device: name, node, major, minors, type."""
    if len(words) < 4 or words[2] != str(major):
        return False
    first, _, last = words[3].partition("-")
    return int(first) <= minor <= int(last or first)
