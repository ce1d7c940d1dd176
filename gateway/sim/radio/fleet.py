"""Simulated radios for any Meshtastic client: several on one air, each on a pty or on TCP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from gateway.sim.air import Air
from gateway.sim.radio.device import SimulatedRadio
from gateway.sim.radio.peers import id_of
from gateway.sim.radio.port import RadioPort
from gateway.sim.radio.tcp import LOOPBACK, RadioServer

COUNT_MAX: Final = 8
FIRST_NODE: Final = 0x4D4C_00A1
NODE_STEP: Final = 0x11


@dataclass(frozen=True, slots=True)
class FleetOptions:
    count: int
    preset: str
    region: str
    loss: float
    seed: int
    relay: bool
    """One more radio, without a port: the others hear only that one."""
    tcp: bool


@dataclass(frozen=True, slots=True)
class FleetRadio:
    """Where a client finds a radio: `address` is a path, or host:port."""

    name: str
    node: str
    address: str


def make_radios(options: FleetOptions) -> list[SimulatedRadio]:
    """The radios that get a port; a relay joins their air and lives on through it."""
    air = Air(Random(options.seed), options.loss)
    radios = [
        SimulatedRadio(
            FIRST_NODE + index * NODE_STEP,
            f"Sim{index + 1}",
            air,
            options.preset,
            options.region,
        )
        for index in range(options.count + options.relay)
    ]
    if options.relay:
        radios.pop()
        for first in radios:
            for second in radios:
                air.set_path(first.node_number, second.node_number, None)
    return radios


@asynccontextmanager
async def open_fleet(options: FleetOptions, folder: Path) -> AsyncIterator[list[FleetRadio]]:
    """The radios answer until the block ends: on ptys in `folder`, or on ports of loopback."""
    async with AsyncExitStack() as stack:
        found: list[FleetRadio] = []
        for radio in make_radios(options):
            if options.tcp:
                server = await stack.enter_async_context(RadioServer(radio))
                address = f"{LOOPBACK}:{server.port}"
            else:
                path = folder / f"radio-{len(found) + 1}"
                await stack.enter_async_context(RadioPort(radio, path))
                address = str(path)
            found.append(FleetRadio(radio.name, id_of(radio.node_number), address))
        yield found
