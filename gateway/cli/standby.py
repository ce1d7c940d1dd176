"""`hotline standby`: make this gateway stand by, or say which of its station's two it is."""

from __future__ import annotations

import click

from gateway.cli.connection import connect
from gateway.cli.options import Common, api_options
from gateway.cli.output import print_json, say
from gateway.cli.spare_text import spare_text


@click.command("standby")
@click.option("--show", is_flag=True, help="Change nothing; say which of the two this is.")
@api_options
def command(common: Common, show: bool) -> None:
    """Make this gateway stand by: it transmits nothing from now on, and follows the other one.

    The claim is given back, so the other takes it at once where the cluster decides
    (takeover = "lease"); else promote it.
    """
    with connect(common) as gateway:
        spare = gateway.spare() if show else gateway.say_spare("standby")
    if common.json:
        print_json(spare)
    else:
        say(spare_text(spare))
