"""The bench on a terminal: both lamp panels live, the notices, and what happened last."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from gateway.indicators.console import DARK, LIT, document_views, label
from gateway.sim.bench.lamp_watch import LampWatch

LINE_COUNT: Final = 12
REFRESH_PER_S: Final = 8
WIDTH: Final = 46
COLOURS: Final = {
    "alive": "green",
    "link": "green",
    "pending_in": "red",
    "pending_out": "yellow",
    "alarm": "bright_red",
    "exercise": "blue",
}


class LiveBench:
    """`with LiveBench(...)`: the panels follow the pins until the block ends."""

    def __init__(self, console: Console, lamps: Mapping[str, LampWatch]) -> None:
        self._lamps = lamps
        self._lines: deque[str] = deque(maxlen=LINE_COUNT)
        self._live = Live(
            console=console,
            get_renderable=self._render,
            refresh_per_second=REFRESH_PER_S,
            transient=True,
        )

    def __enter__(self) -> Callable[[str], None]:
        """Give what takes a line for the screen."""
        self._live.start()
        return self._lines.append

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _render(self) -> RenderableType:
        panels = [_station_panel(name, lamps.document) for name, lamps in self._lamps.items()]
        return Group(Columns(panels), *(Text(line) for line in self._lines))


def _station_panel(name: str, document: Mapping[str, object]) -> Panel:
    lines: list[Text] = []
    for view in document_views(document):
        colour = COLOURS.get(view.name.split(".", 1)[0], "white")
        line = Text()
        line.append(f"{LIT if view.is_lit else DARK} ", style=colour if view.is_lit else "dim")
        line.append(f"{label(view.name):<13}", style="bold" if view.rhythm != "off" else "dim")
        line.append(view.rhythm if view.rhythm != "off" else "", style="italic")
        lines.append(line)
    if not lines:
        lines.append(Text("the gateway is away", style="dim"))
    return Panel(Group(*lines), title=name, width=WIDTH)
