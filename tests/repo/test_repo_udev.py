"""What the udev rules make of the devices that people plug in."""

from __future__ import annotations

import re

import pytest

from gateway.doctor.ports import _RADIO_VENDORS, NUMBERS_OF_ALL
from tests.repo.udev_rules import BRLTTY, OURS, ROOT, Device

PATH = "platform-xhci-usb-0:1.2:1.0"


def tty(vendor: str, product: str, number: str, *, interface: str = "00") -> Device:
    """A serial device as 60-serial.rules leaves it."""
    env = {
        "ID_VENDOR_ID": vendor,
        "ID_MODEL_ID": product,
        "ID_SERIAL_SHORT": number,
        "ID_PATH": PATH,
        "ID_USB_INTERFACE_NUM": interface,
    }
    return Device("tty", "ttyUSB0", env=env).judged(OURS)


def usb(vendor: str, product: str, *, kind: str = "usb_device") -> Device:
    """A USB device for which the rules of brltty have asked for it already."""
    env = {"DEVTYPE": kind, "SYSTEMD_WANTS": "brltty.path", "BRLTTY_BRAILLE_DRIVER": "bm"}
    return Device("usb", env=env, attr={"idVendor": vendor, "idProduct": product})


@pytest.mark.parametrize(
    ("vendor", "product", "number", "name"),
    [
        ("303a", "1001", "F4:12:FA:9A:10:C4", "radio-F4:12:FA:9A:10:C4"),
        ("10c4", "ea60", "4D4C00A1", "radio-4D4C00A1"),
        ("10c4", "ea60", "0001", f"radio-at-{PATH}"),
        ("1a86", "7523", "", f"radio-at-{PATH}"),
        ("2e8a", "00c0", "E66138528350", "radio-E66138528350"),
        ("0403", "6001", "A1", "cable-A1"),
        ("0403", "6001", "00000000", f"cable-at-{PATH}"),
    ],
)
def test_each_device_has_one_name(vendor: str, product: str, number: str, name: str) -> None:
    """By its own number; by its socket where it has none, or that of all others of its kind."""
    device = tty(vendor, product, number)
    assert device.links == [f"hotline/{name}"]
    assert (device.group, device.mode) == ("hotline", "0660")


def test_the_second_port_of_a_board_has_its_number_behind_the_name() -> None:
    """Two ports of one board do not take each other's name."""
    assert tty("303a", "1001", "77", interface="02").links == ["hotline/radio-77-if02"]


def test_others_have_no_name_of_ours() -> None:
    """A modem and the header's UART: only the group is given; a disk is not touched."""
    modem = tty("2c7c", "0125", "1")
    assert (modem.links, modem.group) == ([], "hotline")
    assert "ID_MM_PORT_IGNORE" not in modem.env
    pins = Device("gpio", "gpiochip0").judged(OURS)
    assert (pins.group, pins.mode) == ("hotline", "0660")
    assert Device("block", "sda").judged(OURS).group == "root"


@pytest.mark.parametrize("vendor", [*_RADIO_VENDORS, "0403", "067b"])
def test_nobody_else_is_sent_to_our_devices(vendor: str) -> None:
    """Neither ModemManager, by device and by port, nor brltty, which is called off at the end."""
    device = usb(vendor, "ea60").judged(OURS)
    assert device.env["ID_MM_DEVICE_IGNORE"] == "1"
    assert (device.group, device.mode) == ("hotline", "0660")
    device.judged(BRLTTY)
    assert (device.env["SYSTEMD_WANTS"], device.env["BRLTTY_BRAILLE_DRIVER"]) == ("", "")
    port = tty(vendor, "ea60", "77")
    assert port.env["ID_MM_DEVICE_IGNORE"] == port.env["ID_MM_PORT_IGNORE"] == "1"


def test_devices_of_others_keep_what_they_have() -> None:
    """A Braille display gets its brltty; what else systemd starts for a board of ours stays."""
    display = usb("0904", "2000").judged(OURS).judged(BRLTTY)
    assert (display.env["SYSTEMD_WANTS"], display.group) == ("brltty.path", "root")
    board = usb("10c4", "ea60").judged(OURS)
    board.env["SYSTEMD_WANTS"] = "other.service"
    assert board.judged(BRLTTY).env["SYSTEMD_WANTS"] == "other.service"
    assert "ID_MM_DEVICE_IGNORE" not in usb("10c4", "ea70").judged(OURS).env


def test_a_device_that_goes_is_left_alone() -> None:
    """Nothing is asked of what is not there any more."""
    gone = Device("tty", "ttyUSB0", "remove", env={"ID_VENDOR_ID": "303a"}).judged(OURS)
    assert (gone.links, gone.group) == ([], "root")


def test_numbers_of_all_are_those_that_the_doctor_knows() -> None:
    """Doctor and rules give a device the same kind of name."""
    rules = (ROOT / "systemd" / OURS).read_text()
    (told,) = re.findall(r'^ENV\{ID_SERIAL_SHORT\}=="([^"?*]+)"', rules, re.MULTILINE)
    assert set(told.split("|")) == NUMBERS_OF_ALL
