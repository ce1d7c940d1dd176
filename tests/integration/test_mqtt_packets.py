"""What the adapter puts on the wire, seen by a broker that is played packet by packet."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.core.events import Principal, Rights
from gateway.errors import QueueUnavailableError
from gateway.model import Operation, Precedence, Role
from gateway.queues.messages import Outgoing
from gateway.queues.mqtt import MqttAdapter, MqttOptions
from gateway.queues.mqtt_connection import Limits, MqttConnection, Tls
from gateway.queues.mqtt_socket import Broker
from tests.integration.certificates import Authority
from tests.integration.desk_double import MemoryDesk

DEADLINE_S = 20
TICK_S = 0.1
WHO = Principal("mqtt", "broker", Role.AUTOMATIC, Rights(frozenset(Operation), Precedence.FLASH))
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 0x10, 0x20, 0x30, 0x40, 0x80, 0x90
PINGREQ, PINGRESP = 0xC0, 0xD0


class Played:
    """The broker's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def packet(self) -> tuple[int, bytes]:
        """The kind of the next packet, and what follows its length (MQTT 5 section 2.1)."""
        async with asyncio.timeout(DEADLINE_S):
            first = (await self._reader.readexactly(1))[0]
            size = shift = 0
            while True:
                octet = (await self._reader.readexactly(1))[0]
                size |= (octet & 0x7F) << shift
                shift += 7
                if not octet & 0x80:
                    break
            return first & 0xF0, await self._reader.readexactly(size)

    async def expect(self, kind: int) -> bytes:
        """The rest of the next packet, which is of that kind."""
        found, body = await self.packet()
        assert found == kind, f"packet {found:02x} {body!r}"
        return body

    def send(self, *packets: bytes) -> None:
        """All in one write, and so in one TLS record."""
        self._writer.write(b"".join(packets))

    async def serve_to_availability(self, *, connack: bytes = b"\x00\x00\x00") -> None:
        await self.expect(CONNECT)
        self.send(bytes([CONNACK, len(connack)]) + connack)
        self.send(suback(await self.expect(SUBSCRIBE)))
        self.send(puback(await self.expect(PUBLISH)))


def suback(subscribe: bytes) -> bytes:
    return bytes([SUBACK, 6]) + subscribe[:2] + b"\x00\x01\x01\x01"


def topic_of(publish: bytes) -> str:
    return publish[2 : 2 + int.from_bytes(publish[:2])].decode()


def puback(publish: bytes) -> bytes:
    size = int.from_bytes(publish[:2])
    return bytes([PUBACK, 2]) + publish[2 + size : 4 + size]


@asynccontextmanager
async def played(
    play: Callable[[Played], Awaitable[None]],
    desk: MemoryDesk,
    *,
    context: ssl.SSLContext | None = None,
    tls: Tls | None = None,
) -> AsyncIterator[None]:
    """Run an adapter against `play`; ends when the play is over."""
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await play(Played(reader, writer))
        except (AssertionError, TimeoutError, asyncio.IncompleteReadError) as error:
            over.set_exception(error)
        else:
            over.set_result(None)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    scheme = "mqtt" if context is None else "mqtts"
    options = MqttOptions(f"{scheme}://127.0.0.1:{port}", "NORTH", WHO, tls=tls or Tls())
    task = asyncio.create_task(MqttAdapter(options, desk, desk.store).run(lambda _event: None))
    try:
        yield
        await over
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.close()
        await server.wait_closed()


async def test_the_session_is_kept_for_us() -> None:
    """CONNECT: clean start off, last will, session expiry never, fixed client id."""

    async def play(broker: Played) -> None:
        connect = await broker.expect(CONNECT)
        assert connect.startswith(b"\x00\x04MQTT\x05")
        flags = connect[7]
        assert not flags & 0x02, "clean start"
        assert flags & 0x04, "will"
        assert flags & 0x18 == 0x08, "will QoS 1"
        assert flags & 0x20, "will retain"
        assert b"\x11\xff\xff\xff\xff" in connect[10:30], "session expiry"
        assert b"hotline-gateway-NORTH" in connect

    async with played(play, MemoryDesk()):
        pass


async def test_one_subscription_without_retained_copies() -> None:
    """SUBSCRIBE: one packet, three topics, QoS 1, retained ones not sent but shown as published."""

    async def play(broker: Played) -> None:
        await broker.expect(CONNECT)
        broker.send(bytes([CONNACK, 3, 0, 0, 0]))
        subscribe = await broker.expect(SUBSCRIBE)
        for name in (b"submit", b"answer", b"taken"):
            assert b"hotline/v1/NORTH/" + name + b"\x29" in subscribe
        broker.send(suback(subscribe))
        assert topic_of(await broker.expect(PUBLISH)).endswith("/availability")

    async with played(play, MemoryDesk()):
        pass


async def test_no_more_in_flight_than_the_broker_takes() -> None:
    """With receive maximum 2 two publications are under way, and the third waits for a PUBACK."""
    desk = MemoryDesk()
    for number in range(5):
        desk.arrive(str(number))

    async def play(broker: Played) -> None:
        await broker.serve_to_availability(connack=b"\x00\x00\x03\x21\x00\x02")
        first = await broker.expect(PUBLISH)
        await broker.expect(PUBLISH)
        third = asyncio.create_task(broker.expect(PUBLISH))
        await asyncio.wait([third], timeout=0.2)
        assert not third.done()
        broker.send(puback(first))
        await third

    async with played(play, desk):
        pass


async def test_packets_that_share_a_tls_record(tmp_path: Path) -> None:
    """A message that came with the SUBACK in one record is dealt with at once."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("broker")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    topic = b"hotline/v1/NORTH/taken"
    message = bytes([0, len(topic)]) + topic + b"\x00\x07\x00{}"

    async def play(broker: Played) -> None:
        await broker.expect(CONNECT)
        broker.send(bytes([CONNACK, 3, 0, 0, 0]))
        subscribe = await broker.expect(SUBSCRIBE)
        broker.send(suback(subscribe), bytes([PUBLISH | 2, len(message)]) + message)
        topics = {topic_of(await broker.expect(PUBLISH)) for _ in range(2)}
        assert topics == {"hotline/v1/NORTH/availability", "hotline/v1/NORTH/error/unknown"}

    async with played(play, MemoryDesk(), context=context, tls=Tls(authority.ca_file)):
        pass


async def test_no_puback_before_the_commit() -> None:
    """The PUBACK of a submission comes after the desk has kept it, and not a moment before."""
    desk = MemoryDesk()
    desk.gate.clear()
    topic = b"hotline/v1/NORTH/submit"
    notice = b'{"request_id":"r","to":"SOUTH","kind":"NOTIFY","operation":"TEST"}'
    message = bytes([0, len(topic)]) + topic + b"\x00\x07\x00" + notice

    async def play(broker: Played) -> None:
        await broker.serve_to_availability()
        broker.send(bytes([PUBLISH | 2, len(message)]) + message)
        answer = asyncio.create_task(broker.packet())
        await asyncio.wait([answer], timeout=0.2)
        assert not answer.done()
        assert desk.accepted == []
        desk.gate.set()
        kind, body = await answer
        if kind == PUBLISH:  # the state QUEUED may be first: it too is after the commit
            kind, body = await broker.packet()
        assert (kind, body[:2]) == (PUBACK, b"\x00\x07")
        assert len(desk.accepted) == 1

    async with played(play, desk):
        pass


async def test_a_ping_comes_each_keepalive_and_its_answer_is_missed() -> None:
    """Nothing wakes us between two pings; a broker that stops answering is found by the next."""
    pings: list[float] = []
    over = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker = Played(reader, writer)
        await broker.expect(CONNECT)
        broker.send(bytes([CONNACK, 3, 0, 0, 0]))
        for _ in range(2):
            await broker.expect(PINGREQ)
            pings.append(loop.time())
            broker.send(bytes([PINGRESP, 0]))
        await broker.expect(PINGREQ)
        with suppress(asyncio.IncompleteReadError):
            await broker.packet()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    connection = MqttConnection(
        Broker.parse(url), "us", will=Outgoing("will", b""), limits=Limits(keepalive_s=1)
    )
    await connection.open()
    begun_s = loop.time()
    with pytest.raises(QueueUnavailableError):
        async with asyncio.timeout(DEADLINE_S):
            await connection.watch()
    assert loop.time() - begun_s >= 4 * (1 - TICK_S)
    assert pings[1] - pings[0] >= 1 - TICK_S
    await connection.close()
    async with asyncio.timeout(DEADLINE_S):
        await over.wait()
    server.close()
    await server.wait_closed()
