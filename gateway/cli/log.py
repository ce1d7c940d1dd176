"""`hotline log`: the entries of the log book."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import click

from gateway.cli.connection import Gateway, connect
from gateway.cli.log_export import export
from gateway.cli.log_verify import verify
from gateway.cli.number_type import IntegerRange
from gateway.cli.options import Common, api_options
from gateway.cli.output import print_json, print_table, say
from gateway.cli.text import DTG_UNKNOWN
from gateway.cli.view import Document

PAGE: Final = 500
COLUMNS: Final = ("NUMBER", "DTG", "KIND", "EVENT", "ACT", "FIELDS")
WIDTHS: Final = (6, 14, 7, 16, 13, 0)
"""Of most; a longer cell moves the rest of its line."""


@click.group("log", invoke_without_command=True)
@click.option(
    "--after", type=IntegerRange(min=0), help="Only entries behind this number, oldest first."
)
@click.option(
    "-n", "--limit", type=IntegerRange(1, 100_000), default=50, show_default=True, help="At most."
)
@click.option("-f", "--follow", is_flag=True, help="Go on and show each entry as it is written.")
@click.option(
    "--event", "events", multiple=True, metavar="EVENT", help="Only these: state, link_up; repeat."
)
@click.option("--act", metavar="ID", help="Only entries of this act, and those that name it.")
@click.option("--kind", type=click.Choice(["line", "station"]), help="Acts, or all the rest.")
@api_options
@click.pass_context
def command(
    ctx: click.Context,
    common: Common,
    after: int | None,
    limit: int,
    follow: bool,
    events: tuple[str, ...],
    act: str | None,
    kind: str | None,
) -> None:
    """List entries of the log book: the last ones, or those after a number.

    Each entry is chained to the one before, and acts in it are signed; it is the record. (The
    technician's log is in the journal.)
    """
    if ctx.invoked_subcommand is None:
        _list(common, after, limit, _Filter(frozenset(events), act, kind), follow=follow)


command.add_command(verify)
command.add_command(export)


@dataclass(frozen=True, slots=True)
class _Filter:
    """Which entries are asked for; empty and None: all."""

    events: frozenset[str]
    act: str | None
    kind: str | None

    def takes(self, entry: Document) -> bool:
        return (
            (not self.events or entry.get("event") in self.events)
            and (self.kind is None or entry.get("kind") == self.kind)
            and (self.act is None or self.act in _acts(entry))
        )


def _acts(entry: Document) -> list[object]:
    return [entry.get("act"), *(entry.get("fields") or {}).values()]


def _list(common: Common, after: int | None, limit: int, wanted: _Filter, *, follow: bool) -> None:
    with connect(common) as gateway:
        last = gateway.last_log_number()
        if after is None:
            entries = _last(gateway, last, limit, wanted)
        else:
            # What is written from now on is for --follow, and no later than what was asked for.
            last = max(last, after)
            entries = list(islice(_take(gateway, after, wanted, until=last), limit))
            if len(entries) == limit:
                last = int(entries[-1]["number"])
        if not follow:
            _print(common, entries)
            return
        if not common.json:
            say(_in_columns(COLUMNS))
        _print_lines(common, entries)
        # Whatever is recorded goes with a change that the stream tells of.
        for _ in gateway.stream():
            for entry in _take(gateway, last, _Filter(frozenset(), None, None)):
                last = int(entry["number"])
                if wanted.takes(entry):
                    _print_lines(common, [entry])
            sys.stdout.flush()


def _take(
    gateway: Gateway, after: int, wanted: _Filter, *, until: int = sys.maxsize
) -> Iterator[Document]:
    """Wanted entries behind a number, up to another or to the end of the book."""
    while after < until and (entries := gateway.log(after, min(PAGE, until - after))):
        yield from filter(wanted.takes, entries)
        after = int(entries[-1]["number"])


def _last(gateway: Gateway, last: int, limit: int, wanted: _Filter) -> list[Document]:
    """The last wanted entries up to number `last`, oldest first."""
    found: list[Document] = []
    while last > 0 and len(found) < limit:
        before = max(0, last - PAGE)
        found = [*_take(gateway, before, wanted, until=last), *found]
        last = before
    return found[-limit:]


def _print(common: Common, entries: list[Document]) -> None:
    if common.json:
        print_json({"entries": entries})
    else:
        rows = [_row(entry) for entry in entries]
        print_table(COLUMNS, rows, empty="The log book has no such entry.")


def _print_lines(common: Common, entries: Iterable[Document]) -> None:
    """As they come: in columns that do not wait for the widest."""
    for entry in entries:
        if common.json:
            print_json(entry)
        else:
            say(_in_columns(_row(entry)))


def _in_columns(cells: Sequence[str]) -> str:
    padded = [f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True)]
    return "  ".join(padded).rstrip()


def _row(entry: Document) -> tuple[str, ...]:
    fields = entry.get("fields") or {}
    return (
        str(entry.get("number")),
        str(entry.get("dtg") or DTG_UNKNOWN),
        str(entry.get("kind", "")),
        str(entry.get("event") or entry.get("problem", "")),
        str(entry.get("act") or ""),
        " ".join(f"{name}={value}" for name, value in fields.items()),
    )
