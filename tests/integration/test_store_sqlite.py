"""The SQLite store on real files: shared flushes, ownership, and every kind of damage."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.records import (
    DropOutlived,
    LogHead,
    PutAct,
    PutAirtime,
    PutAlarm,
    PutBoot,
    PutDelivery,
    PutEpoch,
    PutReceipted,
    Recovered,
    Write,
)
from gateway.errors import ConfigError, StoreFailedError, StoreRefusedError
from gateway.logbook.chain import verify
from gateway.logbook.entry import decode_entry
from gateway.logbook.head import decode_head, encode_head, sign_head, verify_head
from gateway.logbook.segment import encode_record, read_records
from gateway.model import DeliveryState, Instant, LinkName
from gateway.security.cards import make_card, new_station_keys
from gateway.store import bounds, meta, queries, rows, soundness
from gateway.store.base import LogRow
from gateway.store.changes import StoreWrite
from gateway.store.connection import SCHEMA_VERSION
from gateway.store.database import FILE_NAME
from gateway.store.folder import BALLAST_SIZE, USUAL, StoreLockedError, folder_error, set_aside
from gateway.store.restoring import OFFSET_MARGIN
from gateway.store.segments import Segments
from gateway.store.sqlite import SqliteStore
from tests.integration.store_records import (
    BOOT,
    IN,
    OUT,
    OWN,
    PEER,
    act,
    act_id,
    alarm,
    delivery,
    entry,
    publication,
    received,
    seen,
    sent,
    station_entry,
)

DATABASES = Path(__file__).parent / "databases"


async def opened(folder: Path) -> tuple[SqliteStore, Recovered]:
    store = SqliteStore(folder, station=OWN)
    return store, await store.recover()


async def filled(folder: Path, *commits: Sequence[Write]) -> Recovered:
    """Commit, close; what a restart would find."""
    store, _ = await opened(folder)
    for commit in commits:
        await store.commit(commit)
    recovered = await store.recover()
    await store.close()
    return recovered


def edit(folder: Path, statement: str, *values: object) -> None:
    """Change the database behind the store's back, as a bad card does."""
    connection = sqlite3.connect(folder / FILE_NAME)
    with connection:
        assert connection.execute(statement, values).rowcount > 0
    connection.close()


def wal_commit_count(folder: Path) -> int:
    """Transactions in the WAL: frames that carry the size of the database after a commit."""
    octets = (folder / f"{FILE_NAME}-wal").read_bytes()
    (page_size,) = struct.unpack_from(">I", octets, 8)
    salts = octets[16:24]
    starts = range(32, len(octets), 24 + page_size)
    return sum(
        struct.unpack_from(">I", octets, at + 4)[0] != 0 and octets[at + 8 : at + 16] == salts
        for at in starts
    )


def wal_frame_count(folder: Path) -> int:
    return ((folder / f"{FILE_NAME}-wal").stat().st_size - 32) // (24 + 1024)


async def test_waiting_commits_share_a_transaction(tmp_path: Path) -> None:
    """200 commits that wait together cost a few transactions, not 200 flushes."""
    store, _ = await opened(tmp_path)
    await store.commit([station_entry(full=True)])
    before = wal_commit_count(tmp_path)
    await asyncio.gather(*(store.commit([PutAct(act(number))]) for number in range(1, 201)))
    assert wal_commit_count(tmp_path) - before <= 3
    assert len((await store.recover()).acts) == 200
    await store.close()


async def test_the_first_commit_of_a_turn_waits_for_the_others(tmp_path: Path) -> None:
    """Two of one turn of the loop are one transaction and one flush, where nothing is under way."""
    store, _ = await opened(tmp_path)
    await store.commit([station_entry(full=True)])
    before = wal_commit_count(tmp_path)
    await asyncio.gather(store.commit(sent(1, 1)), store.commit(received(1, 2)))
    assert wal_commit_count(tmp_path) - before == 1
    await store.close()


async def test_nothing_is_promised_behind_a_commit_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a flush that failed the kernel may have thrown the pages away: who waits is told, and
    nobody who comes later is served. A refusal, for want of room, ends only its own group.
    """
    store, _ = await opened(tmp_path)
    database = store._database
    assert database is not None
    commit, may_end = database.commit, threading.Event()
    errors: list[Exception] = [StoreRefusedError("no room"), StoreFailedError("fsync failed")]

    def failing(groups: Sequence[Sequence[StoreWrite]]) -> list[LogHead | None]:
        assert may_end.wait(30)
        if errors:
            raise errors.pop(0)
        return commit(groups)

    monkeypatch.setattr(database, "commit", failing)
    may_end.set()
    with pytest.raises(StoreRefusedError, match="no room"):
        await store.commit(sent(1, 1))
    may_end.clear()
    under_way = asyncio.create_task(store.commit(sent(1, 1)))
    while not store._is_writing or store._waiting:
        await asyncio.sleep(0)
    waiting = asyncio.create_task(store.commit(sent(2, 2)))
    while not store._waiting:
        await asyncio.sleep(0)
    may_end.set()
    for task in (under_way, waiting):
        with pytest.raises(StoreFailedError, match="fsync failed"):
            await task
    with pytest.raises(StoreFailedError, match="fsync failed"):
        await store.commit(sent(3, 3))
    await store.close()
    store, recovered = await opened(tmp_path)
    assert recovered.acts == ()
    await store.close()


async def test_cost_of_a_commit_does_not_grow(tmp_path: Path) -> None:
    """A notice costs as many pages with 10 000 open ones stored as with none."""
    store, _ = await opened(tmp_path)

    async def frames(serial: int, offset: int) -> int:
        before = wal_frame_count(tmp_path)
        await store.commit(sent(serial, offset))
        return wal_frame_count(tmp_path) - before

    few = max([await frames(serial, serial) for serial in range(1, 11)])
    bulk = [
        write
        for serial in range(11, 10_011)
        for write in (PutAct(act(serial)), PutDelivery(delivery(serial)))
    ]
    await store.commit(bulk)
    await store.close()
    store, _ = await opened(tmp_path)
    many = max([await frames(30_000 + number, 10 + number) for number in range(1, 11)])
    await store.close()
    # A split of a tree's page may add its parent; nothing here may grow with the count.
    assert few <= 16
    assert many <= few + 6


async def test_wal_is_copied_back(tmp_path: Path) -> None:
    """The WAL does not grow for ever while commits go on."""
    store, _ = await opened(tmp_path)
    for number in range(600):
        await store.commit(sent(number + 1, number + 1))
    size = (tmp_path / f"{FILE_NAME}-wal").stat().st_size
    await store.close()
    assert size < 3_000_000


async def test_files_are_private_and_the_ballast_is_there(tmp_path: Path) -> None:
    """No file of the state folder can be read by others; 4 MiB stand ready for a full disk."""
    store, _ = await opened(tmp_path / "state")
    await store.commit(sent(1, 1))
    for path in (tmp_path / "state").rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXO, path
    assert (tmp_path / "state" / "ballast").stat().st_size == BALLAST_SIZE
    await store.close()


async def test_second_store_in_the_process_is_refused(tmp_path: Path) -> None:
    """The folder is held until close, and free again afterwards."""
    store, _ = await opened(tmp_path)
    with pytest.raises(StoreLockedError):
        await opened(tmp_path)
    await store.commit(sent(1, 1))
    await store.close()
    again, recovered = await opened(tmp_path)
    assert len(recovered.acts) == 1
    await again.close()


async def test_second_daemon_is_refused_by_name(tmp_path: Path) -> None:
    """The refusal names folder and process; the lock ends with its holder, even by SIGKILL."""
    script = (
        "import sys,time;from pathlib import Path;from gateway.store.folder import FolderLock\n"
        "lock=FolderLock(Path(sys.argv[1]));print('held',flush=True);time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreLockedError) as refused:
            await opened(tmp_path)
        holder.kill()
        holder.wait()
    assert str(tmp_path) in str(refused.value)
    assert f"process {holder.pid}" in str(refused.value)
    assert isinstance(refused.value, ConfigError)
    store, _ = await opened(tmp_path)
    await store.close()


async def test_folder_that_cannot_be_used(tmp_path: Path) -> None:
    """A file where the folder should be gives one sentence with the path, no traceback of ours."""
    (tmp_path / "state").write_text("no folder")
    with pytest.raises(ConfigError, match="state_folder"):
        await opened(tmp_path / "state")


def test_a_read_only_folder_elsewhere_names_the_unit() -> None:
    """The shipped unit alone makes it so; the usual folder it opens, and there the card is bad."""
    error = OSError(errno.EROFS, "read-only")
    assert "state-elsewhere.conf" in str(folder_error(Path("/srv/hotline"), error))
    assert "state-elsewhere.conf" not in str(folder_error(USUAL, error))


async def test_use_before_and_after(tmp_path: Path) -> None:
    """A store that is not open says so."""
    store = SqliteStore(tmp_path, station=OWN)
    with pytest.raises(StoreFailedError, match="recover"):
        await store.commit([station_entry()])
    await store.recover()
    await store.close()
    with pytest.raises(StoreFailedError, match="closed"):
        await store.commit([station_entry()])


async def test_close_finishes_waiting_commits(tmp_path: Path) -> None:
    """What was handed over before close is committed and answered."""
    store, _ = await opened(tmp_path)
    async with asyncio.TaskGroup() as group:
        commits = [group.create_task(store.commit(sent(n, n))) for n in range(1, 400)]
        await asyncio.sleep(0)
        await store.close()
    assert all(commit.result() is not None for commit in commits)
    store, recovered = await opened(tmp_path)
    assert len(recovered.acts) == 399
    await store.close()


async def test_a_cancelled_caller_disturbs_no_other(tmp_path: Path) -> None:
    """A caller that gives up does not take the group with it."""
    store, _ = await opened(tmp_path)
    first = asyncio.ensure_future(store.commit(sent(1, 1)))
    second = asyncio.ensure_future(store.commit(sent(2, 2)))
    await asyncio.sleep(0)
    first.cancel()
    assert await second is not None
    assert len((await store.recover()).acts) == 2
    await store.close()


def test_a_database_set_aside_takes_its_wal_and_leaves_no_index(tmp_path: Path) -> None:
    """The index of the WAL would be believed by the database that comes in its place."""
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"{FILE_NAME}{suffix}").write_text(suffix)
    assert set_aside(tmp_path / FILE_NAME, "damaged") == tmp_path / f"{FILE_NAME}.damaged-1"
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {f"{FILE_NAME}.damaged-1": "", f"{FILE_NAME}.damaged-1-wal": "-wal"}


async def test_few_damaged_files_are_kept(tmp_path: Path) -> None:
    """A card that damages the database at each start does not fill itself with copies of it."""
    await filled(tmp_path, sent(1, 1))
    for _ in range(5):
        (tmp_path / FILE_NAME).write_bytes(b"garbage" * 500)
        store, recovered = await opened(tmp_path)
        assert recovered.was_rebuilt
        await store.close()
    kept = sorted(path.name for path in tmp_path.glob("*.damaged-?"))
    assert kept == [f"{FILE_NAME}.damaged-{number}" for number in (3, 4, 5)]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda octets: b"garbage" * 200 + octets[1400:], id="header"),
        pytest.param(lambda octets: octets[:3000] + b"\xff" * 2000 + octets[5000:], id="pages"),
        pytest.param(lambda octets: octets[: len(octets) // 2], id="cut"),
    ],
)
async def test_damaged_file_is_set_aside_and_rebuilt(tmp_path: Path, damage: object) -> None:
    """A damaged database is kept aside; acts, seen ids and the book come back; an alarm says so."""
    before = await filled(
        tmp_path, [PutEpoch(PEER, 0x3F2A)], sent(1, 1), received(1, 2), received(2, 3)
    )
    path = tmp_path / FILE_NAME
    octets = path.read_bytes()
    path.write_bytes(damage(octets))  # type: ignore[operator]
    store, after = await opened(tmp_path)
    assert after.was_rebuilt
    assert len(list(tmp_path.glob("*.damaged-1"))) == 1
    assert any("damaged" in note for note in store.notes)
    assert [made.id for made in after.acts] == [made.id for made in before.acts]
    assert [(made.octets, made.signature, made.to, made.direction) for made in after.acts] == [
        (made.octets, made.signature, made.to, made.direction) for made in before.acts
    ]
    assert not any(made.age_known for made in after.acts)
    assert after.seen == before.seen
    assert after.epochs == ((PEER, 0x3F2A, 1),)
    assert after.next_offset >= before.next_offset + OFFSET_MARGIN
    rows = await store.log_entries(0)
    assert verify(rows) is None
    assert decode_entry(rows[-1].octets).event == "store_rebuilt"
    assert after.log_head is not None
    assert after.log_head.number == 4
    await store.close()


async def test_the_alarm_of_a_rebuild_waits_for_the_engine(tmp_path: Path) -> None:
    """`was_rebuilt` is said at every start until the engine has committed the alarm of it."""
    await filled(tmp_path, sent(1, 1))
    (tmp_path / FILE_NAME).write_bytes(b"garbage" * 999)
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    await store.close()
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    await store.commit([PutDelivery(delivery(1))])
    await store.close()
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    await store.commit([PutDelivery(delivery(1)), PutAlarm(alarm(0))])
    await store.close()
    store, recovered = await opened(tmp_path)
    assert (recovered.was_rebuilt, recovered.alarms) == (False, (alarm(0),))
    await store.close()


async def test_without_a_book_the_state_is_empty_but_never_silently(tmp_path: Path) -> None:
    """Database damaged and segment files gone: empty, with the alarm."""
    await filled(tmp_path, sent(1, 1))
    (tmp_path / FILE_NAME).write_bytes(b"garbage" * 999)
    shutil.rmtree(tmp_path / "logbook")
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    assert recovered.acts == ()
    assert any("empty" in note for note in store.notes)
    await store.close()


async def test_deleted_database_is_not_a_fresh_start(tmp_path: Path) -> None:
    """With the database deleted the book still knows: rebuilt, alarm."""
    before = await filled(tmp_path, sent(1, 1), received(1, 2))
    (tmp_path / FILE_NAME).unlink()
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    assert [made.id for made in recovered.acts] == [made.id for made in before.acts]
    await store.close()


async def test_restored_old_database_learns_from_the_book(tmp_path: Path) -> None:
    """A database from a backup gets the acts of the newer segment files, and the alarm."""
    await filled(tmp_path, sent(1, 1))
    backup = (tmp_path / FILE_NAME).read_bytes()
    await filled(tmp_path, sent(2, 2), received(1, 3))
    (tmp_path / FILE_NAME).write_bytes(backup)
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    assert [made.id for made in recovered.acts] == [act_id(1), act_id(2), act_id(1, IN)]
    assert recovered.deliveries == (delivery(1),)
    assert recovered.seen == ((act_id(1, IN), seen(act(1, IN)).sha256),)
    assert verify(await store.log_entries(0)) is None
    await store.close()


async def test_lost_normal_entries_come_back_quietly(tmp_path: Path) -> None:
    """Entries that only the segment files kept are no alarm: they and the chain go on."""
    await filled(tmp_path, sent(1, 1))
    backup = (tmp_path / FILE_NAME).read_bytes()
    before = await filled(tmp_path, [station_entry(), station_entry("clock")])
    (tmp_path / FILE_NAME).write_bytes(backup)
    store, recovered = await opened(tmp_path)
    assert not recovered.was_rebuilt
    assert recovered.log_head == before.log_head
    assert verify(await store.log_entries(0)) is None
    await store.close()


async def test_torn_or_missing_segments_are_written_again(tmp_path: Path) -> None:
    """The files are completed from the database, and a torn end costs nothing."""
    await filled(tmp_path, sent(1, 1), sent(2, 2))
    (segment,) = (tmp_path / "logbook").glob("*")
    segment.write_bytes(segment.read_bytes()[:-20])
    await filled(tmp_path, sent(3, 3))
    (tmp_path / FILE_NAME).unlink()
    store, recovered = await opened(tmp_path)
    assert [made.id.serial for made in recovered.acts] == [1, 2, 3]
    assert verify(await store.log_entries(0)) is None
    await store.close()


async def test_removed_files_are_written_again_and_told(tmp_path: Path) -> None:
    """Of a sound database too, once; not of a station that has only begun."""
    store, _ = await opened(tmp_path)
    assert store.notes == []
    await store.commit(sent(1, 1))
    await store.close()
    book = tmp_path / "logbook"
    whole = {path.name: path.read_bytes() for path in book.iterdir()}
    shutil.rmtree(book)
    store, recovered = await opened(tmp_path)
    (note,) = store.notes
    assert f"the log book's files in {book} were gone" in note
    assert "again from the database (entries 1 to 1)" in note
    assert not recovered.was_rebuilt
    await store.close()
    assert {path.name: path.read_bytes() for path in book.iterdir()} == whole
    store, _ = await opened(tmp_path)
    assert store.notes == []
    await store.close()


@pytest.mark.parametrize("is_ahead", [False, True])
async def test_torn_middle_of_the_newest_file(is_ahead: bool, tmp_path: Path) -> None:
    """As a power cut leaves it, with or without what came after: written again, and no alarm."""
    await filled(tmp_path, sent(1, 1), [station_entry()], [station_entry("clock")])
    database = (tmp_path / FILE_NAME).read_bytes()
    await filled(tmp_path, [station_entry(str(number)) for number in range(3)])
    (segment,) = (tmp_path / "logbook").glob("*")
    octets = bytearray(segment.read_bytes())
    # Entry 4 is the first that the database of before lacks.
    first = octets.index(b"\x83", octets.index(b"clock") + 32)
    octets[first : first + 60] = bytes(60)
    segment.write_bytes(octets)
    if is_ahead:
        (tmp_path / FILE_NAME).write_bytes(database)
    store, recovered = await opened(tmp_path)
    assert not recovered.was_rebuilt
    assert recovered.book_problem == ""
    assert recovered.log_head is not None
    assert recovered.log_head.number == (3 if is_ahead else 6)
    assert any("kept as" in note for note in store.notes)
    await store.commit([station_entry("after")])
    entries = await store.log_entries(0)
    await store.close()
    (segment,) = (tmp_path / "logbook").glob("*")
    assert [record.octets for record in read_records(segment.read_bytes())] == [
        entry.octets for entry in entries
    ]


@pytest.mark.parametrize("zeros", [slice(-30, None), slice(60, 90)])
async def test_torn_first_record(zeros: slice, tmp_path: Path) -> None:
    """What a power cut left of the only record can be read, and is no other history."""
    await filled(tmp_path, sent(1, 1))
    (segment,) = (tmp_path / "logbook").glob("*")
    octets = bytearray(segment.read_bytes())
    octets[zeros] = bytes(30)
    segment.write_bytes(octets)
    assert len(list(read_records(bytes(octets)))) == 1
    store, recovered = await opened(tmp_path)
    assert recovered.book_problem == ""
    assert any("kept as" in note for note in store.notes)
    await store.close()


async def test_torn_first_record_before_a_whole_one(tmp_path: Path) -> None:
    """A cut took the entries from the database, and the first of them from the file too: the book
    begins with number 1, not with the second.
    """
    await filled(tmp_path, [PutEpoch(PEER, 0x3F2A)])
    await filled(tmp_path / "later", [station_entry()], [station_entry()])
    (segment,) = (tmp_path / "later" / "logbook").glob("*")
    octets = bytearray(segment.read_bytes())
    octets[:40] = bytes(40)
    (tmp_path / "logbook").mkdir(exist_ok=True)
    (tmp_path / "logbook" / segment.name).write_bytes(octets)
    store, recovered = await opened(tmp_path)
    assert (recovered.was_rebuilt, recovered.book_problem) == (False, "")
    await store.commit([station_entry("after")])
    entries = await store.log_entries(0)
    await store.close()
    assert [entry.number for entry in entries] == [1]
    assert verify(entries) is None


def test_of_files_set_aside_the_first_and_the_newest_stay(tmp_path: Path) -> None:
    """Numbers go on, and nothing else is touched."""
    (tmp_path / "logbook.other-old").mkdir()
    for number in range(1, 13):
        segments = Segments(tmp_path / "logbook")
        (tmp_path / "logbook" / "0001.cborseq").write_bytes(b"x")
        assert segments.abandon() == tmp_path / f"logbook.other-{number}"
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"logbook", "logbook.other-old", *(f"logbook.other-{n}" for n in (1, 11, 12))}


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_foreign_segments_are_set_aside(count: int, tmp_path: Path) -> None:
    """Segment files of another history, longer or shorter, are kept apart and not believed."""
    await filled(tmp_path / "own", sent(1, 1), sent(2, 2))
    await filled(tmp_path / "other", *(received(n, n) for n in range(1, count + 1)))
    shutil.rmtree(tmp_path / "own" / "logbook")
    shutil.copytree(tmp_path / "other" / "logbook", tmp_path / "own" / "logbook")
    store, recovered = await opened(tmp_path / "own")
    assert [made.id for made in recovered.acts] == [act_id(1), act_id(2)]
    assert (tmp_path / "own" / "logbook.other-1").is_dir()
    assert any("another history" in note for note in store.notes)
    await store.close()
    (tmp_path / "own" / FILE_NAME).unlink()
    store, recovered = await opened(tmp_path / "own")
    assert [made.id for made in recovered.acts] == [act_id(1), act_id(2)]
    await store.close()


DAMAGED_COLUMNS = [
    ("act", "octets", "zeroblob(9)"),
    ("act", "signature", "NULL"),
    ("act", "addressee", "9"),
    ("act", "direction", "1 - direction"),
    ("act", "born", "born + 1"),
    ("act", "id", "id + 64"),
]


@pytest.mark.parametrize(("table", "column", "value"), DAMAGED_COLUMNS)
async def test_changed_act_is_restored_from_the_book(
    tmp_path: Path, table: str, column: str, value: str
) -> None:
    """Whatever column of an act changes on the medium: the act comes back from the book, alarm."""
    before = await filled(tmp_path, sent(1, 1), received(1, 2), sent(2, 3))
    edit(tmp_path, f"UPDATE {table} SET {column} = {value} WHERE number = 2")
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    assert {(made.id, made.octets, made.signature, made.to) for made in recovered.acts} == {
        (made.id, made.octets, made.signature, made.to) for made in before.acts
    }
    assert recovered.seen == before.seen
    await store.close()
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    assert connection.execute("SELECT count(*) FROM set_aside").fetchone()[0] >= 1
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE act SET state = 'WILCO' WHERE number = 1",
        "UPDATE act SET delivery_open = 0 WHERE number = 1",
        "UPDATE act SET flags = 1 WHERE number = 1",
        "UPDATE act SET taken = 1 WHERE number = 1",
        "UPDATE act SET answers = zeroblob(5) WHERE number = 1",
    ],
)
async def test_changed_delivery_is_not_believed(tmp_path: Path, statement: str) -> None:
    """A delivery that changed on the medium is set aside, its act stays, alarm."""
    before = await filled(tmp_path, sent(1, 1), sent(2, 2))
    edit(tmp_path, statement)
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    assert recovered.acts == before.acts
    assert recovered.deliveries == before.deliveries[1:]
    await store.close()


async def test_changed_small_rows_are_set_aside(tmp_path: Path) -> None:
    """Seen ids come back from their acts; a changed submission, peer or epoch is not believed."""
    before = await filled(tmp_path, [PutEpoch(PEER, 0x3F2A)], received(1, 1), sent(1, 2))
    for statement in (
        "UPDATE seen SET sha256 = zeroblob(32)",
        "UPDATE submission SET act_id = act_id + 1",
        "UPDATE epoch SET epoch = 5",
    ):
        edit(tmp_path, statement)
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    assert recovered.seen == before.seen
    assert recovered.epochs == before.epochs
    assert recovered.submissions == ()
    await store.close()


async def test_stray_receipt_is_not_believed(tmp_path: Path) -> None:
    """A changed receipt mark never makes an act receipted: that would lose it."""
    await filled(tmp_path, sent(1, 1), [PutReceipted(act_id(1))], sent(2, 2))
    edit(tmp_path, "UPDATE act SET receipted = zeroblob(8)")
    store, recovered = await opened(tmp_path)
    assert recovered.receipted == frozenset()
    await store.close()


async def test_damage_met_by_a_query(tmp_path: Path) -> None:
    """A query that meets a damaged row has it set aside and gives what is intact or restored."""
    await filled(tmp_path, sent(1, 1), [entry(1, DeliveryState.SENT)], sent(2, 2))
    store, _ = await opened(tmp_path)
    edit(tmp_path, "UPDATE act SET octets = zeroblob(3) WHERE number = 1")
    edit(tmp_path, "UPDATE state_entry SET state = 'WILCO' WHERE number = 2")
    edit(tmp_path, "UPDATE publication SET document = zeroblob(9) WHERE offset = 1")
    notice = await store.notice(act_id(1))
    assert notice is not None
    assert notice.act.octets == act(1).octets
    assert [past.state for past in notice.history] == [DeliveryState.QUEUED]
    assert [found.offset for found in await store.publications(0)] == [2]
    await store.commit([publication(3, act_id(2))])
    await store.close()
    store, recovered = await opened(tmp_path)
    assert recovered.deliveries == (delivery(1), delivery(2))
    await store.close()


async def test_an_entry_that_left_its_history_is_told(tmp_path: Path) -> None:
    """Its place changed so that no notice's history has it: no query would ever meet it."""
    await filled(tmp_path, sent(1, 1), sent(2, 2), [entry(2, DeliveryState.SENT)])
    edit(tmp_path, "UPDATE state_entry SET key = key | 1 << 30 WHERE state = 'SENT'")
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    assert any("state_entry" in note for note in store.notes)
    notice = await store.notice(act_id(2))
    assert notice is not None
    assert [past.state for past in notice.history] == [DeliveryState.QUEUED]
    await store.commit([PutAlarm(alarm(0))])
    assert not (await store.recover()).was_rebuilt
    await store.close()


@pytest.mark.parametrize("table", ["seen", "submission"])
async def test_a_changed_number_drops_no_other_row(table: str, tmp_path: Path) -> None:
    """What is beyond a bound goes by the numbers: one that leapt would take all the others."""
    await filled(tmp_path, *(received(serial, serial) for serial in (1, 2, 3)), sent(1, 4))
    await filled(tmp_path, sent(2, 5), sent(3, 6))
    highest = f"(SELECT max(number) FROM {table})"
    edit(tmp_path, f"UPDATE {table} SET number = number | 1 << 40 WHERE number = {highest}")
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    assert any(f"{table} place" in note for note in store.notes)
    assert [known for known, _ in recovered.seen] == [act_id(serial, IN) for serial in (1, 2, 3)]
    assert [known.act_id for known in recovered.submissions] == [act_id(n) for n in (1, 2, 3)]
    await store.commit([DropOutlived((act_id(9),), ()), PutAlarm(alarm(0))])
    again = await store.recover()
    assert not again.was_rebuilt
    assert (again.seen, again.submissions) == (recovered.seen, recovered.submissions)
    await store.close()


async def test_a_changed_alarm_is_set_aside_and_told(tmp_path: Path) -> None:
    """Lit or cleared, it is not what was written: another alarm says so, and the row is kept."""
    lit, seen_to = alarm(1), alarm(1, cleared="what a person saw")
    await filled(tmp_path, (PutAlarm(lit), PutAlarm(alarm(2)), PutAlarm(seen_to)))
    edit(tmp_path, "UPDATE alarm SET cleared = 'another' WHERE number = 3")
    edit(tmp_path, "UPDATE alarm SET text = 'all is well' WHERE number = 1")
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        found = list(soundness.faults(connection))
    assert found == [f"alarm {number} does not match its checksum" for number in (1, 3)]
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    assert recovered.alarms == (alarm(2),)
    assert any("alarm 1, alarm 3" in note for note in store.notes)
    await store.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        kept = connection.execute("SELECT origin, content FROM set_aside").fetchall()
    assert [origin for origin, _ in kept] == ["alarm 1", "alarm 3"]
    assert "all is well" in kept[0][1]


async def test_changed_entry_is_mended_from_the_files(tmp_path: Path) -> None:
    """An entry that changed is taken from the files at a start and at a query; an alarm says so."""
    await filled(tmp_path, sent(1, 1), sent(2, 2), sent(3, 3))
    edit(tmp_path, "UPDATE log_entry SET octets = zeroblob(40) WHERE number = 2")
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    assert any("1 entries of the log book (2)" in note for note in store.notes)
    assert verify(await store.log_entries(0)) is None
    edit(tmp_path, "UPDATE log_entry SET hash = zeroblob(32) WHERE number = 1")
    assert verify(await store.log_entries(0)) is None
    last = (await store.log_entries(0))[-1]
    edit(tmp_path, f"UPDATE log_entry SET number = 1000 WHERE number = {last.number}")
    entries = await store.log_entries(0)
    assert last in entries
    assert verify(entries) is None
    await store.close()


async def test_entry_that_nothing_proves_stays_and_is_told(tmp_path: Path) -> None:
    """Without files a changed entry is left for readers to see, and the alarm names it."""
    await filled(tmp_path, sent(1, 1), sent(2, 2), sent(3, 3))
    edit(tmp_path, "UPDATE log_entry SET octets = zeroblob(40) WHERE number = 2")
    shutil.rmtree(tmp_path / "logbook")
    store, recovered = await opened(tmp_path)
    assert "entry 2" in recovered.book_problem
    for _ in range(2):
        broken = verify(await store.log_entries(0))
        assert broken is not None
        assert broken.number == 2
    await store.close()


@pytest.mark.parametrize(
    ("of", "to"),
    [
        pytest.param(b"CREATE TABLE act", b"CREATE TABLE bct", id="schema"),
        pytest.param(b"CREATE TABLE act", b"CREATE T\xc1BLE act", id="schema no text"),
        pytest.param(b"confirmed", b"confirmee", id="a column"),
    ],
)
async def test_changed_schema_is_damage(of: bytes, to: bytes, tmp_path: Path) -> None:
    """A schema that is not the one of its version is set aside like any damage, and rebuilt."""
    before = await filled(tmp_path, sent(1, 1))
    path = tmp_path / FILE_NAME
    octets = path.read_bytes()
    assert of in octets
    path.write_bytes(octets.replace(of, to, 1))
    store, after = await opened(tmp_path)
    assert after.was_rebuilt
    assert [made.id for made in after.acts] == [made.id for made in before.acts]
    await store.close()


async def test_one_bit_of_the_schema_number_is_damage(tmp_path: Path) -> None:
    """No newer gateway made it: its schema is ours."""
    await filled(tmp_path, sent(1, 1))
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION ^ 1 << 20}")
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    assert len(recovered.acts) == 1
    await store.close()


async def test_a_changed_place_in_the_feed_hides_no_notice(tmp_path: Path) -> None:
    """The row says another offset than the index and the publication: it is handed on again."""
    await filled(tmp_path, *(received(serial, serial) for serial in (1, 2, 3)))
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        # Past the index, as a bit of the card changes.
        index = connection.execute("SELECT * FROM sqlite_schema WHERE name = 'act_untaken'")
        row = index.fetchone()
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'act_untaken'")
        connection.commit()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute("UPDATE act SET notice_offset = 66 WHERE notice_offset = 2")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", row)
        connection.commit()
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    untaken = await store.publications(0, untaken_only=True)
    assert [one.offset for one in untaken] == [1, 2, 3]
    await store.close()


async def test_changed_text_ends_no_query(tmp_path: Path) -> None:
    """Octets that are no UTF-8 are a damaged row like any other, at a start and at a query."""
    await filled(tmp_path, sent(1, 1), received(1, 2))
    edit(tmp_path, "UPDATE submission SET principal = CAST(x'ed717474' AS TEXT)")
    edit(tmp_path, "UPDATE state_entry SET evidence = CAST(x'f2656365697074' AS TEXT)")
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    assert recovered.submissions == ()
    notice = await store.notice(act_id(1))
    assert notice is not None
    assert notice.history == ()
    await store.close()


@pytest.mark.parametrize(
    ("index", "entry", "octet", "changed"),
    [
        # (direction, number, row) of row 2 says row 3, which has a place already.
        pytest.param("act_open_listed", b"\x04\x08\x01\x01\x02\x02", 5, 3, id="another place"),
        # It is no record any more; SQLite's own check lets it pass.
        pytest.param("act_listed", b"\x04\x08\x01\x01\x02\x02", 0, 5, id="no record"),
    ],
)
async def test_damaged_index_is_made_anew(
    index: str, entry: bytes, octet: int, changed: int, tmp_path: Path
) -> None:
    """A place in an index that changed hides no notice; each state stays, an alarm is lit."""
    before = await filled(tmp_path, sent(1, 1), received(1, 2), sent(2, 3))
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = ?", (index,)
        ).fetchone()
    path = tmp_path / FILE_NAME
    octets = bytearray(path.read_bytes())
    at = octets.index(entry, (page - 1) * 1024, page * 1024)
    octets[at + octet] = changed
    path.write_bytes(octets)
    store, recovered = await opened(tmp_path)
    assert len(await store.notices(OUT)) == 2
    assert len(await store.notices(IN)) == 1
    recovered = await store.recover()
    assert recovered.was_rebuilt
    assert recovered.acts == before.acts
    assert recovered.deliveries == before.deliveries
    assert not list(tmp_path.glob("*.damaged-1"))
    await store.close()


async def test_schema_1_is_read(tmp_path: Path) -> None:
    """The database kept from schema 1 opens and gives what was written into it."""
    shutil.copy(DATABASES / "schema-0001.sqlite", tmp_path / FILE_NAME)
    store, recovered = await opened(tmp_path)
    assert not recovered.was_rebuilt
    assert [str(made.id) for made in recovered.acts] == ["1-3f2a-1", "2-3f2a-1", "1-3f2a-2"]
    assert [made.state for made in recovered.deliveries] == [
        DeliveryState.WILCO,
        DeliveryState.RECEIPTED,
        DeliveryState.QUEUED,
    ]
    assert recovered.receipted == {act_id(1)}
    assert recovered.epochs == ((PEER, 0x3F2A, 2),)
    assert [known[0] for known in recovered.seen] == [act_id(1, IN)]
    assert recovered.next_offset == 4
    assert recovered.log_head is not None
    assert recovered.log_head.hash.hex()[:16] == "35865b3cb6dd2ccd"
    assert len(recovered.submissions) == 2
    assert await store.cursor("mqtt") == 2
    await store.commit(sent(3, 4))
    await store.close()


async def test_schema_2_is_read(tmp_path: Path) -> None:
    """Boots came with it: when they began, and what their wall clock showed."""
    shutil.copy(DATABASES / "schema-0002.sqlite", tmp_path / FILE_NAME)
    store, recovered = await opened(tmp_path)
    assert not recovered.was_rebuilt
    assert recovered.boots == (
        PutBoot("boot 1", Instant(8_000), None, None),
        PutBoot("boot 2", Instant(9_000), 1_790_000_000_000, 1_790_000_000_500),
    )
    assert len(recovered.acts) == 3
    await store.close()


async def test_schema_3_is_read(tmp_path: Path) -> None:
    """It knew nothing of a line's keys: no generation counts as confirmed."""
    shutil.copy(DATABASES / "schema-0003.sqlite", tmp_path / FILE_NAME)
    store, recovered = await opened(tmp_path)
    assert not recovered.was_rebuilt
    assert (len(recovered.acts), len(recovered.peers), recovered.keys) == (1, 1, ())
    await store.close()


async def test_schema_4_is_read(tmp_path: Path) -> None:
    """Its cursors, airtime and notes of the store had no checksums; from the upgrade on they do."""
    shutil.copy(DATABASES / "schema-0004.sqlite", tmp_path / FILE_NAME)
    store, recovered = await opened(tmp_path)
    assert not recovered.was_rebuilt
    assert recovered.epochs == ((PEER, 0x3F2A, 2),)
    assert [(put.minute, put.spent_ms) for put in recovered.airtime] == [(3, 4_000), (4, 500)]
    assert recovered.next_offset == 700
    assert (await store.cursor("mqtt"), await store.cursor("nats")) == (2, 1)
    await store.commit([PutAirtime(LinkName("radio"), BOOT, 4, 600)])
    await store.put_cursor("mqtt", 3)
    await store.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        assert list(soundness.faults(connection)) == []
    store, recovered = await opened(tmp_path)
    assert [(put.minute, put.spent_ms) for put in recovered.airtime] == [(3, 4_000), (4, 600)]
    assert await store.cursor("mqtt") == 3
    await store.close()


_HISTORY = "SELECT notice_id, number, state, utc, link, evidence, row_check FROM state_entry"


async def test_schema_5_is_read(tmp_path: Path) -> None:
    """Histories move to another tree as they are; what is open is found by its new indexes."""
    shutil.copy(DATABASES / "schema-0005.sqlite", tmp_path / FILE_NAME)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        before = connection.execute(_HISTORY).fetchall()
    store, recovered = await opened(tmp_path)
    assert not recovered.was_rebuilt
    acts = [act(1), act(1, IN), act(2, IN), act(2), act(3), act(4)]
    assert recovered.acts == tuple(acts)
    assert recovered.receipted == {act_id(1), act_id(3)}
    assert [made.is_open for made in recovered.deliveries] == [False, False, True, True]
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        assert connection.execute(_HISTORY).fetchall() == before
        assert len(before) == 8
    await store.commit([entry(1, DeliveryState.HAVCO)])
    notice = await store.notice(act_id(1))
    assert notice is not None
    assert [past.state.name for past in notice.history] == ["QUEUED", "SENT", "ROGER", "HAVCO"]
    await store.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        assert list(soundness.faults(connection)) == []


async def test_a_damaged_history_does_not_hinder_an_upgrade(tmp_path: Path) -> None:
    """What a bad card made of a place in a history is kept aside; the others are as they were."""
    shutil.copy(DATABASES / "schema-0005.sqlite", tmp_path / FILE_NAME)
    edit(tmp_path, "UPDATE state_entry SET number = number | 1 << 40 WHERE state = 'SENT'")
    edit(tmp_path, "UPDATE state_entry SET notice_id = notice_id | 1 << 55 WHERE number = 3")
    edit(tmp_path, "UPDATE state_entry SET state = 'WILCO' WHERE state = 'RECEIPTED' AND utc = 7")
    store, recovered = await opened(tmp_path)
    assert not recovered.was_rebuilt
    for serial, direction, states in ((1, OUT, ["QUEUED"]), (2, IN, ["ROGER"])):
        notice = await store.notice(act_id(serial, direction))
        assert notice is not None
        assert [past.state.name for past in notice.history] == states
    await store.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        aside = [
            content for (content,) in connection.execute("SELECT content FROM set_aside").fetchall()
        ]
    assert [state for state in ("SENT", "ROGER", "WILCO") if state in str(aside)] == [
        "SENT",
        "ROGER",
        "WILCO",
    ]
    assert len(aside) == 3


@pytest.mark.parametrize(
    ("of", "to"),
    [
        # The second entry of a history says that it is the third, which is there.
        pytest.param(b"\x02SENT", b"\x03SENT", id="a place that is taken"),
        pytest.param(b"\x01\x15\x01\x17", b"\x01\x14\x01\x17", id="a text is a blob"),
    ],
)
async def test_damage_that_hinders_an_upgrade_ends_no_start(
    of: bytes, to: bytes, tmp_path: Path
) -> None:
    """Set aside and made anew from the log book, as damage is that a start finds by itself."""
    path = tmp_path / FILE_NAME
    octets = (DATABASES / "schema-0005.sqlite").read_bytes()
    assert octets.count(of) == 1
    path.write_bytes(octets.replace(of, to))
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    assert (tmp_path / f"{FILE_NAME}.damaged-1").exists()
    await store.close()


async def test_a_full_history_takes_no_room_of_another(tmp_path: Path) -> None:
    """65 535 entries of one notice: the newest gives way to the next, the one behind is whole."""
    await filled(tmp_path, sent(1, 1), sent(2, 2))
    edit(tmp_path, "UPDATE state_entry SET key = key + 65533 WHERE notice_id & 65535 = 1")
    store, _ = await opened(tmp_path)
    for state in (DeliveryState.SENT, DeliveryState.RECEIPTED, DeliveryState.ROGER):
        await store.commit([entry(1, state)])
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        found = connection.execute(f"{_HISTORY} ORDER BY notice_id, number").fetchall()
    assert [(row[0] & 0xFFFF, row[1], row[2]) for row in found] == [
        (1, 65534, "QUEUED"),
        (1, 65535, "ROGER"),
        (2, 1, "QUEUED"),
    ]
    notice = await store.notice(act_id(2))
    assert notice is not None
    assert len(notice.history) == 1
    await store.close()


async def test_an_old_database_with_a_text_that_is_none(tmp_path: Path) -> None:
    """It cannot be upgraded: set aside and made anew from the log book, and never a dead end."""
    shutil.copy(DATABASES / "schema-0004.sqlite", tmp_path / FILE_NAME)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        damage = "UPDATE queue_cursor SET queue = CAST(x'6dff' AS TEXT) WHERE offset = 2"
        connection.execute(damage)
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    assert (tmp_path / f"{FILE_NAME}.damaged-1").exists()
    await store.close()


async def test_a_damaged_cursor_begins_anew(tmp_path: Path) -> None:
    """Found at the start, and by the query; the consumer gets again what it may have had."""
    store, _ = await opened(tmp_path)
    await store.put_cursor("mqtt", 5)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        connection.execute("UPDATE queue_cursor SET offset = 7")
    assert await store.cursor("mqtt") == 0
    assert any("queue_cursor 1" in note for note in store.notes)
    await store.put_cursor("mqtt", 6)
    await store.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        connection.execute("UPDATE queue_cursor SET queue = 'mqtu'")
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    assert (await store.cursor("mqtt"), await store.cursor("mqtu")) == (0, 0)
    await store.close()


async def test_damaged_airtime_counts_until_the_engine_knows(tmp_path: Path) -> None:
    """A minute that is not known counts as a whole one, also when a kill comes before."""
    await filled(tmp_path, [PutAirtime(LinkName("radio"), BOOT, 3, 4_000)])
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        connection.execute("UPDATE airtime SET spent_ms = 4")
    for _ in range(2):
        store, recovered = await opened(tmp_path)
        assert (recovered.airtime, recovered.airtime_lost_count) == ((), 1)
        assert recovered.was_rebuilt
        await store.close()
    store, recovered = await opened(tmp_path)
    await store.commit([PutAlarm(alarm(0))])
    assert (await store.recover()).airtime_lost_count == 0
    await store.close()


async def test_a_damaged_offset_is_never_used_again(tmp_path: Path) -> None:
    """The lowest free offset was in table `meta` only: the next one is above all there were."""
    await filled(tmp_path, sent(1, 800))
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        connection.execute("DELETE FROM publication")
        meta.put(connection, meta.NEXT_OFFSET, 801)
        connection.execute("UPDATE meta SET value = 1 WHERE name = 'next_offset'")
    store, recovered = await opened(tmp_path)
    assert recovered.was_rebuilt
    assert recovered.next_offset >= 801
    await store.close()


@pytest.mark.parametrize("version", [1, 3])
async def test_an_upgrade_leaves_a_way_back(version: int, tmp_path: Path) -> None:
    """Before the schema changes the old database is kept, whole; it opens like the original."""
    shutil.copy(DATABASES / f"schema-{version:04}.sqlite", tmp_path / "hotline.sqlite")
    store, upgraded = await opened(tmp_path)
    (note,) = [note for note in store.notes if "upgraded" in note]
    assert f"from schema {version} to " in note
    assert f"kept as hotline.sqlite.schema-{version}" in note
    await store.close()
    kept = tmp_path / f"hotline.sqlite.schema-{version}"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o640
    with closing(sqlite3.connect(DATABASES / f"schema-{version:04}.sqlite")) as old:
        dump = list(old.iterdump())
    with closing(sqlite3.connect(kept)) as copy:
        assert list(copy.iterdump()) == dump
        assert copy.execute("PRAGMA user_version").fetchone() == (version,)
    # The way back, as the refusal of an older version tells it; then forward again.
    back = tmp_path / "back"
    back.mkdir()
    kept.rename(back / "hotline.sqlite")
    shutil.copytree(tmp_path / "logbook", back / "logbook")
    store, again = await opened(back)
    await store.close()
    assert (again.acts, again.deliveries) == (upgraded.acts, upgraded.deliveries)


async def test_without_room_for_the_way_back_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upgrade does not begin; the old database is as it was and no half copy lies about."""
    shutil.copy(DATABASES / "schema-0003.sqlite", tmp_path / "hotline.sqlite")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("gateway.store.connection.os.fsync", full)
    with pytest.raises(StoreRefusedError, match="free some room"):
        await opened(tmp_path)
    with closing(sqlite3.connect(tmp_path / "hotline.sqlite")) as old:
        assert old.execute("PRAGMA user_version").fetchone() == (3,)
    assert not list(tmp_path.glob("*.schema-3*"))


async def test_of_many_boots_the_newest_are_kept(tmp_path: Path) -> None:
    """A change of one keeps its place; what comes above the bound drops the oldest."""
    count = bounds.BOOT_COUNT_MAX
    boots = [PutBoot(f"boot {number}", Instant(number)) for number in range(count + 3)]
    changed = replace(boots[5], zero_first_ms=1, zero_last_ms=2)
    recovered = await filled(tmp_path, boots, [changed])
    assert [boot.began for boot in recovered.boots] == list(range(3, count + 3))
    assert recovered.boots[2] == changed


def test_no_query_walks_over_what_grows(tmp_path: Path) -> None:
    """Lists of notices are found by an index that knows the direction, open ones too."""
    folder = Path(queries.__file__).with_name("schema")
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.create_function("row_check", -1, rows.check)
    for schema in sorted(folder.glob("*.sql")):
        connection.executescript(schema.read_text(encoding="utf-8"))
    for statement in (queries._LISTED, queries._LISTED_OPEN):
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", (0, 32)).fetchall()
        assert [row[3].split(" USING ")[0] for row in plan] == ["SEARCH act"], plan
    connection.close()


async def test_newer_schema_is_refused(tmp_path: Path) -> None:
    """A database of a newer version is left alone, with a sentence that says what to do."""
    await filled(tmp_path, sent(1, 1))
    edit_version = sqlite3.connect(tmp_path / FILE_NAME)
    edit_version.execute("PRAGMA user_version = 99")
    edit_version.close()
    octets = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(ConfigError, match=r"newer gateway.*install that version again$"):
        await opened(tmp_path)
    (tmp_path / f"{FILE_NAME}.schema-{SCHEMA_VERSION}").touch()
    with pytest.raises(ConfigError, match="hotline restore --before-upgrade"):
        await opened(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == octets


async def test_synchronous_follows_the_group(tmp_path: Path) -> None:
    """A NORMAL commit runs with synchronous NORMAL, any FULL write in the group makes it FULL."""
    store, _ = await opened(tmp_path)
    assert store._database is not None

    def synchronous() -> int:
        assert store._database is not None
        found: tuple[int] = store._database.connection.execute("PRAGMA synchronous").fetchone()
        return found[0]

    assert synchronous() == 2
    await store.commit([station_entry()])
    assert synchronous() == 1
    await asyncio.gather(store.commit([station_entry()]), store.commit(sent(1, 1)))
    assert synchronous() == 2
    await store.put_cursor("mqtt", 1)
    assert synchronous() == 1
    await store.close()


async def test_a_flush_that_fails_between_commits_ends_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the kernel still holds is unknown then: the next commit says so, and promises nothing;
    a disk without room is no such failure.
    """
    store, _ = await opened(tmp_path)
    database = store._database
    assert database is not None
    monkeypatch.setattr(type(database), "needs_tending", property(lambda _: True))
    errors: list[Exception] = [StoreRefusedError("no room"), StoreFailedError("fsync failed")]

    def tend() -> None:
        if errors:
            raise errors.pop(0)

    monkeypatch.setattr(database, "tend", tend)
    await store.commit(sent(1, 1))
    await until_idle(store)
    assert len(errors) == 1
    await store.commit(sent(2, 2))
    await until_idle(store)
    with pytest.raises(StoreFailedError, match="fsync failed"):
        await store.commit(sent(3, 3))
    await store.close()


async def until_idle(store: SqliteStore) -> None:
    """Until the writer's jobs of before are done, and what waits for them in the loop."""
    await store._in_writer(lambda: None)
    await asyncio.sleep(0)


async def test_log_book_files_are_flushed_in_time(tmp_path: Path) -> None:
    """After a commit with entries a flush of the files is due within a minute."""
    store, _ = await opened(tmp_path)
    assert store._sync_timer is None
    await store.commit(sent(1, 1))
    assert store._sync_timer is not None
    assert store._sync_timer.when() - asyncio.get_running_loop().time() <= 60
    store._sync_segments()
    await store.recover()
    assert store._database is not None
    assert not store._database.segments.is_dirty
    await store.close()


async def test_the_signed_head_lies_beside_the_files(tmp_path: Path) -> None:
    """It follows each flush and the close, covers the last entry, and goes on after a start."""
    keys = new_station_keys(bytes(range(64)), station=OWN)
    card = make_card(keys, name="NORTH", party="North", language="en")

    def sign(head: LogHead) -> bytes:
        return encode_head(sign_head(keys, number=head.number, entry_hash=head.hash))

    path = tmp_path / "logbook" / "head.cbor"
    for start in (1, 2):
        store = SqliteStore(tmp_path, station=OWN, sign=sign)
        await store.recover()
        await store.commit([station_entry()])
        store._sync_segments()
        await store.recover()
        flushed = decode_head(path.read_bytes())
        head = await store.commit(sent(start, start))
        assert head is not None
        asked = await store.signed_head()
        assert asked is not None
        assert decode_head(asked).number == head.number
        await store.close()
        closed = decode_head(path.read_bytes())
        verify_head(card, closed)
        assert (closed.number, closed.hash) == (head.number, head.hash)
        assert flushed.number < closed.number
        verify_head(card, flushed)


async def test_what_is_signed_for_was_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files, then the head that vouches for them, each before it has its name: else a power cut
    leaves a head for entries that are gone, which is what a cut book looks like.
    """
    flushed: list[tuple[str, int]] = []
    fdatasync = os.fdatasync

    def noted(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        flushed.append((path.name, path.stat().st_size))
        fdatasync(descriptor)

    monkeypatch.setattr("gateway.store.segments.os.fdatasync", noted)
    signed: list[int] = []

    def sign(head: LogHead) -> bytes:
        signed.append(head.number)
        flushed.append(("signed", head.number))
        return b"head"

    store = SqliteStore(tmp_path, station=OWN, sign=sign)
    await store.recover()
    book = tmp_path / "logbook" / "0001.cborseq"
    for number in (1, 2, 3):
        await store.commit(sent(number, number))
        if number < 3:
            assert await store.signed_head() == b"head"
        else:
            await store.close()
        size = book.stat().st_size
        assert flushed == [(book.name, size), ("signed", signed[-1]), ("head.new", 4)]
        flushed.clear()
    assert signed == sorted(set(signed))


Tamper = Callable[[Path], None]


def _cut(folder: Path) -> None:
    """Take the last two entries out of database and files alike, as whoever rewrites would."""
    edit(folder, "DELETE FROM log_entry WHERE number > 2")
    for path in (folder / "logbook").glob("*.cborseq"):
        kept = [record for record in read_records(path.read_bytes()) if record.number <= 2]
        path.write_bytes(b"".join(encode_record(r.octets, r.hash, r.next_offset) for r in kept))


def _replace(folder: Path) -> None:
    """Another book of the same length, whole and consistent, under the old head."""
    head = (folder / "logbook" / "head.cbor").read_bytes()
    other = folder.with_name("other")
    shutil.rmtree(folder)
    shutil.copytree(other, folder)
    (folder / "logbook" / "head.cbor").write_bytes(head)


def _foreign_head(folder: Path) -> None:
    path = folder / "logbook" / "head.cbor"
    head = decode_head(path.read_bytes())
    path.write_bytes(encode_head(replace(head, station=PEER)))


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        pytest.param(_cut, "entries 3 to 4 of the log book are gone", id="cut"),
        pytest.param(_replace, "entry 4 of the log book, or one before it, is another", id="other"),
        pytest.param(_foreign_head, f"is of station {PEER}", id="foreign"),
        pytest.param(
            lambda folder: (folder / "logbook" / "head.cbor").write_bytes(b"\x84\x01"),
            "cannot be read",
            id="torn",
        ),
    ],
)
async def test_a_book_changed_while_the_gateway_was_off(
    tamper: Tamper, words: str, tmp_path: Path
) -> None:
    """The head of the run before convicts it at the start, stays in the book, and is told once."""
    keys = new_station_keys(bytes(range(64)), station=OWN)

    def sign(head: LogHead) -> bytes:
        return encode_head(sign_head(keys, number=head.number, entry_hash=head.hash))

    async def run(folder: Path, *commits: Sequence[Write]) -> tuple[Recovered, list[LogRow]]:
        store = SqliteStore(folder, station=OWN, sign=sign)
        recovered = await store.recover()
        for commit in commits:
            await store.commit(commit)
        entries = await store.log_entries(0)
        assert verify(entries) is None
        await store.close()
        return recovered, entries

    await run(tmp_path / "other", *([station_entry(f"other{number}")] for number in range(4)))
    folder = tmp_path / "own"
    recovered, _ = await run(folder, *([station_entry()] for _ in range(4)))
    assert recovered.book_problem == ""
    vouched = (folder / "logbook" / "head.cbor").read_bytes()
    assert (await run(folder))[0].book_problem == ""
    tamper(folder)
    changed = (folder / "logbook" / "head.cbor").read_bytes()
    recovered, entries = await run(folder)
    assert words in recovered.book_problem
    last = decode_entry(entries[-1].octets)
    assert last.event == "log_book_differs"
    assert last.field("head") == changed
    if tamper in (_cut, _replace):
        assert changed == vouched
    assert (await run(folder))[0].book_problem == ""


async def test_a_head_is_signed_soon_after_each_start(tmp_path: Path) -> None:
    """Who is killed within every minute leaves one; later flushes keep the write budget."""
    for _ in range(2):
        store, _ = await opened(tmp_path)
        await store.commit([station_entry()])
        assert store._sync_timer is not None
        assert store._sync_timer.when() - asyncio.get_running_loop().time() <= 2
        store._sync_segments()
        await store.recover()
        await store.commit([station_entry()])
        assert store._sync_timer is not None
        assert store._sync_timer.when() - asyncio.get_running_loop().time() > 50
        await store.close()
