"""The schematic: header, drivers, lamps, buzzer, button."""

from __future__ import annotations

from pathlib import Path

import schemdraw
import schemdraw.elements as elm
from stock import Channel, channels, read

COLOURS = {"green": "#3a8f2c", "red": "#c02626", "amber": "#d08a00", "blue": "#2456c8"}
SPACING = 2.2
"""Between the channels of a driver, in units of the drawing."""
LEFT, RIGHT, RAIL = 6.0, 9.4, 18.0
"""The two sides of a driver and the rail of 5 V."""


def draw(targets: list[Path]) -> None:
    """Write the schematic to each file, in the format that its name ends with."""
    drawing = schemdraw.Drawing(show=False, fontsize=11, lw=1.4)
    outputs = channels()
    for chip in (1, 2):
        mine = [channel for channel in outputs if channel.chip == chip]
        _driver(drawing, chip, mine, top=0.0 if chip == 1 else -(10.0 * SPACING))
    _button(drawing, top=-(15.0 * SPACING))
    _clock(drawing, top=-(17.4 * SPACING))
    for target in targets:
        drawing.save(str(target), transparent=False, dpi=110)


def _driver(drawing: schemdraw.Drawing, chip: int, mine: list[Channel], top: float) -> None:
    name = read("parts.toml")["driver"]["name"]
    count = len(mine)
    height = (count + 0.9) * SPACING
    corners = ((LEFT, top - height), (RIGHT, top + SPACING * 0.6))
    drawing += elm.Rect(corner1=corners[0], corner2=corners[1]).at((0, 0)).theta(0)
    title = f"U{chip}  {name}"
    drawing += elm.Label().at(((LEFT + RIGHT) / 2, top + SPACING * 0.15)).label(title, fontsize=13)
    for row, channel in enumerate(mine):
        y = top - (row + 0.6) * SPACING
        text = f"GPIO{channel.bcm}  (header pin {channel.header})"
        drawing += elm.Line().at((3.6, y)).to((LEFT, y))
        drawing += elm.Dot(open=True).at((3.6, y)).label(text, loc="left", fontsize=11)
        _number(drawing, (LEFT + 0.35, y), str(channel.channel))
        _number(drawing, (RIGHT - 0.45, y), str(19 - channel.channel))
        if channel.colour == "buzzer":
            _buzzer(drawing, y)
        else:
            _lamp(drawing, channel, (chip - 1) * 8 + row + 1, y)
    bottom = top - (count + 0.5) * SPACING
    _supply(drawing, chip, top, bottom)
    unused = ", ".join(str(n) for n in range(count + 1, 9))
    if unused:
        text = f"inputs {unused} of U{chip} stay open"
        drawing += elm.Label().at((LEFT + 1.7, bottom - 1.35)).label(text, fontsize=10)


def _buzzer(drawing: schemdraw.Drawing, y: float) -> None:
    drawing += elm.Line().at((RIGHT, y)).to((RAIL - 2.6, y))
    drawing += elm.Speaker().at((RAIL - 2.6, y)).theta(0).anchor("in1").scale(0.7)
    drawing += elm.Label().at((RAIL - 4.4, y + 0.2)).label("BZ1  buzzer (-)", fontsize=11)
    drawing += elm.Line().at((RAIL - 2.6, y - 0.35)).to((RAIL - 2.6, y - 0.9))
    drawing += elm.Line().at((RAIL - 2.6, y - 0.9)).to((RAIL, y - 0.9))


def _lamp(drawing: schemdraw.Drawing, channel: Channel, number: int, y: float) -> None:
    """With its resistor, which has this number."""
    drawing += (
        elm.Resistor()
        .at((RIGHT, y))
        .to((RIGHT + 3.0, y))
        .label(f"R{number}  {read('parts.toml')['resistor']['ohms']} Ω", fontsize=10)
    )
    colour = COLOURS[channel.colour]
    drawing += (
        elm.LED()
        .at((RAIL - 2.2, y))
        .to((RIGHT + 3.0, y))
        .color(colour)
        .label(f"{channel.label} ({channel.colour})", loc="top", fontsize=10, color=colour)
    )
    drawing += elm.Line().at((RAIL - 2.2, y)).to((RAIL, y))


def _supply(drawing: schemdraw.Drawing, chip: int, top: float, bottom: float) -> None:
    """The rail of 5 V and ground of one driver; the capacitor stands at the first."""
    drawing += elm.Line().at((RAIL, top + SPACING * 0.3)).to((RAIL, bottom))
    drawing += (
        elm.Vdd()
        .at((RAIL, top + SPACING * 0.3))
        .label(
            "+5 V  (header pin 2 through F1, 500 mA)" if chip == 1 else "+5 V (behind F1)",
            fontsize=11,
        )
    )
    drawing += elm.Line().at((RIGHT, bottom)).to((RAIL, bottom))
    _number(drawing, (RIGHT - 0.7, bottom), "COM 10")
    drawing += elm.Line().at((LEFT, bottom)).to((5.0, bottom))
    drawing += (
        elm.Ground().at((5.0, bottom)).label("ground (header pin 6)", loc="left", fontsize=11)
    )
    _number(drawing, (LEFT + 0.7, bottom), "9 GND")
    if chip == 1:
        drawing += elm.Line().at((RAIL, bottom + 0.6)).to((RAIL + 1.6, bottom + 0.6))
        drawing += (
            elm.Capacitor()
            .at((RAIL + 1.6, bottom + 0.6))
            .down()
            .length(1.8)
            .label("C2  100 µF", loc="bottom", fontsize=10)
        )
        drawing += elm.Ground()


def _button(drawing: schemdraw.Drawing, top: float) -> None:
    pin = read("pins.toml")["pin"]["button"]
    text = f"GPIO{pin['bcm']}  (header pin {pin['header']})"
    drawing += elm.Dot(open=True).at((3.6, top)).label(text, loc="left", fontsize=11)
    drawing += elm.Line().at((3.6, top)).to((6.0, top))
    drawing += elm.Dot().at((6.0, top))
    drawing += elm.Resistor().at((6.0, top)).up().length(2.2).label("R10  10 kΩ", fontsize=10)
    drawing += elm.Vdd().label("+3.3 V  (header pin 1; the clock's too)", fontsize=11)
    drawing += elm.Line().at((6.0, top)).to((8.0, top))
    drawing += elm.Dot().at((8.0, top))
    drawing += elm.Capacitor().at((8.0, top)).down().length(2.0).label("C1  100 nF", fontsize=10)
    drawing += elm.Ground()
    drawing += elm.Resistor().at((8.0, top)).right().length(3.0).label("R11  1 kΩ", fontsize=10)
    drawing += elm.Button().right().length(3.0).label("S1  ROGER", fontsize=11)
    drawing += elm.Line().down().length(1.4)
    drawing += elm.Ground().label("ground (header pin 34)", loc="right", fontsize=11)


def _clock(drawing: schemdraw.Drawing, top: float) -> None:
    """The clock module: four wires, and the one 3.3 V of the header that R10 has too."""
    left, right = 6.0, 11.4
    step = SPACING * 0.45
    corners = ((left, top - 4.6 * step), (right, top + step))
    drawing += elm.Rect(corner1=corners[0], corner2=corners[1]).at((0, 0)).theta(0)
    drawing += elm.Label().at((9.6, top + 0.2 * step)).label("DS3231", fontsize=13)
    drawing += elm.Label().at((9.6, top - 1.2 * step)).label("clock module", fontsize=10)
    drawing += elm.Label().at((9.6, top - 2.2 * step)).label("(not with a Pi 5)", fontsize=10)
    for row, (name, text) in enumerate(
        (
            ("VCC", "+3.3 V  (header pin 1)"),
            ("SDA", "GPIO2  (header pin 3)"),
            ("SCL", "GPIO3  (header pin 5)"),
            ("GND", "ground  (header pin 9)"),
        )
    ):
        y = top - (row + 0.3) * step
        drawing += elm.Line().at((3.6, y)).to((left, y))
        drawing += elm.Dot(open=True).at((3.6, y)).label(text, loc="left", fontsize=11)
        _number(drawing, (left + 0.6, y), name)


def _number(drawing: schemdraw.Drawing, at: tuple[float, float], text: str) -> None:
    drawing += elm.Label().at((at[0], at[1] - 0.12)).label(text, fontsize=9)
