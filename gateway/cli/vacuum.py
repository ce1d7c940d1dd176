"""`hotline vacuum`: the database written anew, so that it takes no more room than it needs."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.keyfiles import cannot
from gateway.cli.options import Common, file_options
from gateway.cli.output import print_json, say


@click.command("vacuum")
@file_options
def command(common: Common) -> None:
    """Write the database anew, without the room that nothing needs. Stop the gateway first.

    Only for a database that an older version made and that was too large to be changed at a start:
    after this a running gateway gives back by itself what `keep_days` frees. It is whole at every
    moment, and needs as much room again meanwhile.
    """
    from gateway.config.load import load_settings
    from gateway.store.vacuum import vacuum

    folder = load_settings(common.config_path).station.state_folder
    try:
        done = vacuum(folder)
    except OSError as error:
        raise cannot("read", Path(error.filename or folder), error) from error
    if common.json:
        print_json({"folder": str(folder), "size_before": done.size_before, "size": done.size})
        return
    say(f"the database in {folder} has {done.size} octets now; it had {done.size_before}")
