"""The files that are built, and their moment: from git, or from an archive without it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILT = ("gateway", "systemd", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE")


def files(*names: str) -> list[str]:
    """What git keeps of these files and folders; in an archive, all but what Python compiled."""
    if is_clone():
        return [it for it in git("ls-files", "-z", *names).decode().split("\0") if it]
    return sorted(it for name in names for it in _walk(ROOT / name))


def epoch() -> int:
    """Seconds since 1970 that stand for the moment of the build: by default that of the last
    commit, which in an archive is that of its newest file.
    """
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    if is_clone():
        return int(git("log", "-1", "--format=%ct"))
    return max(int((ROOT / name).stat().st_mtime) for name in files(*BUILT))


def changes() -> bytes:
    """What differs from the last commit; empty in an archive."""
    return git("status", "--porcelain") + git("diff", "HEAD") if is_clone() else b""


def is_clone() -> bool:
    """Also a worktree. An archive may lie in the clone of something else: that is not asked."""
    return (ROOT / ".git").exists()


def git(*command: str) -> bytes:
    """What git says; ends the build with its words where it cannot."""
    try:
        ended = subprocess.run(["git", *command], cwd=ROOT, capture_output=True, check=False)
    except FileNotFoundError:
        sys.exit("git is missing; install it: apt-get install git")
    if ended.returncode != 0:
        words = ended.stderr.decode(errors="replace").strip()
        sys.exit(f"git cannot read this clone, {ROOT}: {words}")
    return ended.stdout


def _walk(path: Path) -> Iterator[str]:
    if path.is_dir():
        for below in path.iterdir():
            if below.name != "__pycache__":
                yield from _walk(below)
    else:
        yield str(path.relative_to(ROOT))
