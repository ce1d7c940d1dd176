"""One radio of the configuration, across all its sessions: makes drivers, and reboots it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Final

from gateway.errors import LinkLostError
from gateway.links.ladder import Rung
from gateway.links.meshtastic.driver import MeshtasticDriver, OpenPort, open_radio_port
from gateway.links.meshtastic.identity import ExpectedRadio
from gateway.links.meshtastic.packet_ids import PacketIds
from gateway.links.meshtastic.protobuf import admin_pb2, mesh_pb2, portnums_pb2
from gateway.links.meshtastic.stream import WAKE, encode_frame
from gateway.links.usb import reauthorise
from gateway.model import LinkName

REBOOT_AFTER_S: Final = 1
WRITE_DEADLINE_S: Final = 5.0
WAKE_S: Final = 0.1
"""A sleeping radio loses the octets that wake it."""
STAY_S: Final = 2.0


class MeshtasticRadio:
    """Remembers the radio's number, by which alone it can be told to start again."""

    def __init__(
        self,
        link: LinkName,
        port: str,
        far_node: int,
        *,
        expected: ExpectedRadio,
        rng: Random,
        open_port: OpenPort = open_radio_port,
    ) -> None:
        self._link = link
        self._port = port
        self._far_node = far_node
        self._expected = expected
        self._rng = rng
        self._open_port = open_port
        self._ids = PacketIds(rng)
        self._last: MeshtasticDriver | None = None
        self._node = expected.node

    def make_driver(self) -> MeshtasticDriver:
        """A driver for the next session."""
        self._note_node()
        self._last = MeshtasticDriver(
            self._link,
            self._port,
            self._far_node,
            rng=self._rng,
            expected=self._expected,
            open_port=self._open_port,
        )
        return self._last

    def _note_node(self) -> None:
        identity = None if self._last is None else self._last.identity
        if identity is not None:
            self._node = identity.node

    @property
    def remedies(self) -> Mapping[Rung, Callable[[], Awaitable[None]]]:
        """What can be done for a radio that is there and does not answer."""
        remedies: dict[Rung, Callable[[], Awaitable[None]]] = {Rung.REBOOT: self.reboot}
        if not self._port.startswith("tcp://"):
            remedies[Rung.REAUTHORISE] = self.reauthorise
        return remedies

    async def reboot(self) -> None:
        """Give the command to start again. Raises `LinkLostError`.

        A frozen radio answers nothing; but a node on TCP, which looks for clients each 100 ms,
        drops one that has left together with what it wrote. So we stay until it goes, or for 2 s.
        """
        self._note_node()
        if self._node is None:
            raise LinkLostError("its number is not known yet; set `own_node`")
        command = admin_pb2.AdminMessage(reboot_seconds=REBOOT_AFTER_S)
        packet = mesh_pb2.MeshPacket(
            to=self._node,
            id=self._ids.draw(),
            decoded=mesh_pb2.Data(
                portnum=portnums_pb2.PortNum.ADMIN_APP, payload=command.SerializeToString()
            ),
        )
        message = mesh_pb2.ToRadio(packet=packet)
        port = await self._open_port(self._port)
        try:
            await port.write(WAKE, deadline_s=WRITE_DEADLINE_S)
            await asyncio.sleep(WAKE_S)
            octets = encode_frame(message.SerializeToString())
            await port.write(octets, deadline_s=WRITE_DEADLINE_S)
            with contextlib.suppress(TimeoutError, LinkLostError):
                async with asyncio.timeout(STAY_S):
                    while True:
                        await port.read()
        finally:
            await port.close(discard=False)

    async def reauthorise(self) -> None:
        """Raises `LinkLostError` where the kernel does not offer it."""
        await reauthorise(self._port)
