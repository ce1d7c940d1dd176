"""The state folder: who owns it, the ballast that is given up on a full disk, files set aside."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from gateway.errors import ConfigError, StoreFailedError, StoreRefusedError

BALLAST_SIZE: Final = 4 * 1024 * 1024
"""Octets kept free for a full disk; 200 of 200 commits fitted into it (PI, SQLite on a card)."""

USUAL: Final = Path("/var/lib/hotline-gateway")
"""The one state folder that the shipped unit lets the service write to."""

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
REFUSED: Final = NO_ROOM | {errno.EROFS}
"""What heals without a restart: no room, read-only."""

_TRIAL_SIZE: Final = 64 * 1024


class StoreLockedError(ConfigError):
    """Another process holds the state folder."""


class FolderLock:
    """Held for the life of the process; the kernel lets go of it at any kind of end."""

    def __init__(self, folder: Path) -> None:
        """Take the lock. Raises `StoreLockedError`, `StoreRefusedError` or `StoreFailedError`."""
        path = folder / "lock"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise folder_error(folder, error) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = (
                os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            )
            os.close(self._descriptor)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise folder_error(folder, error) from error
            problem = (
                f"the state folder {folder} is in use by another gateway (process {holder}); "
                "stop that one (sudo systemctl stop hotline-gateway), or give this one a folder of "
                "its own"
            )
            raise StoreLockedError([problem]) from error
        # On a full disk the number may be missing; the lock itself needs no room.
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        os.close(self._descriptor)


class Ballast:
    """A file of 4 MiB whose only use is to be deleted when the disk is full."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ballast"

    def release(self) -> bool:
        """Give the room back; False when there was nothing to give."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def make(self) -> bool:
        """Have the whole ballast again; False while the disk has no room for it."""
        try:
            if self._path.exists() and self._path.stat().st_size == BALLAST_SIZE:
                return True
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError:
            return False
        try:
            os.posix_fallocate(descriptor, 0, BALLAST_SIZE)
        except OSError:
            self.release()
            return False
        finally:
            os.close(descriptor)
        return True


def can_write(folder: Path, *, at: int = 0) -> OSError | None:
    """Try to write 64 KiB beside the database: tells a full or read-only disk from a broken one.

    `at` is where the real file was to grow, so that a limit on the size of files shows too.
    """
    path = folder / "trial"
    try:
        with path.open("wb", buffering=0) as file:
            file.seek(at)
            file.write(bytes(_TRIAL_SIZE))
    except OSError as error:
        return error
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
    return None


def folder_error(
    folder: Path, error: OSError
) -> StoreRefusedError | StoreFailedError | ConfigError:
    """What an operating-system error on the state folder means, in one sentence."""
    if error.errno in NO_ROOM:
        return StoreRefusedError(
            f"the disk of the state folder {folder} is full ({error.strerror}); free some room"
        )
    if error.errno == errno.EROFS:
        sandbox = "" if folder == USUAL else ", or open the unit to it (state-elsewhere.conf)"
        return StoreRefusedError(
            f"the disk of the state folder {folder} is read-only; check the card and mount it "
            f"for writing{sandbox}"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
        problem = (
            f"the state folder {folder} cannot be used ({error.strerror}); "
            "set station.state_folder to a folder that this user may write"
        )
        return ConfigError([problem])
    return StoreFailedError(f"the state folder {folder} fails: {error.strerror}; check the medium")


def write_whole(path: Path, octets: bytes) -> None:
    """Put a small file in place of another one, or leave that as it is. Raises `OSError`."""
    new = path.with_suffix(".new")
    try:
        with new.open("wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
    except OSError:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def set_aside(database: Path, tag: str) -> Path:
    """Rename a database with its WAL to the number of this tag after the last; keeps all of it."""
    numbers = numbers_of(database, tag)
    target = database.with_name(f"{database.name}.{tag}-{numbers[-1] + 1 if numbers else 1}")
    for suffix in ("-wal", ""):
        source = database.with_name(database.name + suffix)
        if source.exists():
            source.rename(target.with_name(target.name + suffix))
    # The shared-memory index is worthless without its file and would belong to the new one.
    database.with_name(database.name + "-shm").unlink(missing_ok=True)
    sync_folder(database.parent)
    return target


def keep_newest(database: Path, tag: str, count: int, *, and_first: bool = False) -> list[Path]:
    """Delete what was set aside under this tag, but for the newest `count`; what was deleted.

    With `and_first` the first is one of those that stay.
    """
    dropped: list[Path] = []
    numbers = numbers_of(database, tag)
    for number in numbers[1 : 1 - count] if and_first else numbers[:-count]:
        old = database.with_name(f"{database.name}.{tag}-{number}")
        for path in (old.with_name(f"{old.name}-wal"), old):
            path.unlink(missing_ok=True)
        dropped.append(old)
    return dropped


def numbers_of(path: Path, tag: str) -> list[int]:
    """Under which numbers of a tag something of this name was set aside, lowest first."""
    start = f"{path.name}.{tag}-"
    ends = (found.name[len(start) :] for found in path.parent.glob(f"{start}*"))
    return sorted(int(end) for end in ends if end.isascii() and end.isdigit())


def sync_folder(folder: Path) -> None:
    """Make renames and new files in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
