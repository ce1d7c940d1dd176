"""`make deb`: Debian packages from hash-locked wheels, with their bill of materials beside them.

One package for each architecture serves Debian 12 (CPython 3.11) and 13 (3.13): a station that goes
to the next Debian then needs no other package at the moment at which its Python changes. The same
sources give the same octets: every date is SOURCE_DATE_EPOCH, by default that of the last commit,
or of the newest file of an archive.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bill import write_bill
from package import Package, write_package
from sources import ROOT, changes, epoch
from tree import stage
from wheels import ARCHITECTURES, build_gateway, fetch

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


def revision_of(moment: int, changed: bytes) -> str:
    """What tells packages of one version apart: the moment of the commit, and whether the tree has
    something that is in no commit.
    """
    revision = datetime.fromtimestamp(moment, UTC).strftime("%Y%m%d.%H%M%S")
    return f"{revision}+changed.{hashlib.sha256(changed).hexdigest()[:8]}" if changed else revision


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
