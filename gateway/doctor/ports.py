"""Serial devices: what is plugged in, under which lasting name, who holds it, who may use it."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gateway.doctor.finding import Finding, fault, look, ok
from gateway.doctor.machine import Machine, named

TOPIC: Final = "port"
SERVICE_USER: Final = "hotline"
_DEVICE_NAMES: Final = ("ttyUSB", "ttyACM", "ttyAMA")
_OWN: Final = "/dev/hotline"
"""Links of our udev rules: radio-SERIAL and cable-SERIAL."""
_BY_ID: Final = "/dev/serial/by-id"
_BY_PATH: Final = "/dev/serial/by-path"
_RADIO_VENDORS: Final = {
    "303a": "Espressif ESP32-S3 or C3",
    "10c4": "Silicon Labs CP210x",
    "1a86": "WCH CH340 or CH9102",
    "239a": "Adafruit nRF52",
    "2886": "Seeed nRF52",
    "2e8a": "Raspberry Pi RP2040",
}
NUMBERS_OF_ALL: Final = frozenset(
    {
        *("0", "1", "0000", "0001", "00000000", "00000001"),
        *("12345678", "123456789", "0123456789", "1234567890"),
        *("0123456789ABCDEF", "0123456789abcdef"),
    }
)
"""Serial numbers that a maker left in every device of a kind (CP2102); the same in the rules."""
_DEPTH_MAX: Final = 6
"""From a tty up to its USB device in /sys."""


@dataclass(frozen=True, slots=True)
class SerialDevice:
    """A tty of this machine that a radio or a cable may be on."""

    path: str
    lasting: str | None
    """A name that stays: ours first, then by-id, by-path where its number is none of its own."""
    vendor: str = ""
    product: str = ""
    name: str = ""
    """As the USB device calls itself."""

    @property
    def is_radio_board(self) -> bool:
        """Whether boards that run Meshtastic have such a USB chip."""
        return self.vendor in _RADIO_VENDORS

    def __str__(self) -> str:
        usb = f", USB {self.vendor}:{self.product}" if self.vendor else ""
        name = f" {self.name}" if self.name else ""
        chip = f" ({_RADIO_VENDORS[self.vendor]})" if self.is_radio_board else ""
        return f"{self.path}{usb}{name}{chip}, {self.lasting or 'no name that stays'}"


def serial_devices(machine: Machine) -> list[SerialDevice]:
    """Every USB serial adapter and board, and the header's UART."""
    own, by_id, by_path = (_links(machine, folder) for folder in (_OWN, _BY_ID, _BY_PATH))
    devices = []
    for name in machine.names("/sys/class/tty"):
        if not name.startswith(_DEVICE_NAMES):
            continue
        device, number = _device(machine, name)
        # Two devices of one number have one name by it, and the last of them has that.
        socket_first = number in NUMBERS_OF_ALL or not number
        order = (own, by_path, by_id) if socket_first else (own, by_id, by_path)
        lasting = next((links[name] for links in order if name in links), None)
        devices.append(replace(device, lasting=lasting))
    return devices


def _links(machine: Machine, folder: str) -> dict[str, str]:
    """The links of a folder by the device that each leads to."""
    links = {}
    for name in machine.names(folder):
        with suppress(OSError):
            links[machine.path(f"{folder}/{name}").readlink().name] = f"{folder}/{name}"
    return links


def _device(machine: Machine, name: str) -> tuple[SerialDevice, str]:
    """A device as the kernel shows it, and its serial number."""
    folder = f"/sys/class/tty/{name}/device"
    for _ in range(_DEPTH_MAX):
        vendor = machine.text(f"{folder}/idVendor")
        if vendor is not None:
            device = SerialDevice(
                f"/dev/{name}",
                None,
                vendor,
                machine.text(f"{folder}/idProduct") or "",
                machine.text(f"{folder}/product") or "",
            )
            return device, machine.text(f"{folder}/serial") or ""
        folder += "/.."
    return SerialDevice(f"/dev/{name}", None), ""


def examine_ports(machine: Machine, configured: tuple[str, ...]) -> Iterator[Finding]:
    """What is plugged in, then each configured tty by itself."""
    devices = serial_devices(machine)
    if not devices:
        yield look(
            TOPIC,
            "no USB serial adapter, radio board or UART is seen on this machine",
            "plug the radio or the cable's adapter in; with a radio on TCP or a pty none is needed",
        )
    wanted = {str(machine.path(port).resolve()) for port in configured}
    for device in devices:
        holders = machine.holders(device.path)
        is_ours = str(machine.path(device.path).resolve()) in wanted
        held = f"; open by {named(holders)}" if holders else "; nobody has it open"
        if device.is_radio_board and not is_ours and not holders:
            yield look(
                TOPIC,
                f"{device}{held}; the configuration does not use it",
                f"if a radio is on it: hotline doctor --port {device.lasting or device.path}",
            )
        else:
            yield ok(TOPIC, f"{device}{held}")
    for port in configured:
        yield _judge_name(machine, port, devices)


def _judge_name(machine: Machine, port: str, devices: list[SerialDevice]) -> Finding:
    """Is it there, and under a name that stays?"""
    if not machine.path(port).exists():
        return fault(
            TOPIC,
            f"{port} is configured and not there",
            f"plug it in, or correct `port`: ls -l {_folder(machine)}",
        )
    if Path(port).name.startswith(("ttyUSB", "ttyACM")):
        return look(
            TOPIC,
            f"{port} is a name that changes with the order of plugging in",
            f"write {_lasting(port, devices) or f'its path below {_folder(machine)}'} as `port`",
        )
    return ok(TOPIC, f"{port} is there")


def _lasting(port: str, devices: list[SerialDevice]) -> str | None:
    return next((it.lasting for it in devices if it.path == port), None)


def _folder(machine: Machine) -> str:
    """Where names that stay are: our own where the package's udev rules have made some."""
    return _OWN if machine.names(_OWN) else _BY_ID


@dataclass(frozen=True, slots=True)
class Person:
    """A user and his groups."""

    name: str
    user_id: int
    group_ids: frozenset[int]


def examine_access(machine: Machine, configured: tuple[str, ...]) -> Iterator[Finding]:
    """May the service, and who asks, use each configured tty?"""
    person = service_person() or own_person()
    for port in configured:
        with suppress(OSError):
            yield judge_access(port, machine.path(port).stat(), person)


def judge_access(port: str, status: os.stat_result, person: Person) -> Finding:
    """Whether mode, owner and group of a device let this user read and write."""
    group = _group_name(status.st_gid)
    mode = stat.S_IMODE(status.st_mode)
    who = f"mode {mode:04o}, group {group}"
    if person.user_id == status.st_uid:
        needed = 0o600
    elif status.st_gid in person.group_ids:
        needed = 0o060
    else:
        needed = 0o006
    if person.user_id == 0 or mode & needed == needed:
        return ok("permission", f"{person.name} may use {port} ({who})")
    usable = mode & 0o060 == 0o060 and status.st_gid != 0
    remedy = (
        f"sudo usermod -aG {group} {person.name}, then start the service again"
        if usable
        else "check the udev rule of the gateway and that the device's group is hotline"
    )
    return fault("permission", f"{person.name} may not use {port} ({who})", remedy)


def service_person() -> Person | None:
    """The service's user with its groups; None where it is not installed."""
    try:
        entry = pwd.getpwnam(SERVICE_USER)
    except KeyError:
        return None
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Person(entry.pw_name, entry.pw_uid, frozenset(groups))


def own_person() -> Person:
    """Who runs this command."""
    user_id = os.geteuid()
    try:
        name = pwd.getpwuid(user_id).pw_name
    except KeyError:
        name = f"user {user_id}"
    return Person(name, user_id, frozenset({*os.getgroups(), os.getegid()}))


def _group_name(group_id: int) -> str:
    try:
        return grp.getgrgid(group_id).gr_name
    except KeyError:
        return str(group_id)
