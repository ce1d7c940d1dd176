"""`hotline run`: the daemon in the foreground, as the service starts it."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from typing import TYPE_CHECKING, Final

import click

from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.options import Common, file_options
from gateway.cli.port_type import PortType
from gateway.cli.text import visible
from gateway.runtime.sd_notify import SystemdNotifier

if TYPE_CHECKING:
    from gateway.config.settings import Settings

_LINE_SIZE_MAX: Final = 4_096
"""PIPE_BUF: a pipe that is ready to be written takes so much without a wait (pipe(7))."""


class _Onlooker(SystemdNotifier):
    """Tells who started us, on a terminal or through a pipe, that we are ready and how links are.

    A line that nobody takes is dropped: neither a stopped terminal nor a reader that went away may
    hold or end the gateway.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(os.environ)
        self._settings = settings
        self._waiting: list[str] | None = []
        """News before we are ready: at most a few a link."""

    def ready(self) -> None:
        super().ready()
        settings = self._settings
        _tell(
            f"station {settings.station.name} is ready; socket {settings.api_socket}, log in "
            f"{settings.log_folder}; Ctrl-C stops it"
        )
        waiting, self._waiting = self._waiting, None
        for sentence in waiting or ():
            _tell(sentence)

    def news(self, sentence: str) -> None:
        if self._waiting is None:
            _tell(sentence)
        else:
            self._waiting.append(sentence)


def _tell(line: str) -> None:
    """One line on standard error, if it takes it at once."""
    octets = f"{visible(line)}\n".encode(errors="backslashreplace")[:_LINE_SIZE_MAX]
    with contextlib.suppress(OSError, ValueError):
        descriptor = sys.stderr.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        if poll.poll(0):
            os.write(descriptor, octets)


def _is_watched() -> bool:
    """Whether someone reads standard error who does not read the local log there already."""
    from gateway.observe.log import is_journal

    return not os.environ.get("NOTIFY_SOCKET") and not is_journal(os.environ, sys.stderr)


@click.command("run")
@click.option(
    "--port",
    "ports",
    multiple=True,
    metavar="[LINK=]PORT",
    help="Another port for a radio than the configuration's: /dev/... or tcp://host:4403. LINK "
    "names its link where there are several. Repeat for more.",
)
@file_options
def command(common: Common, ports: tuple[str, ...]) -> int:
    """Run the gateway in the foreground until it is stopped (SIGTERM or Ctrl-C).

    Exit code 78: the configuration is wrong, a key file can be read by others, or another gateway
    uses the state folder. A missing radio or cable is no such fault: the gateway waits for it, and
    says on standard error what does not work, when it works and when the line is up.
    """
    from gateway.runtime.openssl import leave_out_hashing, leave_out_tls

    leave_out_hashing()
    from gateway.config.load import load_settings

    settings = load_settings(common.config_path)
    for text in ports:
        settings = _with_radio_port(settings, text)
    if not settings.needs_tls:
        leave_out_tls()
    from gateway.runtime.daemon import run_daemon

    return run_daemon(settings, notifier=_Onlooker(settings) if _is_watched() else None)


def _with_radio_port(settings: Settings, text: str) -> Settings:
    """The settings with what one `--port` says."""
    from gateway.config.load import with_port
    from gateway.config.settings import MeshtasticLinkSettings

    names = [it.name for it in settings.links if isinstance(it, MeshtasticLinkSettings)]
    before, equals, after = text.partition("=")
    is_named = bool(equals) and before in names
    name = before if is_named else names[0] if len(names) == 1 else None
    if equals and not is_named and "/" not in before and ":" not in before:
        raise CommandError(
            ExitCode.USAGE,
            f"--port {text}: no radio of the configuration is called {before!r}; "
            f"it has {', '.join(names) or 'none'}",
        )
    port = PortType().convert(after if is_named else text, None, None)
    if name is None:
        raise CommandError(
            ExitCode.USAGE,
            f"--port {text} names none of the radios of the configuration "
            f"({', '.join(names) or 'it has none'}); write --port LINK={port}",
        )
    return with_port(settings, name, port)
