"""gpiozero's mock pins for bench and tests: the whole path of a lamp and a press but the chip."""

from __future__ import annotations

from typing import Final

from gpiozero.pins.mock import MockFactory, MockPin

from gateway.indicators.gpio import OpenFactory

_STATE_COUNT_MAX: Final = 64


class _BoundedMockPin(MockPin):  # type: ignore[misc]  # gpiozero has no types
    """A mock pin that runs for days: gpiozero's keeps every state that it ever had."""

    def _change_state(self, value: bool) -> bool:
        changed: bool = super()._change_state(value)
        if len(self.states) > _STATE_COUNT_MAX:
            del self.states[: _STATE_COUNT_MAX // 2]
        return changed


def open_mock() -> OpenFactory:
    """Make a factory whose pins are in memory."""
    return OpenFactory(MockFactory(pin_class=_BoundedMockPin))


def drive_button(opened: OpenFactory, pin: int, *, is_pressed: bool) -> None:
    """Close or open the contact of the button, as a finger does: pressed is low."""
    mock_pin = opened.factory.pin(pin)
    if is_pressed:
        mock_pin.drive_low()
    else:
        mock_pin.drive_high()
