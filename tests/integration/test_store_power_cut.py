"""Power cuts at every point between two system calls of the real store, on a disk with a cache."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest

from gateway.logbook.chain import GENESIS, next_hash
from gateway.store.base import LogRow
from gateway.store.database import Database
from tests.integration import cut_child, cut_disk
from tests.integration.cut_disk import Call, CutDisk
from tests.integration.store_records import OWN, sent

ROOT = Path(__file__).parents[2]
CUT_COUNT_QUICK = 200
CUT_COUNT_FIRST_START = 1000
CUT_COUNT_SOAK = int(os.environ.get("CUTS", "100000"))
SHARE_COUNT = 20
"""The long test goes in this many parts, each with histories of its own."""
IN_MEMORY = Path("/dev/shm")


@dataclass
class Promise:
    """What the process had said before a cut."""

    digests: list[str] = field(default_factory=list)
    """After each transaction, and one before the first of all."""
    heads: list[int] = field(default_factory=list)
    hashes: dict[int, str] = field(default_factory=dict)
    last_full: int = 0
    """The transaction that no cut may take any more, nor one before it."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where that can be had: flushes are simulated here."""
    with TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else tmp_path) as made:
        yield Path(made)


def recorded(folder: Path, seed: int) -> list[Call]:
    """The calls of all lives of the process, in order; and what it said, between them."""
    calls: list[Call] = []
    for life in range(cut_child.LIFE_COUNT):
        trace = folder / "trace"
        child = [sys.executable, cut_child.__file__, str(folder / "state"), str(seed), str(life)]
        subprocess.run(
            [*cut_disk.COMMAND, "-o", str(trace), *child],
            check=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            timeout=600,
        )
        with trace.open() as lines:
            calls += cut_disk.read_calls(lines, folder=folder / "state")
    return [call for call in calls if is_kept(call.path)]


def is_kept(path: str) -> bool:
    """What a cut has to do with: nobody reads the other files after one."""
    return not path.endswith(("-shm", "/ballast", "/lock", "/trial"))


def put(folder: Path, files: dict[str, bytes | None]) -> None:
    """Make `folder` what a cut left, but for the ballast: to write 4 MiB each time takes long."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "ballast":
            path.unlink()
    for name, octets in files.items():
        if octets is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(octets)


@dataclass(frozen=True)
class Outcome:
    """What a start made of a disk: the same for the same disk."""

    was_rebuilt: bool
    book_problem: str
    digest: str
    entries: list[LogRow]
    notes: list[str]


def started(folder: Path) -> Outcome:
    """Start after a cut, and go on."""
    database = Database(folder, station=OWN, sign=cut_child.sign)
    try:
        recovered = database.recover()
        found = cut_child.digest(database.connection)
        rows = database.connection.execute("SELECT number, octets, hash FROM log_entry ORDER BY 1")
        entries = [LogRow(*row) for row in rows]
        database.commit([sent(60_000, 1_000_000)])
    finally:
        database.close()
    return Outcome(
        recovered.was_rebuilt, recovered.book_problem, found, entries, list(database.notes)
    )


def judge(outcome: Outcome, promise: Promise, issued: Promise, what: str) -> None:
    """Everything promised is there; the rest whole or not at all."""
    found, entries = outcome.digest, outcome.entries
    previous = GENESIS
    for number, entry in enumerate(entries, 1):
        previous = next_hash(previous, entry.octets)
        assert (entry.number, entry.hash) == (number, previous), f"{what}: the chain is broken"
        told = issued.hashes.get(number)
        assert told in (None, entry.hash.hex()), f"{what}: entry {number} is another"
    assert not outcome.was_rebuilt, f"{what}: {outcome.notes}"
    assert not outcome.book_problem, f"{what}: {outcome.book_problem}"
    possible = issued.digests[promise.last_full :]
    assert found in possible, (
        f"{what}: lost or torn: found"
        f" {issued.digests.index(found) if found in issued.digests else 'no state that ever was'},"
        f" promised {promise.last_full} of {len(issued.digests) - 1}; {outcome.notes}"
    )
    assert len(entries) >= promise.heads[promise.last_full], f"{what}: entries of the book are gone"


def tell(promise: Promise, octets: bytes) -> None:
    said = json.loads(octets)
    promise.digests.append(said["digest"])
    promise.heads.append(said["head"])
    promise.hashes[said["head"]] = said["hash"]
    if said["full"]:
        promise.last_full = len(promise.digests) - 1


def cuts(folder: Path, *, seed: int, count: int, first_start_only: bool = False) -> None:
    """Cut `count` times, evenly over the calls of one history or of the start that begins it."""
    calls = recorded(folder, seed)
    said = [at for at, call in enumerate(calls) if call.path == "stdout"]
    rng = Random(seed)
    end = said[0] if first_start_only else len(calls)
    wanted = Counter(rng.randrange(end) for _ in range(count))
    trial = folder / "trial"
    trial.mkdir()
    disk = CutDisk(folder / "state")
    promise = Promise([EMPTY], [0])
    issued = Promise([EMPTY], [0])
    outcomes: dict[bytes, Outcome] = {}
    """By disk: three in ten cuts leave one that another cut left too."""
    for at, call in enumerate(calls):
        if call.path == "stdout":
            tell(promise, call.octets)
        else:
            disk.take(call)
        # What the transaction under way writes may be there or not.
        while len(issued.digests) <= len(promise.digests) and said:
            tell(issued, calls[said.pop(0)].octets)
        for number in range(wanted[at]):
            files = disk.after_cut(rng)
            name = hashlib.sha256(repr(sorted(files.items())).encode()).digest()
            if name not in outcomes:
                put(trial, files)
                outcomes[name] = started(trial)
            what = f"seed {seed}, call {at} ({call.name} {Path(call.path).name}), cut {number}"
            judge(outcomes[name], promise, issued, what)
    assert len(promise.digests) == cut_child.LIFE_COUNT * (cut_child.COMMIT_COUNT + 1) + 1


EMPTY = cut_child.digest_of_nothing()


def test_what_was_promised_outlives_a_power_cut(folder: Path) -> None:
    """200 cuts in the lives of a store: promises kept, the rest whole or not there, no alarm."""
    cuts(folder, seed=20_261_127, count=CUT_COUNT_QUICK)


def test_a_cut_in_the_first_start_is_no_damage(folder: Path) -> None:
    """1000 cuts while the database is made: the next start makes it, and has nothing to tell."""
    cuts(folder, seed=5, count=CUT_COUNT_FIRST_START, first_start_only=True)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(SHARE_COUNT))
def test_a_hundred_thousand_power_cuts(part: int, folder: Path) -> None:
    """The same for 100 000 cuts in 20 histories; `CUTS=1000000` for more."""
    cuts(folder, seed=part, count=CUT_COUNT_SOAK // SHARE_COUNT)
