"""Making the kernel start a USB device anew, as after a pull of its plug; its power stays.

By its `authorized` file where that may be written. In the service it may not: the file is root's,
and `ProtectKernelTunables` mounts /sys read-only. There the device's port is reset by its node in
/dev/bus/usb, which the udev rule gives to the group of the tty (tried with systemd 252).
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from pathlib import Path
from typing import Final

from gateway.errors import LinkLostError

SYSTEM: Final = Path("/sys")
NODES: Final = Path("/dev/bus/usb")
OFF_S: Final = 1.0
_RESET: Final = ord("U") << 8 | 20
"""USBDEVFS_RESET (linux/usbdevice_fs.h): the hub resets the port, the drivers bind again."""


def usb_device_of(port: str, system: Path = SYSTEM) -> Path | None:
    """The kernel's folder of the USB device behind a tty, or None: it is no USB device."""
    tty = Path(os.path.realpath(port)).name
    folder = Path(os.path.realpath(system / "class" / "tty" / tty / "device"))
    for each in (folder, *folder.parents):
        # An interface has no idVendor; a root hub, whose name is usbN, carries other devices.
        if (each / "authorized").is_file() and (each / "idVendor").is_file():
            return None if each.name.startswith("usb") else each
    return None


async def reauthorise(
    port: str, *, system: Path = SYSTEM, nodes: Path = NODES, off_s: float = OFF_S
) -> None:
    """Make the kernel forget the device at `port` and find it anew. Raises `LinkLostError`."""
    device = usb_device_of(port, system)
    if device is None:
        raise LinkLostError(f"{port} is no USB device")
    switch = device / "authorized"
    try:
        if os.access(switch, os.W_OK):
            await asyncio.to_thread(_off_and_on, switch, off_s)
        else:
            await asyncio.to_thread(_reset, _node_of(device, nodes))
    except OSError as error:
        raise LinkLostError(
            f"neither {switch} nor {error.filename or 'its node'} may be written by this service"
            f" ({error.strerror}); install 60-hotline-gateway.rules and plug the device in again"
        ) from error


def _node_of(device: Path, nodes: Path) -> Path:
    """The device's node, such as /dev/bus/usb/003/002. Raises `OSError`."""
    numbers = [int((device / name).read_text()) for name in ("busnum", "devnum")]
    return nodes / f"{numbers[0]:03}" / f"{numbers[1]:03}"


def _reset(node: Path) -> None:
    """Raises `OSError`, with the name of the node where it may not be opened."""
    descriptor = os.open(node, os.O_WRONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _RESET)
    finally:
        os.close(descriptor)


def _off_and_on(switch: Path, off_s: float) -> None:
    """In a thread to its end, even when nobody waits any longer: no device may stay off."""
    try:
        switch.write_text("0")
        threading.Event().wait(off_s)
    finally:
        switch.write_text("1")
