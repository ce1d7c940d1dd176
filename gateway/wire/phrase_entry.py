"""What an entry of the codebook is: its code, the kinds that it is for, slots and templates.

The entries are in `phrases`; finding, checking and rendering is in `codebook`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.model import Kind

PHRASE_LANGUAGES: Final = ("en", "fr", "ru", "ar")
"""Every phrase has a template in each; the first is what an unknown language falls back to."""


class SlotType(enum.Enum):
    """What may fill a slot. All but TEXT read the same in every language."""

    CALLSIGN = "callsign"
    """A-Z, 0-9, blank and hyphen, at most 24; `codebook.check` has the details."""
    PLACE = "place"
    """A place word, road or grid reference, written like a call sign."""
    TIME = "time"
    """Day of the month, hour and minute in UTC: `221430Z`."""
    NUMBER = "number"
    """A measured whole number from 0 to 65535; its unit stands in the slot's name."""
    COUNT = "count"
    """A whole number from 1 to 65535."""
    PRECEDENCE = "precedence"
    """FLASH, IMMEDIATE or PRIORITY: what MINIMIZE lets go; ROUTINE would hold nothing."""
    TEXT = "text"
    """One line of at most 120 octets: names and challenges, never the meaning."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A named gap in the templates of a phrase."""

    name: str
    type: SlotType


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseEntry:
    """A phrase; `templates` by language, each with every slot once in braces.

    `needs` names the fields that a notice with this phrase must have: place, window, reference.
    """

    code: int
    kinds: tuple[Kind, ...]
    slots: tuple[Slot, ...]
    needs: tuple[str, ...]
    templates: Mapping[str, str]
