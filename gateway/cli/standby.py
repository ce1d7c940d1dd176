"""`hotline standby`: make this gateway stand by, or say which of its station's two it is."""

from __future__ import annotations

from typing import Final

import click

from gateway.cli.connection import connect
from gateway.cli.options import Common, api_options
from gateway.cli.output import print_json, say, warn
from gateway.cli.spare_text import spare_text

NOBODY: Final = "the other gateway may not follow, and then none of this station is active"


@click.command("standby")
@click.option("--show", is_flag=True, help="Change nothing; say which of the two this is.")
@api_options
def command(common: Common, show: bool) -> None:
    """Make this gateway stand by: it transmits nothing from now on, and follows the other one.

    The claim is given back, so the other takes it at once where the cluster decides
    (takeover = "lease"); else promote it. It is done also where the other could not take over,
    with a warning: then no gateway of the station is active.
    """
    with connect(common) as gateway:
        before = spare = gateway.spare()
        if not show:
            spare = gateway.say_spare("standby")
    if common.json:
        print_json(spare)
    else:
        say(spare_text(spare))
    if not show and (doubt := before.get("follower")):
        warn(f"{NOBODY}: {doubt}; see that one, or take it up here again (hotline promote)")
