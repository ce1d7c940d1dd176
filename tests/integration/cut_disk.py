"""A disk with a volatile cache, fed with the system calls that a process made: what a cut leaves.

The calls come from `strace` of the real process. What a file was given since its last flush is
kept, dropped or torn by sectors, in any mixture; names that were made, moved or removed since the
last flush of their folder are kept up to one of them, as by a journal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

SECTOR_SIZE = 512
KEPT_SHARES = (0.0, 0.2, 0.5, 0.8, 1.0)
TORN_SHARE = 0.1
"""Of the sectors that are kept: they end with what was there before."""
IN_ORDER_SHARE = 0.2
"""Of the cuts: everything up to one write is kept, as on a disk without a cache of its own."""
CALLS = "openat,write,pwrite64,fsync,fdatasync,ftruncate,rename,unlink,mkdir"
COMMAND = ("strace", "-y", "-xx", "-s", "2000000", "-e", f"trace={CALLS}", "-e", "signal=none")

_CALL = re.compile(r"(\w+)\((.*)\) = (-?\d+)(?:<([^>]*)>)?")
_TEXT = re.compile(r'(\d+)?[<"]((?:\\x[0-9a-f]{2})*)[>"]')


@dataclass(frozen=True, slots=True)
class Call:
    """One call that succeeded. `path` is the file's, or the old name of a rename."""

    name: str
    path: str
    octets: bytes = b""
    number: int = 0
    """An offset, or a size."""
    to: str = ""


def read_calls(trace: Iterable[str], *, folder: Path) -> Iterator[Call]:
    """Calls on files in `folder`, and writes to standard output (path `stdout`)."""
    for line in trace:
        match = _CALL.match(line)
        if match is None or int(match[3]) < 0:
            continue
        name, arguments = match[1], match[2]
        texts = [(found[1], _octets(found[2])) for found in _TEXT.finditer(arguments)]
        if name == "write" and texts[0][0] == "1":
            yield Call(name, "stdout", texts[1][1])
            continue
        if name == "openat":
            texts = texts[-1:]
        path = texts[0][1].decode()
        if not path.startswith(f"{folder}/") and (path, name) != (str(folder), "fsync"):
            continue
        if name == "openat":
            if "O_CREAT" in arguments:
                truncated = "O_TRUNC" in arguments
                yield Call("create", path, number=0 if truncated else -1)
        elif name == "pwrite64":
            yield Call(name, path, texts[1][1], int(arguments.rsplit(", ", 1)[1]))
        elif name == "write":
            yield Call(name, path, texts[1][1])
        elif name == "ftruncate":
            yield Call(name, path, number=int(arguments.rsplit(", ", 1)[1]))
        elif name == "rename":
            yield Call(name, path, to=texts[1][1].decode())
        else:
            yield Call("fsync" if name == "fdatasync" else name, path)


def _octets(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


@dataclass(slots=True)
class _File:
    durable: bytearray = field(default_factory=bytearray)
    size: int = 0
    """As the running process sees it."""
    cached: list[tuple[int, bytes | None]] = field(default_factory=list)
    """(offset, octets), or (size, None) for a cut to that size; in order."""

    def flush(self) -> None:
        for offset, octets in self.cached:
            _apply(self.durable, offset, octets)
        self.cached.clear()

    def after_cut(self, rng: Random) -> bytes:
        octets = bytearray(self.durable)
        if self.cached and rng.random() < IN_ORDER_SHARE:
            for offset, new in self.cached[: rng.randint(0, len(self.cached))]:
                _apply(octets, offset, new)
            return bytes(octets)
        share = rng.choice(KEPT_SHARES)
        for offset, new in self.cached:
            if new is None:
                if rng.random() < share:
                    _apply(octets, offset, None)
                continue
            for start, sector in _sectors(offset, new):
                if rng.random() < share:
                    torn = rng.random() < TORN_SHARE
                    end = rng.randrange(len(sector)) if torn else len(sector)
                    _apply(octets, start, sector[:end])
        return bytes(octets)


def _sectors(offset: int, octets: bytes) -> Iterator[tuple[int, bytes]]:
    at = offset
    while at < offset + len(octets):
        end = min((at // SECTOR_SIZE + 1) * SECTOR_SIZE, offset + len(octets))
        yield at, octets[at - offset : end - offset]
        at = end


def _apply(file: bytearray, offset: int, octets: bytes | None) -> None:
    if octets is None:
        del file[offset:]
        file.extend(bytes(offset - len(file)))
    elif octets:
        if len(file) < offset:
            file.extend(bytes(offset - len(file)))
        file[offset : offset + len(octets)] = octets


_Names = dict[str, _File | None]
"""None is a folder."""


class CutDisk:
    """Takes calls one after the other; `after_cut` may be asked after each of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._durable: _Names = {}
        self._live: _Names = {}
        self._cached: list[tuple[str, str, _File | None]] = []
        """Changes of names that no flush of their folder made durable: (old, new, file)."""

    def had(self, folder: Path) -> None:
        """All of it was there before, for good."""
        for path in sorted(folder.rglob("*")):
            octets = None if path.is_dir() else path.read_bytes()
            name = f"{self._folder}/{path.relative_to(folder)}"
            file = None if octets is None else _File(bytearray(octets), len(octets))
            self._durable[name] = self._live[name] = file

    def take(self, call: Call) -> None:
        match call.name:
            case "create":
                self._create(call)
            case "mkdir":
                self._rename("", call.path, None)
            case "write" | "pwrite64":
                file = self._file(call.path)
                # The segment files of the log book are the only ones that are appended to.
                offset = file.size if call.name == "write" else call.number
                file.cached.append((offset, call.octets))
                file.size = max(file.size, offset + len(call.octets))
            case "ftruncate":
                file = self._file(call.path)
                file.cached.append((call.number, None))
                file.size = call.number
            case "rename":
                self._rename(call.path, call.to, self._live[call.path])
            case "unlink":
                self._rename(call.path, "", self._live[call.path])
            case "fsync":
                file_or_folder = self._live.get(call.path)
                if file_or_folder is None:
                    self._flush_names(call.path)
                else:
                    file_or_folder.flush()
            case _:
                raise ValueError(f"no such call: {call.name}")

    def after_cut(self, rng: Random) -> dict[str, bytes | None]:
        """Names below the folder with what is in them; None: a folder."""
        names = dict(self._durable)
        for change in self._cached[: rng.randint(0, len(self._cached))]:
            _change(names, *change)
        size = len(self._folder) + 1
        left: dict[str, bytes | None] = {}
        for path, file in sorted(names.items()):
            parent = str(Path(path).parent)
            # What lies in a folder that is gone cannot be reached any more.
            if parent == self._folder or parent[size:] in left:
                left[path[size:]] = None if file is None else file.after_cut(rng)
        return left

    def _create(self, call: Call) -> None:
        file = self._live.get(call.path)
        if file is None:
            self._rename("", call.path, _File())
        elif call.number == 0:
            file.cached.append((0, None))
            file.size = 0

    def _file(self, path: str) -> _File:
        file = self._live[path]
        assert file is not None
        return file

    def _rename(self, old: str, new: str, file: _File | None) -> None:
        self._cached.append((old, new, file))
        _change(self._live, old, new, file)

    def _flush_names(self, folder: str) -> None:
        left: list[tuple[str, str, _File | None]] = []
        for change in self._cached:
            if str(Path(change[0] or change[1]).parent) == folder:
                _change(self._durable, *change)
            else:
                left.append(change)
        self._cached = left


def _change(names: _Names, old: str, new: str, file: _File | None) -> None:
    below = [name for name in names if old and name.startswith(f"{old}/")]
    if old:
        names.pop(old, None)
    if new:
        names[new] = file
    for name in below:
        moved = names.pop(name)
        if new:
            names[new + name[len(old) :]] = moved
