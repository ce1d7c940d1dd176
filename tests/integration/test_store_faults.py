"""Each system call of the store fails, or is the last one: nothing is lost, and life goes on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest

from gateway.logbook.head import HEAD_FILE
from gateway.store.database import FILE_NAME, Database
from gateway.store.mending import mend_book
from tests.integration import fault_child
from tests.integration.cut_child import sign
from tests.integration.store_records import OWN, sent

ROOT = Path(__file__).parents[2]
CALLS = (
    "openat,pwrite64,write,pread64,fsync,fdatasync,ftruncate,rename,unlink,mkdir,fallocate,flock"
)
PATHS = (
    "",
    *(f"/{FILE_NAME}{suffix}" for suffix in ("", "-wal", "-shm", "-journal")),
    *("/lock", "/ballast", "/trial", "/logbook", "/logbook/0001.cborseq"),
    *(f"/logbook/{name}" for name in (HEAD_FILE, Path(HEAD_FILE).with_suffix(".new"))),
)
"""The files of the store; only calls on these are counted and fail."""
ERRORS = ("EIO", "ENOSPC", "EROFS")
ERROR_COUNT = 2
"""Notices each way in a life in which a call fails."""
KILL_COUNT = 11
"""The same for kills: more than 1000 calls."""
QUICK_COUNT = 9
SHARE_COUNT = 10
"""The long tests go in this many parts."""
IN_MEMORY = Path("/dev/shm")

Point = tuple[str, int]
"""A call, and which of its kind; the first is 1."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where that can be had: no flush takes time there."""
    with TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else tmp_path) as made:
        yield Path(made)


def run(folder: Path, count: int, *inject: str) -> tuple[list[str], int, str]:
    """A life in which a call may fail: what it said, its exit code, the trace of its calls."""
    state, trace = folder / "state", folder / "trace"
    state.mkdir()
    done = subprocess.run(
        [
            *("strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={CALLS}"),
            *(part for path in PATHS for part in ("-P", f"{state}{path}")),
            *(part for fault in inject for part in ("-e", f"inject={fault}")),
            *(sys.executable, fault_child.__file__, str(state), str(count)),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.stderr == "", done.stderr
    return done.stdout.splitlines(), done.returncode, trace.read_text()


def points(folder: Path, count: int) -> list[Point]:
    """Every call of a life without a fault."""
    said, code, trace = run(folder, count)
    assert (said[-1], code) == ("closed", 0)
    # `strace` counts each thread's calls apart: the reader's must not make the writer's seem more.
    last: dict[str, int] = {}
    calls = Counter(re.findall(r"^(\d+) +(\w+)\(", trace, re.MULTILINE))
    for (_, name), made in calls.items():
        last[name] = max(made, last.get(name, 0))
    return [(name, at) for name in sorted(last) for at in range(1, last[name] + 1)]


def promised(said: list[str]) -> int:
    """The last commit that the process has said is kept."""
    return max((int(line.split()[1]) for line in said if line.startswith("committed")), default=0)


def found(folder: Path, what: str) -> int:
    """Start without a fault: how many commits are there, each whole, and one more can be made."""
    database = Database(folder, station=OWN, sign=sign)
    try:
        recovered = database.recover()
        assert not recovered.was_rebuilt, f"{what}: {database.notes}"
        assert not recovered.book_problem, f"{what}: {recovered.book_problem}"
        assert not recovered.store_refused, what
        offsets = [
            row[0]
            for row in database.connection.execute("SELECT offset FROM publication ORDER BY 1")
        ]
        assert offsets == list(range(1, len(offsets) + 1)), f"{what}: {offsets}"
        (in_book,) = database.connection.execute("SELECT count(*) FROM log_entry").fetchone()
        kept = sum(offset % fault_child.OFFSETS in (1, 3) for offset in offsets)
        stations = sum(offset % fault_child.OFFSETS == 0 for offset in offsets)
        assert len(recovered.acts) == kept, f"{what}: acts and publications differ"
        assert in_book == kept + stations, f"{what}: acts and entries differ"
        assert len(recovered.seen) == sum(offset % fault_child.OFFSETS == 3 for offset in offsets)
        with database.connection:
            database.connection.execute("BEGIN IMMEDIATE")
            assert not mend_book(database.connection, database.segments).broken
        database.commit([sent(60_000, 1_000_000)])
    finally:
        database.close()
    return len(offsets)


def one_fault(folder: Path, point: Point, error: str) -> str:
    """A call fails once: `healed` in the process, or `restarted` after it said why it ends."""
    name, at = point
    what = f"{error} at call {at} of {name}"
    with TemporaryDirectory(dir=folder) as own:
        said, code, trace = run(Path(own), ERROR_COUNT, f"{name}:error={error}:when={at}")
        assert "(INJECTED)" in trace, f"{what}: the call was not made"
        refused = [line for line in said if line.startswith(("refused", "failed"))]
        assert all(str(folder) in line and "Traceback" not in line for line in refused), said
        assert (said[-1], code) == ("closed", 0) or (said[-1] in refused[-1:] and code == 1), (
            f"{what}: {said[-3:]} {code}"
        )
        # What failed without an answer may be there all the same; it is asked again by its name.
        kept = promised(said)
        there = found(Path(own) / "state", what)
        assert kept <= there <= kept + 1, f"{what}: promised {kept}, found {there}"
        return "restarted" if code else "healed"


def one_kill(folder: Path, point: Point) -> None:
    """SIGKILL as a call begins."""
    name, at = point
    what = f"killed at call {at} of {name}"
    with TemporaryDirectory(dir=folder) as own:
        said, code, _ = run(Path(own), KILL_COUNT, f"{name}:signal=KILL:when={at}")
        assert code != 0, f"{what}: the call was not made"
        kept = promised(said)
        there = found(Path(own) / "state", what)
        assert kept <= there <= kept + 1, f"{what}: promised {kept}, found {there}"


def shared(folder: Path, count: int, part: int) -> list[Point]:
    with TemporaryDirectory(dir=folder) as own:
        return points(Path(own), count)[part::SHARE_COUNT]


def test_a_few_calls_fail(folder: Path) -> None:
    """Nine calls of a life, each with another error or a kill: nothing promised is lost."""
    rng = Random(20_261_127)
    with TemporaryDirectory(dir=folder) as own:
        calls = points(Path(own), ERROR_COUNT)
    names = sorted({name for name, _ in calls})
    for number in range(QUICK_COUNT):
        name = names[number % len(names)]
        point = rng.choice([point for point in calls if point[0] == name])
        if number % 4 == 3:
            one_kill(folder, point)
        else:
            one_fault(folder, point, ERRORS[number % 4])


def test_a_full_disk_is_refused_and_heals(folder: Path) -> None:
    """No room for one page: the commit is refused in a sentence, and made when there is room."""
    with TemporaryDirectory(dir=folder) as own:
        writes = [point for point in points(Path(own), ERROR_COUNT) if point[0] == "pwrite64"]
    assert one_fault(folder, writes[len(writes) // 2], "ENOSPC") == "healed"


@pytest.mark.soak
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("part", range(SHARE_COUNT))
def test_every_call_fails(part: int, error: str, folder: Path) -> None:
    """Each call of a notice's life fails once, with each error."""
    for point in shared(folder, ERROR_COUNT, part):
        one_fault(folder, point, error)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(SHARE_COUNT))
def test_killed_at_every_call(part: int, folder: Path) -> None:
    """More than 1000 points: the process is killed as each of its calls begins."""
    calls = shared(folder, KILL_COUNT, part)
    assert len(calls) > 1000 // SHARE_COUNT
    for point in calls:
        one_kill(folder, point)
