"""`hotline run`: the daemon in the foreground, as the service starts it."""

from __future__ import annotations

import click

from gateway.cli.options import Common, file_options


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

    return run_daemon(settings)
