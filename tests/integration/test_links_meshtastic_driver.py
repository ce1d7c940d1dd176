"""The Meshtastic driver against a scripted radio on a real pty and over TCP."""

from __future__ import annotations

import asyncio
import os
import pty
import tty
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any, Self

import pytest

from gateway.core.effects import Transmit
from gateway.core.events import (
    FrameAcknowledged,
    FrameReceived,
    FrameRefused,
    FrameSent,
    LinkDown,
    LinkUp,
    Refusal,
)
from gateway.errors import LinkLostError
from gateway.links.meshtastic.conversation import RadioTimes
from gateway.links.meshtastic.driver import MeshtasticDriver
from gateway.links.meshtastic.identity import ExpectedRadio
from gateway.links.meshtastic.protobuf import admin_pb2, config_pb2, mesh_pb2
from gateway.links.meshtastic.radio import STAY_S, MeshtasticRadio
from gateway.links.meshtastic.stream import StreamParser, encode_frame
from gateway.links.supervisor import Backoff, PriorityOutbox, Supervisor
from gateway.model import LinkName, Precedence, Station

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from gateway.links.base import LinkEvent

RADIO = LinkName("radio")
OWN, FAR = 0x4D4C00A1, 0x4D4C00B2
LoRa = config_pb2.Config.LoRaConfig


def transmit(number: int, octets: bytes = b"frame", *, want_ack: bool = True) -> Transmit:
    return Transmit(RADIO, number, Station(2), octets, Precedence.ROUTINE, want_ack=want_ack)


class ScriptedRadio:
    """Answers as a radio does: handshake between text logs, statuses, acks. SHORT_TURBO: fast."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._parser = StreamParser(mesh_pb2.ToRadio.FromString)
        self.heard: list[mesh_pb2.ToRadio] = []
        self._has_heard = asyncio.Event()
        self.is_frozen = False
        self.is_silent_for_acks = False

    def feed(self, octets: bytes) -> None:
        for message in self._parser.feed(octets):
            self.heard.append(message)
            self._has_heard.set()
            if not self.is_frozen:
                self._answer(message)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._has_heard.clear()
                await self._has_heard.wait()

    def say(self, **message: Any) -> None:
        self._write(encode_frame(mesh_pb2.FromRadio(**message).SerializeToString()))

    def say_packet(self, source: int, portnum: int, payload: bytes, request_id: int = 0) -> None:
        decoded: Any = {"portnum": portnum, "payload": payload, "request_id": request_id}
        packet: Any = {"from": source, "to": OWN, "decoded": mesh_pb2.Data(**decoded)}
        self.say(packet=mesh_pb2.MeshPacket(**packet))

    def _answer(self, message: mesh_pb2.ToRadio) -> None:
        match message.WhichOneof("payload_variant"):
            case "want_config_id":
                self._write(b"INFO  | 13:20:28 0 Start of the configuration \x94\r\n")
                self.say(my_info=mesh_pb2.MyNodeInfo(my_node_num=OWN))
                self._write(b"DEBUG | nothing to see\r\n")
                lora = LoRa(
                    use_preset=True,
                    modem_preset=LoRa.ModemPreset.SHORT_TURBO,
                    region=LoRa.RegionCode.US,
                    tx_enabled=True,
                )
                self.say(config=config_pb2.Config(lora=lora))
                self.say(config_complete_id=message.want_config_id)
            case "packet":
                self._status(message.packet.id)
                if not self.is_silent_for_acks:
                    ack = mesh_pb2.Routing(error_reason=mesh_pb2.Routing.Error.NONE)
                    self.say_packet(FAR, 5, ack.SerializeToString(), message.packet.id)
            case "heartbeat":
                self._status(0)
            case _:
                pass

    def _status(self, packet_id: int) -> None:
        status = mesh_pb2.QueueStatus(free=15, maxlen=16, mesh_packet_id=packet_id)
        self.say(queueStatus=status)

    def packets(self) -> list[bytes]:
        return [
            message.packet.decoded.payload for message in self.heard if message.HasField("packet")
        ]


class PtyRadio:
    """A scripted radio that can be plugged in behind a symlink, and pulled out."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "usb-radio-by-id"
        self._master = -1

    def plug(self) -> ScriptedRadio:
        self._master, near = pty.openpty()
        tty.setraw(near)
        self.path.symlink_to(os.ttyname(near))
        self._keep = near  # As USB does, the device stays while nobody has it open.
        self.radio = ScriptedRadio(lambda octets: os.write(self._master, octets))
        asyncio.get_running_loop().add_reader(self._master, self._read)
        return self.radio

    def _read(self) -> None:
        self.radio.feed(os.read(self._master, 4096))

    def unplug(self) -> None:
        if self._master < 0:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        self.path.unlink()
        os.close(self._keep)
        os.close(self._master)
        self._master = -1


class Bench:
    """A supervised driver and what it reported."""

    def __init__(self, path: str, times: RadioTimes | None = None) -> None:
        self.events: list[LinkEvent] = []
        self._changed = asyncio.Event()
        rng = Random(3)
        self.supervisor = Supervisor(
            RADIO,
            lambda: MeshtasticDriver(RADIO, path, FAR, rng=rng, times=times),
            self._emit,
            rng=rng,
            backoff=Backoff(first_s=0.02, cap_s=0.05),
        )

    def _emit(self, event: LinkEvent) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def count(self, kind: type[LinkEvent]) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.supervisor.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def usb(tmp_path: Path) -> AsyncIterator[PtyRadio]:
    radio = PtyRadio(tmp_path)
    yield radio
    radio.unplug()


async def test_frames_cross_the_radio_on_a_serial_port(usb: PtyRadio) -> None:
    """Handshake between text logs, frames out in order with their acks, and one in."""
    radio = usb.plug()
    bench = Bench(str(usb.path))
    async with bench:
        await bench.until(lambda: bench.count(LinkUp))
        for number in range(3):
            bench.supervisor.submit(transmit(number, bytes([number]) * 50))
        await bench.until(lambda: bench.count(FrameAcknowledged) == 3)
        radio.say_packet(FAR, 256, b"from afar")
        await bench.until(lambda: bench.count(FrameReceived))
    assert radio.packets() == [bytes([number]) * 50 for number in range(3)]
    expected: list[LinkEvent] = []
    for number in range(3):
        expected += [FrameSent(RADIO, number), FrameAcknowledged(RADIO, number)]
    assert bench.events[1:] == [*expected, FrameReceived(RADIO, b"from afar")]


async def test_ending_says_goodbye(usb: PtyRadio) -> None:
    """A session that is left without a word costs the next one its first packet."""
    radio = usb.plug()
    bench = Bench(str(usb.path))
    async with bench:
        await bench.until(lambda: bench.count(LinkUp))
    await radio.until(lambda: radio.heard[-1].disconnect)


async def test_radio_pulled_out_and_plugged_in_as_another_tty(usb: PtyRadio) -> None:
    """Down once with LINK_LOST for what waited, then a fresh handshake on the new tty."""
    radio = usb.plug()
    radio.is_silent_for_acks = True
    bench = Bench(str(usb.path))
    async with bench:
        await bench.until(lambda: bench.count(LinkUp))
        radio.is_frozen = True
        for number in range(2):
            bench.supervisor.submit(transmit(number))
        await radio.until(radio.packets)
        usb.unplug()
        await bench.until(lambda: bench.count(FrameRefused) == 2)
        usb.plug()
        await bench.until(lambda: bench.count(LinkUp) == 2)
        bench.supervisor.submit(transmit(2))
        await bench.until(lambda: bench.count(FrameAcknowledged))
    kinds = [type(event) for event in bench.events]
    assert kinds == [
        LinkUp,
        LinkDown,
        FrameRefused,
        FrameRefused,
        LinkUp,
        FrameSent,
        FrameAcknowledged,
    ]
    assert {event.reason for event in bench.events if isinstance(event, FrameRefused)} == {
        Refusal.LINK_LOST
    }


async def test_restart_and_freeze_lead_to_a_fresh_handshake(usb: PtyRadio) -> None:
    """An open port proves nothing: `rebooted` and unanswered heartbeats end the session."""
    radio = usb.plug()
    bench = Bench(str(usb.path), RadioTimes(heartbeat_ms=100, answer_ms=100, handshake_step_ms=200))
    async with bench:
        await bench.until(lambda: bench.count(LinkUp))
        radio.say(rebooted=True)
        await bench.until(lambda: bench.count(LinkUp) == 2)
        radio.is_frozen = True
        await bench.until(lambda: bench.count(LinkDown) == 2)
        radio.is_frozen = False
        await bench.until(lambda: bench.count(LinkUp) == 3)
    reasons = [event.reason for event in bench.events if isinstance(event, LinkDown)]
    assert reasons == [
        f"the radio at {usb.path} restarted",
        f"the radio at {usb.path} does not answer; it is frozen",
    ]


@asynccontextmanager
async def tcp_radio() -> AsyncIterator[tuple[int, list[ScriptedRadio], list[asyncio.StreamWriter]]]:
    radios: list[ScriptedRadio] = []
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        radios.append(ScriptedRadio(writer.write))
        writers.append(writer)
        while octets := await reader.read(4096):
            radios[-1].feed(octets)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], radios, writers


async def test_radio_over_tcp_that_closes_the_connection() -> None:
    """The same over tcp://, and its end (as after 15 min of silence) is a lost link."""
    async with tcp_radio() as (number, radios, writers):
        bench = Bench(f"tcp://127.0.0.1:{number}")
        async with bench:
            await bench.until(lambda: bench.count(LinkUp))
            bench.supervisor.submit(transmit(1))
            await bench.until(lambda: bench.count(FrameAcknowledged))
            writers[0].close()
            await bench.until(lambda: bench.count(LinkUp) == 2)
        assert radios[0].packets() == [b"frame"]
        assert [type(event) for event in bench.events].count(LinkDown) == 1


class NativeNode(asyncio.Protocol):
    """Looks for clients each 100 ms, as the native firmware; one that has gone is never read."""

    def __init__(self, heard: list[mesh_pb2.ToRadio]) -> None:
        self._heard = heard
        self._octets = b""
        self._is_gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._look_later()

    def data_received(self, octets: bytes) -> None:
        self._octets += octets

    def connection_lost(self, _error: Exception | None) -> None:
        self._is_gone = True

    def _look_later(self) -> None:
        asyncio.get_running_loop().call_later(0.1, self._look)

    def _look(self) -> None:
        if self._is_gone:
            return
        self._heard += StreamParser(mesh_pb2.ToRadio.FromString).feed(self._octets)
        if self._heard:
            self._transport.close()  # it starts again
        self._look_later()


async def test_order_to_start_again_is_read_by_a_node_on_tcp() -> None:
    """Nothing answers us, and yet we stay until it has looked, and leave when it goes."""
    heard: list[mesh_pb2.ToRadio] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: NativeNode(heard), "127.0.0.1", 0)
    async with server:
        path = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        expected = ExpectedRadio(OWN)
        radio = MeshtasticRadio(RADIO, path, FAR, expected=expected, rng=Random(1))
        began = loop.time()
        await radio.reboot()
        assert loop.time() - began < STAY_S
    [order] = [admin_pb2.AdminMessage.FromString(it.packet.decoded.payload) for it in heard]
    assert (heard[0].packet.to, order.reboot_seconds) == (OWN, 1)


@pytest.mark.parametrize("path", ["tcp://", "tcp://host:port"])
async def test_address_that_is_none_says_how_to_write_it(path: str) -> None:
    """A wrong address is a problem of the link that names the right form."""
    driver = MeshtasticDriver(RADIO, path, FAR, rng=Random(1))
    with pytest.raises(LinkLostError, match=r"write tcp://host or tcp://host:4403"):
        await driver.run(list[object]().append, PriorityOutbox())
