"""One bit of the state folder changes while the gateway is off: found before it is used."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TypeGuard

import pytest

from gateway.core.records import (
    AddLogEntry,
    Direction,
    Publication,
    PutAirtime,
    PutAlarm,
    PutBoot,
    PutDelivery,
    PutEpoch,
    PutKeys,
    PutPeer,
    PutReceipted,
    Recovered,
    StoredAct,
    Topic,
)
from gateway.errors import StoreFailedError
from gateway.logbook.chain import verify
from gateway.model import ActId, DeliveryState, Instant, LinkName
from gateway.store import meta
from gateway.store.base import LogRow, StoredNotice
from gateway.store.changes import PutCursor, StoreWrite
from gateway.store.database import FILE_NAME
from gateway.store.sqlite import SqliteStore
from tests.integration.store_records import (
    BOOT,
    IN,
    OUT,
    OWN,
    PEER,
    act_id,
    alarm,
    delivery,
    entry,
    received,
    sent,
    station_entry,
)

NOTICE_COUNT = 24
"""Each way: enough that every tree of the database has more than one page."""
COUNT_QUICK = 100
COUNT_SOAK = 10_000
SHARE_COUNT = 10
"""The long test goes in this many parts, so that two workers share it."""


@dataclass(frozen=True)
class Answers:
    """All that a store gives out: to the engine at a start, and to who asks it."""

    recovered: Recovered
    notices: dict[ActId, StoredNotice | None]
    lists: tuple[list[StoredNotice], ...]
    publications: list[Publication]
    untaken: list[Publication]
    cursors: tuple[int, ...]
    entries: list[LogRow]


QUEUES = ("mqtt", "nats", "spare")
NEXT_OFFSET = 4_000
"""Above every publication: of a feed that was lost."""
IN_MEMORY = Path("/dev/shm")
ANSWERS = [field.name for field in fields(Answers)]


def history() -> list[Sequence[StoreWrite]]:
    """Notices both ways: open, receipted, answered, taken, closed; and what stands beside them."""
    commits: list[Sequence[StoreWrite]] = [
        (
            PutEpoch(PEER, 0x3F2A),
            PutPeer(PEER, bytes(range(8)), ((1, 2), (3, 4))),
            PutKeys(PEER, bytes(range(8))),
            PutBoot(BOOT, Instant(8_000), 1_790_000_000_000, 1_790_000_000_500),
            PutAirtime(LinkName("radio"), BOOT, 3, 4_000),
            PutAirtime(LinkName("radio"), BOOT, 4, 500),
            PutAirtime(LinkName("second"), BOOT, 4, 70),
            PutAlarm(alarm(0)),
            PutAlarm(alarm(1)),
            PutAlarm(alarm(2)),
            PutAlarm(alarm(1, cleared="what a person saw")),
            station_entry(),
        )
    ]
    for serial in range(1, NOTICE_COUNT + 1):
        commits += [sent(serial, 2 * serial), received(serial, 2 * serial + 1)]
        if serial in (2, 4):
            commits.append([PutCursor(queue, serial) for queue in QUEUES])
        if serial % 3 == 0:
            own = delivery(serial, state=DeliveryState.RECEIPTED)
            taken = delivery(serial, IN, state=DeliveryState.DISPLAYED, displayed=True, taken=True)
            commits.append((PutReceipted(act_id(serial)), PutDelivery(own)))
            commits.append((PutDelivery(taken), entry(serial, DeliveryState.DISPLAYED, IN)))
        if serial % 4 == 0:
            done = delivery(serial, state=DeliveryState.ROGER, is_open=False)
            commits.append((PutDelivery(done), entry(serial, DeliveryState.ROGER)))
    return commits


async def filled(folder: Path, killed: Path) -> list[Answers]:
    """`folder` as a close leaves it, `killed` as it was a moment before: all of it in the WAL.

    Gives what is true: all of it, and what a power cut may leave, since NORMAL commits without an
    entry stand in no book. Losing these only repeats work.
    """
    commits = history()
    last = max(at for at, writes in enumerate(commits) if any(is_line(write) for write in writes))
    store = SqliteStore(folder, station=OWN)
    await store.recover()
    opened = store._opened().connection
    meta.put(opened, meta.NEXT_OFFSET, NEXT_OFFSET)
    truths: list[Answers] = []
    for at, writes in enumerate(commits):
        await store.commit_all(writes)
        if at >= last:
            trial = killed.with_name("truth")
            copy(folder, trial)
            given, is_told = await answers(trial)
            assert not is_told
            truths.insert(0, given)
            shutil.rmtree(trial)
    copy(folder, killed)
    await store.close()
    for name in ("lock", "ballast"):
        (folder / name).unlink()
    return truths


def copy(folder: Path, to: Path) -> None:
    """As a kill would leave it; the shared-memory file outlives no power cut."""
    to.mkdir()
    for name in (FILE_NAME, f"{FILE_NAME}-wal"):
        shutil.copy(folder / name, to / name)
    shutil.copytree(folder / "logbook", to / "logbook")


def is_line(write: StoreWrite) -> bool:
    return isinstance(write, AddLogEntry)


async def answers(folder: Path) -> tuple[Answers, bool]:
    """What a start and all queries give, and whether anything told of damage."""
    store = SqliteStore(folder, station=OWN)
    try:
        recovered = await store.recover()
        notices = {
            act_id(serial, direction): await store.notice(act_id(serial, direction))
            for serial in range(1, NOTICE_COUNT + 1)
            for direction in (OUT, IN)
        }
        given = Answers(
            recovered=recovered,
            notices=notices,
            lists=tuple(
                [
                    await store.notices(direction, open_only=open_only)
                    for direction in (Direction.OUT, Direction.IN)
                    for open_only in (False, True)
                ]
            ),
            publications=await store.publications(0, limit=1000),
            untaken=await store.publications(0, limit=1000, untaken_only=True),
            cursors=tuple([await store.cursor(queue) for queue in QUEUES]),
            entries=await store.log_entries(0),
        )
        is_told = recovered.was_rebuilt or bool(recovered.book_problem) or bool(store.notes)
    finally:
        await store.close()
    return given, is_told


def flip(folder: Path, rng: Random) -> str:
    """Change one bit of one of the files, each bit as likely as any other; which one it was."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]
    at = rng.randrange(sum(path.stat().st_size for path in files))
    for path in files:
        if at < path.stat().st_size:
            break
        at -= path.stat().st_size
    octets = bytearray(path.read_bytes())
    bit = rng.randrange(8)
    octets[at] ^= 1 << bit
    path.write_bytes(octets)
    return f"bit {bit} of octet {at} of {path.name}"


def foreign(given: Answers, truth: Answers) -> list[str]:
    """What was given out and was never written; ages may be unknown after a rebuild."""
    own = {made.id: made for made in truth.recovered.acts}
    written = {write.delivery for writes in history() for write in writes if is_delivery(write)}
    known = truth.recovered
    stored = [found for found in given.notices.values() if found is not None]
    stored += [found for part in given.lists for found in part]
    histories = {found.act.id: found.history for found in truth.notices.values() if found}
    acts = (*given.recovered.acts, *(found.act for found in stored))
    claims = {
        "acts": all(made in (own[made.id], bare(own[made.id])) for made in acts),
        "deliveries": {*given.recovered.deliveries, *(one.delivery for one in stored)} <= written,
        "histories": all(set(one.history) <= set(histories[one.act.id]) for one in stored),
        "receipts": given.recovered.receipted <= known.receipted,
        "seen": set(given.recovered.seen) <= set(known.seen),
        "submissions": set(given.recovered.submissions) <= set(known.submissions),
        "epochs": {each[:2] for each in given.recovered.epochs} <= {(PEER, 0x3F2A)},
        "peers": set(given.recovered.peers) <= set(known.peers),
        "keys": set(given.recovered.keys) <= set(known.keys),
        "boots": set(given.recovered.boots) <= set(known.boots),
        "airtime": set(given.recovered.airtime) <= set(known.airtime),
        "alarms": set(given.recovered.alarms) <= set(known.alarms),
        "cursors": all(
            offset in (0, 2, true)
            for offset, true in zip(given.cursors, truth.cursors, strict=True)
        ),
        "publications": {*given.publications, *given.untaken} <= set(truth.publications),
        "outbox": waiting(given) <= set(given.untaken),
        "entries": given.entries[: len(truth.entries)] == truth.entries,
        "chain": verify(given.entries) is None,
    }
    return [name for name, holds in claims.items() if not holds]


def waiting(given: Answers) -> set[Publication]:
    """Notices of the feed that no consumer has taken, as far as their records say."""
    return {
        one
        for one in given.publications
        if one.topic is Topic.NOTICE
        and (found := given.notices.get(one.notice_id)) is not None
        and not found.delivery.taken
    }


def bare(made: StoredAct) -> StoredAct:
    """As the log book gives it back."""
    return made._replace(boot_id="", born=Instant(0), age_known=False)


def is_delivery(write: StoreWrite) -> TypeGuard[PutDelivery]:
    return isinstance(write, PutDelivery)


async def judge(folder: Path, truths: list[Answers], what: str) -> str:
    """`harmless`, or `told`; fails for everything else."""
    truth = truths[0]
    try:
        given, is_told = await answers(folder)
    except StoreFailedError as error:
        pytest.fail(f"{what}: the store does not start: {error}")
    assert not (found := foreign(given, truth)), f"{what}: what nobody wrote is given out: {found}"
    acts = {made.id for made in given.recovered.acts}
    assert acts == {made.id for made in truth.recovered.acts}, f"{what}: an act is gone"
    assert set(given.recovered.seen) == set(truth.recovered.seen), f"{what}: a seen id is gone"
    assert given.recovered.next_offset >= truth.recovered.next_offset, what
    if is_told:
        return "told"
    if given not in truths:
        names = [name for name in ANSWERS if getattr(given, name) != getattr(truth, name)]
        pytest.fail(f"{what}: {names} changed, and nobody was told")
    return "harmless"


async def flips(folder: Path, *, seed: int, count: int) -> Counter[str]:
    rng = Random(seed)
    closed, killed, trial = folder / "closed", folder / "killed", folder / "trial"
    truths = await filled(closed, killed)
    found: Counter[str] = Counter()
    for number in range(count):
        shutil.copytree(rng.choice((closed, killed)), trial)
        what = f"seed {seed}, flip {number}: {flip(trial, rng)}"
        found[await judge(trial, truths, what)] += 1
        shutil.rmtree(trial)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where that can be had: nothing here asks what a flush is worth."""
    with TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else tmp_path) as made:
        yield Path(made)


async def test_a_bit_that_changes_is_found_before_it_is_used(folder: Path) -> None:
    """In database, WAL or log book: what was written is given out or nothing, and it is told."""
    found = await flips(folder, seed=20_261_127, count=COUNT_QUICK)
    assert found["told"] > COUNT_QUICK // 4


@pytest.mark.soak
@pytest.mark.parametrize("part", range(SHARE_COUNT))
async def test_ten_thousand_bits(part: int, folder: Path) -> None:
    """The same for 10 000 bits; what nothing told of changed nothing that is given out."""
    count = COUNT_SOAK // SHARE_COUNT
    found = await flips(folder, seed=part, count=count)
    assert found["told"] > count // 4
