"""Writes hotline(1) in roff from the help of the commands: the page is never another text."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import click

from gateway import __version__
from gateway.cli.main import hotline
from gateway.cli.options import CONFIG_DEFAULT

PROGRAM = "hotline"


def page() -> str:
    """The whole page."""
    date = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC).date()
    top = click.Context(hotline, info_name=PROGRAM, **hotline.context_settings)
    lines = [
        f'.TH HOTLINE 1 "{date}" "hotline-gateway {__version__}" "Hotline gateway"',
        ".SH NAME",
        r"hotline \- signed notices between two stations over radio and cable",
        ".SH SYNOPSIS",
        r"\fBhotline\fR [\fIOPTIONS\fR] \fICOMMAND\fR [\fIARGUMENTS\fR]",
        ".SH DESCRIPTION",
        *paragraphs(hotline.help or ""),
        ".SH OPTIONS",
        *options(top),
        ".SH COMMANDS",
    ]
    for context in commands(top):
        lines += section(context)
    lines += [".SH EXIT STATUS", *paragraphs((hotline.epilog or "").replace("Exit codes:\n", ""))]
    lines += [
        ".SH FILES",
        ".TP",
        f".I {escaped(str(CONFIG_DEFAULT))}",
        r"The configuration; keys, cards and secrets lie beside it.",
        ".TP",
        r".I /var/lib/hotline\-gateway",
        "Everything that outlives a restart; the log book is in logbook.",
        ".SH SEE ALSO",
        r".BR systemctl (1),",
        r".BR journalctl (1)",
    ]
    return "\n".join(lines) + "\n"


def commands(context: click.Context) -> Iterator[click.Context]:
    """Every command below a group, depth first, in the order of its help."""
    group = context.command
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        below = click.Context(command, info_name=name, parent=context)
        yield below
        yield from commands(below)


def section(context: click.Context) -> list[str]:
    usage = " ".join(context.command.collect_usage_pieces(context))
    lines = [
        f'.SS "{escaped(context.command_path)}"',
        rf"\fB{escaped(context.command_path)}\fR {escaped(usage)}",
        *paragraphs(context.command.help or "", is_first=False),
    ]
    return lines + options(context)


def options(context: click.Context) -> list[str]:
    lines = []
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            name, text = record
            lines += [".TP", rf"\fB{escaped(name)}\fR", escaped(" ".join(text.split()))]
    return lines


def paragraphs(text: str, *, is_first: bool = True) -> list[str]:
    """Click's text: blank lines between paragraphs; after a backspace lines stay as they are."""
    lines = []
    for number, block in enumerate(re.split(r"\n\s*\n", text.strip())):
        if number or not is_first:
            lines.append(".PP")
        if block.lstrip().startswith("\b"):
            kept = [line for line in block.splitlines() if line.strip(" \b")]
            lines += [".nf", *[escaped(line.lstrip("\b")) for line in kept], ".fi"]
        else:
            lines.append(escaped(" ".join(block.split())))
    return lines


def escaped(text: str) -> str:
    """No character of the text is read as roff."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


if __name__ == "__main__":
    sys.stdout.write(page())
