"""The ladder: which rung when, told where, for how long; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from gateway.core.airtime import SerialAirtime
from gateway.core.events import LinkDown, LinkTold, LinkTraits, LinkUp
from gateway.errors import DeviceSilentError, LinkLostError
from gateway.links.ladder import Rung, needs_person, rung
from gateway.links.supervisor import Supervisor
from gateway.links.usb import reauthorise, usb_device_of
from gateway.model import LinkName
from gateway.sim.virtual_loop import run_virtual

if TYPE_CHECKING:
    from gateway.links.base import Emit, LinkEvent, Outbox

RADIO = LinkName("radio")
TRAITS = LinkTraits(200, SerialAirtime(9600))
FROZEN = DeviceSilentError("it is frozen")


class Device:
    """A device whose lives are told: seconds up (None: no handshake), then what ends it."""

    def __init__(self, lives: list[tuple[float | None, LinkLostError]]) -> None:
        self.lives = lives
        self.events: list[tuple[float, LinkEvent]] = []
        self.done: list[Rung] = []

    async def run(self, emit: Emit, outbox: Outbox) -> None:
        up_s, error = self.lives.pop(0) if len(self.lives) > 1 else self.lives[0]
        if up_s is None:
            await asyncio.sleep(15)
        else:
            emit(LinkUp(RADIO, TRAITS))
            await asyncio.sleep(up_s)
        raise error

    def remedy(
        self, step: Rung, outcome: LinkLostError | float | None
    ) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            self.done.append(step)
            if isinstance(outcome, LinkLostError):
                raise outcome
            await asyncio.sleep(outcome or 0)

        return act

    def serve(
        self, duration_s: float, remedies: Mapping[Rung, LinkLostError | float | None]
    ) -> list[LinkTold]:
        """Run the supervisor for so long; what was told, in order."""

        async def serve() -> None:
            loop = asyncio.get_running_loop()
            supervisor = Supervisor(
                RADIO,
                lambda: self,
                lambda event: self.events.append((loop.time(), event)),
                rng=Random(1),
                remedies={step: self.remedy(step, out) for step, out in remedies.items()},
            )
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(duration_s):
                    await supervisor.run()

        run_virtual(serve())
        return [event for _, event in self.events if isinstance(event, LinkTold)]


def test_every_rung_in_its_order_and_again_for_ever() -> None:
    """Reopen, reboot, USB, alarm; then from the bottom; the alarm stays."""
    assert [rung(count) for count in range(1, 6)] == [*Rung, Rung.REOPEN]
    assert [needs_person(count, 0) for count in range(1, 7)] == [False] * 3 + [True] * 3
    assert needs_person(0, 120)


def test_frozen_device_gets_each_remedy_and_a_person_is_called_within_100_s() -> None:
    """Each rung is told with its reason; the alarm comes once all were tried."""
    device = Device([(50, FROZEN), (None, FROZEN)])
    told = device.serve(3600, {Rung.REBOOT: None, Rung.REAUTHORISE: None})
    for event, step in zip(told, Rung, strict=False):
        assert event.detail.startswith("it is frozen")
        assert event.detail.endswith(f"; {step.value}")
    assert [event.needs_person for event in told[:5]] == [False, False, False, True, True]
    assert len(told) < 15, "in an hour: each is an entry of the log book"
    called_at = next(at for at, e in device.events if isinstance(e, LinkTold) and e.needs_person)
    assert called_at < 50 + 100
    assert device.done[:4] == [Rung.REBOOT, Rung.REAUTHORISE] * 2
    assert len(device.done) > 30  # for ever, at most about a minute a round


def test_remedy_that_cannot_be_had_or_hangs_is_told_and_passed() -> None:
    """No permission, no end: 15 s, then the next rung."""
    device = Device([(None, FROZEN)])
    obstacle = LinkLostError("it may not be written")
    told = [e.detail for e in device.serve(200, {Rung.REBOOT: 1e6, Rung.REAUTHORISE: obstacle})]
    assert f"it is frozen; {Rung.REBOOT.value}, in vain: it took more than 15 s" in told
    assert f"it is frozen; {Rung.REAUTHORISE.value}, in vain: it may not be written" in told
    assert f"it is frozen; {Rung.ALARM.value}" in told


def test_device_that_freezes_again_soon_after_each_handshake_climbs_all_the_same() -> None:
    """A handshake alone heals nothing: a session of 2 min does."""
    device = Device([(50, FROZEN)])
    device.serve(600, {Rung.REBOOT: None, Rung.REAUTHORISE: None})
    assert device.done[:2] == [Rung.REBOOT, Rung.REAUTHORISE]
    healed = Device([(130, FROZEN)])
    healed.serve(3600, {Rung.REBOOT: None, Rung.REAUTHORISE: None})
    assert healed.done == []


def test_pulled_plug_is_never_rebooted_and_calls_a_person_after_two_minutes() -> None:
    """Nothing is there to be helped; the reason stays in the status."""
    device = Device([(10, LinkLostError("it is gone")), (None, LinkLostError("it is not there"))])
    told = device.serve(400, {Rung.REBOOT: None, Rung.REAUTHORISE: None})
    assert device.done == []
    assert [(event.detail, event.needs_person) for event in told] == [
        ("it is not there", False),
        ("it is not there", True),
    ]
    called_at = [at for at, event in device.events if event == told[-1]]
    assert 130 <= called_at[0] <= 170
    assert isinstance(device.events[1][1], LinkDown)


def usb_tree(root: Path, name: str = "1-1") -> Path:
    """A sysfs with a USB serial port, `ttyACM0`, on interface 1-1:1.0 of device 1-1."""
    device = root / "devices" / "usb1" / name
    interface = device / f"{name}:1.0"
    (interface / "tty" / "ttyACM0").mkdir(parents=True)
    (interface / "authorized").write_text("1")
    (device / "authorized").write_text("1")
    (device / "idVendor").write_text("239a")
    tty = root / "class" / "tty" / "ttyACM0"
    tty.mkdir(parents=True)
    (tty / "device").symlink_to(interface)
    return device


async def test_usb_device_is_switched_off_and_on(tmp_path: Path) -> None:
    """Found through a by-id link; the device, not its interface nor its hub."""
    device = usb_tree(tmp_path / "sys")
    link = tmp_path / "usb-radio-by-id"
    link.symlink_to("/dev/ttyACM0")
    assert usb_device_of(str(link), tmp_path / "sys") == device
    assert usb_device_of("/dev/ttyS0", tmp_path / "sys") is None
    task = asyncio.create_task(reauthorise(str(link), system=tmp_path / "sys", off_s=0.2))
    async with asyncio.timeout(10):
        while (device / "authorized").read_text() != "0":
            await asyncio.sleep(0.01)
        task.cancel()  # the deadline of the rung: the device must not stay off
        with pytest.raises(asyncio.CancelledError):
            await task
        while (device / "authorized").read_text() != "1":
            await asyncio.sleep(0.01)


async def test_device_whose_switch_may_not_be_written_is_reset_by_its_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the service: /sys is read-only there; without the udev rule it says what to install."""
    device = usb_tree(tmp_path / "sys")
    (device / "busnum").write_text("3\n")
    (device / "devnum").write_text("12\n")
    (device / "authorized").write_text("1")
    monkeypatch.setattr("gateway.links.usb.os.access", lambda *_: False)  # root may write all
    orders: list[tuple[str, int]] = []
    monkeypatch.setattr(
        "gateway.links.usb.fcntl.ioctl",
        lambda descriptor, order: orders.append(
            (str(Path(f"/proc/self/fd/{descriptor}").readlink()), order)
        ),
    )
    nodes = tmp_path / "nodes"
    (nodes / "003").mkdir(parents=True)
    with pytest.raises(LinkLostError, match=r"nor .*/003/012 may .*60-hotline-gateway.rules"):
        await reauthorise("/dev/ttyACM0", system=tmp_path / "sys", nodes=nodes)
    (nodes / "003" / "012").touch()
    await reauthorise("/dev/ttyACM0", system=tmp_path / "sys", nodes=nodes)
    assert orders == [(str(nodes / "003" / "012"), 0x5514)]
    assert (device / "authorized").read_text() == "1"


async def test_port_that_is_no_usb_device_says_so(tmp_path: Path) -> None:
    """A UART of the board: nothing to switch."""
    usb_tree(tmp_path / "sys")
    with pytest.raises(LinkLostError, match="/dev/ttyAMA0 is no USB device"):
        await reauthorise("/dev/ttyAMA0", system=tmp_path / "sys")
