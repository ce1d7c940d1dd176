"""What an examination finds: a mark, what is, and what to do. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

NOTHING_TO_DO: Final = "nothing"


class Mark(enum.Enum):
    """How much a finding matters."""

    OK = "ok"
    LOOK = "look"
    """May be meant so; a person should look."""
    FAULT = "fault"
    """The line does not or will not work as it should."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence of what is, and one of what to do."""

    topic: str
    """A word or two: `radio`, `disk`, `key`."""
    mark: Mark
    text: str
    remedy: str = NOTHING_TO_DO


def ok(topic: str, text: str) -> Finding:
    return Finding(topic, Mark.OK, text)


def look(topic: str, text: str, remedy: str) -> Finding:
    return Finding(topic, Mark.LOOK, text, remedy)


def fault(topic: str, text: str, remedy: str) -> Finding:
    return Finding(topic, Mark.FAULT, text, remedy)
