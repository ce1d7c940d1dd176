"""Where a Mosquitto that runs here writes, and whether that can be and stays.

It says nothing to anyone but its log when it cannot write, and acknowledges all the same.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from gateway.doctor.finding import Finding, fault, look
from gateway.doctor.machine import Machine

TOPIC: Final = "broker"
LOCATION: Final = "persistence_location"
FORGETS: Final = "a restart of the broker forgets every message"
_RESTART: Final = "and restart it (sudo systemctl restart mosquitto)"
_SET: Final = (
    f"set {LOCATION} /var/lib/mosquitto/ (of its user) in /etc/mosquitto/mosquitto.conf, {_RESTART}"
)
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_WRITE: Final = 0o3
_SEARCH: Final = 0o1


@dataclass(frozen=True, slots=True)
class User:
    """As whom a process does things."""

    number: int
    groups: frozenset[int]

    @property
    def name(self) -> str:
        try:
            return pwd.getpwuid(self.number).pw_name
        except KeyError:
            return str(self.number)

    def may(self, status: os.stat_result, bits: int) -> bool:
        """By the owner and mode of a file."""
        if self.number == 0:
            return True
        if self.number == status.st_uid:
            bits <<= 6
        elif status.st_gid in self.groups:
            bits <<= 3
        return status.st_mode & bits == bits


def judge_folder(
    machine: Machine, file: str, settings: dict[str, str], number: int
) -> Iterator[Finding]:
    """What is wrong with the folder of process `number`, which has these settings of `file`."""
    location = settings.get(LOCATION, "")
    cwd = machine.target(f"/proc/{number}/cwd") or ""
    written = PurePosixPath(cwd, location, settings.get("persistence_file") or "mosquitto.db")
    folder = str(written.parent)
    if not folder.startswith("/"):
        text = f"{file}: {LOCATION} is {location or 'not set'}: it writes below the folder that it"
        text += " was started in, which cannot be seen"
        yield look(TOPIC, text, f"{_SET}, or run this as root")
        return
    if location:
        text = f"{file}: {LOCATION} is {location}"
    else:
        text = f"{file}: {LOCATION} is not set: it writes into {folder}, where it was started"
    user = _user(machine, number)
    problem = _problem(machine, folder, user)
    kind, options = _mount(machine, folder, number)
    if problem:
        remedy = _SET
        if location and user is not None:
            remedy = f"sudo install -d -o {user.name} {folder}, or set another, {_RESTART}"
        yield fault(TOPIC, f"{text}: {problem}: {FORGETS}", remedy)
    elif "ro" in options.split(","):
        yield fault(TOPIC, f"{text}: that is mounted read-only: {FORGETS}", _SET)
    elif kind in _IN_MEMORY:
        text = f"{text}: that is in memory ({kind}): a restart of the machine forgets every message"
        yield look(TOPIC, text, _SET)
    elif not location:
        yield look(TOPIC, f"{text}: started elsewhere it has forgotten every message", _SET)


def _problem(machine: Machine, folder: str, user: User | None) -> str:
    """Why nothing can be written there; empty where it can, or nobody can say."""
    path = PurePosixPath(folder)
    for one in (*reversed(path.parents), path):
        real = machine.path(str(one))
        try:
            status = real.stat()
        except PermissionError:
            return ""  # of a folder that others may not even look at
        except OSError as error:
            return f"{one} cannot be opened ({error.strerror})"
        is_last = one == path
        if user is None or user.may(status, _WRITE if is_last else _SEARCH):
            continue
        with suppress(OSError):
            os.getxattr(real, "system.posix_acl_access")
            continue  # rights beyond owner and mode
        return f"user {user.name} may not {'write there' if is_last else f'go through {one}'}"
    return ""


def _user(machine: Machine, number: int) -> User | None:
    """The effective one."""
    fields = dict(
        line.partition(":")[::2]
        for line in (machine.text(f"/proc/{number}/status") or "").splitlines()
    )
    try:
        user, group = (int(fields[name].split()[1]) for name in ("Uid", "Gid"))
        return User(user, frozenset({group, *map(int, fields.get("Groups", "").split())}))
    except (KeyError, IndexError, ValueError):
        return None


def _mount(machine: Machine, folder: str, number: int) -> tuple[str, str]:
    """Type and options of the file system that a folder is on, as that process sees it."""
    text = machine.text(f"/proc/{number}/mounts") or machine.text("/proc/mounts") or ""
    real = PurePosixPath(folder)
    with suppress(OSError, ValueError):
        root = machine.root.resolve()
        real = PurePosixPath("/", machine.path(folder).resolve().relative_to(root))
    found, best = ("", ""), -1
    for line in text.splitlines():
        words = line.split()
        if len(words) < 4:
            continue
        point = PurePosixPath(words[1].replace("\\040", " "))
        # Of two at one place the later one hides the other.
        if real.is_relative_to(point) and len(point.parts) >= best:
            found, best = (words[2], words[3]), len(point.parts)
    return found
