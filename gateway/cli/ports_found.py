"""What `hotline init` finds on this machine: serial devices by lasting names, the header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.doctor.gpio import CHIP_LABELS, chip_label
from gateway.doctor.machine import Machine
from gateway.doctor.ports import serial_devices


@dataclass(frozen=True, slots=True)
class FoundPort:
    """A serial device, by the name that stays."""

    path: str
    kind: Literal["radio", "cable"]
    """By its USB chip: a guess, since a cable's adapter may have the chip of a board."""
    text: str


def found_ports(machine: Machine | None = None) -> list[FoundPort]:
    """Every USB serial device; the header's own UART is left to whoever wires it."""
    machine = machine or Machine()
    return [
        FoundPort(
            device.lasting or device.path,
            "radio" if device.is_radio_board else "cable",
            f"{device.name or 'USB'} {device.vendor}:{device.product}",
        )
        for device in serial_devices(machine)
        if device.vendor
    ]


def has_header(machine: Machine | None = None) -> bool:
    """Whether a GPIO chip here has the label of a Pi's header."""
    machine = machine or Machine()
    names = [name for name in machine.names("/dev") if name.startswith("gpiochip")]
    return any(chip_label(machine, name) in CHIP_LABELS for name in names)
