"""The files of a package as they lie on the station, before they are packed.

    /opt/hotline-gateway/pyvenv.cfg, bin/python3     a virtual environment of Debian's own Python
    /opt/hotline-gateway/lib/python3.N/site-packages what is compiled for that one Python
    /opt/hotline-gateway/lib/both                    everything else, on the path of both

A virtual environment looks for its packages in the folder of the interpreter's version, so one
environment holds those of two versions side by side.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import zipfile
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from sources import ROOT
from wheels import Wheels

HERE = Path(__file__).parent
HOME = "opt/hotline-gateway"
UNITS = {
    "hotline-gateway.service": "usr/lib/systemd/system/hotline-gateway.service",
    "hotline-gateway.sysusers": "usr/lib/sysusers.d/hotline-gateway.conf",
    "hotline-gateway.tmpfiles": "usr/lib/tmpfiles.d/hotline-gateway.conf",
    "70-hotline-gateway.rules": "usr/lib/udev/rules.d/70-hotline-gateway.rules",
    "99-hotline-gateway.rules": "usr/lib/udev/rules.d/99-hotline-gateway.rules",
}
COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/hotline",
    "zsh": "usr/share/zsh/vendor-completions/_hotline",
    "fish": "usr/share/fish/vendor_completions.d/hotline.fish",
}
MOSQUITTO = ROOT / "gateway/queues/mosquitto/hotline.conf"
DOC = "usr/share/doc/hotline-gateway"
LAUNCHER = f"""#!/{HOME}/bin/python3 -I
import sys
from gateway.cli.main import main
sys.exit(main())
"""
"""-I: neither a user's packages nor PYTHONPATH can change what root runs."""


def stage(root: Path, gateway: Path, wheels: list[Wheels]) -> None:
    """Lay out everything but the control files."""
    home = root / HOME
    _stage_environment(home)
    _stage_libraries(home, gateway, wheels)
    put(home / "bin/hotline", LAUNCHER, mode=0o755)
    link(root / "usr/bin/hotline", f"/{HOME}/bin/hotline")
    for name, target in UNITS.items():
        put(root / target, (ROOT / "systemd" / name).read_text())
    copied = [*(ROOT / "systemd/drop-ins").glob("*.conf"), MOSQUITTO]
    for path in sorted(copied):
        put(root / "usr/share/hotline-gateway" / path.name, path.read_text())
    _stage_documents(root)
    python = ROOT / ".venv/bin/python"
    for shell, target in COMPLETIONS.items():
        put(root / target, run(ROOT / ".venv/bin/hotline", "completion", shell))
    put_gzip(root / "usr/share/man/man1/hotline.1.gz", run(python, HERE / "man.py"))
    overrides = (HERE / "lintian-overrides").read_text()
    put(root / "usr/share/lintian/overrides/hotline-gateway", overrides)


def _stage_environment(home: Path) -> None:
    put(home / "pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n")
    link(home / "bin/python3", "/usr/bin/python3")
    link(home / "bin/python", "python3")


def _stage_libraries(home: Path, gateway: Path, wheels: list[Wheels]) -> None:
    """Install for each interpreter, then keep once what is the same for all."""
    shared = home / "lib/both"
    folders = []
    for one in wheels:
        folder = home / f"lib/python{one.target.python}/site-packages"
        one.install(folder)
        for path in folder.glob("*.pth"):
            path.unlink()  # setuptools' own: it would run at every start, for nothing of ours
        put(folder / "hotline-gateway.pth", "../../both\n")
        folders.append(folder)
    first, *others = folders
    shared.mkdir(parents=True)
    for entry in sorted(first.iterdir()):
        # A package is one folder: its parts cannot lie in two places.
        twins = [folder / entry.name for folder in others]
        digest = digest_of(entry)
        if entry.suffix == ".pth" or any(digest_of(twin) != digest for twin in twins):
            continue
        for twin in twins:
            shutil.rmtree(twin) if twin.is_dir() else twin.unlink()
        entry.rename(shared / entry.name)
    with zipfile.ZipFile(gateway) as archive:
        archive.extractall(shared)


def digest_of(path: Path) -> str | None:
    """Of a file or of everything below a folder; None where there is nothing."""
    if not path.exists():
        return None
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(f"{file.relative_to(path)}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _stage_documents(root: Path) -> None:
    put(root / DOC / "copyright", (HERE / "copyright").read_text())
    put_gzip(root / DOC / "NEWS.gz", (ROOT / "CHANGELOG.md").read_text())
    example = (ROOT / "README.md").read_text().split("```toml\n")[1].split("```")[0]
    put(root / DOC / "examples/hotline.toml", example)


def debian_changelog(version: str) -> str:
    """The one entry that Debian's tools look for; the changes themselves are in NEWS."""
    date = format_datetime(datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC))
    return (
        f"hotline-gateway ({version}) unstable; urgency=medium\n\n"
        "  * Built from the sources of this version; NEWS.gz says what changed.\n\n"
        f" -- Hotline gateway maintainers <maintainers@hotline-gateway.invalid>  {date}\n"
    )


def put(path: Path, text: str, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def put_gzip(path: Path, text: str) -> None:
    """Without name and time, so that the same text gives the same octets."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    path.chmod(0o644)


def link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def run(*command: object) -> str:
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)}
    environment["SOURCE_DATE_EPOCH"] = os.environ["SOURCE_DATE_EPOCH"]
    return subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
