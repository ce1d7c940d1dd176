"""What pins of a Raspberry Pi's 40-pin header are good for. The package has no hw/ folder, so the
facts stand here; tests/repo compares them with hw/pins.toml.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Annotated, Final

from msgspec import Meta

RESERVED: Final = {
    "the EEPROM of a HAT": (0, 1),
    "I2C, where the clock module is": (2, 3),
    "SPI": (7, 8, 9, 10, 11),
    "the serial console (UART)": (14, 15),
}
"""BCM numbers of pins that have a function of their own, by its name."""
PULLED_UP: Final = (0, 1, 2, 3, 4, 5, 6, 7, 8)
"""At power-on, until a program takes the pin; all others are pulled down (BCM2835, table 6-31)."""
PINS: Final = range(28)
HEADER: Final = {
    2: 3, 3: 5, 4: 7, 5: 29, 6: 31, 7: 26, 8: 24, 9: 21, 10: 19, 11: 23, 12: 32, 13: 33, 14: 8,
    15: 10, 16: 36, 17: 11, 18: 12, 19: 35, 20: 38, 21: 40, 22: 15, 23: 16, 24: 18, 25: 22, 26: 37,
    27: 13,
}  # fmt: skip
"""Pin of the header as it is counted there, by BCM number."""
BUTTON: Final = "button"
Pin = Annotated[
    int,
    Meta(
        ge=0,
        le=27,
        description="write a BCM number: 12, 13 or 16 to 27 for a lamp or the buzzer, 4 to 6 for"
        " the button",
    ),
]
"""What the file may say; `pin_problem` tells which of them can serve what."""


def pin_problem(pin: int, name: str) -> str | None:
    """Why a pin cannot serve this lamp, buzzer or button; None: it can."""
    for function, pins in RESERVED.items():
        if pin in pins:
            return f"pin {pin} belongs to {function}"
    if name == BUTTON and pin not in PULLED_UP:
        return f"pin {pin} is pulled down at power-on, as if the button were held"
    if name != BUTTON and pin in PULLED_UP:
        return f"pin {pin} is pulled up at power-on and glows before the gateway runs"
    return None


def free_pins(name: str, used: Container[int]) -> Iterator[int]:
    """Pins that can serve it and that nothing else uses."""
    return (pin for pin in PINS if pin not in used and pin_problem(pin, name) is None)
