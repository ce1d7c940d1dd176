"""How far a long command is, on standard error: a bar on a terminal, a line now and then else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, Protocol

from gateway.cli.output import warn
from gateway.runtime.clock import elapsed_s

LINE_EVERY_S: Final = 10.0


class Progress(Protocol):
    """What a command tells of itself."""

    def tell(self, share: float, text: str) -> None:
        """So much is done, 0 to 1, in words too."""
        ...

    def aside(self) -> AbstractContextManager[object]:
        """While results are printed: nothing of the progress stands in their way."""
        ...


@contextmanager
def progress(title: str) -> Iterator[Progress]:
    """The progress of one command."""
    if not sys.stderr.isatty():
        yield Lines(title)
        return
    # rich takes a third of the start; only a terminal pays for it.
    from gateway.cli.progress_bar import Bar

    with Bar(title) as bar:
        yield bar


class Lines:
    """For a pipe or a file: one line each `every_s`."""

    def __init__(self, title: str, every_s: float = LINE_EVERY_S) -> None:
        self._title = title
        self._every_s = every_s
        self._told_at_s = elapsed_s()

    def tell(self, share: float, text: str) -> None:
        if elapsed_s() - self._told_at_s >= self._every_s:
            self._told_at_s = elapsed_s()
            warn(f"{self._title}: {text}")

    def aside(self) -> AbstractContextManager[object]:
        return nullcontext()
