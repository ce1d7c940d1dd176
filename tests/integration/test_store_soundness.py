"""Each checksum that a database of a version has is asked for: by a backup, and by the doctor."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.store import soundness

DATABASES = Path(__file__).parent / "databases"
CHECKED = [
    (version, table)
    for version in range(1, 6)
    for table, since in {
        "seen": 1,
        "submission": 1,
        "epoch": 1,
        "boot": 2,
        "line_keys": 4,
        "queue_cursor": 5,
        "airtime": 5,
        "meta": 5,
    }.items()
    # The columns of `epoch` are read as schema 5 has them.
    if version >= (5 if table == "epoch" else since)
]
ROWS = {
    "seen": "(id, sha256, row_check) VALUES (1, x'', x'')",
    "submission": "(principal, request_id, sha256, act_id, row_check) VALUES ('', '', '', 1, x'')",
    "line_keys": "(peer, confirmed, row_check) VALUES (2, x'', x'')",
    "queue_cursor": "(queue, offset, row_check) VALUES ('mqtt', 1, x'')",
    "airtime": "(link, boot_id, minute, spent_ms, row_check) VALUES ('radio', 'a', 1, 1, x'')",
    "meta": "(name, value, row_check) VALUES ('probe', 1, x'')",
}
"""For a database that has none."""


@pytest.mark.parametrize(("version", "table"), CHECKED)
def test_a_wrong_checksum_is_found(version: int, table: str, tmp_path: Path) -> None:
    """From the schema on that brought it."""
    path = tmp_path / "old"
    shutil.copy(DATABASES / f"schema-{version:04}.sqlite", path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert list(soundness.faults(connection)) == []
        connection.execute(f"UPDATE {table} SET row_check = zeroblob(length(row_check))")
        if connection.execute(f"SELECT 1 FROM {table}").fetchone() is None:
            connection.execute(f"INSERT INTO {table} {ROWS[table]}")
        found = list(soundness.faults(connection))
    assert found
    assert {fault.split()[0] for fault in found} == {table}
