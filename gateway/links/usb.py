"""Switching a USB device off and on by the kernel's `authorized` file, where that is permitted.

The kernel then forgets the device and finds it anew, as after a pull of its plug; its power stays.
"""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Final

from gateway.errors import LinkLostError

SYSTEM: Final = Path("/sys")
OFF_S: Final = 1.0


def usb_device_of(port: str, system: Path = SYSTEM) -> Path | None:
    """The kernel's folder of the USB device behind a tty, or None: it is no USB device."""
    tty = Path(os.path.realpath(port)).name
    folder = Path(os.path.realpath(system / "class" / "tty" / tty / "device"))
    for each in (folder, *folder.parents):
        # An interface has no idVendor; a root hub, whose name is usbN, carries other devices.
        if (each / "authorized").is_file() and (each / "idVendor").is_file():
            return None if each.name.startswith("usb") else each
    return None


async def reauthorise(port: str, *, system: Path = SYSTEM, off_s: float = OFF_S) -> None:
    """Take the device at `port` from the kernel and give it back. Raises `LinkLostError`."""
    device = usb_device_of(port, system)
    if device is None:
        raise LinkLostError(f"{port} is no USB device")
    switch = device / "authorized"
    if not os.access(switch, os.W_OK):
        raise LinkLostError(f"{switch} may not be written by this service")
    try:
        await asyncio.to_thread(_off_and_on, switch, off_s)
    except OSError as error:
        raise LinkLostError(f"{switch} was not written: {error.strerror}") from error


def _off_and_on(switch: Path, off_s: float) -> None:
    """In a thread to its end, even when nobody waits any longer: no device may stay off."""
    try:
        switch.write_text("0")
        threading.Event().wait(off_s)
    finally:
        switch.write_text("1")
