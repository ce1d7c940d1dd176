"""`hotline outbox`: what we sent, and how far each notice came."""

from __future__ import annotations

import click

from gateway.cli.connection import connect
from gateway.cli.number_type import IntegerRange
from gateway.cli.options import Common, api_options, language_option
from gateway.cli.output import print_json
from gateway.cli.view import print_notices


@click.command("outbox")
@click.option("-o", "--open", "open_only", is_flag=True, help="Only those that are still open.")
@click.option(
    "-n", "--limit", type=IntegerRange(1, 1000), default=50, show_default=True, help="At most."
)
@language_option
@api_options
def command(common: Common, open_only: bool, limit: int, language: str) -> None:
    """List the notices that we sent, newest first, each with its state.

    MACHINE RECEIPT: the far gateway stores it. ROGER: a person has received it.
    """
    with connect(common) as gateway:
        notices = gateway.notices("out", open_only=open_only, limit=limit)
    if common.json:
        print_json({"notices": notices})
        return
    empty = "No open notice." if open_only else "Nothing was sent."
    print_notices(notices, other="to", empty=empty, language=language)
