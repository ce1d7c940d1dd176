"""Rewriting a whole database while its gateway is stopped: free room goes back to the disk at once,
and from then on in small steps while the gateway runs.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import StoreFailedError, StoreRefusedError
from gateway.store.connection import connect, make_vacuumable
from gateway.store.database import FILE_NAME
from gateway.store.folder import FolderLock, folder_error
from gateway.store.soundness import check_trees


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """Octets of the database file."""

    size_before: int
    size: int


def vacuum(folder: Path) -> Vacuumed:
    """Rewrite the database of a state folder; whole or not at all, whatever cuts it off.

    Needs as much room again as it has, in the folder and for temporary files. Raises
    `FileNotFoundError` where there is none, `StoreLockedError` while a gateway uses the folder,
    `StoreRefusedError` without room, and `StoreFailedError` for a database that is damaged.
    """
    path = folder / FILE_NAME
    size_before = path.stat().st_size
    lock = FolderLock(folder)
    try:
        _own_lock(folder)
        with closing(connect(path)) as connection:
            found = check_trees(connection)
            if found:
                raise StoreFailedError(f"the database {path} is damaged ({found[0]}); {_REPAIR}")
            connection.execute("PRAGMA temp_store = FILE")
            was_able = make_vacuumable(connection, size_max=0)
            if was_able:
                connection.execute("VACUUM")
            elif not make_vacuumable(connection, size_max=None):
                raise StoreRefusedError(_FULL.format(path=path, size=size_before))
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            raise StoreRefusedError(_FULL.format(path=path, size=size_before)) from error
        raise StoreFailedError(f"the database {path} fails ({error}); {_REPAIR}") from error
    except OSError as error:
        raise folder_error(folder, error) from error
    finally:
        lock.release()
    return Vacuumed(size_before, path.stat().st_size)


_FULL = (
    "there is no room to write {path} anew: free {size} octets beside it and as much in /var/tmp"
)
_REPAIR = "start the gateway, which sets aside what is damaged, stop it, and try again"


def _own_lock(folder: Path) -> None:
    """Root must not keep the gateway's user out."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(folder / "lock", owner.st_uid, owner.st_gid)
