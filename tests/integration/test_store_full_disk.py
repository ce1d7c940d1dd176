"""A disk that is really full: refuse, lose nothing, go on when there is room."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from gateway.errors import StoreRefusedError
from gateway.store.database import FILE_NAME
from gateway.store.folder import BALLAST_SIZE
from gateway.store.sqlite import SqliteStore
from tests.integration.store_records import OWN, act_id, sent

CHILD = Path(__file__).parent / "store_child.py"
DATABASES = Path(__file__).parent / "databases"
ROOT = Path(__file__).parents[2]
DISK_SIZE = BALLAST_SIZE + 3 * 1024 * 1024
LONG_HISTORY = """
    WITH RECURSIVE number(n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM number WHERE n < 4999)
    INSERT INTO state_entry SELECT notice_id, n, state, utc, link, hex(randomblob(80)), row_check
    FROM number, (SELECT * FROM state_entry LIMIT 1)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path | None]:
    """A tmpfs of 7 MiB where we may mount one, else None."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE}", "none", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        yield None
        return
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def child(folder: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*command, sys.executable, str(CHILD), str(folder), "fill"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def lines_until(process: subprocess.Popen[str], word: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.strip())
        if line.startswith(word):
            return lines
    pytest.fail(f"the child ended without {word!r}: {lines[-3:]}")


def fill(path: Path) -> None:
    """Write until there is no room."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def refused(process: subprocess.Popen[str], folder: Path) -> int:
    """Follow the child to its refusal; the last number that it was promised."""
    lines = lines_until(process, "refused")
    assert lines[0].startswith("recovered 0")
    assert "full" in lines[-1]
    assert str(folder) in lines[-1]
    promised = int(lines[-2].split()[1])
    assert promised > 100
    # Nothing of the refused group was kept, nothing before it lost, and the engine is told.
    assert lines_until(process, "recovered") == [f"recovered {promised} True"]
    return promised


def healed(process: subprocess.Popen[str], promised: int) -> None:
    """Let the child ask again, and go on where it was refused."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert lines_until(process, "probe") == ["probe True"]
    assert lines_until(process, "recovered") == [f"recovered {promised} False"]
    assert lines_until(process, "committed") == [f"committed {promised + 12}"]


def test_full_disk_refuses_and_heals(small_disk: Path | None) -> None:
    """On a full disk a commit is refused whole, what was promised stays, room brings it back."""
    if small_disk is None:
        pytest.skip("no tmpfs can be mounted here; the test with a limit on files stands for it")
    folder = small_disk / "state"
    with child(folder) as process:
        promised = refused(process, folder)
        assert not (folder / "ballast").exists()
        # The room of the ballast is for what the engine must still note.
        assert lines_until(process, "state kept") == ["state kept True"]
        assert lines_until(process, "probe") == ["probe False"]
        size = f"remount,size={4 * DISK_SIZE}"
        subprocess.run(["mount", "-o", size, str(small_disk)], check=True)
        healed(process, promised)
        assert (folder / "ballast").stat().st_size == BALLAST_SIZE
        process.kill()


def test_limit_on_file_sizes_refuses_and_heals(tmp_path: Path) -> None:
    """A quota is a full disk too, although SQLite itself calls it an I/O error. Needs no root."""
    folder = tmp_path / "state"
    with child(folder, "prlimit", f"--fsize={BALLAST_SIZE + 512 * 1024}:") as process:
        promised = refused(process, folder)
        assert lines_until(process, "probe")[-1] == "probe False"
        endless = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, endless)
        healed(process, promised)
        process.kill()


async def test_start_on_a_full_disk(small_disk: Path | None) -> None:
    """A start on a full disk opens with the ballast's room, says so, and has everything."""
    if small_disk is None:
        pytest.skip("no tmpfs can be mounted here")
    folder = small_disk / "state"
    store = SqliteStore(folder, station=OWN)
    await store.recover()
    await store.commit(sent(1, 1))
    await store.close()
    fill(small_disk / "other")
    store = SqliteStore(folder, station=OWN)
    recovered = await store.recover()
    assert recovered.store_refused
    assert [made.id for made in recovered.acts] == [act_id(1)]
    assert not await store.probe()
    (small_disk / "other").unlink()
    assert await store.probe()
    assert not (await store.recover()).store_refused
    await store.commit(sent(2, 2))
    await store.close()


async def test_start_without_any_room(small_disk: Path | None) -> None:
    """Without even a ballast to give up, a start is refused in one sentence, and works later."""
    if small_disk is None:
        pytest.skip("no tmpfs can be mounted here")
    fill(small_disk / "other")
    store = SqliteStore(small_disk / "state", station=OWN)
    with pytest.raises(StoreRefusedError, match="free some room"):
        await store.recover()
    (small_disk / "other").unlink()
    await store.recover()
    await store.commit(sent(1, 1))
    await store.close()


async def test_start_on_a_read_only_disk(small_disk: Path | None) -> None:
    """A read-only disk is named as such, and serves again once it is mounted for writing."""
    if small_disk is None:
        pytest.skip("no tmpfs can be mounted here")
    store = SqliteStore(small_disk / "state", station=OWN)
    await store.recover()
    await store.commit(sent(1, 1))
    await store.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    store = SqliteStore(small_disk / "state", station=OWN)
    with pytest.raises(StoreRefusedError, match="read-only"):
        await store.recover()
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert len((await store.recover()).acts) == 1
    await store.close()


@pytest.mark.parametrize(
    "spare",
    [pytest.param(0.5, id="none for the copy"), pytest.param(1.3, id="none for the change")],
)
async def test_an_upgrade_without_room(small_disk: Path | None, spare: float) -> None:
    """It says that it is one, and what it takes; the old database is as it was, and nothing beside
    it. With room it goes on, and says that too.
    """
    if small_disk is None:
        pytest.skip("no tmpfs can be mounted here")
    database = small_disk / FILE_NAME
    shutil.copy(DATABASES / "schema-0005.sqlite", database)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(LONG_HISTORY)
    before = dump(database)
    size = database.stat().st_size
    assert size > 1 << 20
    fill_but(small_disk / "other", spare=int(spare * size))
    store = SqliteStore(small_disk, station=OWN)
    with pytest.raises(StoreRefusedError) as refusal:
        await store.recover()
    for words in ("from schema 5 to ", "takes about 2 MiB, twice its size", "runs meanwhile"):
        assert words in str(refusal.value)
    assert not list(small_disk.glob(f"{FILE_NAME}.*"))
    assert dump(database) == before
    (small_disk / "other").unlink()
    await store.recover()
    assert "upgraded from schema 5 to" in store.notes[0]
    await store.close()
    assert dump(small_disk / f"{FILE_NAME}.schema-5") == before


def fill_but(path: Path, *, spare: int) -> None:
    fill(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - spare)


def dump(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())
