"""What the README and the sheets of hw/ tell people to write is what the gateway reads."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import click
import pytest

from gateway.cli.main import hotline
from gateway.cli.options import Common
from gateway.config.load import load_settings
from gateway.model import Kind, Operation, Precedence, Station
from gateway.wire.document import draft_from_document

ROOT = Path(__file__).parents[2]
SHEETS = sorted(path for path in (ROOT / "hw").glob("*.md") if "hotline " in path.read_text())


def block(language: str) -> str:
    """Give the one fenced block of a language."""
    text = (ROOT / "README.md").read_text()
    (found,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return str(found)


def test_the_configuration_of_the_readme_is_valid(tmp_path: Path) -> None:
    """A reader who copies it gets no complaint but of files that they have yet to make."""
    path = tmp_path / "hotline.toml"
    path.write_text(block("toml"))
    settings = load_settings(path, check_files=False)
    assert [link.name for link in settings.links] == ["radio", "cable"]


def test_the_notice_of_the_readme_is_accepted() -> None:
    """The example that a program publishes makes a notice."""
    document = json.loads(block("json"))
    draft = draft_from_document(document, station_number={"SOUTH": Station(2)}.get)
    assert (draft.to, draft.kind) == (2, Kind.NOTIFY)
    assert (draft.precedence, draft.operation) == (Precedence.IMMEDIATE, Operation.OPERATION)


def test_every_make_command_of_the_readme_exists() -> None:
    """No reader types a command that is gone."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = set(re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert {"bench", "test"} <= told <= targets


STANDS_FOR = {
    "PORT": "/dev/hotline/cable-A1",
    "RATE": "9600",
    "NODE": "!4d4c00b2",
    "--card ...": "--card CARD",
    " ...": "",
}
"""What a reader replaces, where an option does not read it as it stands."""


def command_lines(path: Path) -> list[str]:
    """Each command of ours that a text has in a block of the shell or between backticks."""
    text = path.read_text()
    blocks = re.findall(r"```(?:sh|text)\n(.*?)```", text, re.DOTALL)
    told = [line for block in blocks for line in block.splitlines()]
    told += re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    found = [re.match(r"(?:sudo )?hotline (.*)", " ".join(it.split())) for it in told]
    lines = [it[1].split(" && ")[0] for it in found if it is not None]
    for before, after in STANDS_FOR.items():
        lines = [line.replace(before, after) for line in lines]
    return lines


def commands(path: Path) -> list[list[str]]:
    """The words of each, as a shell makes them."""
    return [shlex.split(line, comments=True) for line in command_lines(path)]


def check_commands(path: Path) -> int:
    """Read the options of each and their values, without doing anything; gives their count."""
    told = [words for words in commands(path) if not {"COMMAND", "--help"} & set(words)]
    for words in told:
        try:
            context = hotline.make_context("hotline", list(words), obj=Common())
            name, command, rest = hotline.resolve_command(context, list(words))
            while isinstance(command, click.Group) and rest:
                name, command, rest = command.resolve_command(context, rest)
            assert command is not None
            if rest:  # else it is named in a sentence
                command.make_context(name, list(rest), parent=context)
        except click.UsageError as error:
            what = error.format_message()
            raise AssertionError(f"hotline {shlex.join(words)}: {what}") from error
    return len(told)


def test_every_command_of_the_readme_is_understood() -> None:
    """Its options and their values are read."""
    assert check_commands(ROOT / "README.md") > 30


@pytest.mark.parametrize("path", SHEETS, ids=lambda path: path.stem)
def test_every_command_of_the_hardware_sheets_is_understood(path: Path) -> None:
    """A technician beside an open box types nothing that is gone."""
    assert check_commands(path) > 0


@pytest.mark.parametrize("path", [ROOT / "README.md", *SHEETS], ids=lambda path: path.stem)
def test_a_shell_at_a_terminal_takes_no_command_for_its_history(path: Path) -> None:
    """An interactive bash replaces `!` and what follows unless it stands in single quotes."""
    lines = command_lines(path)
    assert lines
    assert [line for line in lines if "!" in re.sub("'[^']*'", "", line)] == []
