"""The conversation with one Meshtastic radio, without I/O and without a clock.

Octets and frames to send go in with the time in milliseconds; events and octets come out. Owns the
handshake, heartbeats and what came by radio; what becomes of our packets is `transmissions.py`.
When the radio is gone, frozen or restarted, a method raises `LinkLostError`: start a fresh one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from gateway.core.effects import Transmit
from gateway.core.events import FrameReceived, LinkTraits, LinkUp
from gateway.errors import LinkLostError
from gateway.links.base import LinkEvent
from gateway.links.meshtastic.identity import DUTY_SHARES, Handshake, RadioIdentity
from gateway.links.meshtastic.protobuf import ProtobufError, mesh_pb2, portnums_pb2
from gateway.links.meshtastic.stream import WAKE, StreamParser, encode_frame
from gateway.links.meshtastic.transmissions import SendTimes, Transmissions
from gateway.model import LinkName
from gateway.wire.limits import FRAME_SIZE_MAX_RADIO

EARLY_PACKET_COUNT_MAX: Final = 32
"""Packets that came before the handshake was done and wait for its end; more are dropped."""
_SPECIAL_NONCES: Final = (0, 69_420, 69_421)
"""Newer firmware takes these for a request of a part of its configuration."""
_PROBE_COUNT_MAX: Final = 2


@dataclass(frozen=True, slots=True)
class RadioTimes:
    """Deadlines of a session with a radio, in milliseconds."""

    wake_ms: int = 100
    """A sleeping radio loses the octets that wake it."""
    handshake_step_ms: int = 5_000
    """Without a message for so long the configuration is asked for again."""
    handshake_ms: int = 30_000
    """For all of it; 36 kB of text log may come between."""
    half_frame_ms: int = 1_000
    """A frame comes in one piece (512 octets take 45 ms); then its rest was lost."""
    heartbeat_ms: int = 60_000
    """The radio closes a session after 15 min without a word; an answer shows that it lives."""
    answer_ms: int = 5_000
    """For the `queueStatus` that answers a heartbeat; after two unanswered ones it is frozen."""
    sending: SendTimes = field(default_factory=SendTimes)


def _decode(octets: bytes) -> mesh_pb2.FromRadio | None:
    try:
        message = mesh_pb2.FromRadio.FromString(octets)
    except ProtobufError:
        return None
    return message if message.WhichOneof("payload_variant") else None


class Conversation:
    """One session, from the open port to its loss."""

    def __init__(
        self,
        link: LinkName,
        far_node: int,
        port: str,
        *,
        rng: Random,
        times: RadioTimes | None = None,
        watch: Callable[[mesh_pb2.FromRadio], None] | None = None,
    ) -> None:
        """`watch` sees every message as it came, for those who look a radio over."""
        self._link = link
        self._far_node = far_node
        self._port = port
        self._rng = rng
        self._times = times or RadioTimes()
        self._watch = watch
        self._parser = StreamParser(_decode)
        self._octets = bytearray()
        self._events: list[LinkEvent] = []
        self._handshake: Handshake | None = Handshake(far_node)
        self._nonce: int | None = None
        self._ask_config_ms: int | None = None
        self._handshake_end_ms = 0
        self._half_frame_ms: int | None = None
        self._early: deque[mesh_pb2.MeshPacket] = deque()
        self._transmissions: Transmissions | None = None
        self._own_node = 0
        self._heartbeat_ms: int | None = None
        self._answer_ms: int | None = None
        self._probe_count = 0

    @property
    def skipped_count(self) -> int:
        """Octets of the stream that were no message: text logs and noise."""
        return self._parser.skipped_count

    @property
    def is_ready(self) -> bool:
        """Whether `submit` may be called: the handshake is done and the radio has no packet."""
        return self._transmissions is not None and self._transmissions.is_free

    def start(self, now_ms: int) -> None:
        """Begin with a freshly opened port."""
        self._octets += WAKE
        self._ask_config_ms = now_ms + self._times.wake_ms
        self._handshake_end_ms = now_ms + self._times.handshake_ms

    def submit(self, transmit: Transmit, now_ms: int) -> None:
        """Send a frame; only while `is_ready`."""
        assert self._transmissions is not None
        self._transmissions.offer(transmit, now_ms)

    def say(self, message: mesh_pb2.ToRadio) -> None:
        """Write a message that is no frame of ours: an order to the radio itself."""
        self._write(message)

    def feed(self, octets: bytes, now_ms: int) -> None:
        """Take what the port brought. Raises `LinkLostError`."""
        messages = self._parser.feed(octets)
        self._half_frame_ms = now_ms + self._times.half_frame_ms if self._parser.is_inside else None
        for message in messages:
            self._take(message, now_ms)

    def advance(self, now_ms: int) -> None:
        """Act on every deadline that has passed; harmless when early. Raises `LinkLostError`."""
        if self._half_frame_ms is not None and now_ms >= self._half_frame_ms:
            messages = self._parser.give_up()
            again_ms = now_ms + self._times.half_frame_ms
            self._half_frame_ms = again_ms if self._parser.is_inside else None
            for message in messages:
                self._take(message, now_ms)
        if self._transmissions is None:
            self._advance_handshake(now_ms)
        else:
            self._advance_heartbeat(now_ms)
            self._transmissions.advance(now_ms)

    def next_deadline_ms(self) -> int | None:
        """When `advance` has something to do."""
        deadlines = [self._half_frame_ms]
        if self._transmissions is None:
            deadlines += [self._ask_config_ms, self._handshake_end_ms]
        else:
            deadlines += [self._answer_ms, self._heartbeat_ms]
            deadlines.append(self._transmissions.next_deadline_ms())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def take_octets(self) -> bytes:
        """Octets for the port, once."""
        octets = bytes(self._octets)
        self._octets.clear()
        return octets

    def take_events(self) -> list[LinkEvent]:
        """What has happened, once."""
        events = self._events[:]
        self._events.clear()
        return events

    # The handshake

    def _advance_handshake(self, now_ms: int) -> None:
        if now_ms >= self._handshake_end_ms:
            raise LinkLostError(
                f"no Meshtastic radio answered at {self._port} in"
                f" {self._times.handshake_ms / 1000:.0f} s; check the port and the radio"
            )
        if self._ask_config_ms is not None and now_ms >= self._ask_config_ms:
            self._ask_config(now_ms)

    def _ask_config(self, now_ms: int) -> None:
        self._handshake = Handshake(self._far_node)
        self._nonce = self._rng.getrandbits(32)
        while self._nonce in _SPECIAL_NONCES:
            self._nonce = self._rng.getrandbits(32)
        self._ask_config_ms = now_ms + self._times.handshake_step_ms
        self._write(mesh_pb2.ToRadio(want_config_id=self._nonce))

    def _take_early(self, message: mesh_pb2.FromRadio, now_ms: int) -> None:
        variant = message.WhichOneof("payload_variant")
        if self._nonce is None or self._handshake is None:
            if variant == "packet":
                self._keep_early(message.packet)
            return  # Left from before; our own question has not gone out yet.
        match variant:
            case "rebooted":
                self._ask_config(now_ms)
            case "packet":
                self._keep_early(message.packet)
            case "config_complete_id":
                if message.config_complete_id == self._nonce:
                    self._come_up(self._handshake.finish(self._port), now_ms)
            case _:
                self._ask_config_ms = now_ms + self._times.handshake_step_ms
                self._handshake.take(message)

    def _keep_early(self, packet: mesh_pb2.MeshPacket) -> None:
        if len(self._early) < EARLY_PACKET_COUNT_MAX:
            self._early.append(packet)

    def _come_up(self, identity: RadioIdentity, now_ms: int) -> None:
        self._handshake = None
        self._own_node = identity.node
        self._heartbeat_ms = now_ms + self._times.heartbeat_ms
        self._transmissions = Transmissions(
            self._link,
            identity,
            self._far_node,
            write=self._write,
            ask=self._probe,
            emit=self._events.append,
            rng=self._rng,
            times=self._times.sending,
        )
        traits = LinkTraits(
            FRAME_SIZE_MAX_RADIO,
            identity.airtime,
            is_radio=True,
            duty_share=DUTY_SHARES.get(identity.region),
            detail=identity.detail(self._port, self._far_node),
        )
        self._events.append(LinkUp(self._link, traits))
        while self._early:
            self._take_packet(self._early.popleft(), now_ms)

    # Is the radio alive?

    def _advance_heartbeat(self, now_ms: int) -> None:
        if self._answer_ms is not None and now_ms >= self._answer_ms:
            if self._probe_count >= _PROBE_COUNT_MAX:
                raise LinkLostError(f"the radio at {self._port} does not answer; it is frozen")
            self._answer_ms = None
            self._probe(now_ms)
        elif self._heartbeat_ms is not None and now_ms >= self._heartbeat_ms:
            self._probe(now_ms)

    def _probe(self, now_ms: int) -> None:
        """Ask for a `queueStatus`, unless one is asked for already."""
        if self._answer_ms is None:
            self._probe_count += 1
            self._answer_ms = now_ms + self._times.answer_ms
            self._heartbeat_ms = None
            self._write(mesh_pb2.ToRadio(heartbeat=mesh_pb2.Heartbeat()))

    def _answered(self, now_ms: int) -> None:
        self._probe_count = 0
        self._answer_ms = None
        self._heartbeat_ms = now_ms + self._times.heartbeat_ms

    # What the radio says

    def _take(self, message: mesh_pb2.FromRadio, now_ms: int) -> None:
        if self._watch is not None:
            self._watch(message)
        if self._transmissions is None:
            self._take_early(message, now_ms)
            return
        match message.WhichOneof("payload_variant"):
            case "packet":
                self._take_packet(message.packet, now_ms)
            case "queueStatus":
                self._answered(now_ms)
                self._transmissions.take_status(message.queueStatus, now_ms)
            case "clientNotification":
                self._transmissions.take_notification(message.clientNotification)
            case "rebooted":
                # Its queue and its pending acks are gone without a word.
                raise LinkLostError(f"the radio at {self._port} restarted")
            case _:
                pass

    def _take_packet(self, packet: mesh_pb2.MeshPacket, now_ms: int) -> None:
        assert self._transmissions is not None
        if packet.WhichOneof("payload_variant") != "decoded":
            return
        portnum = packet.decoded.portnum
        if portnum == portnums_pb2.PortNum.ROUTING_APP:
            if packet.decoded.request_id:
                self._transmissions.take_routing(packet, now_ms)
        elif portnum == portnums_pb2.PortNum.PRIVATE_APP and packet.decoded.payload:
            if getattr(packet, "from") == self._own_node:
                return  # Our own packet can come back after a restart of the radio.
            # Anyone else may send: a node number proves nothing, our frames do.
            self._events.append(
                FrameReceived(
                    self._link,
                    packet.decoded.payload,
                    rssi_dbm=packet.rx_rssi or None,
                    snr_db=round(packet.rx_snr, 2) if packet.rx_rssi else None,
                )
            )

    def _write(self, message: mesh_pb2.ToRadio) -> None:
        self._octets += encode_frame(message.SerializeToString())
