"""How a run goes, and what it found: counted, kept and told with the command that repeats it."""

from __future__ import annotations

import hashlib
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Final

from tests.fuzz.target import Target

PROGRESS_S: Final = 10.0
MODULE: Final = "tests.fuzz.program"


class Progress:
    """Counts executions and says so now and then."""

    def __init__(self, target: Target) -> None:
        self.count = 0
        self._name = target.name
        self._begin = self._told = time.monotonic()

    def step(self) -> float:
        """One more; seconds since the first."""
        self.count += 1
        now = time.monotonic()
        if now - self._told >= PROGRESS_S:
            self._told = now
            self.tell()
        return now - self._begin

    def tell(self, *, is_end: bool = False) -> None:
        spent_s = time.monotonic() - self._begin
        end = ", no finding" if is_end else ""
        print(f"{self._name}: {self.count} executions in {spent_s:.0f} s{end}", flush=True)


def keep(target: Target, octets: bytes) -> Path:
    """Put an input into the target's corpus; its name is of its content."""
    target.folder.mkdir(parents=True, exist_ok=True)
    path = target.folder / f"{hashlib.sha256(octets).hexdigest()[:16]}.bin"
    path.write_bytes(octets)
    return path


def tell_finding(target: Target, octets: bytes) -> None:
    """The finding, kept, with the one command that repeats it."""
    traceback.print_exc(file=sys.stdout)
    tell_repeat(target, octets)


def tell_repeat(target: Target, octets: bytes) -> None:
    path = os.path.relpath(keep(target, octets))
    command = f"{os.path.relpath(sys.executable)} -m {MODULE}"
    print(f"{target.name}: FINDING; repeat it with\n  {command} {target.name} --input {path}")
