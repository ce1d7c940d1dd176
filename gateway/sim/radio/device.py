"""A simulated Meshtastic radio, sans-I/O: octets from the client in, octets for the client out.

The mesh side is `mesh.py`; here are the stream protocol, the client session with its small queues,
the radio's own life (boot, reboot, hang) and its text log. `port.py` puts it on a pty.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Final

from gateway.links.meshtastic.stream import SIZE_MAX, StreamParser, encode_frame
from gateway.sim.air import Air, AirPacket, Signal
from gateway.sim.faults import fork
from gateway.sim.radio import messages
from gateway.sim.radio.admin import AdminModule
from gateway.sim.radio.handshake import (
    FIRMWARE,
    Identity,
    Telemetry,
    handshake,
    telemetry_packet,
)
from gateway.sim.radio.mesh import HOP_LIMIT_DEFAULT, Mesh
from gateway.sim.radio.messages import ERROR, PRIORITY, Message, mesh_pb2
from gateway.sim.radio.modem import Modem
from gateway.sim.radio.packets import Outgoing, own_packet
from gateway.sim.radio.peers import Peer, public_key_of

IDLE_MS_MAX: Final = 900_000
"""A client that says nothing for 15 minutes is taken for gone."""
QUEUE_STATUS_COUNT_MAX: Final = 2
TO_CLIENT_COUNT_MAX: Final = 32
SEEN_COUNT_MAX: Final = 20
PAYLOAD_SIZE_MAX: Final = 235
"""A larger payload does not decode in the radio: dropped without any answer."""
TURN_MS: Final = 2
"""From octets in to octets out."""
OUTPUT_SIZE_MAX: Final = 65_536
"""More waits for no client: text logs go first, then everything."""
TELEMETRY_MS: Final = 60_000
QUIET_MS: Final = {
    messages.TEXT: 2_000,
    messages.POSITION: 10_000,
    messages.TELEMETRY: 10_000,
}
"""Least time between two packets of a port; what comes sooner is dropped silently."""


@dataclass(slots=True)
class _Session:
    """What the radio holds for its client. Packets wait while nobody asked for them."""

    queue_status: deque[Message]
    notifications: deque[Message]
    packets: deque[Message]
    seen_ids: deque[int]
    last_contact_ms: int
    is_open: bool = False
    heartbeat_count: int = 0
    last_free: int = 0


def _to_radio_parser() -> StreamParser[Message]:
    return StreamParser(lambda octets: messages.parse(mesh_pb2.ToRadio, octets))


class SimulatedRadio:
    """One radio on an air. Every radio that joins is introduced to those that are there."""

    def __init__(
        self,
        node_number: int,
        name: str,
        air: Air,
        preset: str = "LONG_FAST",
        region: str = "EU_868",
        *,
        text_logs: bool = True,
        relays: bool = True,
    ) -> None:
        self.node_number = node_number
        self.name = name
        self.air = air
        self.modem = Modem(preset, region)
        self.peers: dict[int, Peer] = {}
        self.is_cut = False
        self.is_frozen = False
        self.drop_count = 0
        """How often it ended its client's connection; only TCP can tell the client."""
        self._identity = Identity(node_number, name)
        self._admin = AdminModule()
        self._rng: Random = fork(air.rng)
        self._text_logs = text_logs
        self._relays = relays
        self._output = bytearray()
        self._reboot_count = 0
        self._is_turn_due = False
        self._introduce()
        air.join(self)
        self._boot()

    def _introduce(self) -> None:
        for other in self.air.antennas():
            if isinstance(other, SimulatedRadio):
                self.meet(other)
                other.meet(self)

    # --- for the bench

    def meet(self, other: SimulatedRadio) -> None:
        """Know another radio and its key, as after an exchange of NodeInfo."""
        number = other.node_number
        self.peers[number] = Peer(number, other.name, public_key_of(number))

    def forget(self, number: int) -> None:
        """Know a node no longer."""
        self.peers.pop(number, None)

    def cut(self) -> None:
        """Antenna off: hears nobody and is heard by nobody. The client notices nothing."""
        self.is_cut = True

    def restore(self) -> None:
        self.is_cut = False

    def freeze(self) -> None:
        """The firmware hangs: the port stays open and silent, until a reboot."""
        self.is_frozen = True
        self._mesh.stop()

    def reboot(self) -> None:
        """Power off and on: what waited is gone without a NAK, counters in RAM start afresh."""
        self._log("INFO", "", "Rebooting")
        self.is_frozen = False
        self._mesh.stop()
        self._reboot_count += 1
        self.drop_count += 1
        self._boot()
        self.air.changed()

    def set_transmitter(self, is_on: bool) -> None:
        self._mesh.is_transmitter_on = is_on

    @property
    def is_on_air(self) -> bool:
        return not self.is_cut and not self.is_frozen

    def hear(self, packet: AirPacket, signal: Signal) -> None:
        self._mesh.hear(packet, signal)

    # --- life

    def _boot(self) -> None:
        self._admin.restart()
        self.modem = self._admin.modem(self.modem)
        self._boot_ms = self.air.now_ms
        self._parser = _to_radio_parser()
        self._session = _Session(
            deque(maxlen=QUEUE_STATUS_COUNT_MAX),
            deque(maxlen=QUEUE_STATUS_COUNT_MAX),
            deque(maxlen=TO_CLIENT_COUNT_MAX),
            deque(maxlen=SEEN_COUNT_MAX),
            self._boot_ms,
        )
        self._port_last_ms: dict[int, int] = {}
        self._session_key = self._rng.randbytes(8)
        self._mesh = Mesh(
            self,
            self.modem,
            self.air,
            self.peers,
            self,
            rng=self._rng,
            log=self._log,
            own_user=lambda: bytes(self._identity.user().SerializeToString()),
            relays=self._relays,
        )
        self._mesh.is_transmitter_on = self._admin.is_transmitter_on
        self._write_frame(mesh_pb2.FromRadio(rebooted=True))
        self._log("INFO", "", f"S:B:37,{FIRMWARE},native,meshtastic/firmware")
        region = f"region={self.modem.region}, name={self.modem.preset}"
        self._log("INFO", "", f"Set radio: {region}, config=0, ch=0, power=27")
        self._session.queue_status.append(self._queue_status(0, 0))
        boot = self._reboot_count
        self.air.timetable.at(self._boot_ms + TELEMETRY_MS, lambda: self._tell_telemetry(boot))

    def _tell_telemetry(self, boot: int) -> None:
        """Once a minute the client gets the radio's own figures, as a packet from itself."""
        if boot != self._reboot_count or self.is_frozen:
            return
        packet_id = self._mesh.new_packet_id()
        packet = telemetry_packet(self.node_number, packet_id, self._telemetry())
        self.deliver(packet)
        self.air.timetable.at(self.air.now_ms + TELEMETRY_MS, lambda: self._tell_telemetry(boot))

    def _uptime_ms(self) -> int:
        return self.air.now_ms - self._boot_ms

    def _telemetry(self) -> Telemetry:
        now_ms = self.air.now_ms
        return Telemetry(
            uptime_s=self._uptime_ms() // 1000,
            channel_percent=self._mesh.airtime.channel_percent(now_ms),
            transmit_percent=self._mesh.airtime.transmit_percent(now_ms),
        )

    # --- the client's octets

    def feed(self, octets: bytes) -> None:
        """Take what the client wrote; answers come through `take_output` a moment later."""
        if self.is_frozen:
            return
        for message in self._parser.feed(octets):
            self._session.last_contact_ms = self.air.now_ms
            self._read(message)
        self._plan_turn()
        self.air.changed()

    def hang_up(self) -> None:
        """The client is gone: packets wait for the next one, half a frame of it does not."""
        self._session.is_open = False
        self._parser = _to_radio_parser()

    def _watch_idle(self, due_ms: int) -> None:
        boot = self._reboot_count
        self.air.timetable.at(due_ms, lambda: self._end_idle(boot))

    def _end_idle(self, boot: int) -> None:
        if boot != self._reboot_count or self.is_frozen or not self._session.is_open:
            return
        due_ms = self._session.last_contact_ms + IDLE_MS_MAX
        if due_ms > self.air.now_ms:
            self._watch_idle(due_ms)
            return
        self._session.is_open = False
        self.drop_count += 1

    def take_output(self) -> bytes:
        """What the radio wrote since the last call."""
        octets = bytes(self._output)
        self._output.clear()
        return octets

    def _read(self, message: Message) -> None:
        match message.WhichOneof("payload_variant"):
            case "want_config_id":
                self._configure(message.want_config_id)
            case "packet":
                self._take_packet(message.packet)
            case "heartbeat":
                self._log("DEBUG", "SerialConsole", "Got client heartbeat")
                self._session.heartbeat_count += 1
            case "disconnect":
                self._log("DEBUG", "SerialConsole", "PhoneAPI::close()")
                self._session.is_open = False
            case _:
                pass

    def _configure(self, nonce: int) -> None:
        peers = list(self.peers.values())
        telemetry = self._telemetry()
        for text, message in handshake(nonce, self._identity, self.modem, peers, telemetry):
            self._log("DEBUG", "SerialConsole", text)
            self._write_frame(self._admin.overlay(message, self.node_number))
        if not self._session.is_open:
            self._session.is_open = True
            self._watch_idle(self._session.last_contact_ms + IDLE_MS_MAX)

    def _take_packet(self, packet: Message) -> None:
        data = packet.decoded
        if len(data.payload) > PAYLOAD_SIZE_MAX or self._is_too_soon(data.portnum):
            return
        if packet.id in self._session.seen_ids:
            self._log("DEBUG", "SerialConsole", "Ignore packet from phone, already seen recently")
            return
        packet_id = packet.id or self._mesh.new_packet_id()
        self._session.seen_ids.append(packet_id)
        self._log(
            "DEBUG",
            "SerialConsole",
            f"PACKET FROM PHONE (id=0x{packet_id:08x} fr=0x00000000 to=0x{packet.to:08x}, "
            f"transport = 0, WantAck={int(packet.want_ack)}, HopLim={packet.hop_limit} "
            f"Ch=0x{packet.channel:x} Portnum={data.portnum} priority={packet.priority})",
        )
        if packet.to == self.node_number:
            self._session.queue_status.append(self._queue_status(0, packet_id))
            self._take_own_packet(packet, packet_id)
            return
        result = self._mesh.send(self._outgoing(packet, packet_id))
        self._session.queue_status.append(self._queue_status(result, packet_id))

    def _is_too_soon(self, portnum: int) -> bool:
        if portnum not in QUIET_MS:
            return False
        last_ms = self._port_last_ms.get(portnum)
        if last_ms is not None and self.air.now_ms - last_ms < QUIET_MS[portnum]:
            return True
        self._port_last_ms[portnum] = self.air.now_ms
        return False

    def _outgoing(self, packet: Message, packet_id: int) -> Outgoing:
        data = mesh_pb2.Data()
        data.CopyFrom(packet.decoded)
        data.bitfield = 2 if data.want_response else 0
        default = PRIORITY.RELIABLE if packet.want_ack else PRIORITY.DEFAULT
        return Outgoing(
            to=packet.to,
            packet_id=packet_id,
            data=data,
            hop_limit=packet.hop_limit,
            want_ack=packet.want_ack,
            priority=packet.priority or default,
            channel=packet.channel,
            is_pkc_asked=packet.pki_encrypted,
            public_key=packet.public_key,
        )

    # --- packets to ourselves: the admin module, or just an ack

    def _take_own_packet(self, packet: Message, packet_id: int) -> None:
        if packet.decoded.portnum == messages.ADMIN:
            admin = messages.parse(messages.admin_pb2.AdminMessage, packet.decoded.payload)
            if admin is not None and self._administrate(admin, packet_id):
                return
        if packet.want_ack:
            self._answer_own(messages.routing_data(ERROR.NONE, packet_id), PRIORITY.ACK)

    def _administrate(self, admin: Message, packet_id: int) -> bool:
        """Obey; True where the answer is more than an ack."""
        variant = admin.WhichOneof("payload_variant")
        self._admin.obey(admin, reboot=self._plan_reboot)
        reply = messages.admin_pb2.AdminMessage(session_passkey=self._session_key)
        if variant == "get_config_request":
            reply.get_config_response.sessionkey.SetInParent()
        elif variant == "get_owner_request":
            reply.get_owner_response.CopyFrom(self._identity.user())
        else:
            return False
        data = mesh_pb2.Data(
            portnum=messages.ADMIN, payload=reply.SerializeToString(), request_id=packet_id
        )
        self._answer_own(data, PRIORITY.RELIABLE)
        return True

    def _plan_reboot(self, after_s: int) -> None:
        boot = self._reboot_count
        due_ms = self.air.now_ms + after_s * 1000
        self.air.timetable.at(due_ms, lambda: self._planned_reboot(boot))

    def _planned_reboot(self, boot: int) -> None:
        if boot == self._reboot_count and not self.is_frozen:
            self.reboot()

    def _answer_own(self, data: Message, priority: int) -> None:
        packet_id = self._mesh.new_packet_id()
        self.deliver(
            own_packet(self.node_number, data, packet_id, priority, hop_limit=HOP_LIMIT_DEFAULT)
        )

    # --- to the client (the mesh calls these)

    def deliver(self, packet: Message) -> None:
        self._session.packets.append(packet)
        self._log("INFO", "", f"Tell client we have new packets {len(self._session.packets)}")
        self._plan_turn()

    def notify(self, notification: Message) -> None:
        self._session.notifications.append(notification)
        self._plan_turn()

    def queue_changed(self) -> None:
        """After a full queue was reported, the first free slot is told unasked."""
        if self._session.last_free == 0:
            self._session.queue_status.append(self._queue_status(0, 0))
            self._plan_turn()

    def _queue_status(self, result: int, packet_id: int) -> Message:
        free = self._mesh.free_count
        self._session.last_free = free
        return mesh_pb2.QueueStatus(res=result, free=free, maxlen=16, mesh_packet_id=packet_id)

    def _plan_turn(self) -> None:
        if not self._is_turn_due:
            self._is_turn_due = True
            self.air.timetable.at(self.air.now_ms + TURN_MS, self._take_turn)

    def _take_turn(self) -> None:
        """Write out what waits for the client, in the firmware's order of kinds."""
        self._is_turn_due = False
        session = self._session
        if self.is_frozen:
            return
        if not session.is_open:
            session.heartbeat_count = 0
            return
        while session.queue_status:
            self._write_frame(mesh_pb2.FromRadio(queueStatus=session.queue_status.popleft()))
        for _ in range(session.heartbeat_count):
            self._write_frame(mesh_pb2.FromRadio(queueStatus=self._queue_status(0, 0)))
        session.heartbeat_count = 0
        while session.notifications:
            self._write_frame(
                mesh_pb2.FromRadio(clientNotification=session.notifications.popleft())
            )
        while session.packets:
            self._write_frame(mesh_pb2.FromRadio(packet=session.packets.popleft()))

    def _write_frame(self, message: Message) -> None:
        octets = message.SerializeToString()
        assert len(octets) <= SIZE_MAX
        self._write(encode_frame(octets))

    def _write(self, octets: bytes) -> None:
        if len(self._output) + len(octets) <= OUTPUT_SIZE_MAX:
            self._output += octets

    def _log(self, level: str, thread: str, text: str) -> None:
        if not self._text_logs or len(self._output) > OUTPUT_SIZE_MAX // 2:
            return
        where = f"[{thread}] " if thread else ""
        uptime_s = self._uptime_ms() // 1000
        self._write(f"{level:<5} | ??:??:?? {uptime_s} {where}{text}\r\n".encode())
