"""A real gateway and its alarms about what has happened: lit until a person clears them."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.sim.bench.process import GatewayProcess
from gateway.store.database import FILE_NAME
from tests.integration.live_line import lamp_of
from tests.integration.test_wrong_input import alarms, entries_of, hotline, write_stations

FOUND = {"rollback", "store rebuilt", "log book differs"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not pytest's folder: the path of a Unix socket has at most 107 octets."""
    path = Path(tempfile.mkdtemp(prefix="hotline-test-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


async def test_what_a_start_finds_is_lit_until_a_person_clears_it(folder: Path) -> None:
    """A backup put back, a damaged row and a foreign head of the book: after two kills and a stop
    in order still lit, each once; cleared by the command, dark after the next kill.
    """
    files = write_stations(folder)["NORTH"]
    north = GatewayProcess(files)
    try:
        await north.start()
        assert (await hotline(files, "backup", str(folder / "copy"))).code == 0
        await north.stop()
        assert (await hotline(files, "restore", str(folder / "copy"))).code == 0
        (files.folder / "state" / "logbook" / "head.cbor").write_bytes(b"garbage")
        with closing(sqlite3.connect(files.folder / "state" / FILE_NAME)) as database, database:
            database.execute("UPDATE boot SET began = began + 1")
        await north.start()
        assert set(await alarms(north)) >= FOUND
        for end in (north.kill, north.kill, north.stop):
            await end()
            await north.start()
            listed = (await hotline(files, "alarm", "list")).output
            for name in ("rollback", "store-rebuilt", "log-book"):
                assert listed.count(name + " ") == 1, listed
        assert await lamp_of(north, "alarm") != "off"
        for name in ("rollback", "store-rebuilt", "log-book"):
            assert (await hotline(files, "alarm", "clear", name)).code == 0
        await north.kill()
        await north.start()
        assert not FOUND & set(await alarms(north))
        cleared = await entries_of(north, "alarm_cleared")
        assert len(cleared) == 3
    finally:
        await north.kill()
