"""Reading a machine through its files: processes, open devices, locks. Read only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FILE_SIZE_MAX: Final = 65_536


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

    def names(self, folder: str) -> list[str]:
        """What a folder holds, sorted; nothing when it is not there."""
        try:
            return sorted(os.listdir(self.path(folder)))  # noqa: PTH208 (names, not paths)
        except OSError:
            return []

    def processes(self) -> Iterator[tuple[int, str]]:
        """Number and name of every process that can be seen."""
        for name in self.names("/proc"):
            if name.isdecimal() and (word := self.text(f"/proc/{name}/comm")) is not None:
                yield int(name), word

    def holders(self, device: str) -> list[str]:
        """Programs that have a device open, as `name (process 7)`. Others' need root to see."""
        target = self._real(device)
        found: list[str] = []
        for number, word in self.processes():
            folder = f"/proc/{number}/fd"
            for name in self.names(folder):
                with suppress(OSError):
                    if self.path(f"{folder}/{name}").readlink() == target:
                        found.append(f"{word} (process {number})")
                        break
        return found

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
