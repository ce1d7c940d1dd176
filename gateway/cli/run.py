"""`hotline run`: the daemon in the foreground, as the service starts it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from gateway.cli.options import Common, file_options
from gateway.cli.output import warn
from gateway.runtime.sd_notify import SystemdNotifier

if TYPE_CHECKING:
    from gateway.config.settings import Settings


class _ReadyLine(SystemdNotifier):
    """Tells a person at a terminal, too, that the gateway is ready."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(os.environ)
        self._settings = settings

    def ready(self) -> None:
        super().ready()
        settings = self._settings
        warn(
            f"station {settings.station.name} is ready; socket {settings.api_socket}, log in "
            f"{settings.log_folder}; Ctrl-C stops it"
        )


@click.command("run")
@file_options
def command(common: Common) -> int:
    """Run the gateway in the foreground until it is stopped (SIGTERM or Ctrl-C).

    Exit code 78: the configuration is wrong, a key file can be read by others, or another gateway
    uses the state folder. A missing radio or cable is no such fault: the gateway waits for it.
    """
    from gateway.config.load import load_settings
    from gateway.runtime.openssl import leave_out_openssl

    settings = load_settings(common.config_path)
    if not settings.needs_tls:
        leave_out_openssl()
    from gateway.runtime.daemon import run_daemon

    return run_daemon(settings, notifier=_ReadyLine(settings) if sys.stderr.isatty() else None)
