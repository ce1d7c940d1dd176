"""What a fuzzer runs: a way to take octets that must end well, and octets to start from."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CORPUS: Final = Path(__file__).parent / "corpus"
"""A folder a target, a file an input: what was found once, and what the code does not make."""

Take = Callable[[bytes], None]
"""Returns, or raises: every exception is a finding."""


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    about: str
    prepare: Callable[[], AbstractContextManager[Take]]
    """Makes what takes octets, and ends what it needs for it."""
    seeds: Callable[[], list[bytes]]
    """Good inputs, made by the code as it is today; `corpus` adds the kept ones."""
    size_max: int = 1_200
    """Octets of the longest input that is tried; a little above what the target may take."""
    pieces: tuple[bytes, ...] = ()
    """Octets that mean something to the target, to be put in."""

    @property
    def folder(self) -> Path:
        return CORPUS / self.name

    def inputs(self) -> list[bytes]:
        """Seeds and kept inputs, each once, in an order that is always the same."""
        kept = [path.read_bytes() for path in sorted(self.folder.glob("*.bin"))]
        return list(dict.fromkeys([*self.seeds(), *kept]))
