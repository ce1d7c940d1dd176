"""`make deb`: Debian packages from hash-locked wheels, with their bill of materials beside them.

One package for each architecture serves Debian 12 (CPython 3.11) and 13 (3.13): a station that goes
to the next Debian then needs no other package at the moment at which its Python changes. The same
sources give the same octets: every date is SOURCE_DATE_EPOCH, by default that of the last commit.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bill import write_bill
from package import Package, write_package
from tree import stage
from wheels import ARCHITECTURES, ROOT, build_gateway, fetch

OUT = ROOT / "dist"


def main(architectures: list[str]) -> int:
    unknown = [name for name in architectures if name not in ARCHITECTURES]
    if unknown:
        known = ", ".join(ARCHITECTURES)
        sys.stderr.write(f"no package is built for {', '.join(unknown)}; name one of {known}\n")
        return 2
    if shutil.which("dpkg-deb") is None:
        sys.stderr.write("dpkg-deb is missing; install it: apt-get install dpkg\n")
        return 1
    os.environ["SOURCE_DATE_EPOCH"] = str(epoch())
    revision = os.environ.get("REVISION") or revision_of(epoch(), changes())
    os.umask(0o022)
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hotline-deb-") as name:
        work = Path(name)
        gateway = build_gateway(work)
        for architecture in architectures:
            wheels = fetch(architecture)
            root = work / architecture
            stage(root, gateway, wheels)
            package = Package.of(gateway, architecture, revision)
            bill = OUT / f"{package.file_stem}.cdx.json"
            write_bill(bill, package, wheels)
            path = write_package(root, package, bill, OUT)
            print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1e6:.1f} MB")
            print(bill.relative_to(ROOT))
    return 0


def epoch() -> int:
    """Seconds since 1970 that stand for the moment of the build."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    command = ["git", "log", "-1", "--format=%ct"]
    try:
        return int(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    except (OSError, subprocess.CalledProcessError):
        sys.exit("this is no clone of the repository: set SOURCE_DATE_EPOCH (seconds since 1970)")


def revision_of(moment: int, changed: bytes) -> str:
    """What tells packages of one version apart: the moment of the commit, and whether the tree has
    something that is in no commit.
    """
    revision = datetime.fromtimestamp(moment, UTC).strftime("%Y%m%d.%H%M%S")
    return f"{revision}+changed.{hashlib.sha256(changed).hexdigest()[:8]}" if changed else revision


def changes() -> bytes:
    """What differs from the last commit; empty where there is no repository."""
    found = [
        subprocess.run(["git", *command], cwd=ROOT, capture_output=True, check=False).stdout
        for command in (["status", "--porcelain"], ["diff", "HEAD"])
    ]
    return b"".join(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
