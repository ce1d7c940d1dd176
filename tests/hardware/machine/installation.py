"""The package put into a machine once, and that machine kept for every test."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.store.connection import SCHEMA_VERSION
from tests.hardware.machine.machine import IMAGES, Machine, architecture

DIST: Final = Path(__file__).parents[3] / "dist"
INSTALL_S: Final = 900.0


@dataclass(frozen=True, slots=True)
class Installed:
    """What `apt install` left, and what it said."""

    saved: Path
    output: str
    install_s: float
    boot_s: float


def package() -> Path:
    """The machine's package in dist/, the newest if there are several."""
    pattern = f"hotline-gateway_*_{architecture()}.deb"
    found = sorted(DIST.glob(pattern), key=lambda path: path.stat().st_mtime)
    assert found, f"{DIST} has no package: run `make test-vm`"
    return found[-1]


def next_revision(deb: Path, folder: Path, *, has_next_schema: bool = False) -> Path:
    """The same package under a higher version: what an upgrade brings, with another form of the
    database if wanted.
    """
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
    control = tree / "DEBIAN/control"
    text, count = re.subn(r"(?m)^Version: (.*)$", r"Version: \1+next", control.read_text())
    assert count == 1
    control.write_text(text)
    if has_next_schema:
        _add_schema(tree / "opt/hotline-gateway/lib/both/gateway/store")
    result = folder / "next.deb"
    build = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(tree), str(result)]
    subprocess.run(build, check=True, capture_output=True)
    return result


def _add_schema(store: Path) -> None:
    script = f"schema/{SCHEMA_VERSION + 1:04}.sql"
    (store / script).write_text("CREATE TABLE later (number INTEGER PRIMARY KEY) STRICT;\n")
    source = store / "connection.py"
    known = f"SCHEMA_VERSION: Final = {SCHEMA_VERSION}\n"
    text = source.read_text()
    assert text.count(known) == 1
    source.write_text(text.replace(known, f"SCHEMA_VERSION: Final = {SCHEMA_VERSION + 1}\n"))


async def install(deb: Path) -> Installed:
    """Boot, install, keep: beside the images, as long as neither they nor the package change."""
    octets = b"".join(path.read_bytes() for path in (deb, IMAGES / "stamp", IMAGES / "initrd.gz"))
    stem = IMAGES / f"installed-{hashlib.sha256(octets).hexdigest()[:16]}"
    saved, record = stem.with_suffix(".state"), stem.with_suffix(".json")
    if not record.exists():
        for old in IMAGES.glob("installed-*"):
            old.unlink()
        record.write_text(json.dumps(await _install(deb, saved)))
    return Installed(saved=saved, **json.loads(record.read_text()))


async def _install(deb: Path, saved: Path) -> dict[str, object]:
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vm-install-") as folder:
        async with Machine(Path(folder)) as machine:
            booted_s = time.monotonic()
            await machine.put(deb, f"/tmp/{deb.name}")
            output = await machine.must(f"apt install -y /tmp/{deb.name}", timeout_s=INSTALL_S)
            installed_s = time.monotonic()
            await machine.must(f"rm /tmp/{deb.name}; sync; echo 3 >/proc/sys/vm/drop_caches")
            await machine.save(saved)
    return {
        "output": output,
        "install_s": installed_s - booted_s,
        "boot_s": booted_s - begun_s,
    }
