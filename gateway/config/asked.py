"""What is checked when a person asks: the daemon starts without it, or waits for it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.config.document import Fields, Problem, shown
from gateway.config.files import FileProblemError, read_private
from gateway.config.settings import (
    LineSettings,
    LinkSettings,
    MeshtasticLinkSettings,
    StationSettings,
)


def check_asked(fields: Fields) -> Iterator[Problem]:
    """Look at what the file names on this machine; what is not there yet may come."""
    yield from _check_folders(fields.get("station"))
    yield from _check_lines(fields.get("line") or ())


def _check_folders(station: StationSettings | None) -> Iterator[Problem]:
    if station is None:
        return
    for name in ("state_folder", "runtime_folder"):
        path = getattr(station, name)
        if (mode := _mode(path)) is not None and not stat.S_ISDIR(mode):
            what = f"{path} is no folder"
            yield Problem(f"[station] {name}", what, "name a folder, or leave the line out")


def _check_lines(lines: Iterable[LineSettings | None]) -> Iterator[Problem]:
    for line_number, line in enumerate(lines, start=1):
        for number, link in enumerate(line.link if line else (), start=1):
            yield from _check_link(f"[[line]] {line_number}, [[line.link]] {number}", link)


def _check_link(where: str, link: LinkSettings) -> Iterator[Problem]:
    mode = _mode(Path(link.port)) if link.port.startswith("/") else None
    if mode is not None and not stat.S_ISCHR(mode):
        what = f"{shown(link.port)} is there, and is no serial device"
        yield Problem(f"{where} port", what, "write one that `ls /dev/hotline` shows")
    if isinstance(link, MeshtasticLinkSettings) and link.channel_key_file is not None:
        try:
            read_private(f"{where} channel_key_file", link.channel_key_file)
        except FileProblemError as error:
            # The set-up reads it as root; the service's user need not be able to.
            if not isinstance(error.__cause__, PermissionError):
                yield error.problem


def _mode(path: Path) -> int | None:
    """What is there; None for nothing, or nothing that this user may see."""
    try:
        return os.stat(path).st_mode  # noqa: PTH116 (follows links, like opening does)
    except (OSError, ValueError):
        return None
