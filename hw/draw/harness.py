"""The harness: each wire from the header to the driver board, and from there to the panel."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.patches import Circle, Rectangle
from stock import channels, read

WIRES = ("brown", "gold", "green", "blue", "violet", "gray", "white", "pink", "turquoise", "tan")
"""Of the outputs; red, black, orange and lime are for 5 V, ground, 3.3 V and the button;
khaki and salmon for the clock module."""
DARK = ("black", "blue", "brown", "green", "red", "gray")


def draw(targets: list[Path]) -> None:
    """Write the harness to each file, in the format that its name ends with."""
    rows = _rows()
    figure, axes = plt.subplots(figsize=(13, 9.2))
    axes.set_xlim(0, 25)
    axes.set_ylim(0, 23)
    axes.axis("off")
    axes.text(
        0.3,
        22.2,
        "Harness of the panel, seen from above: pin 1 at the SD card's end",
        fontsize=13,
        weight="bold",
    )
    used = {row[1]: row for row in rows}
    for pin in range(1, 41):
        x, y = (1.9 if pin % 2 else 3.0), 20.6 - ((pin - 1) // 2) * 1.02
        row = used.get(pin)
        square = Rectangle((x - 0.38, y - 0.38), 0.76, 0.76, fill=pin == 1, color="#e8e8e8")
        axes.add_patch(square)
        axes.add_patch(
            Circle((x, y), 0.33, facecolor=row[4] if row else "white", edgecolor="black", lw=0.8)
        )
        dark = row is not None and row[4] in DARK
        axes.text(
            x, y, str(pin), ha="center", va="center", fontsize=8, color="white" if dark else "black"
        )
        if row:
            side = -1 if pin % 2 else 1
            axes.text(
                x + side * 0.55,
                y,
                row[0],
                ha="right" if side < 0 else "left",
                va="center",
                fontsize=8,
            )
    _table(axes, rows)
    axes.text(
        5.4,
        0.6,
        "The clock module DS3231 (not with a Pi 5) sits on the driver board: header pin 1 feeds one"
        " strip of\n3.3 V there, for R10 and for it. One plugged on pins 1 to 9 hides pin 1:"
        " then take R10's\n3.3 V from pin 17, which is the same.",
        fontsize=9.5,
        va="center",
    )
    for target in targets:
        figure.savefig(target, bbox_inches="tight", dpi=110, metadata=_dateless(target))
    plt.close(figure)


def _rows() -> list[tuple[str, int, str, str, str]]:
    """Wire name, header pin, end on the driver board, what the panel end goes to, colour."""
    rows: list[tuple[str, int, str, str, str]] = [
        ("5 V", 2, "F1; C2 +, U1, U2 pin 10", "+ of all lamps and of the buzzer", "red"),
        ("GND", 6, "C2 -, U1, U2 pin 9", "-", "black"),
    ]
    for wire, channel in enumerate(channels(), start=1):
        end = f"U{channel.chip} pin {channel.channel}"
        what = "buzzer -" if channel.colour == "buzzer" else f"{channel.label} -, through R{wire}"
        out = f"U{channel.chip} pin {19 - channel.channel} to {what}"
        rows.append((channel.label, channel.header, end, out, WIRES[(wire - 1) % len(WIRES)]))
    pin = read("pins.toml")["pin"]["button"]
    rows += [
        ("3.3 V", 1, "strip: R10, clock VCC", "-", "orange"),
        ("button", pin["header"], "R10, C1, R11", "S1, through R11", "lime"),
        ("GND", 34, "C1", "S1, other contact", "black"),
        ("SDA", 3, "clock SDA", "-", "khaki"),
        ("SCL", 5, "clock SCL", "-", "salmon"),
        ("GND", 9, "clock GND", "-", "black"),
    ]
    return rows


def _table(axes: plt.Axes, rows: list[tuple[str, int, str, str, str]]) -> None:
    columns = (5.4, 7.1, 9.7, 12.1, 17.3)
    heads = ("header", "wire", "colour", "driver board", "from the board to the panel")
    for x, head in zip(columns, heads, strict=True):
        axes.text(x, 20.9, head, fontsize=10, weight="bold")
    for number, (name, pin, end, out, colour) in enumerate(rows):
        y = 19.8 - number * 1.04
        axes.plot([5.4, 24.8], [y - 0.45, y - 0.45], color="#dddddd", lw=0.6)
        axes.text(columns[0] + 0.5, y, str(pin), fontsize=10, ha="center", va="center")
        axes.add_patch(
            Rectangle((6.75, y - 0.16), 0.28, 0.32, facecolor=colour, edgecolor="black", lw=0.6)
        )
        axes.text(columns[1] + 0.1, y, name, fontsize=10, va="center")
        axes.text(columns[2], y, colour, fontsize=10, va="center", color="#555555")
        axes.text(columns[3], y, end, fontsize=10, va="center")
        axes.text(columns[4], y, out, fontsize=10, va="center")


def _dateless(target: Path) -> dict[str, None] | dict[str, str]:
    """No date in the file: two builds are the same octets."""
    return {"Date": None} if target.suffix == ".svg" else {"Software": ""}
