"""A backup of the database while the gateway runs, and putting one back while it does not.

A backup is one SQLite file with a mark in it, so that whoever starts from it, restored by us or
copied by hand, knows that it is older than what the station has said since; beside it lies its
SHA-256 in the form of `sha256sum`. Keys and secrets are not in it: they lie in files of their own.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from gateway.errors import GatewayError, StoreFailedError
from gateway.model import Station
from gateway.store import meta, recovery, soundness
from gateway.store.connection import SCHEMA_VERSION, backup_path, schema_version
from gateway.store.database import FILE_NAME
from gateway.store.folder import FolderLock, folder_error, keep_newest, set_aside, sync_folder
from gateway.store.segments import Segments

CHECKSUM_SUFFIX: Final = ".sha256"
_MODE: Final = 0o600
_PIECE: Final = 1024 * 1024
_FAULT_COUNT_MAX: Final = 8
_CHECKED_SINCE: Final = 5
"""The schema from which on rows of table `meta` have a checksum."""
_TAG: Final = "before-restore"
"""Names what a restore has replaced."""
REPLACED_COUNT_MAX: Final = 3
"""Databases that restores replaced and that stay beside the one in use: the first, which no restore
made, and the newest."""


class BackupError(GatewayError):
    """A file that is no sound backup of this station; one sentence says what to do."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds."""

    path: Path
    size: int
    sha256: str
    station: Station | None
    """Whose acts they are; None: it holds none yet."""
    act_count: int
    open_count: int
    entry_count: int
    """Of the log book."""
    faults: tuple[str, ...] = ()
    """What is damaged in it, the first few: the database it was made of is damaged as well."""


def make_backup(folder: Path, target: Path) -> Backup:
    """Copy the database of a state folder into a new file, at one commit, beside its gateway.

    Raises `FileExistsError`, `OSError`, `StoreFailedError`, or `BackupError` for a folder; then no
    part of it stays.
    """
    _refuse_folder(target, "name a new file, in it or elsewhere")
    if "\n" in target.name:
        raise OSError(errno.EINVAL, "a name has no line break", str(target))
    source = folder / FILE_NAME
    with source.open("rb"):
        pass  # tells a missing file from one that this user may not read
    checksum = _checksum_of(target)
    if checksum.exists():
        raise FileExistsError(0, "exists", str(checksum))
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE))
    try:
        _copy(source, target)
        digest = _digest(target)
        backup = _describe(target, digest)
        descriptor = os.open(checksum, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(f"{digest}  ".encode() + os.fsencode(target.name) + b"\n")
            file.flush()
            os.fsync(descriptor)
        sync_folder(target.parent)
    except sqlite3.Error as error:
        _forget(target)
        raise StoreFailedError(
            f"the database {source} cannot be copied to {target} ({error}); see whether the disk "
            "is full and `hotline doctor`"
        ) from error
    except BaseException:
        _forget(target)
        raise
    return backup


def examine(path: Path) -> Backup:
    """Read a whole backup and check it against its checksum. Raises `BackupError` or `OSError`."""
    _refuse_folder(path, "name the file that `hotline backup` made")
    digest = _digest(path)
    checksum = _checksum_of(path)
    try:
        said = checksum.read_text(encoding="utf-8", errors="replace").split()[:1]
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise BackupError(
            f"{checksum} is missing or no text, so nothing proves that {path} is whole; copy both "
            "files, or take another backup"
        ) from error
    if said != [digest]:
        raise BackupError(
            f"{path} does not match its checksum in {checksum.name}: it was changed or damaged "
            "after it was made; take another backup"
        )
    try:
        backup = _describe(path, digest)
    except sqlite3.Error as error:
        raise BackupError(f"{path} is no backup of a gateway ({error})") from error
    return backup


@dataclass(frozen=True, slots=True)
class Replaced:
    """What became of the databases that restores have replaced."""

    kept: Path | None
    """Where the one of now lies; None: there was none."""
    dropped: tuple[Path, ...]
    """Those between that were deleted: `REPLACED_COUNT_MAX` stay."""


def restore(path: Path, folder: Path, *, station: Station) -> tuple[Backup, Replaced]:
    """Put a backup in place of the database; gives it and what became of the old one.

    The log book's files stay, and give the next start what they know of the time after the backup.
    Raises `BackupError`, `OSError`, `StoreLockedError` while a gateway uses the folder, or what
    `folder_error` makes of a folder that cannot be written.
    """
    backup = examine(path)
    return backup, _replace(backup, folder, station=station)


def go_back(folder: Path, *, station: Station) -> tuple[Backup, Replaced]:
    """As `restore`, with the database that a newer gateway found in our schema and kept.

    Nothing marks it as old: what it lacks is in the log book's files, which the next start reads,
    and where these do not reach it says so. Raises what `restore` raises.
    """
    database = folder / FILE_NAME
    path = backup_path(database, SCHEMA_VERSION)
    if not path.exists():
        raise BackupError(
            f"{path} is not there: no newer gateway has left a database of this version's form "
            f"(schema {SCHEMA_VERSION}); install the newer version again"
        )
    if _is_ours(database):
        raise BackupError(
            f"{database} is one that this version uses as it is: there is nothing to go back from"
        )
    try:
        backup = _describe(path, _digest(path))
    except sqlite3.Error as error:
        raise BackupError(f"{path} is no database of a gateway ({error})") from error
    return backup, _replace(backup, folder, station=station)


def _is_ours(database: Path) -> bool:
    """Whether it has our schema, or an older one. Raises `StoreLockedError`."""
    lock = FolderLock(database.parent)
    try:
        return database.exists() and schema_version(database) <= SCHEMA_VERSION
    except sqlite3.DatabaseError:
        return False  # damaged: it is kept, and what takes its place is sound
    finally:
        lock.release()


def _replace(backup: Backup, folder: Path, *, station: Station) -> Replaced:
    """Put a sound database of ours in place of the one in the folder."""
    path = backup.path
    if backup.faults:
        raise BackupError(f"{path} is damaged: {'; '.join(backup.faults)}; take another backup")
    if backup.station not in (None, station):
        raise BackupError(
            f"{path} is a backup of station {backup.station}, and this is station {station}; its "
            "database must not speak with our keys"
        )
    lock = FolderLock(folder)
    try:
        return _put_in_place(path, folder)
    except OSError as error:
        raise folder_error(folder, error) from error
    finally:
        lock.release()


def copy_database(folder: Path, target: Path) -> None:
    """Copy the database of a state folder at one commit, beside its gateway, for the other one of
    the station: it goes on from there, so nothing marks it as old.

    Raises `OSError` or `sqlite3.Error`.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE))
    _copy(folder / FILE_NAME, target, is_backup=False)


def newer_copy(path: Path) -> str:
    """Why such a copy is of no use here: a newer gateway made it. Empty: it did not."""
    try:
        version = schema_version(path)
    except sqlite3.DatabaseError:
        return ""  # a damaged one is another matter
    if version <= SCHEMA_VERSION:
        return ""
    return (
        f"the other gateway is newer (its database has schema {version}, this one knows"
        f" {SCHEMA_VERSION}): both gateways of a station need one version; upgrade this one too"
    )


@dataclass(frozen=True, slots=True)
class Displaced:
    """What a copy of the other gateway has taken the place of."""

    database: Path | None
    """Where it is kept; None: there was none."""
    book: Path | None
    """Where the log book's files are."""


def install_copy(path: Path, folder: Path) -> Displaced:
    """Put such a copy in place of the database, and set the log book's files aside with it: they
    may tell what the copy does not hold.

    Raises `OSError`, `StoreLockedError`, or what `folder_error` makes of the folder.
    """
    lock = FolderLock(folder)
    try:
        segments = Segments(folder / "logbook")
        book = segments.abandon()
        segments.begin()
        segments.close()
        return Displaced(_put_in_place(path, folder).kept, book)
    finally:
        lock.release()


def _put_in_place(path: Path, folder: Path) -> Replaced:
    """Copy first, so that a full disk or a power cut leaves the old database where it is."""
    database, new = folder / FILE_NAME, folder / f"{FILE_NAME}.restoring"
    new.unlink(missing_ok=True)
    owner = folder.stat()
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        with os.fdopen(descriptor, "wb") as file, path.open("rb") as source:
            while piece := source.read(_PIECE):
                file.write(piece)
            file.flush()
            if os.geteuid() == 0:
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
                os.chown(folder / "lock", owner.st_uid, owner.st_gid)
            os.fsync(descriptor)
        kept = set_aside(database, _TAG) if database.exists() else None
        new.rename(database)
        sync_folder(folder)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    dropped: list[Path] = []
    with suppress(OSError):
        dropped = keep_newest(database, _TAG, REPLACED_COUNT_MAX, and_first=True)
    return Replaced(kept, tuple(dropped))


def _copy(source: Path, target: Path, *, is_backup: bool = True) -> None:
    with closing(sqlite3.connect(source, isolation_level=None, timeout=5)) as connection:
        connection.execute("PRAGMA query_only = ON")
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            # In one step: a snapshot of the WAL, which the gateway's commits pass by.
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE").fetchone()
            if is_backup:
                head = recovery.log_head(copy)
                _mark(copy, 0 if head is None else head.number)
    descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mark(copy: sqlite3.Connection, number: int) -> None:
    """As a backup made at this entry. The gateway of now may not have upgraded it yet."""
    (version,) = copy.execute("PRAGMA user_version").fetchone()
    if version >= _CHECKED_SINCE:
        meta.put(copy, meta.RESTORED, number)
    else:
        copy.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (meta.RESTORED, number))


def _describe(path: Path, digest: str) -> Backup:
    """Raises `sqlite3.Error` and, for a schema of a newer gateway, `BackupError`."""
    with _opened(path) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if not 1 <= version <= SCHEMA_VERSION:
            raise BackupError(
                f"{path} has schema {version}, and this gateway knows 1 to {SCHEMA_VERSION}; "
                "restore it with the version that made it"
            )
        own = connection.execute(
            "SELECT iif(direction = 1, id >> 32, addressee) FROM act "
            "WHERE direction IS NOT NULL ORDER BY number LIMIT 1"
        ).fetchone()
        act_count, open_count, entry_count = (
            connection.execute(f"SELECT count(*) FROM {what}").fetchone()[0]  # noqa: S608
            for what in (
                "act WHERE octets IS NOT NULL",
                "act WHERE delivery_open = 1",
                "log_entry",
            )
        )
        try:
            found = tuple(islice(soundness.faults(connection), _FAULT_COUNT_MAX))
        except sqlite3.DatabaseError as error:
            found = (str(error),)
    return Backup(
        path=path,
        size=path.stat().st_size,
        sha256=digest,
        station=None if own is None else Station(own[0]),
        act_count=act_count,
        open_count=open_count,
        entry_count=entry_count,
        faults=found,
    )


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Read only, and nothing is made beside it."""
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        yield connection


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_folder(path: Path, remedy: str) -> None:
    """`.` and `/` have no name that anything could be added to, and an empty word is `.` too."""
    if path.is_dir():
        raise BackupError(f"{path} is a folder; {remedy}")


def _checksum_of(path: Path) -> Path:
    return path.with_name(path.name + CHECKSUM_SUFFIX)


def _forget(target: Path) -> None:
    besides = (target.with_name(f"{target.name}-{end}") for end in ("journal", "wal", "shm"))
    for path in (target, *besides, _checksum_of(target)):
        with suppress(OSError):
            path.unlink(missing_ok=True)
