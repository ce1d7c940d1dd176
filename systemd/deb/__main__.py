"""`make deb`: Debian packages from hash-locked wheels, with their bill of materials beside them.

One package for each architecture serves Debian 12 (CPython 3.11) and 13 (3.13): a station that goes
to the next Debian then needs no other package at the moment at which its Python changes. The same
sources give the same octets: every date is SOURCE_DATE_EPOCH, by default that of the last commit.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
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
    os.environ["SOURCE_DATE_EPOCH"] = str(epoch())
    os.umask(0o022)
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hotline-deb-") as name:
        work = Path(name)
        gateway = build_gateway(work)
        for architecture in architectures:
            wheels = fetch(architecture)
            root = work / architecture
            stage(root, gateway, wheels)
            package = Package.of(gateway, architecture)
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
    return int(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
