"""`hotline backup`: notices, deliveries and log book in one file, while the gateway runs."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.keyfiles import cannot
from gateway.cli.options import Common, file_options
from gateway.cli.output import print_json, say, warn

if TYPE_CHECKING:
    from gateway.store.backup import Backup


@click.command("backup")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, readable=False))
@file_options
def command(common: Common, file: Path) -> int:
    """Copy the database of this station into FILE, with its checksum in FILE.sha256.

    The gateway goes on meanwhile. FILE is new and private (0600). It holds notices and the log
    book, and no key: copy the key files of /etc/hotline-gateway apart, to another place.
    """
    from gateway.config.load import load_settings
    from gateway.store.backup import make_backup

    folder = load_settings(common.config_path).station.state_folder
    try:
        backup = make_backup(folder, file)
    except FileExistsError as error:
        raise CommandError(
            ExitCode.CONFLICT,
            f"{error.filename} exists and is not overwritten; name another file",
        ) from error
    except OSError as error:
        path = Path(error.filename or file)
        raise cannot("read" if folder in path.parents else "written", path, error) from error
    except sqlite3.Error as error:  # pragma: no cover - the store names them all
        raise CommandError(ExitCode.STORE_FAILED, str(error)) from error
    if common.json:
        print_json(backup_document(backup))
    else:
        say(
            f"{file}: {backup.act_count} acts, {backup.open_count} notices open, "
            f"{backup.entry_count} entries of the log book, {backup.size} octets"
        )
    for fault in backup.faults:
        warn(f"damaged already in the database: {fault}")
    if backup.faults:
        warn(
            "restart the gateway: it sets damaged rows aside and rebuilds them; then back up again"
        )
        return ExitCode.FAILED
    return ExitCode.OK


def backup_document(backup: Backup) -> dict[str, object]:
    return {
        "file": str(backup.path),
        "size": backup.size,
        "sha256": backup.sha256,
        "station": backup.station,
        "acts": backup.act_count,
        "open": backup.open_count,
        "log_entries": backup.entry_count,
        "faults": list(backup.faults),
    }
