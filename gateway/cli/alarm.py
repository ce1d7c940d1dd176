"""`hotline alarm`: what lights the alarm lamp, and the word of a person that it was seen to."""

from __future__ import annotations

import re
from typing import Final

import click

from gateway.cli.connection import connect
from gateway.cli.options import Common, api_options
from gateway.cli.output import print_json, print_table, say
from gateway.errors import FieldError

_NAME: Final = re.compile(r"[a-z0-9.-]{1,60}")


@click.group("alarm")
def command() -> None:
    """List the alarms; clear one that was seen to."""


@command.command("list")
@api_options
def list_(common: Common) -> None:
    """List the alarms that are lit."""
    with connect(common) as gateway:
        alarms = gateway.status().get("alarms") or []
    if common.json:
        print_json({"alarms": alarms})
        return
    rows = [
        (
            str(alarm.get("name")),
            "hotline alarm clear" if alarm.get("clearable") else "with its cause",
            str(alarm.get("text")),
        )
        for alarm in alarms
    ]
    print_table(("ALARM", "ENDS BY", "WHAT"), rows, empty="No alarm is lit.")


@command.command("clear")
@click.argument("name", metavar="ALARM")
@api_options
def clear(common: Common, name: str) -> None:
    """Clear the alarm that `hotline status` names, once you have seen to it.

    Only alarms about what has happened (rollback, far-rollback, same-id, two-incarnations,
    store-rebuilt, log-book, failed-opens, crossed, left-behind) are cleared so; the others end with
    their cause. The log book keeps who cleared it. Something new of the same kind lights it again.
    """
    if not _NAME.fullmatch(name):
        raise FieldError("alarm", f"{name!a:.60} is no name", "take it from `hotline status`")
    with connect(common) as gateway:
        cleared = gateway.clear_alarm(name)
    if common.json:
        print_json(cleared)
        return
    say(f"{name} is cleared; the log book says by whom")
