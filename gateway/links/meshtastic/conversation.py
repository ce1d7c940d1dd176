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
from typing import Final, NoReturn

from gateway.core.effects import Transmit
from gateway.core.events import FrameReceived, LinkTold, LinkTraits, LinkUp
from gateway.errors import DeviceSilentError, LinkLostError
from gateway.links.base import LinkEvent
from gateway.links.meshtastic.air_watch import AirWatch
from gateway.links.meshtastic.identity import (
    DUTY_SHARES,
    ExpectedRadio,
    Handshake,
    RadioIdentity,
    node_name,
)
from gateway.links.meshtastic.key_exchange import KeyExchange
from gateway.links.meshtastic.liveness import Liveness
from gateway.links.meshtastic.packet_ids import PacketIds
from gateway.links.meshtastic.protobuf import ProtobufError, mesh_pb2, portnums_pb2
from gateway.links.meshtastic.stream import WAKE, StreamParser, encode_frame
from gateway.links.meshtastic.transmissions import SendTimes, Transmissions
from gateway.model import LinkName
from gateway.wire.limits import FRAME_SIZE_MAX_RADIO

EARLY_PACKET_COUNT_MAX: Final = 128
"""Packets that came before the handshake was done and wait for its end; the oldest give way. More
than the firmware keeps for a client that was away."""
_SPECIAL_NONCES: Final = (0, 69_420, 69_421)
"""Newer firmware takes these for a request of a part of its configuration."""


@dataclass(frozen=True, slots=True)
class RadioTimes:
    """Deadlines of a session with a radio, in milliseconds."""

    wake_ms: int = 100
    """A sleeping radio loses the octets that wake it."""
    handshake_step_ms: int = 5_000
    """Without a message for so long the configuration is asked for again."""
    handshake_ms: int = 30_000
    """For all of it; 36 kB of text log may come between."""
    mute_ms: int = 15_000
    """Without any message at all; a board that the opening reset has booted by then."""
    half_frame_ms: int = 1_000
    """A frame comes in one piece (512 octets take 45 ms); then its rest was lost."""
    heartbeat_ms: int = 40_000
    """The radio closes a session after 15 min without a word; an answer shows that it lives."""
    heartbeat_busy_ms: int = 8_000
    """The same while packets are under way."""
    answer_ms: int = 5_000
    """For the `queueStatus` that answers a heartbeat; after two unanswered ones it is frozen: found
    within 50 s when idle, 18 s with traffic."""
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
        expected: ExpectedRadio | None = None,
    ) -> None:
        """`watch` sees every message as it came, for those who look a radio over."""
        self._link = link
        self._far_node = far_node
        self._port = port
        self._rng = rng
        self._expected = expected or ExpectedRadio()
        self._times = times or RadioTimes()
        self._watch = watch
        self._parser = StreamParser(_decode)
        self._octets = bytearray()
        self._events: list[LinkEvent] = []
        self._handshake: Handshake | None = Handshake(far_node)
        self._nonce: int | None = None
        self._ask_config_ms: int | None = None
        self._handshake_end_ms = 0
        self._mute_end_ms: int | None = None
        self._half_frame_ms: int | None = None
        self._early: deque[mesh_pb2.MeshPacket] = deque(maxlen=EARLY_PACKET_COUNT_MAX)
        self._transmissions: Transmissions | None = None
        self._air = AirWatch()
        self._identity: RadioIdentity | None = None
        self._keys: KeyExchange
        self._liveness: Liveness
        self._detail = ""

    @property
    def skipped_count(self) -> int:
        """Octets of the stream that were no message: text logs and noise."""
        return self._parser.skipped_count

    @property
    def identity(self) -> RadioIdentity | None:
        """What the radio told of itself; None until the handshake is done."""
        return self._identity

    @property
    def is_ready(self) -> bool:
        """Whether `submit` may be called: the handshake is done and the radio has no packet."""
        return self._transmissions is not None and self._transmissions.is_free

    def start(self, now_ms: int) -> None:
        """Begin with a freshly opened port."""
        self._octets += WAKE
        self._ask_config_ms = now_ms + self._times.wake_ms
        self._handshake_end_ms = now_ms + self._times.handshake_ms
        self._mute_end_ms = now_ms + self._times.mute_ms

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
            self._liveness.advance(now_ms, is_busy=self._transmissions.is_busy)
            self._keys.advance(now_ms)
            self._transmissions.advance(now_ms)
            self._tell(now_ms)

    def next_deadline_ms(self) -> int | None:
        """When `advance` has something to do."""
        deadlines = [self._half_frame_ms]
        if self._transmissions is None:
            deadlines += [self._ask_config_ms, self._handshake_end_ms, self._mute_end_ms]
        else:
            deadlines.append(self._liveness.next_deadline_ms(is_busy=self._transmissions.is_busy))
            deadlines.append(self._keys.next_deadline_ms())
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
        if self._mute_end_ms is not None and now_ms >= self._mute_end_ms:
            self._give_up(self._times.mute_ms)
        if now_ms >= self._handshake_end_ms:
            self._give_up(self._times.handshake_ms)
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
                self._early.append(message.packet)
            return  # Left from before; our own question has not gone out yet.
        match variant:
            case "rebooted":
                self._ask_config(now_ms)
            case "packet":
                self._early.append(message.packet)
            case "config_complete_id":
                if message.config_complete_id == self._nonce:
                    self._come_up(self._handshake.finish(self._port), now_ms)
            case _:
                self._ask_config_ms = now_ms + self._times.handshake_step_ms
                self._handshake.take(message)

    def _come_up(self, identity: RadioIdentity, now_ms: int) -> None:
        self._expected.check(identity, self._port)
        self._handshake = None
        self._identity = identity
        self._make_parts(identity, now_ms)
        self._detail = self._told(now_ms)
        traits = LinkTraits(
            FRAME_SIZE_MAX_RADIO,
            identity.airtime,
            is_radio=True,
            duty_share=DUTY_SHARES.get(identity.region),
            airtime_spent_ms=identity.airtime_spent_ms,
            detail=self._detail,
            is_mute=bool(self._obstacle),
        )
        self._events.append(LinkUp(self._link, traits))
        self._keys.begin(now_ms)
        while self._early:
            self._take_packet(self._early.popleft(), now_ms)

    def _give_up(self, waited_ms: int) -> NoReturn:
        raise DeviceSilentError(
            f"no Meshtastic radio answered at {self._port} in {waited_ms / 1000:.0f} s; check the"
            " port and the radio"
        )

    def _make_parts(self, identity: RadioIdentity, now_ms: int) -> None:
        ids = PacketIds(self._rng)
        self._liveness = Liveness(
            self._port,
            self._write,
            own_node=identity.node,
            new_packet_id=ids.draw,
            idle_ms=self._times.heartbeat_ms,
            busy_ms=self._times.heartbeat_busy_ms,
            answer_ms=self._times.answer_ms,
            now_ms=now_ms,
        )
        self._keys = KeyExchange(
            self._far_node,
            identity.user,
            far_key=identity.far_key,
            write=self._write,
            new_packet_id=ids.draw,
        )
        self._transmissions = Transmissions(
            self._link,
            identity,
            self._far_node,
            keys=self._keys,
            air=self._air,
            write=self._write,
            ask=self._liveness.ask,
            emit=self._events.append,
            ids=ids,
            times=self._times.sending,
        )

    # What people read of it

    def _tell(self, now_ms: int) -> None:
        """Say what has changed: a key that is missing or has come, an air that answers nothing."""
        detail = self._told(now_ms)
        if detail != self._detail:
            self._detail = detail
            is_mute = bool(self._obstacle)
            self._events.append(LinkTold(self._link, detail, needs_person=is_mute, is_mute=is_mute))

    @property
    def _obstacle(self) -> str:
        """Why the radio sends nothing until a person sees to it; empty: it sends."""
        assert self._identity is not None
        assert self._transmissions is not None
        return self._identity.obstacle or self._transmissions.obstacle

    def _told(self, now_ms: int) -> str:
        assert self._identity is not None
        assert self._transmissions is not None
        parts = [self._identity.detail(self._port)]
        if obstacle := self._obstacle:
            return "; ".join([obstacle, *parts])
        far = node_name(self._far_node)
        if self._transmissions.does_no_pkc:
            parts.append("it does no PKC: our sealed frames go under the channel's key")
        elif not self._keys.knows_far_key:
            parts.append(f"it does not know the key of {far} yet, and asks for it")
        elif self._keys.is_stale:
            parts.append(
                f"{far} shows another key than this radio keeps for it, and reads nothing of ours;"
                f" if it was reset: hotline radio forget '{far}' --port {self._port}"
            )
        elif self._keys.is_missing:
            parts.append(f"{far} does not know its key yet, and is told")
        parts.append(self._air.note(now_ms))
        return "; ".join(part for part in parts if part)

    # What the radio says

    def _take(self, message: mesh_pb2.FromRadio, now_ms: int) -> None:
        if self._watch is not None:
            self._watch(message)
        self._mute_end_ms = None
        if self._transmissions is None:
            self._take_early(message, now_ms)
            return
        self._listen(self._transmissions, message, now_ms)
        self._tell(now_ms)

    def _listen(
        self, transmissions: Transmissions, message: mesh_pb2.FromRadio, now_ms: int
    ) -> None:
        self._liveness.talked()
        match message.WhichOneof("payload_variant"):
            case "packet":
                self._take_packet(message.packet, now_ms)
            case "queueStatus":
                status = message.queueStatus
                self._liveness.answered(status.mesh_packet_id, now_ms)
                if self._liveness.is_answer(status.mesh_packet_id):
                    status.mesh_packet_id = 0
                transmissions.take_status(status, now_ms)
            case "clientNotification":
                transmissions.take_notification(message.clientNotification)
            case "rebooted":
                # Its queue and its pending acks are gone without a word.
                raise LinkLostError(f"the radio at {self._port} restarted")
            case _:
                pass

    def _take_packet(self, packet: mesh_pb2.MeshPacket, now_ms: int) -> None:
        assert self._transmissions is not None
        assert self._identity is not None
        source = getattr(packet, "from")
        if source != self._identity.node:
            self._air.heard(is_far=source == self._far_node)
        if packet.WhichOneof("payload_variant") != "decoded":
            return
        match packet.decoded.portnum:
            case portnums_pb2.PortNum.ROUTING_APP:
                if packet.decoded.request_id:
                    self._transmissions.take_routing(packet, now_ms)
            case portnums_pb2.PortNum.NODEINFO_APP:
                if source == self._far_node:
                    self._keys.take_user(packet.decoded.payload)
            case portnums_pb2.PortNum.PRIVATE_APP:
                # Our own packet can come back after a restart of the radio. Anyone else may send: a
                # node number proves nothing, our frames do.
                if source != self._identity.node and packet.decoded.payload:
                    self._events.append(_received(self._link, packet))
            case _:
                pass

    def _write(self, message: mesh_pb2.ToRadio) -> None:
        self._octets += encode_frame(message.SerializeToString())


def _received(link: LinkName, packet: mesh_pb2.MeshPacket) -> FrameReceived:
    return FrameReceived(
        link,
        packet.decoded.payload,
        rssi_dbm=packet.rx_rssi or None,
        snr_db=round(packet.rx_snr, 2) if packet.rx_rssi else None,
        wants_ack=packet.want_ack,
    )
