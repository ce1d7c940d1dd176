"""The lamps' pins, without touching them: libraries, the header's chip, who may open it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Final

from gateway.doctor.finding import Finding, fault, look, ok
from gateway.doctor.machine import Machine
from gateway.indicators.pins import INSTALL_AGAIN

TOPIC: Final = "gpio"
CHIP_LABELS: Final = ("pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835")
_GET_CHIPINFO: Final = 0x8044_B401
"""GPIO_GET_CHIPINFO_IOCTL of linux/gpio.h: name (32), label (32), lines (4)."""
_CHIPINFO_SIZE: Final = 68
_LIBRARIES: Final = ("gpiozero", "lgpio")
_DRIVERS: Final = ("pinctrl_rp1", "pinctrl_bcm2835")
_KEEPS: Final = "persist_gpio_outputs"
"""Y: an output stays as it was when its program ends; the kernel of Raspberry Pi OS, unless its
config.txt says strict_gpiod (raspberrypi/linux, pull requests 6117 and 6150)."""
_GPIOZERO_BAD: Final = frozenset({"2.0.1.post1", "2.0.1.post2"})
"""Their lgpio factory cannot be imported, and they fall back to one that drives other pins."""
_LGPIO_BAD: Final = "0.0.0.2"
"""An empty package, which pip takes where it finds no wheel."""


def examine_gpio(machine: Machine, factory: str) -> Iterator[Finding]:
    """`factory` is that of the configuration; "none" needs nothing."""
    if factory == "none":
        yield ok(TOPIC, 'no lamps and no button are configured (factory "none")')
        return
    if factory == "mock":
        yield look(
            TOPIC, "the lamps are simulated", 'write factory = "lgpio" in [indicators] on a Pi'
        )
    versions = {name: installed(name) for name in _LIBRARIES}
    yield judge_libraries(versions, forced=os.environ.get("GPIOZERO_PIN_FACTORY"))
    if factory == "lgpio":
        yield judge_chips({name: chip_label(machine, name) for name in _chips(machine)})
        kept = (machine.text(f"/sys/module/{module}/parameters/{_KEEPS}") for module in _DRIVERS)
        yield from judge_release([text for text in kept if text is not None])


def installed(name: str) -> str | None:
    """The version of a library; it is not imported, since lgpio then writes a file."""
    if find_spec(name) is None:
        return None
    for package in (name, f"adafruit-{name}"):  # the same lgpio, packaged for Python 3.13
        with suppress(PackageNotFoundError):
            return version(package)
    return "of the system"


def judge_libraries(versions: dict[str, str | None], *, forced: str | None) -> Finding:
    missing = [name for name, found in versions.items() if found is None]
    if missing:
        return fault(
            TOPIC,
            f"{' and '.join(missing)} cannot be imported; gpiozero would fall back to another"
            " factory, so the gateway will not start",
            f'{INSTALL_AGAIN}; or write factory = "none" in [indicators]',
        )
    if versions["gpiozero"] in _GPIOZERO_BAD or versions["lgpio"] == _LGPIO_BAD:
        return fault(
            TOPIC,
            f"gpiozero {versions['gpiozero']} with lgpio {versions['lgpio']} falls back to a wrong"
            " factory",
            f"{INSTALL_AGAIN} (gpiozero 2.0.1.post3, lgpio 0.2.2, or newer)",
        )
    if forced not in (None, "lgpio"):
        return look(
            TOPIC,
            f"GPIOZERO_PIN_FACTORY is {forced} here; the gateway ignores it and takes lgpio",
            "unset GPIOZERO_PIN_FACTORY, so that nobody is misled",
        )
    return ok(TOPIC, f"gpiozero {versions['gpiozero']} and lgpio {versions['lgpio']} are there")


def judge_chips(labels: dict[str, str]) -> Finding:
    """`labels`: what each chip says it is, or why it cannot be asked."""
    for name, label in labels.items():
        if label in CHIP_LABELS:
            return ok(TOPIC, f"the header's chip is {name} ({label})")
    found = ", ".join(f"{name} ({label})" for name, label in labels.items()) or "none"
    return fault(
        TOPIC,
        f"no chip has the label of a Pi's header; found: {found}",
        "on a Pi: join the group of the chip (ls -l /dev/gpiochip*); elsewhere write factory = "
        '"none" in [indicators]',
    )


def judge_release(kept: list[str]) -> Iterator[Finding]:
    """`kept`: what each driver of a header says; none has such a setting in a kernel of Debian."""
    if "Y" in kept:
        yield look(
            TOPIC,
            "this kernel keeps outputs: a gateway that is killed leaves its lamps as they are",
            "write dtparam=strict_gpiod into /boot/firmware/config.txt, and boot",
        )


def _chips(machine: Machine) -> list[str]:
    return [name for name in machine.names("/dev") if name.startswith("gpiochip")]


def chip_label(machine: Machine, name: str) -> str:
    """Ask the kernel for a chip's label; what stands in its way otherwise."""
    info = bytearray(_CHIPINFO_SIZE)
    try:
        descriptor = os.open(machine.path(f"/dev/{name}"), os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, _GET_CHIPINFO, info)
        finally:
            os.close(descriptor)
    except OSError as error:
        return error.strerror or "cannot be asked"
    return bytes(info[32:64]).split(b"\0")[0].decode(errors="replace")
