"""A folder that is as fast on every machine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def memory_folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where the machine has that: a kill takes nothing from the kernel; disks vary."""
    if not (memory := Path("/dev/shm")).is_dir():
        yield tmp_path
        return
    path = Path(tempfile.mkdtemp(prefix="hotline-test-", dir=memory))
    yield path
    shutil.rmtree(path)
