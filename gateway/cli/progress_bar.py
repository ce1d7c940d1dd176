"""A progress bar on standard error, for commands that take minutes on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class Bar:
    """One bar, with what is done in words beside it; gone at the end."""

    def __init__(self, title: str) -> None:
        # Else rich takes what goes to standard output as well, and puts it on the terminal even
        # where it is meant for a file.
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task(title, total=1.0, text="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def tell(self, share: float, text: str) -> None:
        self._bar.update(self._task, completed=share, text=text)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The bar is off the screen meanwhile."""
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()
