"""Connections to the database: settings, schema, and what SQLite calls damage."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Final

from gateway.errors import ConfigError, StoreRefusedError
from gateway.store import rows
from gateway.store.folder import NO_ROOM, can_write, sync_folder

SCHEMA_VERSION: Final = 6
"""The newest file in `schema/`."""
PAGE_SIZE: Final = 1024
INCREMENTAL: Final = 2
"""What `PRAGMA auto_vacuum` says of a database that can give pages back."""
VACUUM_SIZE_MAX: Final = 32 * 1024 * 1024
"""An old database up to this size is made so at a start: 0.5 s on the bench, in memory."""
_SCHEMA: Final = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
UNREADABLE: Final = frozenset(
    {
        sqlite3.SQLITE_IOERR_READ,
        sqlite3.SQLITE_IOERR_SHORT_READ,
        sqlite3.SQLITE_IOERR_CORRUPTFS,
        sqlite3.SQLITE_IOERR_DATA,
    }
)


def connect(path: Path, *, notes: list[str] | None = None) -> sqlite3.Connection:
    """Open with our settings and bring the schema up to date; then `notes` get a sentence.

    Raises `sqlite3.Error` (`is_damage` says of which kind), `OSError`, for a newer schema
    `ConfigError` and, where the upgrade finds no room, `StoreRefusedError`.
    """
    if not path.exists():
        _make(path)
    return _open_settled(path, notes=notes)


def _make(path: Path) -> None:
    """A new database that has its name when it is whole on the disk.

    Else a power cut in the very first start leaves one that the next start calls damaged.
    """
    new = path.with_name(f"{path.name}.new")
    _forget(new)
    # Notices are nobody else's: SQLite would make the file readable for all, and WAL like it.
    os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640))
    with closing(_open_settled(new)) as connection:
        # Closing does it too, and says nothing of a disk that is full.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    new.rename(path)
    sync_folder(path.parent)


def _open_settled(path: Path, *, notes: list[str] | None = None) -> sqlite3.Connection:
    connection = _open(path)
    try:
        version = _settle(connection)
        if version > SCHEMA_VERSION:
            raise ConfigError(["; ".join(newer(path, version))])
        if 0 < version < SCHEMA_VERSION:
            note = _upgrade(connection, path, version)
            if notes is not None:
                notes.append(note)
        else:
            _run_scripts(connection, version)
    except BaseException:
        connection.close()
        raise
    return connection


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    _prepare(connection)
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    # A text that is none any more must reach the check of its row, not end the query.
    connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
    _give_checks(connection)


def _give_checks(connection: sqlite3.Connection) -> None:
    """What the scripts of the schema call."""
    connection.create_function("row_check", -1, rows.check, deterministic=True)


def _settle(connection: sqlite3.Connection) -> int:
    """Make our settings and prove the schema; its version. Raises `sqlite3.Error`."""
    with _damage_by_name():
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        if connection.execute("PRAGMA page_count").fetchone() == (0,):
            # Before anything is in it; of one that is there it would change the header.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "wal_autocheckpoint = 0",
            "cell_size_check = ON",
            "trusted_schema = OFF",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
    return proven_version(connection)


def proven_version(connection: sqlite3.Connection) -> int:
    """The number of the schema, which is what our scripts make. Raises `sqlite3.Error`."""
    with _damage_by_name():
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        found = connection.execute(_SCHEMA).fetchall()
    # A later version has another schema; of a number alone one bit may have changed.
    if (version ^ SCHEMA_VERSION).bit_count() == 1 and found == _schema_of(SCHEMA_VERSION):
        raise _damaged(f"it says schema {version}, and is schema {SCHEMA_VERSION}")
    if version <= SCHEMA_VERSION and found != _schema_of(version):
        raise _damaged(f"its schema is not schema {version}")
    return int(version)


@contextmanager
def _damage_by_name() -> Iterator[None]:
    """What SQLite says of a changed schema, in other words than of damage."""
    try:
        yield
    except UnicodeDecodeError as error:
        # The module decodes SQLite's own message strictly, and that may name what was damaged.
        raise _damaged("a name in the schema is no text") from error
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) == sqlite3.SQLITE_ERROR:
            # These statements are right: a schema that SQLite cannot parse is not what we wrote.
            raise _damaged(str(error)) from error
        raise


def make_vacuumable(connection: sqlite3.Connection, *, size_max: int | None) -> bool:
    """Rewrite a sound database so that it can give pages back, if it cannot yet; whether it can.

    One that is larger than `size_max` octets stays as it is, also where the disk has no room: it
    needs its own size once more. Raises `sqlite3.Error` for everything else.
    """
    if connection.execute("PRAGMA auto_vacuum").fetchone() == (INCREMENTAL,):
        return True
    (page_count,) = connection.execute("PRAGMA page_count").fetchone()
    if size_max is not None and page_count * PAGE_SIZE > size_max:
        return False
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    try:
        connection.execute("VACUUM")
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_FULL:
            raise
        return False
    return True


@cache
def _schema_of(version: int) -> list[tuple[str, str, str, str | None]]:
    """The schema table of a database that our scripts made."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        _give_checks(connection)
        for number in range(1, version + 1):
            connection.executescript(_script(number))
        return connection.execute(_SCHEMA).fetchall()


def _damaged(what: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    error.sqlite_errorname = "SQLITE_CORRUPT"
    return error


def connect_reader(path: Path) -> sqlite3.Connection:
    """A second connection that never writes. Raises `sqlite3.Error`."""
    connection = _open(path)
    try:
        connection.execute("PRAGMA query_only = ON")
        # Opens the WAL now: later the disk may be full or read-only, with much to show still.
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextmanager
def observing(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection for somebody else than the gateway, whether that runs or not: it neither writes
    nor copies the WAL back, and makes no file, but for the WAL's index where that was lost.

    Not after the end of `with`. Raises `sqlite3.Error`.
    """
    # Without a WAL nobody has it open, and an ordinary reader would leave one behind.
    has_wal = path.with_name(f"{path.name}-wal").exists()
    uri = f"{path.absolute().as_uri()}?mode=ro{'' if has_wal else '&immutable=1'}"
    with closing(
        sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5)
    ) as connection:
        _prepare(connection)
        yield connection


def _upgrade(connection: sqlite3.Connection, path: Path, version: int) -> str:
    """Keep the database as it is, then change it; what happened, as a sentence."""
    kept = backup_path(path, version)
    room = upgrade_room(path)
    try:
        _keep(connection, kept)
        _run_scripts(connection, version)
    except (sqlite3.OperationalError, OSError) as error:
        if not _is_full(error, path):
            raise
        connection.rollback()
        with suppress(sqlite3.Error, OSError):
            if connection.execute("PRAGMA user_version").fetchone() == (version,):
                kept.unlink(missing_ok=True)  # the database itself is still as it was
        raise StoreRefusedError(
            f"the disk is full: the database {path} is to be upgraded from schema {version} to "
            f"{SCHEMA_VERSION}, which takes about {max(room >> 20, 1)} MiB, twice its size; free "
            "some room, or install the version before again, which runs meanwhile"
        ) from error
    return (
        f"the database {path} was upgraded from schema {version} to {SCHEMA_VERSION}; as it was it"
        f" is kept as {kept.name}, for the way back to the version before"
    )


def _is_full(error: sqlite3.OperationalError | OSError, path: Path) -> bool:
    if isinstance(error, OSError):
        return error.errno in NO_ROOM
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code != sqlite3.SQLITE_IOERR:
        return code == sqlite3.SQLITE_FULL
    # SQLite tells only ENOSPC apart; a quota looks like a broken disk.
    refusal = can_write(path.parent, at=path.stat().st_size)
    return refusal is not None and refusal.errno in NO_ROOM


def _run_scripts(connection: sqlite3.Connection, version: int) -> None:
    for number in range(version + 1, SCHEMA_VERSION + 1):
        try:
            connection.executescript(
                f"BEGIN; {_script(number)} PRAGMA user_version = {number}; COMMIT;"
            )
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) != sqlite3.SQLITE_ERROR:
                raise
            # The script is right and the schema was: a text in a row is none any more.
            raise _damaged(str(error)) from error
        except (sqlite3.IntegrityError, sqlite3.DataError) as error:
            # Two rows in one place, or a value of another type: what SQLite never let in.
            raise _damaged(str(error)) from error


def _script(number: int) -> str:
    return resources.files("gateway.store").joinpath(f"schema/{number:04}.sql").read_text()


def backup_path(path: Path, version: int) -> Path:
    """Where the database lies as it was before it left a schema version."""
    return path.with_name(f"{path.name}.schema-{version}")


def schema_version(path: Path) -> int:
    """Of a database that nobody uses. Raises `sqlite3.Error`."""
    # Not read-only: that would leave files beside it that are root's.
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _keep(connection: sqlite3.Connection, backup: Path) -> None:
    """Copy the database before it changes, so that the version before can be installed again.

    On the disk, whole, before the first change: without room for it there is no upgrade.
    """
    copy = backup.with_name(f"{backup.name}.new")
    _forget(copy)
    descriptor = os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        target = sqlite3.connect(copy)
        try:
            connection.backup(target)
        finally:
            target.close()
        os.fsync(descriptor)
    except BaseException:
        _forget(copy)
        raise
    finally:
        os.close(descriptor)
    copy.rename(backup)
    sync_folder(backup.parent)


def _forget(new: Path) -> None:
    """Remove a database that has not its name yet, with all that SQLite makes beside it."""
    for suffix in ("-wal", "-shm", "-journal", ""):
        new.with_name(new.name + suffix).unlink(missing_ok=True)


def newer(path: Path, version: int) -> tuple[str, str]:
    """Why a database is not opened, and the ways out."""
    problem = (
        f"the database {path} was made by a newer gateway (schema {version}, this one knows "
        f"{SCHEMA_VERSION})"
    )
    remedy = "install that version again"
    if not backup_path(path, SCHEMA_VERSION).exists():
        return problem, remedy
    return problem, (
        f"{remedy}, or go back to what this one left with `sudo hotline restore --before-upgrade` "
        "and start the gateway; what came since is taken from the log book"
    )


def upgrade_room(path: Path) -> int:
    """How many octets an upgrade takes at most, about: the old database stays, as a copy, and what
    the upgrade writes goes through the WAL. Raises `OSError`.
    """
    wal = path.with_name(f"{path.name}-wal")
    return 2 * (path.stat().st_size + (wal.stat().st_size if wal.exists() else 0))


def is_damage(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF in _DAMAGED or code in UNREADABLE
