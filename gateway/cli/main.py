"""The `hotline` command: finds a command's module when it is asked for, and ends every failure in
one sentence and a stated exit code. No traceback reaches an operator; `--debug` shows it.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Final

import click

from gateway.cli.exits import CommandError, ExitCode, exit_code_help
from gateway.cli.options import Common, global_options
from gateway.cli.text import visible
from gateway.errors import (
    ConfigError,
    FieldError,
    GatewayError,
    StoreFailedError,
    StoreRefusedError,
)

COMMANDS: Final = {
    "run": ("run", "Run the gateway in the foreground (the service does this)."),
    "send": ("send", "Send a notice to the far station."),
    "inbox": ("inbox", "List the notices that came in."),
    "outbox": ("outbox", "List the notices that we sent, with their states."),
    "show": ("show", "Show one notice, its history and its answers."),
    "answer": ("answer", "Answer a notice: ROGER, STANDBY, WILCO and so on."),
    "phrases": ("phrases", "List the phrases of the codebook."),
    "status": ("status", "Say how the line is: device, path, far gateway, far watch."),
    "alarm": ("alarm", "List the alarms; clear one that was seen to."),
    "lamps": ("lamps", "Show the lamp panel."),
    "log": ("log", "List the entries of the log book."),
    "init": ("init", "Set a station up: keys and configuration, by questions or options."),
    "key": ("key", "Make keys, show the card, trust a far station's card."),
    "line": ("line", "Join a line with a far station: invite, accept."),
    "frame": ("frame", "Expand a captured frame to standard COSE notation."),
    "config": ("config", "Check the configuration file."),
    "doctor": ("doctor", "Examine this station part by part, and say what to do."),
    "backup": ("backup", "Copy notices and log book into a file, while the gateway runs."),
    "restore": ("restore", "Put a backup back, while the gateway is stopped."),
    "vacuum": ("vacuum", "Make a large old database smaller, while the gateway is stopped."),
    "promote": ("promote", "Make this gateway the active one of its station's two."),
    "standby": ("standby", "Make this gateway stand by, or say which of the two it is."),
    "radio": ("radio", "Show what a Meshtastic radio is set to, set it up, simulate some."),
    "bench": ("bench", "Run two gateways with a simulated cable and radios."),
    "benchmark": ("benchmark", "Measure every budget on this machine."),
    "simulate": ("simulate", "Run drawn histories of faults in virtual time and judge them."),
    "completion": ("completion", "Print the completion script for a shell."),
}
"""name: (module under `gateway.cli`, its line in the overview). The test compares them."""


class _ReaderGoneError(Exception):
    """The reader of our output went away (`hotline log | head`)."""


class LazyGroup(click.Group):
    """A group whose commands are imported only when they run."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # click would end the process with 1 for it.
            raise _ReaderGoneError from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"gateway.cli.{COMMANDS[cmd_name][0]}")
        command = module.command
        if not isinstance(command, click.Command):  # pragma: no cover - a bug of ours
            raise TypeError(cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _show_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from gateway.cli.version import version_text

    click.echo(version_text())
    ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExit codes:\n" + exit_code_help(),
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Print the version and exit.",
)
@global_options
def hotline(common: Common) -> None:
    """The hotline gateway: signed notices between two stations over radio and cable.

    A machine receipt says that the far gateway stores a notice. ROGER says that a person has
    received it. RECEIPT IS NOT CONSENT.
    """


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code. The only place that catches everything."""
    _make_output_safe()
    common = Common()
    try:
        # Without the standalone mode click returns the code of `ctx.exit()`.
        outcome = hotline.main(arguments, prog_name="hotline", standalone_mode=False, obj=common)
        sys.stdout.flush()
    except (BrokenPipeError, _ReaderGoneError):
        # That is not a failure; what is left in the buffer goes nowhere at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except (KeyboardInterrupt, click.Abort):
        click.echo(err=True)
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 (the one top of the command line)
        if common.debug:
            import traceback

            traceback.print_exc()
        return _explain(error)
    return outcome if isinstance(outcome, int) else ExitCode.OK


def _make_output_safe() -> None:
    """A screen that lacks a letter gets its escape, not the operator a traceback."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _explain(error: Exception) -> ExitCode:
    """Print the sentence of an error and choose its exit code."""
    if isinstance(error, CommandError):
        return _fail(error.code, error.sentence)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    if isinstance(error, click.UsageError):
        where = f"; see `{error.ctx.command_path} --help`" if error.ctx else ""
        return _fail(ExitCode.USAGE, error.format_message().rstrip(".") + where)
    if isinstance(error, click.ClickException):
        return _fail(ExitCode.USAGE, error.format_message())
    if isinstance(error, FieldError):
        return _fail(ExitCode.USAGE, str(error))
    if isinstance(error, ConfigError):
        for problem in error.problems:
            _fail(ExitCode.CONFIGURATION, problem)
        return ExitCode.CONFIGURATION
    if isinstance(error, OSError) and error.filename is not None:
        return _fail(
            ExitCode.NOT_FOUND if isinstance(error, FileNotFoundError) else ExitCode.FORBIDDEN,
            f"{error.filename}: {error.strerror}; check the path and who may use it",
        )
    if isinstance(error, GatewayError):
        return _fail(_code_of(error), str(error))
    return _fail(
        ExitCode.INTERNAL,
        f"this command met a fault of its own ({type(error).__name__}); "
        "run it again with `hotline --debug ...` and report what it prints",
    )


def _code_of(error: GatewayError) -> ExitCode:
    if isinstance(error, StoreRefusedError):
        return ExitCode.TRY_LATER
    return ExitCode.STORE_FAILED if isinstance(error, StoreFailedError) else ExitCode.REFUSED


def _fail(code: ExitCode, sentence: str) -> ExitCode:
    click.echo(f"hotline: {visible(' '.join(sentence.split()))}", err=True)
    return code


def entry() -> None:  # pragma: no cover - `python -m gateway.cli.main`
    sys.exit(main())


if __name__ == "__main__":
    entry()
