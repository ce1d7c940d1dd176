"""The two links of the bench: a simulated cable and two simulated radios, with taps on both."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final, Self

from gateway.errors import DecodeError
from gateway.model import Station
from gateway.sim.air import Air
from gateway.sim.bench.files import CABLE, RADIO, Ports
from gateway.sim.cable import Cable
from gateway.sim.faults import fork
from gateway.sim.radio.device import SimulatedRadio
from gateway.sim.radio.port import RadioPort
from gateway.wire.frame import parse_frame

NODES: Final = {"NORTH": 0x4D4C_00A1, "SOUTH": 0x4D4C_00B2}
TAP_INTERVAL_S: Final = 0.02
"""The taps hold 256 frames; at any bit rate that a bench has, fewer pass in this time."""

Tap = Callable[[str, bytes, int], None]
"""Told of each transmission: link, our frame, octets on the wire."""


def ports_of(folder: Path, name: str) -> Ports:
    """Where a station finds its devices below `folder`."""
    (far,) = set(NODES) - {name}
    return Ports(
        radio=str(folder / f"radio-{name.lower()}"),
        far_node=f"!{NODES[far]:08x}",
        cable=str(folder / f"cable-{name.lower()}"),
        spare=str(folder / f"spare-{name.lower()}"),
    )


class Media:
    """`async with Media(...)`: both links work until the block ends."""

    def __init__(
        self, folder: Path, rng: Random, *, preset: str, baud: int, loss: float, tap: Tap
    ) -> None:
        self._tap = tap
        self._air = Air(fork(rng), loss)
        self._radios = {
            name: SimulatedRadio(number, name.title(), self._air, preset)
            for name, number in NODES.items()
        }
        ports = {name: ports_of(folder, name) for name in NODES}
        self._radio_ports = {
            name: RadioPort(radio, ports[name].radio) for name, radio in self._radios.items()
        }
        self._cable = Cable(ports["NORTH"].cable, ports["SOUTH"].cable, baud, fork(rng), loss)
        self._stack = AsyncExitStack()
        self.frame_counts: Counter[tuple[str, Station]] = Counter()
        """Frames with content of ours put on a link, by sender."""
        self.octet_counts: Counter[str] = Counter()
        """Everything on a link, the radios' own acks included."""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for port in self._radio_ports.values():
                await stack.enter_async_context(port)
            await stack.enter_async_context(self._cable)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()
        self.drain()

    def cut(self, link: str) -> None:
        """Silent: devices stay, what they send arrives nowhere."""
        if link == RADIO:
            self._radios["NORTH"].cut()
        else:
            self._cable.cut()

    def unplug(self, link: str) -> None:
        """Pull NORTH's device: its port is gone."""
        if link == RADIO:
            self._radio_ports["NORTH"].unplug()
        else:
            self._cable.unplug("a")

    def restore(self, link: str) -> None:
        """Undo `cut` and `unplug`."""
        if link == RADIO:
            self._radio_ports["NORTH"].replug()
            self._radios["NORTH"].restore()
        else:
            self._cable.replug("a")
            self._cable.restore()

    async def run_taps(self) -> None:
        """Hand what the taps saw to `tap` until cancelled."""
        while True:
            self.drain()
            await asyncio.sleep(TAP_INTERVAL_S)

    def drain(self) -> None:
        while self._air.records:
            packet = self._air.records.popleft().packet
            self._note(RADIO, packet.frame, packet.size)
        while self._cable.records:
            record = self._cable.records.popleft().line
            self._note(CABLE, record.frame, record.size)

    def _note(self, link: str, frame: bytes, wire_size: int) -> None:
        self.octet_counts[link] += wire_size
        if frame:
            sender = _sender(frame)
            self.frame_counts[link, sender] += 1
            self._tap(link, frame, wire_size)


def _sender(frame: bytes) -> Station:
    """Whose frame it is, as its header says in clear; 0: it has none."""
    try:
        return parse_frame(frame)[0].sender
    except DecodeError:
        return Station(0)
