"""A short session with a radio for a person's command: look it over, give it orders, leave.

Uses the driver's own conversation, so that what works here works in the gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random
from typing import Final

from gateway.core.events import LinkUp
from gateway.errors import LinkLostError
from gateway.links.meshtastic.conversation import Conversation, RadioTimes
from gateway.links.meshtastic.driver import (
    GOODBYE_DEADLINE_S,
    WRITE_DEADLINE_S,
    open_radio_port,
)
from gateway.links.meshtastic.protobuf import (
    ProtobufError,
    admin_pb2,
    mesh_pb2,
    portnums_pb2,
)
from gateway.links.meshtastic.stream import encode_frame
from gateway.links.meshtastic.survey import RadioSurvey
from gateway.links.port import Port
from gateway.model import LinkName

SURVEY_TIMES: Final = RadioTimes(handshake_step_ms=4_000, handshake_ms=15_000)
ORDER_S: Final = 5.0
"""For the radio's own ack of an order."""
LOSS_S: Final = 20.0
"""After the order to restart; the firmware goes 2 s after it."""
RETURN_S: Final = 90.0
"""Until a restarted radio answers; a board with a display takes 20 s."""
_RETURN_STEP_S: Final = 0.5
_RESTART_AFTER_S: Final = 2
_UNKNOWN_FAR_NODE: Final = 0


class RadioSession:
    """One radio whose handshake is done. Every method raises `LinkLostError`."""

    def __init__(self, path: str, port: Port, rng: Random, times: RadioTimes) -> None:
        self.path = path
        self.survey = RadioSurvey()
        self._port = port
        self._rng = rng
        self._is_up = False
        self._verdicts: dict[int, int] = {}
        self._taken: set[int] = set()
        self._conversation = Conversation(
            LinkName("radio"), _UNKNOWN_FAR_NODE, path, rng=rng, times=times, watch=self._see
        )
        self._conversation.start(_now_ms())

    async def open(self) -> None:
        """The handshake, within the conversation's own deadline."""
        await self._until(lambda: self._is_up, SURVEY_TIMES.handshake_ms / 1000 + ORDER_S)

    async def order(self, admin: admin_pb2.AdminMessage) -> None:
        """Give the radio an order for itself and wait for its ack."""
        packet_id = self._rng.getrandbits(31) + 1
        packet = mesh_pb2.MeshPacket(
            to=self.survey.node,
            id=packet_id,
            want_ack=True,
            # As the library asks; the firmware was seen to answer this with an ack of its own.
            decoded=mesh_pb2.Data(
                portnum=portnums_pb2.PortNum.ADMIN_APP,
                payload=admin.SerializeToString(),
                want_response=True,
            ),
        )
        self._conversation.say(mesh_pb2.ToRadio(packet=packet))
        await self._until(lambda: packet_id in self._verdicts, ORDER_S)
        error = self._verdicts.get(packet_id)
        if error:
            word = mesh_pb2.Routing.Error.DESCRIPTOR.values_by_number.get(error)
            raise LinkLostError(
                f"the radio at {self.path} refused an order ({word.name if word else error});"
                " is it managed by another program?"
            )
        if error is None and packet_id not in self._taken:
            raise LinkLostError(
                f"the radio at {self.path} did not take an order in {ORDER_S:.0f} s; try again"
            )

    async def write(self, orders: Sequence[admin_pb2.AdminMessage]) -> None:
        """All orders as one change of settings: without the frame each would restart the radio."""
        await self.order(admin_pb2.AdminMessage(begin_edit_settings=True))
        for order in orders:
            await self.order(order)
        await self.order(admin_pb2.AdminMessage(commit_edit_settings=True))

    async def restart(self) -> None:
        """Order a restart and wait until the radio goes."""
        await self.order(admin_pb2.AdminMessage(reboot_seconds=_RESTART_AFTER_S))
        with contextlib.suppress(LinkLostError):
            await self._until(lambda: False, LOSS_S)

    def _see(self, message: mesh_pb2.FromRadio) -> None:
        self.survey.take(message)
        match message.WhichOneof("payload_variant"):
            case "queueStatus" if message.queueStatus.res == 0:
                self._taken.add(message.queueStatus.mesh_packet_id)
            case "packet" if message.packet.decoded.portnum == portnums_pb2.PortNum.ROUTING_APP:
                decoded = message.packet.decoded
                with contextlib.suppress(ProtobufError):
                    routing = mesh_pb2.Routing.FromString(decoded.payload)
                    self._verdicts[decoded.request_id] = routing.error_reason
            case _:
                pass

    async def _until(self, is_done: Callable[[], bool], limit_s: float) -> None:
        """Serve the port until then, or until the time is over."""
        end_ms = _now_ms() + round(limit_s * 1000)
        while not is_done():
            octets = self._conversation.take_octets()
            if octets:
                await self._port.write(octets, deadline_s=WRITE_DEADLINE_S)
            now_ms = _now_ms()
            if now_ms >= end_ms:
                return
            due_ms = self._conversation.next_deadline_ms()
            wait_ms = min(end_ms, end_ms if due_ms is None else due_ms) - now_ms
            try:
                async with asyncio.timeout(max(wait_ms, 0) / 1000):
                    octets = await self._port.read()
            except TimeoutError:
                self._conversation.advance(_now_ms())
            else:
                self._conversation.feed(octets, _now_ms())
            self._is_up |= any(isinstance(it, LinkUp) for it in self._conversation.take_events())

    async def close(self) -> None:
        """Say goodbye, so that the radio keeps the next session's first packet; never fails."""
        if not self._is_up:  # Nobody reads there: octets that wait would hold up the close.
            await self._port.close()
            return
        with contextlib.suppress(LinkLostError):
            goodbye = encode_frame(mesh_pb2.ToRadio(disconnect=True).SerializeToString())
            await self._port.write(goodbye, deadline_s=GOODBYE_DEADLINE_S)
        await self._port.close(discard=False)


@contextlib.asynccontextmanager
async def open_session(path: str, *, rng: Random) -> AsyncIterator[RadioSession]:
    """Open the radio at a tty or `tcp://host[:4403]` and look it over. Raises `LinkLostError`."""
    port = await open_radio_port(path)
    session = RadioSession(path, port, rng, SURVEY_TIMES)
    try:
        await session.open()
        yield session
    finally:
        await session.close()


async def survey_radio(path: str, *, rng: Random) -> RadioSurvey:
    """Look a radio over, within 30 s. Raises `LinkLostError`."""
    async with open_session(path, rng=rng) as session:
        return session.survey


async def survey_after_restart(path: str, *, rng: Random) -> RadioSurvey:
    """Look over a radio that restarts, as soon as it is back. Raises `LinkLostError`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + RETURN_S
    while True:
        try:
            return await survey_radio(path, rng=rng)
        except LinkLostError as error:
            if loop.time() >= end:
                raise LinkLostError(
                    f"the radio at {path} did not come back in {RETURN_S:.0f} s after its restart;"
                    " switch it off and on and look with `hotline radio show`"
                ) from error
            await asyncio.sleep(_RETURN_STEP_S)


def _now_ms() -> int:
    """The loop's clock; only differences of it are used."""
    return round(asyncio.get_running_loop().time() * 1000)
