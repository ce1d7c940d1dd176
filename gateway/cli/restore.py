"""`hotline restore`: a backup in place of the database; the next start tells it as a rollback.

Or, for an older version installed again, what the newer one kept of its database.
"""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.backup import backup_document
from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.keyfiles import cannot
from gateway.cli.options import Common, file_options
from gateway.cli.output import print_json, say


@click.command("restore")
@click.argument(
    "file", metavar="FILE", required=False, type=click.Path(path_type=Path, readable=False)
)
@click.option(
    "--before-upgrade",
    is_flag=True,
    help="Instead of FILE: the database that a newer version kept as it was before it changed it. "
    "For who has installed the older version again.",
)
@file_options
def command(common: Common, file: Path | None, before_upgrade: bool) -> None:
    """Put FILE, made by `hotline backup`, in place of the database. Stop the gateway first.

    FILE and FILE.sha256 must match, and be of this station. The database of now is kept beside, as
    are those that the last two restores replaced; older ones are deleted. The next start lights the
    alarm ROLLBACK: what was said after the backup comes from the log book's files as far as they
    are there; compare it with the far station's.
    """
    from gateway.config.load import load_keyring, load_settings
    from gateway.store.backup import REPLACED_COUNT_MAX, BackupError, go_back, restore

    if (file is None) is not before_upgrade:
        raise click.UsageError("give one of FILE and --before-upgrade")
    settings = load_settings(common.config_path)
    folder = settings.station.state_folder
    station = load_keyring(settings).card.station
    try:
        backup, replaced = (
            go_back(folder, station=station)
            if file is None
            else restore(file, folder, station=station)
        )
    except BackupError as error:
        raise CommandError(ExitCode.REFUSED, str(error)) from error
    except OSError as error:
        raise cannot("read", Path(error.filename or file or folder), error) from error
    if common.json:
        document = backup_document(backup) | {
            "database": str(folder),
            "kept": None if replaced.kept is None else str(replaced.kept),
            "deleted": [str(path) for path in replaced.dropped],
        }
        print_json(document)
        return
    say(
        f"{backup.path} is the database in {folder} now: {backup.act_count} acts, "
        f"{backup.open_count} notices open, {backup.entry_count} entries of the log book"
    )
    if replaced.kept is not None:
        say(f"the database that was there is kept as {replaced.kept}")
    for path in replaced.dropped:
        say(
            f"deleted {path.name}: of those that were replaced the first stays, and the newest"
            f" {REPLACED_COUNT_MAX - 1}"
        )
    if file is None:
        say("start the gateway; it takes from the log book what came since")
    else:
        say("start the gateway; it lights ROLLBACK until `hotline alarm clear`")
