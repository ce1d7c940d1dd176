"""What goes to the screen: tables (rich on a terminal, plain when piped), fields, JSON.

Cells are shown as they are, never read as markup; everything is made `visible` here.
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

import click

from gateway.cli.text import indented, visible

BLOCK_MARGIN: Final = "    "
PIPED_WIDTH: Final = 100
WIDTH_MIN: Final = 20
Cell = str | tuple[str, ...]
"""One line, or several that stay inside their column."""


def is_terminal() -> bool:
    """Whether a person reads standard output."""
    return sys.stdout.isatty()


def can_ask() -> bool:
    """Whether a person can be asked: standard input and the screen are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def print_json(document: object) -> None:
    """One JSON object or array a line, in ASCII, so that no peer's character reaches a screen."""
    click.echo(json.dumps(document, ensure_ascii=True, sort_keys=False))


def say(line: str) -> None:
    """One line of ours; parts that came from elsewhere are escaped."""
    click.echo(visible(line))


def warn(line: str) -> None:
    """One line for the operator on standard error, so that it never mixes with data."""
    click.echo(visible(line), err=True)


def print_block(text: str) -> None:
    """Text of a peer, indented, with its own line feeds."""
    click.echo(indented(text, BLOCK_MARGIN))


def print_fields(rows: Iterable[tuple[str, object]]) -> None:
    """`name   value` lines; a None value is left out."""
    shown = [(name, visible(value)) for name, value in rows if value is not None]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{name:<{width}}  {value}".rstrip())


def print_wrapped(rows: Iterable[tuple[str, str]]) -> None:
    """`name   value` lines, a long value on several: broken at words, never inside a path."""
    shown = [(name, visible(value)) for name, value in rows]
    margin = max((len(name) for name, _ in shown), default=0) + 2
    for name, value in shown:
        for index, line in enumerate(wrapped(value, margin)):
            click.echo(f"{'' if index else name:<{margin}}{line}".rstrip())


def wrapped(text: str, margin: int = 0) -> list[str]:
    """The lines of a text that stands behind a margin; a word that is too long has one alone."""
    width = shutil.get_terminal_size().columns if is_terminal() else PIPED_WIDTH
    return textwrap.wrap(
        text, max(width - margin, WIDTH_MIN), break_long_words=False, break_on_hyphens=False
    ) or [""]


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, empty: str) -> None:
    """A table with a head, or the sentence `empty`."""
    if not rows:
        say(empty)
    elif is_terminal():
        _print_rich(columns, rows)
    else:
        _print_plain(columns, rows)


def _joined(cell: Cell, between: str) -> str:
    """The lines of a cell, each escaped by itself."""
    lines = (cell,) if isinstance(cell, str) else cell
    return between.join([visible(line) for line in lines])


def _print_plain(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    cells = [[_joined(cell, " / ") for cell in row] for row in rows]
    widths = [
        max(len(column), *(len(row[index]) for row in cells))
        for index, column in enumerate(columns)
    ]
    for row in (columns, *cells):
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def _print_rich(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    # rich takes a third of the start; only a terminal pays for it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*[Text(_joined(cell, "\n")) for cell in row])
    Console(markup=False, highlight=False, emoji=False).print(table)
