"""What `hotline doctor` says of the database, sound or not; and that it leaves it alone."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import pytest

from gateway.doctor.database import examine_database
from gateway.doctor.finding import NOTHING_TO_DO, Finding, Mark
from gateway.doctor.machine import Machine
from gateway.store.connection import SCHEMA_VERSION
from gateway.store.database import FILE_NAME
from gateway.store.sqlite import SqliteStore
from tests.integration.store_records import OWN, received, sent

DATABASES = Path(__file__).parent / "databases"
OTHER_USER = 1234
NOBODY = 65534


async def opened(folder: Path) -> SqliteStore:
    """A station that has said and heard something, and runs."""
    store = SqliteStore(folder, station=OWN)
    await store.recover()
    for serial in range(1, 40):
        await store.commit((*sent(serial, 2 * serial - 1), *received(serial, 2 * serial)))
    return store


async def stopped(folder: Path) -> Path:
    await (await opened(folder)).close()
    return folder


def look_at(folder: Path, mark: Mark, words: str, remedy: str = NOTHING_TO_DO) -> list[Finding]:
    """One finding has this mark and says this."""
    findings = list(examine_database(Machine(), folder))
    right = [it for it in findings if it.mark is mark and words in it.text and remedy in it.remedy]
    assert right, findings
    return findings


def picture(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file but the index of the WAL: owner, time of the last change, octets."""
    return {
        path.name: (path.stat().st_uid, path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.iterdir()
        if path.is_file() and not path.name.endswith("-shm")
    }


def given_away(folder: Path) -> None:
    """It belongs to the service's user, where this one is root."""
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, OTHER_USER, OTHER_USER)


async def test_a_sound_database_is_left_as_it_is(tmp_path: Path) -> None:
    """The gateway is stopped: nothing is made beside the file, by root neither."""
    folder = await stopped(tmp_path)
    given_away(folder)
    names, before = sorted(folder.iterdir()), picture(folder)
    (found,) = look_at(folder, Mark.OK, "is sound: trees, rows and the log book's chain")
    assert f"schema {SCHEMA_VERSION}" in found.text
    assert (sorted(folder.iterdir()), picture(folder)) == (names, before)


async def test_beside_the_running_gateway(tmp_path: Path) -> None:
    """What lies in the WAL alone is read; the gateway goes on and its files are what they were."""
    store = await opened(tmp_path)
    names, before = sorted(tmp_path.iterdir()), picture(tmp_path)
    assert before[f"{FILE_NAME}-wal"][2], "what was committed is in the WAL"
    look_at(tmp_path, Mark.OK, "is sound")
    assert (sorted(tmp_path.iterdir()), picture(tmp_path)) == (names, before)
    await store.commit(sent(40, 100))
    await store.close()


async def test_what_a_kill_left_is_read_with_its_wal(tmp_path: Path) -> None:
    """Neither copied back nor emptied; the one file that it makes is the service's."""
    store = await opened(tmp_path / "running")
    left = tmp_path / "left"
    left.mkdir()
    for name in (FILE_NAME, f"{FILE_NAME}-wal"):
        shutil.copy(tmp_path / "running" / name, left / name)
    await store.close()
    given_away(left)
    before = picture(left)
    (found,) = look_at(left, Mark.OK, "is sound")
    assert f"schema {SCHEMA_VERSION}" in found.text
    assert picture(left) == before
    assert len({path.stat().st_uid for path in left.iterdir()}) == 1
    with (left / f"{FILE_NAME}-wal").open("r+b") as file:
        file.truncate(len(before[f"{FILE_NAME}-wal"][2]) // 2)
    look_at(left, Mark.OK, "is sound")


def overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(Random(1).randbytes(40_000))


def other_number(path: Path) -> None:
    """One bit of the schema's number."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION ^ 1}")


def changed(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            assert connection.execute(statement).rowcount > 0

    return change


def middle_of_a_tree(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'act'"
        ).fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * 1024 + 12)
        file.write(bytes(40))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (overwritten, "is damaged: file is not a database"),
        (other_number, f"it says schema {SCHEMA_VERSION ^ 1}, and is schema {SCHEMA_VERSION}"),
        (middle_of_a_tree, "is damaged: "),
        (
            changed("UPDATE seen SET sha256 = zeroblob(32) WHERE number = 3"),
            "seen 3 does not match",
        ),
        (changed("UPDATE log_entry SET hash = zeroblob(32) WHERE number = 3"), "log book entry 3"),
    ],
)
async def test_damage_is_told(tmp_path: Path, damage: Callable[[Path], None], words: str) -> None:
    """Stopped, a start mends it; running, a restart does. Nothing is changed by looking."""
    folder = await stopped(tmp_path)
    damage(folder / FILE_NAME)
    before = picture(folder)
    (found,) = look_at(folder, Mark.FAULT, words, "then start the gateway (sudo systemctl start")
    assert "makes a new one from the log book" in found.remedy
    assert picture(folder) == before


async def test_damage_under_a_running_gateway(tmp_path: Path) -> None:
    """It may have what was damaged in its memory; the file is what the next start finds."""
    store = await opened(tmp_path)
    await store.close()
    store = SqliteStore(tmp_path, station=OWN)
    await store.recover()
    overwritten(tmp_path / FILE_NAME)
    look_at(tmp_path, Mark.FAULT, "is damaged", "restart the gateway")
    await store.close()


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_an_older_schema(version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the next start does with it, and whether there is room for that."""
    shutil.copy(DATABASES / f"schema-{version:04}.sqlite", tmp_path / FILE_NAME)
    kept = f"the next start upgrades it, and keeps it as hotline.sqlite.schema-{version}"
    findings = look_at(tmp_path, Mark.LOOK, kept, "start the gateway")
    assert findings[1].mark is Mark.OK
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(9, 9, 2048))
    look_at(tmp_path, Mark.FAULT, "2 KiB are free", "the version before runs meanwhile")


async def test_a_newer_schema(tmp_path: Path) -> None:
    """The gateway does not start with it; both ways out are named, as the gateway does."""
    folder = await stopped(tmp_path)
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        connection.execute("PRAGMA user_version = 99")
    look_at(folder, Mark.FAULT, "was made by a newer gateway", "install that version again")
    (folder / f"{FILE_NAME}.schema-{SCHEMA_VERSION}").touch()
    look_at(folder, Mark.FAULT, "(schema 99, this", "hotline restore --before-upgrade")


async def test_no_database(tmp_path: Path) -> None:
    """As it should be before the first start, and never after it."""
    look_at(tmp_path, Mark.OK, "at its first start")
    assert not list(examine_database(Machine(), tmp_path / "none")), "the disk says so"
    folder = await stopped(tmp_path)
    (folder / FILE_NAME).write_bytes(b"")
    look_at(folder, Mark.FAULT, "is empty", "hotline restore")
    (folder / FILE_NAME).unlink()
    look_at(folder, Mark.FAULT, "is gone, though the log book's files are there", "find out who")
    store = await opened(folder)
    (folder / FILE_NAME).unlink()
    look_at(folder, Mark.FAULT, "is gone, though the gateway runs", "restart the gateway")
    await store.close()


@contextmanager
def another_user() -> Iterator[None]:
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


async def test_a_user_who_may_not_read_it(tmp_path: Path) -> None:
    """That is no fault; root is told to look."""
    folder = await stopped(tmp_path)
    (folder / FILE_NAME).chmod(0)
    with another_user():
        look_at(folder, Mark.LOOK, "may not be read by this user", "run: sudo hotline doctor")


async def test_what_takes_too_long_is_not_read(tmp_path: Path) -> None:
    """A bound in time for the rows, one in size for all of it."""
    folder = await stopped(tmp_path)
    (found,) = examine_database(Machine(), folder, rows_s=0)
    assert (found.mark, "each row that was read in 0 s" in found.text) == (Mark.OK, True)
    (found,) = examine_database(Machine(), folder, size_max=1024)
    assert (found.mark, "and was not read" in found.text) == (Mark.LOOK, True)
