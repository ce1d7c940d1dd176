"""Packs a tree with its control files: `dpkg-deb`, every date the same, no owner but root."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import parse_wheel_filename
from tree import DOC, debian_changelog, put, put_gzip

HERE = Path(__file__).parent
NAME = "hotline-gateway"
SCRIPTS = ("postinst", "prerm", "postrm")


@dataclass(frozen=True)
class Package:
    version: str
    """Of the gateway."""
    architecture: str
    """Debian's name."""
    revision: str
    """Of two packages of one version the newer has the higher one: apt does nothing else."""

    @classmethod
    def of(cls, gateway: Path, architecture: str, revision: str) -> Package:
        return cls(str(parse_wheel_filename(gateway.name)[1]), architecture, revision)

    @property
    def debian_version(self) -> str:
        return f"{self.version}-{self.revision}"

    @property
    def file_stem(self) -> str:
        return f"{NAME}_{self.debian_version}_{self.architecture}"


def write_package(root: Path, package: Package, bill: Path, out: Path) -> Path:
    """Add what describes the package to its tree, and pack it; gives the file."""
    shutil.copyfile(bill, root / DOC / "sbom.cdx.json")
    put_gzip(root / DOC / "changelog.Debian.gz", debian_changelog(package.debian_version))
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    for file in files:
        file.chmod(0o755 if file.stat().st_mode & 0o100 and file.parent.name == "bin" else 0o644)
    control = root / "DEBIAN"
    sums = [
        f"{hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()}  "
        f"{file.relative_to(root)}\n"
        for file in files
    ]
    put(control / "md5sums", "".join(sums))
    text = (HERE / "control").read_text()
    size_kib = sum(-(-file.stat().st_size // 1024) for file in files) + len(list(root.rglob("*")))
    put(
        control / "control",
        text.format(
            version=package.debian_version,
            architecture=package.architecture,
            size_kib=size_kib,
        ),
    )
    put(control / "triggers", (HERE / "triggers").read_text())
    for name in SCRIPTS:
        put(control / name, (HERE / name).read_text(), mode=0o755)
    moment = int(os.environ["SOURCE_DATE_EPOCH"])
    for path in (root, *root.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
        os.utime(path, (moment, moment), follow_symlinks=False)
    result = out / f"{package.file_stem}.deb"
    # One thread: where xz cuts its blocks would else depend on the machine.
    subprocess.run(
        [
            "dpkg-deb", "--root-owner-group", "-Zxz", "--threads-max=1", "--build", str(root),
            str(result),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return result
