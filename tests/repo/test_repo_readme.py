"""What the README tells people to write is what the gateway reads."""

from __future__ import annotations

import json
import re
from pathlib import Path

from gateway.config.load import load_settings
from gateway.model import Kind, Operation, Precedence, Station
from gateway.wire.document import draft_from_document

ROOT = Path(__file__).parents[2]


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
