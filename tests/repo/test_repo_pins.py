"""hw/pins.toml is the one list of pins, and the header is as the Raspberry Pi's."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from gateway.config import header
from gateway.config.header import PINS, PULLED_UP, RESERVED, free_pins, pin_problem
from gateway.config.settings import PinSettings
from gateway.indicators.gpio import CHIP_LABELS

ROOT = Path(__file__).parents[2]
HEADER = {
    2: 3, 3: 5, 4: 7, 5: 29, 6: 31, 7: 26, 8: 24, 9: 21, 10: 19, 11: 23, 12: 32, 13: 33, 14: 8,
    15: 10, 16: 36, 17: 11, 18: 12, 19: 35, 20: 38, 21: 40, 22: 15, 23: 16, 24: 18, 25: 22, 26: 37,
    27: 13,
}  # fmt: skip
"""Pin of the 40-pin header by BCM number (Raspberry Pi documentation)."""


def listed() -> dict[str, Any]:
    document: dict[str, Any] = tomllib.loads((ROOT / "hw/pins.toml").read_text())
    return document


def test_the_package_has_the_pins_of_the_list() -> None:
    """Who wires by the list needs no pins in the configuration."""
    numbers = {name: pin["bcm"] for name, pin in listed()["pin"].items()}
    pins = PinSettings()
    links = {f"link_{number}": pin for number, pin in enumerate(pins.link, start=1)}
    others = {
        name: getattr(pins, name)
        for name in ("alive", "pending_in", "pending_out", "alarm", "exercise", "buzzer", "button")
    }
    assert numbers == others | links


def test_chips_are_those_of_the_list() -> None:
    """The labels by which the header's chip is found."""
    assert tuple(listed()["chip"]["labels"]) == CHIP_LABELS


def test_header_pins_match_and_none_is_used_twice() -> None:
    """The number that a technician counts on the header is the pin that we drive."""
    pins = listed()["pin"].values()
    assert all(HEADER[pin["bcm"]] == pin["header"] for pin in pins)
    assert len({pin["bcm"] for pin in pins}) == len(pins)


def test_what_is_checked_of_pins_is_what_the_list_says() -> None:
    """The installed package has no hw/: `hotline config check` knows these from its own table."""
    reserved = {function: tuple(pins) for function, pins in listed()["reserved"].items()}
    names = ("the EEPROM of a HAT", "I2C", "SPI", "the serial console (UART)")
    assert list(reserved) == ["hat_eeprom", "i2c", "spi", "uart"]
    assert list(reserved.values()) == list(RESERVED.values())
    assert all(told.startswith(name) for told, name in zip(RESERVED, names, strict=True))
    assert tuple(listed()["power_on"]["pulled_up"]) == PULLED_UP
    assert HEADER == header.HEADER
    assert set(HEADER) | set(reserved["hat_eeprom"]) == set(PINS)


def test_each_pin_of_the_list_can_serve_its_part() -> None:
    """None has another function, no lamp glows at power-on, the button is not pulled down."""
    for name, pin in listed()["pin"].items():
        assert pin_problem(pin["bcm"], name) is None


def test_the_pins_for_lamps_and_button_are_those_that_messages_name() -> None:
    """A refusal of the number itself says which pins there are (`settings.Pin`)."""
    assert list(free_pins("alarm", ())) == [12, 13, *range(16, 28)]
    assert list(free_pins("button", ())) == [4, 5, 6]
