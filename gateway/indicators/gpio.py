"""The header's pins through gpiozero, with the factory that the configuration names and no other.

gpiozero tries other factories when one fails, and on a Pi 5 that ends in the wrong chip; so the
factory is made here, handed to each device, and any fallback warning is an error.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import gpiozero
from gpiozero.exc import GPIOZeroError, PinFactoryFallback

from gateway.errors import ConfigError, IndicatorsFailedError
from gateway.indicators.pins import INSTALL_AGAIN, PinMap, lamp_pins
from gateway.model import LinkName

CHIP_LABELS: Final = ("pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835")
"""The header's chip on a Pi 5, a Pi 4 and the older ones; its number changes with the kernel."""
BOUNCE_S: Final = 0.05
"""With it a press is one press; without it every 2 ms bounce is an event (measured)."""
_CHIP_COUNT_MAX: Final = 32
_DEVICES: Final = Path("/dev")


@dataclass(frozen=True, slots=True)
class OpenFactory:
    """A gpiozero factory, and what its library raises beside gpiozero's own errors."""

    factory: Any
    failures: tuple[type[Exception], ...] = ()


class Board:
    """Lamps that are set by name and a button that calls back, on any gpiozero factory.

    The callbacks run in the factory's thread. An exception in one would kill that thread and every
    button with it, so they are guarded by whoever gives them. Raises `ConfigError`, and
    `IndicatorsFailedError` where the kernel refuses what is right.
    """

    def __init__(
        self,
        opened: OpenFactory,
        pins: PinMap,
        links: Sequence[LinkName],
        *,
        on_press: Callable[[], None],
        on_release: Callable[[], None],
    ) -> None:
        factory = self._factory = opened.factory
        self._failures = (GPIOZeroError, OSError, *opened.failures)
        self._lamps: dict[str, Any] = {}
        self._button: Any = None
        try:
            with _no_fallback():
                for name, pin in lamp_pins(pins, links).items():
                    self._lamps[name] = gpiozero.OutputDevice(pin, pin_factory=factory)
                # The press closes the contact to ground; this device class starts no thread.
                self._button = gpiozero.DigitalInputDevice(
                    pins.button, pull_up=True, bounce_time=BOUNCE_S, pin_factory=factory
                )
        except (GPIOZeroError, PinFactoryFallback) as error:
            self.close()
            raise ConfigError(
                [f"[indicators.pins]: {error}; free the pin or name another"]
            ) from error
        except self._failures as error:
            self.close()
            raise IndicatorsFailedError(
                f"pins of [indicators.pins] cannot be used ({error}); end the program that holds"
                " one, or name another"
            ) from error
        self._button.when_activated = on_press
        self._button.when_deactivated = on_release

    def set(self, name: str, *, is_lit: bool) -> None:
        """Drive one lamp. Raises `OSError` when the chip is gone."""
        lamp = self._lamps[name]
        try:
            if is_lit:
                lamp.on()
            else:
                lamp.off()
        except self._failures as error:
            raise OSError(f"lamp {name}: {error}") from error

    def levels(self) -> dict[str, bool]:
        """Read the true levels of the pins back, by lamp."""
        return {name: bool(lamp.value) for name, lamp in self._lamps.items()}

    def close(self) -> None:
        """Let all pins go; the lamps go dark."""
        # Of a chip that is gone each refuses; the kernel has let go of its pins already.
        for device in (*self._lamps.values(), self._button, self._factory):
            if device is not None:
                with suppress(*self._failures):
                    device.close()
        self._lamps.clear()


def open_lgpio(runtime_folder: Path) -> OpenFactory:
    """Make the lgpio factory on the header's chip. Raises `ConfigError` where lgpio cannot be
    loaded, `IndicatorsFailedError` where the chip cannot be used now.
    """
    # lgpio makes a pipe in the working folder when it is imported. With this it goes to that folder
    # first, and the process stays there: all our paths are absolute.
    os.environ["LG_WD"] = str(runtime_folder)
    try:
        with _no_fallback():
            import lgpio
            from gpiozero.pins.lgpio import LGPIOFactory
    except (ImportError, PinFactoryFallback) as error:
        # Another factory in its place would drive the wrong pins.
        what = f"[indicators] factory: lgpio cannot be loaded ({error})"
        raise ConfigError([f'{what}; {INSTALL_AGAIN}, or write "none"']) from error
    chip = _find_chip(lgpio)
    try:
        with _no_fallback():
            return OpenFactory(LGPIOFactory(chip=chip), (lgpio.error,))
    except (GPIOZeroError, PinFactoryFallback, lgpio.error) as error:
        what = f"gpiochip{chip} cannot be used ({error}); end the program that holds it"
        raise IndicatorsFailedError(what) from error


def _find_chip(lgpio: Any) -> int:  # noqa: ANN401  lgpio has no types
    """Find the number of the header's chip by its label."""
    found: list[str] = []
    for number in range(_CHIP_COUNT_MAX):
        if not (_DEVICES / f"gpiochip{number}").exists():
            continue
        try:
            handle = lgpio.gpiochip_open(number)
        except lgpio.error as error:
            found.append(f"gpiochip{number} ({error})")
            continue
        try:
            label = lgpio.gpio_get_chip_info(handle)[3]
        finally:
            lgpio.gpiochip_close(handle)
        if label in CHIP_LABELS:
            return number
        found.append(f"gpiochip{number} ({label})")
    raise IndicatorsFailedError(
        f"no chip has the label of a Pi's header; found: {', '.join(found) or 'none'}; let the"
        " daemon's user into the chip's group (ls -l /dev/gpiochip*), or write factory ="
        ' "none" in [indicators]'
    )


@contextmanager
def _no_fallback() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", PinFactoryFallback)
        yield
