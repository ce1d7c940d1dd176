"""A backup under load, its checksum, and a restore that the next start tells as a rollback."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from gateway.core.records import PutAlarm
from gateway.logbook.entry import decode_entry
from gateway.model import Station
from gateway.sim.bench.process import GatewayProcess
from gateway.store.backup import (
    BackupError,
    copy_database,
    examine,
    go_back,
    install_copy,
    make_backup,
    restore,
)
from gateway.store.connection import SCHEMA_VERSION, backup_path
from gateway.store.database import FILE_NAME
from gateway.store.folder import StoreLockedError
from gateway.store.sqlite import SqliteStore
from tests.integration import cut_disk
from tests.integration.live_line import get, post, state_of, until
from tests.integration.store_records import OWN, act_id, alarm, received, sent
from tests.integration.test_wrong_input import (
    GOOD,
    alarms,
    assert_carries,
    boxes,
    cable,
    entries_of,
    hotline,
    inbox_has,
    running,
    submit,
    write_stations,
)

DATABASES = Path(__file__).parent / "databases"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not pytest's folder: the path of a Unix socket has at most 107 octets."""
    path = Path(tempfile.mkdtemp(prefix="hotline-test-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


async def filled(state: Path) -> SqliteStore:
    store = SqliteStore(state, station=OWN)
    await store.recover()
    await store.commit(sent(1, 1))
    await store.commit(received(1, 2))
    return store


async def test_backup_is_whole_private_and_proven(tmp_path: Path) -> None:
    """Taken while commits go on: one commit's state, mode 0600, a checksum `sha256sum` knows."""
    store = await filled(tmp_path / "state")
    target = tmp_path / "copy"

    async def load() -> None:
        for number in range(2, 120):
            await store.commit(sent(number, number + 1))

    async with asyncio.TaskGroup() as group:
        group.create_task(load())
        backup = await asyncio.to_thread(make_backup, tmp_path / "state", target)
    await store.close()
    assert backup == examine(target)
    assert (backup.station, backup.faults) == (OWN, ())
    assert 2 <= backup.act_count == backup.open_count == backup.entry_count <= 120
    checksum = tmp_path / "copy.sha256"
    assert checksum.read_text() == f"{hashlib.sha256(target.read_bytes()).hexdigest()}  copy\n"
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy", "copy.sha256"]
    for path in (target, checksum):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        make_backup(tmp_path / "state", target)


async def test_backup_of_a_damaged_database_says_so(tmp_path: Path) -> None:
    """A row that does not match its checksum is named, and no such backup is put back."""
    await (await filled(tmp_path / "state")).close()
    connection = sqlite3.connect(tmp_path / "state" / FILE_NAME)
    with connection:
        connection.execute("UPDATE act SET born = born + 1 WHERE number = 2")
        connection.execute("UPDATE log_entry SET hash = zeroblob(32) WHERE number = 1")
    connection.close()
    backup = make_backup(tmp_path / "state", tmp_path / "copy")
    assert [fault.split(" does not")[0] for fault in backup.faults] == [
        "act 2",
        "log book entry 1",
    ]
    with pytest.raises(BackupError, match="act 2"):
        restore(tmp_path / "copy", tmp_path / "state", station=OWN)


async def test_changed_or_foreign_backup_is_refused(tmp_path: Path) -> None:
    """One flipped bit, no checksum, another station, a running gateway: nothing is touched."""
    store = await filled(tmp_path / "state")
    copy = tmp_path / "copy"
    make_backup(tmp_path / "state", copy)
    with pytest.raises(StoreLockedError):
        restore(copy, tmp_path / "state", station=OWN)
    await store.close()
    before = (tmp_path / "state" / FILE_NAME).read_bytes()
    with pytest.raises(BackupError, match="station 1, and this is station 7"):
        restore(copy, tmp_path / "state", station=Station(7))
    octets = bytearray(copy.read_bytes())
    octets[len(octets) // 2] ^= 4
    copy.write_bytes(octets)
    with pytest.raises(BackupError, match="does not match its checksum"):
        restore(copy, tmp_path / "state", station=OWN)
    (tmp_path / "copy.sha256").unlink()
    with pytest.raises(BackupError, match="is missing"):
        restore(copy, tmp_path / "state", station=OWN)
    assert (tmp_path / "state" / FILE_NAME).read_bytes() == before


@pytest.mark.parametrize("name", ["", ".", "/", "..", "state"])
async def test_a_folder_is_no_backup(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty word means this folder."""
    await closed_after_filling(tmp_path / "state")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BackupError, match="is a folder; name a new file"):
        make_backup(tmp_path / "state", Path(name))
    with pytest.raises(BackupError, match="is a folder; name the file"):
        restore(Path(name), tmp_path / "state", station=OWN)
    assert [it.name for it in tmp_path.iterdir()] == ["state"]


def test_a_backup_that_finds_no_room_leaves_nothing(tmp_path: Path) -> None:
    """Neither the file nor what SQLite puts beside it."""
    asyncio.run(closed_after_filling(tmp_path / "state"))
    (tmp_path / "to").mkdir()
    script = (
        "import resource, sys; from pathlib import Path; from gateway.store import backup\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384))\n"
        "backup.make_backup(*map(Path, sys.argv[1:]))"
    )
    ended = run_python(script, tmp_path / "state", tmp_path / "to/copy")
    assert ended.returncode == 1
    assert "StoreFailedError: the database" in ended.stderr
    assert list((tmp_path / "to").iterdir()) == []


async def test_any_name_of_a_file_has_its_checksum(tmp_path: Path) -> None:
    """As `sha256sum --check` reads it; a line break it cannot read, so such a name is refused."""
    await closed_after_filling(tmp_path / "state")
    name = os.fsdecode(b"copy \xff")
    make_backup(tmp_path / "state", tmp_path / name)
    check = ["sha256sum", "--check", f"{name}.sha256"]
    subprocess.run(check, cwd=tmp_path, check=True, capture_output=True)
    assert examine(tmp_path / name).act_count == 2
    with pytest.raises(OSError, match="a name has no line break"):
        make_backup(tmp_path / "state", tmp_path / "two\nlines")
    assert len(list(tmp_path.glob("two*"))) == 0


def test_a_power_cut_in_a_restore(tmp_path: Path) -> None:
    """At each call of it, with what its disk may keep, drop or tear: the old database is there
    whole, in its place or beside it, or the new one; after its end the new one.
    """
    state, trial = tmp_path / "state", tmp_path / "trial"
    asyncio.run(closed_after_filling(state))
    make_backup(state, tmp_path / "copy")
    asyncio.run(one_more(state))
    before = tmp_path / "before"
    shutil.copytree(state, before)
    script = (
        "import sys; from pathlib import Path; from gateway.model import Station\n"
        "from gateway.store.backup import restore\n"
        "restore(*map(Path, sys.argv[1:]), station=Station(1))"
    )
    trace = tmp_path / "trace"
    strace = (*cut_disk.COMMAND, "-o", str(trace))
    assert run_python(script, tmp_path / "copy", state, under=strace).returncode == 0
    disk, rng = cut_disk.CutDisk(state), Random(20261127)
    disk.had(before)
    with trace.open() as lines:
        calls = [call for call in cut_disk.read_calls(lines, folder=state) if is_kept(call.path)]
    assert len(calls) > 5
    old, new = count_of(before / FILE_NAME), count_of(tmp_path / "copy")
    for call in calls:
        disk.take(call)
        for _ in range(20):
            found = counts_left(trial, disk.after_cut(rng))
            assert found.get(FILE_NAME) in (old, new, None), call
            kept = f"{FILE_NAME}.before-restore-1"
            assert old in (found.get(FILE_NAME), found.get(kept)), call
    assert all(counts_left(trial, disk.after_cut(rng))[FILE_NAME] == new for _ in range(20))


async def closed_after_filling(state: Path) -> None:
    await (await filled(state)).close()


async def one_more(state: Path) -> None:
    store = SqliteStore(state, station=OWN)
    await store.recover()
    await store.commit(sent(2, 3))
    await store.close()


def run_python(
    script: str, *arguments: Path, under: Iterable[str] = ()
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*under, sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
        capture_output=True,
        text=True,
    )


def is_kept(path: str) -> bool:
    """What a cut has to do with."""
    return not path.endswith(("/lock", "/trial", "/ballast", "-shm"))


def counts_left(trial: Path, files: dict[str, bytes | None]) -> dict[str, int]:
    """How many acts each database has that a cut left; one that is not whole raises."""
    shutil.rmtree(trial, ignore_errors=True)
    trial.mkdir()
    for name, octets in files.items():
        if octets is None:
            (trial / name).mkdir()
        else:
            (trial / name).write_bytes(octets)
    names = [name for name in files if name.startswith(FILE_NAME) and not name.endswith("-wal")]
    return {name: count_of(trial / name) for name in names if not name.endswith(".restoring")}


def count_of(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found: tuple[int] = connection.execute("SELECT count(*) FROM act").fetchone()
        return found[0]


async def test_a_copy_in_place_sets_the_log_books_files_aside(tmp_path: Path) -> None:
    """They may tell what the copy does not hold: the next start would believe them."""
    await closed_after_filling(tmp_path / "state")
    copy_database(tmp_path / "state", tmp_path / "copy")
    await one_more(tmp_path / "state")
    files = sorted(path.name for path in (tmp_path / "state/logbook").iterdir())
    for _ in range(2):
        install_copy(tmp_path / "copy", tmp_path / "state")
    assert [path.stat().st_size for path in (tmp_path / "state/logbook").iterdir()] == [0]
    assert not (tmp_path / "state/logbook.other-2").exists()
    aside = tmp_path / "state/logbook.other-1"
    assert sorted(path.name for path in aside.iterdir()) == files
    store = SqliteStore(tmp_path / "state", station=OWN)
    recovered = await store.recover()
    assert len(recovered.acts) == 2
    assert store.notes == []
    await store.close()


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
async def test_a_backup_of_an_older_version_is_put_back(version: int, tmp_path: Path) -> None:
    """Made before the first start of this version: sound, upgraded at its start, a rollback."""
    state = tmp_path / "state"
    state.mkdir()
    shutil.copy(DATABASES / f"schema-{version:04}.sqlite", state / FILE_NAME)
    backup = make_backup(state, tmp_path / "copy")
    assert (backup.faults, backup.station) == ((), OWN)
    restore(tmp_path / "copy", state, station=OWN)
    store = SqliteStore(state, station=OWN)
    recovered = await store.recover()
    assert (recovered.was_restored, recovered.was_rebuilt) == (True, False)
    assert len(recovered.acts) == backup.act_count
    await store.close()


async def test_what_restores_replace_does_not_pile_up(tmp_path: Path) -> None:
    """Twelve restores leave the first of what they replaced, the one with the real state, and the
    newest two, WALs too, and name the rest.
    """
    state = tmp_path / "state"
    await (await filled(state)).close()
    make_backup(state, tmp_path / "copy")
    dropped: list[str] = []
    for number in range(1, 13):
        (state / f"{FILE_NAME}-wal").write_bytes(b"of %d" % number)
        _, replaced = restore(tmp_path / "copy", state, station=OWN)
        assert replaced.kept == state / f"{FILE_NAME}.before-restore-{number}"
        dropped += [path.name for path in replaced.dropped]
    assert dropped == [f"{FILE_NAME}.before-restore-{number}" for number in range(2, 11)]
    kept = [f"{FILE_NAME}.before-restore-{number}" for number in (1, 11, 12)]
    assert sorted(path.name for path in state.glob("*.before-restore-*")) == sorted(
        [*kept, *(f"{name}-wal" for name in kept)]
    )


async def test_copied_by_hand_it_is_a_restored_store_too(tmp_path: Path) -> None:
    """The mark lies in the backup: `was_restored` until the engine commits, an entry, a note."""
    await (await filled(tmp_path / "state")).close()
    make_backup(tmp_path / "state", tmp_path / "copy")
    (tmp_path / "new").mkdir()
    shutil.copy(tmp_path / "copy", tmp_path / "new" / FILE_NAME)
    store = SqliteStore(tmp_path / "new", station=OWN)
    recovered = await store.recover()
    assert recovered.was_restored
    assert not recovered.was_rebuilt
    assert any("restored from a backup made at entry 2" in note for note in store.notes)
    rows = await store.log_entries(0)
    assert decode_entry(rows[-1].octets).event == "store_restored"
    await store.commit([*sent(2, 9), PutAlarm(alarm(0))])
    await store.close()
    store = SqliteStore(tmp_path / "new", station=OWN)
    recovered = await store.recover()
    assert not recovered.was_restored
    assert [made.id.serial for made in recovered.acts if made.id.originator == OWN] == [1, 2]
    await store.close()


async def test_restore_learns_from_the_files_of_the_book(tmp_path: Path) -> None:
    """What came after the backup comes back from the segment files; the old database is kept."""
    store = await filled(tmp_path / "state")
    make_backup(tmp_path / "state", tmp_path / "copy")
    await store.commit(sent(2, 3))
    await store.close()
    _, replaced = restore(tmp_path / "copy", tmp_path / "state", station=OWN)
    assert replaced.kept == tmp_path / "state" / f"{FILE_NAME}.before-restore-1"
    store = SqliteStore(tmp_path / "state", station=OWN)
    recovered = await store.recover()
    assert recovered.was_restored
    assert act_id(2) in {made.id for made in recovered.acts}
    await store.close()


async def test_the_way_back_from_a_newer_version(tmp_path: Path) -> None:
    """What it kept takes the place of what it made; acts since come from the book, and where they
    do not a note says so. Nothing happens to a database that is ours.
    """
    store = await filled(tmp_path)
    database, kept = tmp_path / FILE_NAME, backup_path(tmp_path / FILE_NAME, SCHEMA_VERSION)
    with pytest.raises(BackupError, match="no newer gateway has left"):
        go_back(tmp_path, station=OWN)
    make_kept(database, kept)
    with pytest.raises(StoreLockedError):
        go_back(tmp_path, station=OWN)
    await store.commit(sent(2, 3))
    await store.close()
    with pytest.raises(BackupError, match="nothing to go back from"):
        go_back(tmp_path, station=OWN)
    with closing(sqlite3.connect(database)) as newer:
        newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(BackupError, match="station 1, and this is station 7"):
        go_back(tmp_path, station=Station(7))
    backup, replaced = go_back(tmp_path, station=OWN)
    assert (backup.path, backup.open_count) == (kept, 2)
    assert replaced.kept is not None
    assert replaced.kept.name == f"{FILE_NAME}.before-restore-1"
    store = SqliteStore(tmp_path, station=OWN)
    recovered = await store.recover()
    assert {made.id for made in recovered.acts} >= {act_id(1), act_id(2)}
    assert not recovered.was_restored
    assert "1 acts were restored from the log book" in store.notes[0]
    await store.close()


def make_kept(database: Path, kept: Path) -> None:
    with closing(sqlite3.connect(database)) as one, closing(sqlite3.connect(kept)) as other:
        one.backup(other)


async def test_answered_in_the_newer_versions_time(folder: Path) -> None:
    """What was open in the database that it kept, and was answered since, is not open again."""
    async with cable(folder):
        stations = write_stations(folder)
        state = stations["NORTH"].folder / "state"
        async with running(*stations.values()) as (north, south):
            status, accepted = await submit(north, GOOD, "asked")
            assert status == 201, accepted
            await until(lambda: inbox_has(south, accepted["id"]))
            kept = backup_path(state / FILE_NAME, SCHEMA_VERSION)
            make_kept(state / FILE_NAME, kept)
            answer = f"/v1/notices/{accepted['id']}/answers"
            await post(south, answer, {"answer": "ROGER", "request_id": "answered"})
            await until(lambda: is_rogered(north, accepted["id"]))
            assert await north.stop() == 0
            with closing(sqlite3.connect(state / FILE_NAME)) as newer:
                newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
            ended = await hotline(north.files, "restore", "--before-upgrade", "--json")
            assert (ended.code, ended.sentence) == (0, "")
            await north.start()
            assert await is_rogered(north, accepted["id"])
            await assert_carries(north, south, "again")
            assert len(await boxes(south)) == 2


async def is_rogered(process: GatewayProcess, notice_id: str) -> bool:
    return await state_of(process, notice_id) == "ROGER"


@pytest.mark.parametrize("is_new_card", [False, True])
async def test_backup_and_restore_of_a_gateway(folder: Path, is_new_card: bool) -> None:
    """By the commands, with the gateway running; the restored one lights ROLLBACK and carries."""
    async with cable(folder):
        stations = write_stations(folder)
        north_files = stations["NORTH"]
        state = north_files.folder / "state"
        copy = folder / "north.backup"
        async with running(*stations.values()) as (north, south):
            await assert_carries(north, south, "before")
            ended = await hotline(north.files, "backup", str(copy), "--json")
            assert (ended.code, ended.sentence) == (0, "")
            made = json.loads(ended.output)
            assert made["station"] == 1
            assert (made["acts"], made["faults"]) == (1, [])
            assert (await hotline(north.files, "backup", str(copy))).code == 7
            refused = await hotline(north.files, "restore", str(copy))
            assert refused.code == 78
            assert "in use by another gateway" in refused.sentence
            refused = await hotline(north.files, "vacuum")
            assert (refused.code, "in use by another gateway" in refused.sentence) == (78, True)
            await assert_carries(north, south, "after")
            assert await north.stop() == 0
            small = await hotline(north.files, "vacuum", "--json")
            assert (small.code, small.sentence) == (0, "")
            sizes = json.loads(small.output)
            assert 0 < sizes["size"] < 2 * sizes["size_before"]
            if is_new_card:
                shutil.rmtree(state)
                state.mkdir()
                missing = await hotline(north.files, "vacuum")
                assert (missing.code, "hotline.sqlite" in missing.sentence) != (0, False)
            restored = await hotline(north.files, "restore", str(copy), "--json")
            assert (restored.code, restored.sentence) == (0, "")
            assert (json.loads(restored.output)["kept"] is None) == is_new_card
            await north.start()
            # On a new card the far station's hello may be here already, and says what is lost.
            assert "backup" in (await alarms(north))["rollback"] or is_new_card
            assert await entries_of(north, "store_restored")
            outbox = (await get(north, "/v1/outbox"))["notices"]
            assert len(outbox) == (1 if is_new_card else 2)
            await until(lambda: peer_noticed(north, is_new_card=is_new_card))
            await assert_carries(north, south, "again")
            assert len(await boxes(south)) == 3
            cleared = await hotline(north.files, "alarm", "clear", "rollback")
            assert cleared.code == 0, cleared


async def test_a_new_card_gets_again_what_it_had_receipted(folder: Path) -> None:
    """Without a backup: each open notice once, by itself, and the far side's people are told."""
    async with cable(folder):
        stations = write_stations(folder)
        async with running(*stations.values()) as (north, south):
            for text in ("one", "two", "three"):
                await assert_carries(north, south, text)
            ids = {one["id"] for one in await boxes(south)}
            await until(lambda: are_receipted(north))  # else they just go on
            assert await south.stop() == 0
            state = stations["SOUTH"].folder / "state"
            shutil.rmtree(state)
            state.mkdir()
            await south.start()
            await until(lambda: inbox_has(south, *ids))
            assert "new card" in (await alarms(north))["far station lost notices"]
            for notice in (await get(north, "/v1/outbox"))["notices"]:
                assert notice["state"] == "MACHINE RECEIPT"
            await assert_carries(north, south, "four")
            assert len(await boxes(south)) == len(ids) + 1


async def are_receipted(process: GatewayProcess) -> bool:
    notices = (await get(process, "/v1/outbox"))["notices"]
    return all(notice["state"] == "MACHINE RECEIPT" for notice in notices)


async def peer_noticed(process: object, *, is_new_card: bool) -> bool:
    """A card without the book's files learns from the far station what it has lost."""
    entries = await entries_of(process, "rollback")  # type: ignore[arg-type]
    return bool(entries) == is_new_card
