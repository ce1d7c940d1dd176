"""`hotline lamps`: the panel as it is lit, in words, for those who do not stand before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

from gateway.cli.connection import connect
from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.options import Common, api_options
from gateway.cli.output import print_json, print_table

MEANINGS: Final = {
    "alive": "green: blinks while the gateway runs",
    "pending_in": "red: an OPERATION notice waits for our watch",
    "pending_out": "amber: we wait for their watch",
    "alarm": "overdue, rollback, store, no link: see `hotline status`",
    "exercise": "blue: an exercise, simulation, test or comm check waits",
    "buzzer": "sounds by precedence; a press of the button silences it",
}


@click.command("lamps")
@api_options
def command(common: Common) -> None:
    """Show each lamp of the panel, its rhythm and its meaning."""
    with connect(common) as gateway:
        lamps = gateway.status().get("lamps")
    if not isinstance(lamps, Mapping):
        raise CommandError(
            ExitCode.NOT_FOUND,
            "this gateway has no lamps (indicators: factory is none); see `hotline status`",
        )
    if common.json:
        print_json({"lamps": lamps})
        return
    rows = [(_name(name), str(rhythm), _meaning(name)) for name, rhythm in lamps.items()]
    print_table(("LAMP", "SHOWS", "MEANING"), rows, empty="No lamp is configured.")


def _name(name: str) -> str:
    return name.replace("_", " ").replace("link.", "link ")


def _meaning(name: str) -> str:
    if name.startswith("link."):
        return "steady: up; blinking: probing or degraded; dark: down"
    return MEANINGS.get(name, "")
