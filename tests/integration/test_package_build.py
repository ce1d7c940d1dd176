"""`make deb`, twice."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_builds_are_the_same_octets(tmp_path: Path) -> None:
    """`make deb`, and again as in a folder of another name; needs the network the first time,
    dpkg-deb always.
    """
    other = tmp_path / "other"
    other.symlink_to(ROOT)
    digests = []
    for command in (
        ["make", "deb", "ARCH=arm64"],
        [str(other / ".venv-deb/bin/python"), str(other / "systemd/deb"), "arm64"],
    ):
        said = subprocess.run(
            command, cwd=ROOT, check=True, timeout=1200, stdout=subprocess.PIPE, text=True
        ).stdout
        files = [ROOT / line.split()[0] for line in said.splitlines() if line.startswith("dist/")]
        digests.append({path.name: hashlib.sha256(path.read_bytes()).digest() for path in files})
    assert len(digests[0]) == 2
    assert digests[0] == digests[1]
