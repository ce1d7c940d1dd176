"""`hotline log`: the entries of the log book."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

import click

from gateway.cli.connection import Gateway, connect
from gateway.cli.log_export import export
from gateway.cli.log_verify import verify
from gateway.cli.options import Common, api_options
from gateway.cli.output import print_json, print_table
from gateway.cli.text import DTG_UNKNOWN
from gateway.cli.view import Document

PAGE: Final = 500


@click.group("log", invoke_without_command=True)
@click.option(
    "--after", type=click.IntRange(min=0), help="Only entries behind this number, oldest first."
)
@click.option(
    "-n", "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most."
)
@click.option("-f", "--follow", is_flag=True, help="Go on and show each entry as it is written.")
@api_options
@click.pass_context
def command(
    ctx: click.Context, common: Common, after: int | None, limit: int, follow: bool
) -> None:
    """List entries of the log book: the last ones, or those after a number.

    Each entry is chained to the one before, and acts in it are signed; it is the record. (The
    technician's log is in the journal.)
    """
    if ctx.invoked_subcommand is None:
        _list(common, after, limit, follow=follow)


command.add_command(verify)
command.add_command(export)


def _list(common: Common, after: int | None, limit: int, *, follow: bool) -> None:
    with connect(common) as gateway:
        if after is None:
            after = max(0, gateway.last_log_number() - limit)
        entries = list(_take(gateway, after, limit))
        _print(common, entries, lines=follow)
        if not follow:
            return
        last = int(entries[-1]["number"]) if entries else after
        # Whatever is recorded goes with a change that the stream tells of.
        for _ in gateway.stream():
            for entry in _take(gateway, last, PAGE):
                _print(common, [entry], lines=True, head=False)
                last = int(entry["number"])
            sys.stdout.flush()


def _take(gateway: Gateway, after: int, limit: int) -> Iterator[Document]:
    while limit > 0:
        entries = gateway.log(after, min(limit, PAGE))
        if not entries:
            return
        yield from entries
        limit -= len(entries)
        after = int(entries[-1]["number"])


def _print(common: Common, entries: list[Document], *, lines: bool, head: bool = True) -> None:
    if common.json and not lines:
        print_json({"entries": entries})
    elif common.json:
        for entry in entries:
            print_json(entry)
    else:
        rows = [_row(entry) for entry in entries]
        columns = ("NUMBER", "DTG", "KIND", "EVENT", "ACT", "FIELDS")
        if head or rows:
            print_table(columns, rows, empty="The log book has no entry there.")


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
