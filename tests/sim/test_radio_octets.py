"""Memory of the driver, its supervisor and its ports through hundreds of faults, in octets."""

from __future__ import annotations

import asyncio
import gc
import logging
import tracemalloc
from random import Random
from typing import Final

from gateway.core.effects import Transmit
from gateway.links.base import LinkEvent
from gateway.model import Precedence, Station
from gateway.sim.air import Air
from gateway.sim.radio.memory_port import AirClock
from gateway.sim.virtual_loop import run_virtual
from tests.sim.radio_field import KINDS, NODES, RADIO, Side, rss_size

FAULT_COUNT: Final = 300
WARM_COUNT: Final = 100
"""Buffers, caches and bounded queues are full by then."""
PYTHON_GROWTH_MAX: Final = 64 * 1024
"""Octets that 200 faults and 800 frames may leave: a leak of one packet each fault is more."""
RSS_GROWTH_MAX: Final = 4 * 1024 * 1024
"""Protobuf's messages are not Python's octets; the allocator's own pages come and go."""


class Stage:
    """Two radios on one air with their drivers, and nobody above them who would keep anything."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.air = Air(Random("octets"))
        self.clock = AirClock(self.air)
        self.sides = {station: Side(self, station, 1) for station in NODES}  # type: ignore[arg-type]
        self._number = 0

    def give(self, station: Station, event: LinkEvent) -> None:
        """No engine: what happened is forgotten."""

    def forget_keys(self) -> None:
        for side in self.sides.values():
            side.device.forget(side.far_node)

    async def frames(self) -> None:
        """A few frames each way, half of them with an ack."""
        for station, side in self.sides.items():
            for _ in range(2):
                self._number += 1
                octets = self._number.to_bytes(4, "big") * 30
                want_ack = self._number % 2 == 0
                far = Station(3 - station)
                frame = Transmit(
                    RADIO, self._number, far, octets, Precedence.ROUTINE, want_ack=want_ack
                )
                side.supervisor.submit(frame)
        await asyncio.sleep(120)

    async def faults(self, count: int, rng: Random) -> None:
        for number in range(count):
            side = self.sides[Station(rng.randint(1, 2))]
            await side.suffer(KINDS[number % len(KINDS)], rng.uniform(1, 60))
            await self.frames()
            for each in self.sides.values():
                each.told.clear()
            self.air.records.clear()  # The air's memory of what was sent is a tester's own.


async def growth() -> tuple[int, int]:
    """Octets of Python and of the process between the warm-up and the last fault."""
    stage, rng = Stage(), Random("octets")
    runs = [asyncio.ensure_future(side.supervisor.run()) for side in stage.sides.values()]
    for side in stage.sides.values():
        await side.until_up(30, 0)
    tracemalloc.start()
    try:
        await stage.faults(WARM_COUNT, rng)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0], rss_size()
        await stage.faults(FAULT_COUNT - WARM_COUNT, rng)
        gc.collect()
        after = tracemalloc.get_traced_memory()[0], rss_size()
    finally:
        tracemalloc.stop()
    for task in runs:
        assert not task.done(), task
        task.cancel()
    await asyncio.gather(*runs, return_exceptions=True)
    return after[0] - before[0], after[1] - before[1]


def test_no_octet_is_left_behind_by_faults() -> None:
    """300 faults of every kind with frames between them; growth counted over the last 200."""
    logging.disable()  # pytest would keep every line of the supervisor
    try:
        python, rss = run_virtual(growth())
    finally:
        logging.disable(logging.NOTSET)
    assert python <= PYTHON_GROWTH_MAX
    assert rss <= RSS_GROWTH_MAX
