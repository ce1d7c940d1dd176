"""What operators carry to each other: shown once as a QR code, or written once into a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.keyfiles import PRIVATE_MODE, cannot, read_text_file, write_new
from gateway.cli.options import Common
from gateway.cli.output import can_ask, is_terminal, say
from gateway.model import UtcTime

F = TypeVar("F", bound=Callable[..., Any])
VALID_H: Final = 168
_TEXT_SIZE_MAX: Final = 4096
_PNG_SCALE: Final = 6


@dataclass(frozen=True, slots=True)
class Way:
    """How it leaves this machine: one of the three."""

    file: Path | None
    png: Path | None
    is_screen: bool

    @property
    def name(self) -> str | None:
        """The path, None for the screen."""
        path = self.file or self.png
        return None if path is None else str(path)


def way_options(function: F) -> F:
    """`--file` and `--png`; without them the terminal shows a QR code."""
    path = click.Path(path_type=Path, dir_okay=False)
    function = click.option("--png", type=path, help="Write a QR code into a picture, once.")(
        function
    )
    return click.option("--file", type=path, help="Write it as text into a file, once.")(function)


def choose_way(common: Common, *, file: Path | None, png: Path | None) -> Way:
    """Before anything is made: a secret that could not be shown would be lost."""
    if file and png:
        raise click.UsageError("give one of --file and --png: what is secret leaves one way only")
    if file is None and png is None and (common.json or not is_terminal()):
        raise click.UsageError(
            "no terminal to show a QR code on; write it with --file FILE or --png FILE"
        )
    for path in (file, png):
        if path is not None:
            check_place(path)
    return Way(file, png, file is None and png is None)


def check_place(path: Path) -> None:
    """Refuse where nothing could be written, before anybody is asked."""
    if path.exists():
        raise CommandError(
            ExitCode.CONFLICT, f"{path} exists and is not overwritten; name another file"
        )
    folder = path.absolute().parent
    if not folder.is_dir():
        raise CommandError(
            ExitCode.NOT_FOUND,
            f"{path} cannot be written: {folder} is no folder; mount the stick, or name another",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CommandError(
            ExitCode.FORBIDDEN,
            f"{path} cannot be written: this user may not write into {folder}, or it is read-only;"
            " name another, or use sudo",
        )


def hand_over(text: str, way: Way, *, undo: Callable[[], object] | None = None) -> None:
    """Let it out. Files have mode 0600.

    `undo` puts back what was kept of it before, where it did not get out: nobody will have it.
    """
    try:
        if way.file is not None:
            write_new(way.file, text + "\n", mode=PRIVATE_MODE)
        else:
            _draw(text, way.png)
    except CommandError:
        if undo is not None:
            undo()
        raise


def _draw(text: str, png: Path | None) -> None:
    # Low error correction: a screen has no scratches, and the code stays within 80 columns.
    import segno

    code = segno.make(text, error="l", boost_error=False, micro=False)
    if png is None:
        code.terminal(compact=True, border=2)
        return
    write_new(png, "", mode=PRIVATE_MODE)
    try:
        with png.open("wb") as picture:
            code.save(picture, kind="png", scale=_PNG_SCALE, border=4)
    except OSError as error:
        png.unlink(missing_ok=True)
        raise cannot("written", png, error) from error


def take_in(source: str | None, *, kinds: tuple[str, ...]) -> str:
    """What the other side made: a file's, or `-` for standard input, or what is typed or scanned.

    Never an argument: those are seen by everyone on the machine (`ps`).
    """
    from gateway.security.paper import prefix_of

    if source is not None and source.upper().startswith("HOTLINE-"):
        raise click.UsageError(
            "do not write it on the command line, where every user of this machine reads it;"
            " name its file, or leave it out and paste or scan it when asked"
        )
    if source == "-":
        text = sys.stdin.read(_TEXT_SIZE_MAX)
    elif source is not None:
        text = read_text_file(Path(source))
    elif can_ask():
        text = click.prompt("Paste or scan it here (nothing is shown)", hide_input=True, err=True)
    else:
        raise click.UsageError("no terminal to ask on; name the file, or - for standard input")
    text = "".join(text.split()).upper()
    if not any(text.startswith(prefix_of(kind)) for kind in kinds):
        raise CommandError(
            ExitCode.USAGE,
            "this is neither an invitation nor a reply nor a renewal of a hotline; give what the"
            " far station's `hotline line` or `hotline key rotate` made",
        )
    return text


def utc_now() -> UtcTime:
    """What the wall clock of this machine shows."""
    from gateway.runtime.clock import Clock, KernelSources

    return UtcTime(int(Clock(KernelSources()).wall()))


def time_words(moment: UtcTime) -> str:
    """`2026-11-27 09:30Z`."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%MZ")


def say_way(what: str, way: Way, *, is_secret: bool) -> None:
    """Where it is now, and what to do with it."""
    if way.name is not None:
        say(f"{what}  {way.name}: bring it to the other side by hand")
    if is_secret:
        say(
            "It holds a secret and is never shown again. Scan it only with a device that is on no"
            " network, and destroy every copy when the other side has taken it."
        )
