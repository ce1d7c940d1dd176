"""A client of simulated radios in virtual time: what a program on the wire writes and reads.

For tests and simulations that look at a radio from its client's side, without ptys or a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.links.meshtastic.stream import StreamParser, encode_frame
from gateway.sim.air import Air
from gateway.sim.radio import messages
from gateway.sim.radio.device import SimulatedRadio
from gateway.sim.radio.messages import Message, mesh_pb2
from gateway.sim.radio.phone import SLOW_POLL_MS

POLL_MS: Final = SLOW_POLL_MS + 10
"""A radio has answered what needs no mesh by then, however long its client was silent."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One FromRadio message and when it came."""

    at_ms: int
    message: Message

    @property
    def kind(self) -> str:
        return str(self.message.WhichOneof("payload_variant"))


@dataclass(frozen=True, slots=True)
class Ack:
    """One ROUTING packet at the client."""

    at_ms: int
    source: int
    request_id: int
    error: int


class Probe:
    """The client at one port of a radio: USB, or TCP if so said. `run` moves the whole air; use one
    probe to do so.
    """

    def __init__(self, radio: SimulatedRadio, *, is_tcp: bool = False) -> None:
        self.radio = radio
        self.port = radio.tcp if is_tcp else radio.usb
        self.heard: list[Heard] = []
        self._air: Air = radio.air
        self._parser: StreamParser[Message] = StreamParser(
            lambda octets: messages.parse(mesh_pb2.FromRadio, octets)
        )
        self._air.watch(self._read)

    def _read(self) -> None:
        for message in self._parser.feed(self.port.take_output()):
            self.heard.append(Heard(self._air.now_ms, message))

    def run(self, duration_ms: int) -> None:
        """Let time pass, every step at its own time."""
        end_ms = self._air.now_ms + duration_ms
        while (due_ms := self._air.next_deadline()) is not None and due_ms <= end_ms:
            self._air.advance(due_ms)
        self._air.advance(end_ms)

    def write(self, *to_radio: Message) -> None:
        """Messages in one write, as one read of the radio gets them."""
        self.port.feed(b"".join(encode_frame(m.SerializeToString()) for m in to_radio))

    def connect(self, nonce: int = 12345) -> None:
        self.write(mesh_pb2.ToRadio(want_config_id=nonce))
        self.run(POLL_MS)

    def heartbeat(self) -> None:
        self.write(mesh_pb2.ToRadio(heartbeat=mesh_pb2.Heartbeat()))

    def send(self, to: int, payload: bytes, packet_id: int, *, want_ack: bool = True) -> None:
        self.write(direct_message(to, payload, packet_id, want_ack=want_ack))

    # --- what came

    def of_kind(self, kind: str) -> list[Heard]:
        return [heard for heard in self.heard if heard.kind == kind]

    def queue_statuses(self, packet_id: int | None = None) -> list[Message]:
        """All queueStatus, or those that speak of one packet."""
        statuses = [heard.message.queueStatus for heard in self.of_kind("queueStatus")]
        return [s for s in statuses if packet_id is None or s.mesh_packet_id == packet_id]

    def frames(self) -> list[bytes]:
        """The payloads on PRIVATE_APP from other nodes."""
        packets = [heard.message.packet for heard in self.of_kind("packet")]
        return [p.decoded.payload for p in packets if p.decoded.portnum == messages.PRIVATE]

    def acks(self, request_id: int | None = None) -> list[Ack]:
        found: list[Ack] = []
        for heard in self.of_kind("packet"):
            packet = heard.message.packet
            if packet.decoded.portnum != messages.ROUTING:
                continue
            routing = messages.parse(mesh_pb2.Routing, packet.decoded.payload)
            assert routing is not None
            source = getattr(packet, "from")
            ack = Ack(heard.at_ms, source, packet.decoded.request_id, routing.error_reason)
            if request_id in (None, ack.request_id):
                found.append(ack)
        return found


def direct_message(
    to: int, payload: bytes, packet_id: int, *, want_ack: bool = True, portnum: int | None = None
) -> Message:
    """A ToRadio with one packet, as a client makes it."""
    packet = mesh_pb2.MeshPacket(to=to, id=packet_id, hop_limit=3, want_ack=want_ack)
    packet.decoded.portnum = messages.PRIVATE if portnum is None else portnum
    packet.decoded.payload = payload
    return mesh_pb2.ToRadio(packet=packet)
