"""What the drawings are made of: the pins, the parts, and the arithmetic that they must pass."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HW = Path(__file__).resolve().parents[1]
SOURCES = ("pins.toml", "parts.toml", "draw/__main__.py", "draw/stock.py", "draw/wiring.py")
SOURCES += ("draw/harness.py", "draw/card.py", "../gateway/indicators/lamps.py")


@dataclass(frozen=True, slots=True)
class Channel:
    """One output of the gateway: from the header's pin through a driver to a lamp or the buzzer."""

    name: str
    bcm: int
    header: int
    colour: str
    """Of the lamp; `buzzer` for the buzzer."""
    chip: int
    """1 or 2: U1 or U2."""
    channel: int
    """1 to 8: input on that pin of the chip, output on pin 19 less it."""

    @property
    def label(self) -> str:
        return self.name.replace("_", " ")


def read(name: str) -> dict[str, Any]:
    """One of the lists beside this folder."""
    return tomllib.loads((HW / name).read_text())


def channels() -> list[Channel]:
    """Every output in the order of the panel, with the driver channel that serves it."""
    pins, parts = read("pins.toml")["pin"], read("parts.toml")
    size = parts["driver"]["channels"]
    return [
        Channel(name, pins[name]["bcm"], pins[name]["header"], colour, i // size + 1, i % size + 1)
        for i, (name, colour) in enumerate(parts["place"].items())
    ]


def lamp_milliamperes(parts: dict[str, Any], colour: str, supply_volts: float) -> float:
    """Current through a lamp with the one resistor, in mA."""
    left = supply_volts - parts["lamp"][colour]["forward_volts"]
    left -= parts["driver"]["saturation_volts"]
    return 1_000.0 * left / parts["resistor"]["ohms"]


def input_milliamperes(parts: dict[str, Any]) -> float:
    """What one pin of the header gives to a driver's input, in mA."""
    volts = parts["supply"]["pin_volts"] - parts["driver"]["input_base_volts"]
    return float(1_000.0 * volts / parts["driver"]["input_ohms"])


def digests(drawings: list[str]) -> dict[str, str]:
    """SHA-256 of each source and of each drawing, by its path from hw/."""
    names = (*SOURCES, *drawings)
    return {name: hashlib.sha256((HW / name).read_bytes()).hexdigest() for name in names}
