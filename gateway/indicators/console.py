"""The panel as text: for `hotline lamps`, the bench, and a daemon on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from gateway.indicators.lamps import Panel, Rhythm, level_at
from gateway.model import Instant

LIT: Final = "\N{BLACK CIRCLE}"
DARK: Final = "\N{WHITE CIRCLE}"

_COLOURS: Final = {
    "alive": "green",
    "link": "green",
    "pending_in": "red",
    "pending_out": "yellow",
    "alarm": "bright_red",
    "exercise": "blue",
    "buzzer": "white",
}


@dataclass(frozen=True, slots=True)
class LampView:
    """One lamp as a screen shows it."""

    name: str
    """As in `Panel.rhythms`."""
    is_lit: bool
    rhythm: str
    """The word of its `Rhythm`; `off` for a dark lamp."""


def panel_views(panel: Panel, instant: Instant) -> list[LampView]:
    """Show every lamp of a panel as it is at `instant`."""
    return [
        LampView(name, level_at(rhythm, instant), rhythm.value) for name, rhythm in panel.rhythms()
    ]


def document_views(document: Mapping[str, object]) -> list[LampView]:
    """Read what `lamps.panel_document` wrote; unknown shapes give an empty list."""
    lamps, patterns = document.get("lamps"), document.get("patterns")
    if not isinstance(lamps, Mapping) or not isinstance(patterns, Mapping):
        return []
    return [LampView(str(n), bool(v), str(patterns.get(n, ""))) for n, v in lamps.items()]


def render_plain(views: list[LampView]) -> str:
    """One line that reads without colour: `pending out [even blink]`; dark lamps say off."""
    return "  ".join(f"{label(view.name)} [{view.rhythm}]" for view in views)


def render_rich(views: list[LampView], *, animate: bool = False) -> Text:
    """One line with coloured signs: the level now (`animate`), or lit for any rhythm but off."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for view in views:
        is_lit = view.is_lit if animate else view.rhythm != Rhythm.OFF.value
        colour = _COLOURS.get(view.name.split(".", 1)[0], "white")
        line.append(f"{LIT if is_lit else DARK} ", style=colour if is_lit else "dim")
        line.append(label(view.name), style="bold" if is_lit else "dim")
        if view.rhythm != Rhythm.OFF.value:
            line.append(f" {view.rhythm}", style="italic")
        line.append("   ")
    return line


def label(name: str) -> str:
    """Give a lamp's name as people say it: `link radio`, `pending out`."""
    return name.replace(".", " ").replace("_", " ")
