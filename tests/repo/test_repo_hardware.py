"""The drawings of hw/ are those of today's pins, parts and rhythms, and their values hold."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
HW = ROOT / "hw"
DRAWINGS = {
    *("wiring.svg", "wiring.png", "harness.svg", "harness.png"),
    *("lamp-card.svg", "lamp-card.png", "lamp-card.pdf"),
}


def test_the_drawings_are_made_of_the_sources_of_today() -> None:
    """Whoever changes a pin, a part, a rhythm or a drawing program runs `make hw`."""
    drawn = json.loads((HW / "drawn.json").read_text())
    for name, digest in drawn.items():
        found = hashlib.sha256((HW / name).resolve().read_bytes()).hexdigest()
        assert found == digest, f"{name} changed: run `make hw` and commit what it draws"
    assert DRAWINGS | {"pins.toml", "parts.toml"} <= set(drawn)


def test_every_output_has_a_place_on_the_panel() -> None:
    """Each pin but the button's goes through a driver; no driver channel is missing."""
    pins = tomllib.loads((HW / "pins.toml").read_text())["pin"]
    place = tomllib.loads((HW / "parts.toml").read_text())["place"]
    assert set(place) == set(pins) - {"button"}


def test_currents_keep_within_the_limits() -> None:
    """A lamp gets 75 to 125 % of its current at 5 V; the header gives less than it may."""
    parts = tomllib.loads((HW / "parts.toml").read_text())
    supply, driver = parts["supply"], parts["driver"]
    for lamp in parts["lamp"].values():
        left = supply["lamp_volts"] - lamp["forward_volts"] - driver["saturation_volts"]
        current = 1_000.0 * left / parts["resistor"]["ohms"]
        assert 0.75 * lamp["milliamperes"] <= current <= 1.25 * lamp["milliamperes"]
    each = 1_000.0 * (supply["pin_volts"] - driver["input_base_volts"]) / driver["input_ohms"]
    assert each * len(parts["place"]) <= supply["pin_milliamperes_sum"]


def test_the_list_of_parts_counts_what_is_drawn() -> None:
    """As many lamps of each colour and resistors as the panel has."""
    parts = tomllib.loads((HW / "parts.toml").read_text())
    colours = list(parts["place"].values())
    words = {"green": "yellow-green", "red": "red", "amber": "amber", "blue": "blue"}
    for colour, word in words.items():
        counts = [p["count"] for p in parts["part"] if f"panel lamp 5 mm, {word}," in p["what"]]
        assert counts == [colours.count(colour)]
    resistors = next(p for p in parts["part"] if "(R1 to R9)" in p["what"])
    assert resistors["count"] == len(colours) - colours.count("buzzer")
    assert f"resistor {parts['resistor']['ohms']} Ohm" in resistors["what"]
