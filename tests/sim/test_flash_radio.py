"""FLASH through the real Meshtastic driver and supervisor, on simulated radios in virtual time."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final

import pytest

from gateway.core.effects import Transmit
from gateway.links.base import LinkEvent
from gateway.model import Precedence, Station
from gateway.sim.air import Air
from gateway.sim.channel import radio_traits
from gateway.sim.radio.memory_port import AirClock
from gateway.sim.virtual_loop import run_virtual
from gateway.wire.limits import FRAME_SIZE_MAX_RADIO
from tests.sim.radio_field import NODES, RADIO, Field, Side
from tests.sim.scenes import draft

OWN, FAR = Station(1), Station(2)
OFFERED_COUNT: Final = 16
WINDOW_COUNT: Final = 3
"""Frames whose ack is awaited, which the engine lets a radio have that has not proven itself."""
FLASH_NUMBER: Final = 99
FULL_FRAMES_S: Final = 2 * radio_traits().airtime.of(FRAME_SIZE_MAX_RADIO) / 1000 + 0.5
"""Two full frames of LongFast, with what the radio waits for a clear channel."""


class Pair:
    """Two radios with their drivers and no engine above them."""

    def __init__(self) -> None:
        self.air = Air(Random("flash"))
        self.clock = AirClock(self.air)
        self.sides = {station: Side(self, station, 1) for station in NODES}  # type: ignore[arg-type]

    def give(self, station: Station, event: LinkEvent) -> None:
        """What is reported leads to nothing."""

    def offer(self, number: int, precedence: Precedence, *, want_ack: bool) -> None:
        octets = bytes([number]) * 150
        frame = Transmit(RADIO, number, FAR, octets, precedence, want_ack=want_ack)
        self.sides[OWN].supervisor.submit(frame)

    def on_air(self) -> list[int]:
        """Numbers of the frames that our radio began to send, in order, each as often as it did."""
        return [
            record.packet.frame[0]
            for record in self.air.records
            if record.sender == NODES[OWN] and record.packet.frame
        ]


async def before_the_flash(count: int, after_s: float, *, want_ack: bool) -> list[int]:
    """So many ROUTINE frames, then a FLASH; what began on air between its coming and its own."""
    pair = Pair()
    runs = [asyncio.ensure_future(side.supervisor.run()) for side in pair.sides.values()]
    for side in pair.sides.values():
        await side.until_up(30, 0)
    if want_ack:
        pair.sides[FAR].device.cut()
    for number in range(count):
        pair.offer(number, Precedence.ROUTINE, want_ack=want_ack)
    await asyncio.sleep(after_s)
    begun = len(pair.on_air())
    assert begun, "some went before it"
    pair.offer(FLASH_NUMBER, Precedence.FLASH, want_ack=want_ack)
    await asyncio.sleep(120)
    for run in runs:
        assert not run.done(), run
        run.cancel()
    await asyncio.gather(*runs, return_exceptions=True)
    later = pair.on_air()[begun:]
    return later[: later.index(FLASH_NUMBER)]


@pytest.mark.parametrize("after_s", [0.2, 1.0, 2.5, 5.3])
def test_of_sixteen_offered_frames_at_most_one_more_goes_before_it(after_s: float) -> None:
    """The driver keeps the radio's own queue short, whatever waits."""
    before = run_virtual(before_the_flash(OFFERED_COUNT, after_s, want_ack=False))
    assert len(before) <= 1, before


@pytest.mark.parametrize("after_s", [5.0, 7.8, 9.0, 10.5, 15.4, 17.0])
def test_while_the_radio_retransmits_at_most_one_more_goes_before_it(after_s: float) -> None:
    """Nobody acks: the firmware repeats a whole window, and the FLASH overtakes it there."""
    before = run_virtual(before_the_flash(WINDOW_COUNT, after_s, want_ack=True))
    assert len(before) <= 1, before


async def through_the_engine() -> tuple[float, list[Precedence]]:
    """Sixteen ROUTINE notices by radio only, then a FLASH: seconds until it is at the far end, and
    what our engine handed over between.
    """
    field = Field(1)
    field.start()
    field.unplug("cable")
    runs = [asyncio.ensure_future(side.supervisor.run()) for side in field.sides.values()]
    for side in field.sides.values():
        await side.until_up(30, 0)
    await asyncio.sleep(60)
    handed: list[Precedence] = []
    submit = field.sides[OWN].supervisor.submit

    def listens(frame: Transmit) -> None:
        handed.append(frame.precedence)
        submit(frame)

    field.sides[OWN].supervisor.submit = listens  # type: ignore[method-assign,assignment]
    for number in range(OFFERED_COUNT):
        field.submit(draft(f"convoy {number} " * 8, precedence=Precedence.ROUTINE), station=OWN)
    await asyncio.sleep(0.5)
    handed.clear()
    token = field.submit(draft("danger", precedence=Precedence.FLASH), station=OWN)
    flash = field.posts[OWN].confirmed[token]
    begin_s = asyncio.get_running_loop().time()
    async with asyncio.timeout(60):
        while flash not in [each.notice_id for each in field.published(FAR)]:
            await asyncio.sleep(0.05)
    waited_s = asyncio.get_running_loop().time() - begin_s
    for run in runs:
        run.cancel()
    await asyncio.gather(*runs, return_exceptions=True)
    assert field.faults == []
    return waited_s, handed


def test_behind_sixteen_notices_it_waits_for_the_frame_on_air() -> None:
    """Engine, driver and radio together: it is what the engine hands over next."""
    waited_s, handed = run_virtual(through_the_engine())
    assert handed[0] is Precedence.FLASH
    assert waited_s <= FULL_FRAMES_S
