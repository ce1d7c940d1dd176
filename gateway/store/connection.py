"""Connections to the database: settings, schema, and what SQLite calls damage."""

from __future__ import annotations

import os
import sqlite3
from importlib import resources
from pathlib import Path
from typing import Final

from gateway.errors import ConfigError
from gateway.store.folder import sync_folder

SCHEMA_VERSION: Final = 4
"""The newest file in `schema/`."""
PAGE_SIZE: Final = 1024

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
UNREADABLE: Final = frozenset(
    {
        sqlite3.SQLITE_IOERR_READ,
        sqlite3.SQLITE_IOERR_SHORT_READ,
        sqlite3.SQLITE_IOERR_CORRUPTFS,
        sqlite3.SQLITE_IOERR_DATA,
    }
)


def connect(path: Path) -> sqlite3.Connection:
    """Open with our settings and bring the schema up to date.

    Raises `sqlite3.Error`, `OSError` or, for a newer schema, `ConfigError`.
    """
    # Notices are nobody else's: SQLite would make the file readable for all, and WAL like it.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    try:
        for pragma in (
            f"page_size = {PAGE_SIZE}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "wal_autocheckpoint = 0",
            "cell_size_check = ON",
            "trusted_schema = OFF",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        _upgrade(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A second connection that never writes."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _upgrade(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise ConfigError([_newer(path, version)])
    if 0 < version < SCHEMA_VERSION:
        _keep(connection, backup_path(path, version))
    for number in range(version + 1, SCHEMA_VERSION + 1):
        script = resources.files("gateway.store").joinpath(f"schema/{number:04}.sql").read_text()
        connection.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")


def backup_path(path: Path, version: int) -> Path:
    """Where the database lies as it was before it left a schema version."""
    return path.with_name(f"{path.name}.schema-{version}")


def _keep(connection: sqlite3.Connection, backup: Path) -> None:
    """Copy the database before it changes, so that the version before can be installed again.

    On the disk, whole, before the first change: without room for it there is no upgrade.
    """
    copy = backup.with_name(f"{backup.name}.new")
    copy.unlink(missing_ok=True)
    descriptor = os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        target = sqlite3.connect(copy)
        try:
            connection.backup(target)
        finally:
            target.close()
        os.fsync(descriptor)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    copy.rename(backup)
    sync_folder(backup.parent)


def _newer(path: Path, version: int) -> str:
    """Why a database is not opened, and both ways out."""
    problem = (
        f"the database {path} was made by a newer gateway (schema {version}, this one knows "
        f"{SCHEMA_VERSION}); install that version again"
    )
    backup = backup_path(path, SCHEMA_VERSION)
    if not backup.exists():
        return problem
    return (
        f"{problem}, or go back to what this one left: stop the gateway, move {path.name}, "
        f"{path.name}-wal and {path.name}-shm to another folder, rename {backup.name} to "
        f"{path.name}, start the gateway; what came since is taken from the log book"
    )


def is_damage(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF in _DAMAGED or code in UNREADABLE
