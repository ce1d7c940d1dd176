"""The database in the state folder: its schema, whether it is sound, room for an upgrade.

Read beside the running gateway or without it, and never written; so by root too.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from gateway.doctor.finding import Finding, fault, look, ok
from gateway.doctor.machine import Machine
from gateway.runtime.clock import elapsed_s
from gateway.store.connection import (
    SCHEMA_VERSION,
    backup_path,
    is_damage,
    newer,
    observing,
    proven_version,
    upgrade_room,
)
from gateway.store.database import FILE_NAME
from gateway.store.soundness import check_trees, row_faults

TOPIC: Final = "database"
VISIT_S: Final = 180.0
ROWS_S: Final = 60.0
"""For the rows, which take longest: 100 000 notices in 7 s on the bench."""
SIZE_MAX: Final = 1 << 30
"""A larger one is not read: within `VISIT_S` a slow card does not give all of it."""
FAULT_COUNT: Final = 3
_NICE: Final = 10
_RESTART: Final = "restart the gateway (sudo systemctl restart hotline-gateway)"
_START: Final = "start the gateway (sudo systemctl start hotline-gateway)"
_ROOT: Final = "run: sudo hotline doctor"


def visit_database(machine: Machine, folder: Path) -> list[Finding]:
    """In a thread of its own, which steps back behind a gateway that has work."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
    return list(examine_database(machine, folder))


def examine_database(
    machine: Machine, folder: Path, *, rows_s: float = ROWS_S, size_max: int = SIZE_MAX
) -> Iterator[Finding]:
    """`folder` is the state folder; where it is missing, the disk's findings say so."""
    path = folder / FILE_NAME
    is_running = machine.lock_holder(folder / "lock") is not None
    try:
        with path.open("rb"):
            size = path.stat().st_size
    except FileNotFoundError:
        if folder.is_dir():
            yield judge_missing(path, is_running=is_running)
        return
    except PermissionError:
        yield look(TOPIC, f"{path} may not be read by this user", _ROOT)
        return
    if not size:
        yield _lost(f"{path} is empty", is_running=is_running)
    elif size > size_max:
        text = f"{path} has {size >> 20} MiB and was not read: that takes too long here"
        yield look(TOPIC, text, "sudo hotline backup FILE, on another disk, reads every row of it")
    else:
        yield from _looked(machine, path, rows_s=rows_s)


def _looked(machine: Machine, path: Path, *, rows_s: float) -> list[Finding]:
    wal, lock = path.with_name(f"{path.name}-wal"), path.with_name("lock")
    findings: list[Finding] = []
    for _ in range(2):
        had_wal = wal.exists()
        is_running = machine.lock_holder(lock) is not None
        findings = list(_read(path, is_running=is_running, rows_s=rows_s))
        if had_wal or not wal.exists():
            break
        # A gateway started under our hands, and may have changed what was half read.
    return findings


def _read(path: Path, *, is_running: bool, rows_s: float) -> Iterator[Finding]:
    try:
        with observing(path) as connection:
            version = proven_version(connection)
            yield from judge_version(path, version, is_running=is_running)
            yield _judge_content(connection, path, version, is_running=is_running, rows_s=rows_s)
    except UnicodeDecodeError:  # SQLite's own message, of a name that is no text any more
        yield _damaged(path, ["a name in it is no text"], is_running=is_running)
    except sqlite3.Error as error:
        if isinstance(error, sqlite3.DatabaseError) and is_damage(error):
            yield _damaged(path, [str(error)], is_running=is_running)
        else:
            yield look(TOPIC, f"{path} could not be read ({error})", f"{_ROOT}; or once more")


def judge_version(path: Path, version: int, *, is_running: bool) -> Iterator[Finding]:
    """Nothing for our own schema. Raises `OSError`."""
    if version > SCHEMA_VERSION:
        yield fault(TOPIC, *newer(path, version))
    if version >= SCHEMA_VERSION:
        return
    room, free = upgrade_room(path), shutil.disk_usage(path.parent).free
    text = f"{path} was made by an older version (schema {version}; this one has {SCHEMA_VERSION})"
    if free < room:
        text = (
            f"{text}, and its upgrade has no room: about {_size(room)}, and {_size(free)} are free"
        )
        yield fault(TOPIC, text, "free some room; the version before runs meanwhile")
        return
    kept = backup_path(path, version).name
    text = f"{text}; the next start upgrades it, and keeps it as {kept}"
    yield look(TOPIC, text, _RESTART if is_running else _START)


def _judge_content(
    connection: sqlite3.Connection, path: Path, version: int, *, is_running: bool, rows_s: float
) -> Finding:
    """Whether the trees, then the rows and the log book's chain are as they were written."""
    begun = elapsed_s()
    found = check_trees(connection, limit=FAULT_COUNT)
    name = f"{path} ({_size(path.stat().st_size)}, schema {version})"
    if not found and version <= SCHEMA_VERSION:
        end = elapsed_s() + rows_s
        connection.set_progress_handler(lambda: elapsed_s() >= end, 1000)
        try:
            found = list(islice(row_faults(connection), FAULT_COUNT))
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_INTERRUPT:
                raise
            text = f"{name}: its trees are sound, so is each row that was read in {rows_s:.0f} s"
            return ok(TOPIC, f"{text}; hotline backup reads them all")
    if found:
        return _damaged(path, found, is_running=is_running)
    took = f"read in {elapsed_s() - begun:.1f} s"
    if version > SCHEMA_VERSION:
        return ok(TOPIC, f"{name}: its trees are sound, {took}")
    return ok(TOPIC, f"{name} is sound: trees, rows and the log book's chain, {took}")


def judge_missing(path: Path, *, is_running: bool) -> Finding:
    """None in the state folder: as before the first start, or someone removed it."""
    has_book = any((path.parent / "logbook").glob("*"))
    if not is_running and not has_book:
        return ok(TOPIC, f"no database yet; the gateway makes {path} at its first start")
    what = "the gateway runs" if is_running else "the log book's files are there"
    return _lost(f"{path} is gone, though {what}", is_running=is_running)


def _lost(text: str, *, is_running: bool) -> Finding:
    what = "find out who did that; "
    if is_running:
        what += f"{_RESTART}: what it accepts now is kept by the log book's files alone"
    else:
        what += "bring a backup (hotline restore), or " + _START
    return fault(TOPIC, text, f"{what}; a start makes a new one from the log book")


def _damaged(path: Path, found: list[str], *, is_running: bool) -> Finding:
    mends = (
        "it mends what it can; else it keeps the file aside and makes a new one from the log book"
    )
    first = f"copy {path.parent} to another disk, then " if not is_running else ""
    what = _RESTART if is_running else _START
    return fault(
        TOPIC,
        f"{path} is damaged: {'; '.join(found)[:300]}",
        f"{first}{what}: {mends}. Then have the card checked",
    )


def _size(octets: int) -> str:
    return f"{octets >> 20} MiB" if octets >> 20 else f"{octets >> 10} KiB"
