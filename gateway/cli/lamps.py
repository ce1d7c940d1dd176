"""`hotline lamps`: the panel as it is lit, in words, for those who do not stand before it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import click

from gateway.cli.connection import Gateway, connect
from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.options import Common, api_options
from gateway.cli.output import print_json, print_table, say
from gateway.cli.view import clock_text

if TYPE_CHECKING:
    from gateway.indicators.console import LampView

_MEANINGS: Final = {
    "alive": "green: blinks while the gateway runs; dark is a fault",
    "pending_in": "red: an OPERATION notice waits for our watch",
    "pending_out": "amber: we wait for their watch",
    "alarm": "overdue, rollback, store, no link: see `hotline status`",
    "exercise": "blue: an exercise, simulation, test or comm check waits",
    "buzzer": "sounds by precedence; a press of the button silences it",
}
_MEANING_OF_LINK: Final = "green: steady is up; a rhythm is probing or degraded; dark is down"
_OFF: Final = "off"


@click.command("lamps")
@click.option("-f", "--follow", is_flag=True, help="Go on, a line for each change.")
@api_options
def command(common: Common, follow: bool) -> None:
    """Show each lamp of the panel, its rhythm and its meaning."""
    with connect(common) as gateway:
        if follow:
            _follow(common, gateway)
            return
        document = gateway.status()
    views = _views(document)
    if common.json:
        print_json(_document(views))
        return
    from gateway.indicators.console import DARK, LIT, label

    rows = [
        (
            DARK if view.rhythm == _OFF else LIT,
            label(view.name),
            view.rhythm,
            _MEANING_OF_LINK if view.name.startswith("link.") else _MEANINGS.get(view.name, ""),
        )
        for view in views
    ]
    print_table(("", "LAMP", "SHOWS", "MEANING"), rows, empty="No lamp is configured.")


def _views(document: Mapping[str, object]) -> list[LampView]:
    """The lamps in a status document. Raises `CommandError` when it has none."""
    from gateway.indicators.console import document_views

    views = document_views(document)
    if not views:
        raise CommandError(
            ExitCode.NOT_FOUND,
            "this gateway tells of no lamps (see [indicators] in its configuration); "
            "`hotline status` has the same facts",
        )
    return views


def _document(views: list[LampView]) -> dict[str, object]:
    """`lamps`: lit at this moment or not; `patterns`: the rhythm, `off` when dark."""
    return {
        "lamps": {view.name: int(view.is_lit) for view in views},
        "patterns": {view.name: view.rhythm for view in views},
    }


def _follow(common: Common, gateway: Gateway) -> None:
    from gateway.indicators.console import render_plain

    shown: list[str] = []
    for event in gateway.stream():
        if event is None or event.name != "status":
            continue
        views = _views(event.document)
        rhythms = [f"{view.name} {view.rhythm}" for view in views]
        if rhythms == shown:
            continue
        shown = rhythms
        if common.json:
            print_json({"time": event.document.get("time"), **_document(views)})
        else:
            lit = [view for view in views if view.rhythm != _OFF]
            say(f"{clock_text(event.document.get('time'))}  {render_plain(lit) or 'all dark'}")
        sys.stdout.flush()
