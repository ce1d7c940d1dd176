"""Which lamp, buzzer and button sits on which pin of the header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from gateway.model import LinkName

INSTALL_AGAIN: Final = (
    "install the gateway again: sudo apt install --reinstall ./hotline-gateway_*.deb, or in an"
    " environment of your own: pip install --require-hashes -r requirements.lock"
)
"""For libraries that are missing: those of Debian are not seen in the package's environment."""


class PinMap(Protocol):
    """BCM numbers of the lamps, the buzzer and the button (hw/pins.toml)."""

    @property
    def alive(self) -> int: ...
    @property
    def link(self) -> Sequence[int]: ...
    @property
    def pending_in(self) -> int: ...
    @property
    def pending_out(self) -> int: ...
    @property
    def alarm(self) -> int: ...
    @property
    def exercise(self) -> int: ...
    @property
    def buzzer(self) -> int: ...
    @property
    def button(self) -> int: ...


def lamp_pins(pins: PinMap, links: Sequence[LinkName]) -> Mapping[str, int]:
    """Give the pin of each lamp, named as in `Panel.rhythms`; links past the last pin have none."""
    return {
        "alive": pins.alive,
        **{f"link.{name}": pin for name, pin in zip(links, pins.link, strict=False)},
        "pending_in": pins.pending_in,
        "pending_out": pins.pending_out,
        "alarm": pins.alarm,
        "exercise": pins.exercise,
        "buzzer": pins.buzzer,
    }
