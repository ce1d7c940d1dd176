"""A simulated radio on TCP: one client at a time, dropped links, what a gone client loses."""

from __future__ import annotations

import asyncio
from random import Random

from gateway.links.meshtastic.stream import StreamParser, encode_frame
from gateway.sim.air import Air
from gateway.sim.radio import RadioServer, SimulatedRadio
from gateway.sim.radio.messages import ADMIN, Message, admin_pb2, mesh_pb2, parse
from gateway.sim.radio.probe import direct_message
from gateway.sim.radio.tcp import LOOPBACK

NORTH, SOUTH = 0x4D4C00A1, 0x4D4C00B2


class Client:
    """One TCP connection and what came over it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.messages: list[Message] = []
        self._parser: StreamParser[Message] = StreamParser(
            lambda octets: parse(mesh_pb2.FromRadio, octets)
        )

    def write(self, message: Message) -> None:
        self.writer.write(encode_frame(message.SerializeToString()))

    async def until(self, kind: str) -> Message:
        """Read on until a message of this kind has come."""
        async with asyncio.timeout(20):
            while not (
                found := [m for m in self.messages if m.WhichOneof("payload_variant") == kind]
            ):
                octets = await self._reader.read(4096)
                assert octets, f"EOF before {kind}"
                self.messages += self._parser.feed(octets)
        return found[0]

    async def until_eof(self) -> None:
        async with asyncio.timeout(20):
            while octets := await self._reader.read(4096):
                self.messages += self._parser.feed(octets)


async def connected(server: RadioServer) -> Client:
    """A client with its handshake done."""
    client = Client(*await asyncio.open_connection(LOOPBACK, server.port))
    client.write(mesh_pb2.ToRadio(want_config_id=42))
    assert (await client.until("config_complete_id")).config_complete_id == 42
    return client


def radios() -> tuple[SimulatedRadio, SimulatedRadio]:
    air = Air(Random(1))
    return (
        SimulatedRadio(NORTH, "North", air, "SHORT_FAST"),
        SimulatedRadio(SOUTH, "South", air, "SHORT_FAST"),
    )


async def test_a_second_client_puts_the_first_out_and_is_served() -> None:
    """EOF for the first; the newest sends and gets the ack."""
    north, _ = radios()
    async with RadioServer(north) as server:
        first = await connected(server)
        second = await connected(server)
        await first.until_eof()
        second.write(direct_message(SOUTH, b"mine", 77))
        ack = (await second.until("packet")).packet
        assert ack.decoded.request_id == 77
        second.writer.close()
        first.writer.close()


async def test_a_reboot_ends_the_link_and_the_next_client_is_not_told_of_it() -> None:
    """EOF after the seconds named; the first message of the next session is my_info."""
    north, _ = radios()
    async with RadioServer(north) as server:
        client = await connected(server)
        order = admin_pb2.AdminMessage(reboot_seconds=1).SerializeToString()
        client.write(direct_message(NORTH, order, 300, portnum=ADMIN))
        await client.until_eof()
        client.writer.close()
        again = await connected(server)
        assert again.messages[0].WhichOneof("payload_variant") == "my_info"
        again.writer.close()


async def test_the_first_packet_after_a_client_went_without_a_word_is_lost() -> None:
    """The radio learns of it by that write; the packets behind it wait for the next client."""
    north, south = radios()
    async with RadioServer(north) as server, RadioServer(south) as far_server:
        client = await connected(server)
        await client.until("queueStatus")  # the last that the handshake left to say
        client.writer.transport.abort()
        far = await connected(far_server)
        for packet_id, payload in ((77, b"lost"), (78, b"kept")):
            far.messages.clear()
            far.write(direct_message(NORTH, payload, packet_id))
            assert (await far.until("packet")).packet.decoded.request_id == packet_id
        again = await connected(server)
        assert (await again.until("packet")).packet.decoded.payload == b"kept"
        again.writer.close()
        far.writer.close()
