"""The wheels of a package: our own, built here, and those of the lock file for another machine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import parse_wheel_filename
from sources import ROOT, files

LOCK = Path(__file__).with_name("requirements.lock")
CACHE = ROOT / ".venv-deb/wheels"
ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Debian's name and the kernel's."""
PYTHONS = {"3.11": 36, "3.13": 41}
"""CPython of bookworm and of trixie; the minor version of the glibc beside it."""


@dataclass(frozen=True)
class Pin:
    """One line of the lock file."""

    name: str
    version: str
    marker: Marker | None
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """An interpreter on a machine."""

    python: str
    machine: str

    def environment(self) -> dict[str, str]:
        """What its markers say; pip would answer them for the machine that builds."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.2",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.2",
            "python_version": self.python,
            "sys_platform": "linux",
        }

    def options(self) -> list[str]:
        """What tells pip to choose wheels for it."""
        platforms = ["manylinux2014"]
        platforms += [f"manylinux_2_{minor}" for minor in range(17, PYTHONS[self.python] + 1)]
        if self.machine == "x86_64":
            platforms += ["manylinux2010", "manylinux1", "manylinux_2_5", "manylinux_2_12"]
        options = ["--python-version", self.python, "--implementation", "cp"]
        for platform in platforms:
            options += ["--platform", f"{platform}_{self.machine}"]
        return options


@dataclass(frozen=True)
class Wheels:
    """What was fetched for one interpreter."""

    target: Target
    pins: tuple[Pin, ...]
    folder: Path
    requirements: Path

    def install(self, into: Path) -> None:
        """Unpack all wheels below a folder, hashes checked, nothing compiled."""
        pip(
            "install", *self._common(), "--no-index", "--find-links", str(self.folder),
            "--no-compile", "--target", str(into),
        )  # fmt: skip
        shutil.rmtree(into / "bin", ignore_errors=True)  # of the libraries; none of them is ours
        # Their first lines named the interpreter of this build, and RECORD has their hashes.
        for record in into.glob("*.dist-info/RECORD"):
            lines = record.read_text().splitlines(keepends=True)
            kept = [line for line in lines if not line.startswith("../../bin/")]
            record.write_text("".join(kept))

    def download(self) -> None:
        """Fetch what is not there; `install` checks the hashes of all."""
        with suppress(KeyError):
            self.files()
            return
        pip("download", *self._common(), "--dest", str(self.folder))

    def files(self) -> dict[str, Path]:
        """The wheel of each pin by its name."""
        found = {}
        for path in self.folder.glob("*.whl"):
            name, version, _, _ = parse_wheel_filename(path.name)
            found[str(name), str(version)] = path
        return {pin.name: found[pin.name, pin.version] for pin in self.pins}

    def _common(self) -> list[str]:
        return [
            "--no-deps", "--require-hashes", "--only-binary", ":all:",
            "--requirement", str(self.requirements), *self.target.options(),
        ]  # fmt: skip


def fetch(architecture: str) -> list[Wheels]:
    """The wheels of both interpreters; downloaded once, checked against the lock file when used."""
    pins = read_lock(LOCK.read_text())
    result = []
    for python in PYTHONS:
        target = Target(python, ARCHITECTURES[architecture])
        wanted = tuple(
            pin for pin in pins if pin.marker is None or pin.marker.evaluate(target.environment())
        )
        folder = CACHE / f"{architecture}-{python}"
        folder.mkdir(parents=True, exist_ok=True)
        requirements = folder / "requirements.txt"
        lines = [
            f"{pin.name}=={pin.version} " + " ".join(f"--hash={value}" for value in pin.hashes)
            for pin in wanted
        ]
        requirements.write_text("\n".join(lines) + "\n")
        wheels = Wheels(target, wanted, folder, requirements)
        wheels.download()
        result.append(wheels)
    return result


def read_lock(text: str) -> list[Pin]:
    """Each pin with its marker and hashes."""
    pins = []
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        head, *hashes = re.split(r"\s+--hash=", line.strip())
        requirement, _, marker = head.partition(";")
        name, _, version = requirement.strip().partition("==")
        pins.append(Pin(name, version, Marker(marker.strip()) if marker else None, tuple(hashes)))
    return pins


def build_gateway(work: Path) -> Path:
    """Our own wheel, of the files of the sources and no others."""
    source = work / "source"
    for name in files("gateway", "pyproject.toml", "README.md", "LICENSE"):
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    pip(
        "wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(work),
        str(source),
    )  # fmt: skip
    (wheel,) = work.glob("hotline_gateway-*.whl")
    return wheel


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True)
