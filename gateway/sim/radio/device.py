"""A simulated Meshtastic radio, sans-I/O: octets from the client in, octets for the client out.

The mesh side is `mesh.py`, the ports for clients are `phone.py`; here are the radio's own life
(boot, reboot, hang), what it does with a packet of a client, and its text log. `port.py` puts its
USB port on a pty, `tcp.py` the other on TCP.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Final

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
from gateway.sim.radio.modem import REGION_UNSET, Modem
from gateway.sim.radio.packets import Outgoing, own_packet
from gateway.sim.radio.peers import Peer
from gateway.sim.radio.phone import Phone, Waiting

TELEMETRY_MS: Final = 60_000


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
        relays: bool = True,
    ) -> None:
        self.node_number = node_number
        self.name = name
        self.air = air
        self.modem = Modem(preset, region)
        self.peers: dict[int, Peer] = {}
        self.is_cut = False
        self.is_frozen = False
        self.waiting = Waiting()
        self._last_free = 0
        self.usb = Phone(self, is_tcp=False)
        self.tcp = Phone(self, is_tcp=True)
        self._identity = Identity(node_number, name, has_key=False)
        self._admin = AdminModule()
        self._rng: Random = fork(air.rng)
        self._relays = relays
        self._reboot_count = 0
        self._make_key()
        self._introduce()
        air.join(self)
        self._boot()

    def _make_key(self) -> None:
        if self.modem.region != REGION_UNSET:
            self._identity = replace(self._identity, has_key=True)

    def _introduce(self) -> None:
        for other in self.air.antennas():
            if isinstance(other, SimulatedRadio):
                self.meet(other)
                other.meet(self)

    # --- for the bench

    def meet(self, other: SimulatedRadio) -> None:
        """Know another radio and its key, as after an exchange of NodeInfo."""
        number = other.node_number
        key = other._identity.public_key or None
        self.peers[number] = Peer(number, other.name, key)

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
        self.log("INFO", "", "Rebooting")
        self.is_frozen = False
        self._mesh.stop()
        self._reboot_count += 1
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
        self._make_key()
        self._boot_ms = self.air.now_ms
        self.waiting = Waiting()
        self._session_key = self._rng.randbytes(8)
        self._mesh = Mesh(
            self,
            self.modem,
            self.air,
            self.peers,
            self,
            rng=self._rng,
            log=self.log,
            has_own_key=self._identity.has_key,
            own_user=lambda: bytes(self._identity.user().SerializeToString()),
            relays=self._relays,
        )
        self._mesh.is_transmitter_on = self._admin.is_transmitter_on
        for phone in (self.usb, self.tcp):
            phone.restart()
        self.usb.write_message(mesh_pb2.FromRadio(rebooted=True))
        self.log("INFO", "", f"S:B:37,{FIRMWARE},native,meshtastic/firmware")
        region = f"region={self.modem.region}, name={self.modem.preset}"
        self.log("INFO", "", f"Set radio: {region}, config=0, ch=0, power=27")
        self.waiting.queue_statuses.append(self.queue_status(0, 0))
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

    # --- what a client asks (its port calls these)

    def handshake(self, nonce: int) -> Iterator[tuple[str, Message]]:
        peers = list(self.peers.values())
        own = handshake(nonce, self._identity, self.modem, peers, self._telemetry())
        for text, message in own:
            yield text, self._admin.overlay(message, self.node_number)

    def new_packet_id(self) -> int:
        return self._mesh.new_packet_id()

    def take_packet(self, packet: Message, packet_id: int) -> None:
        if packet.to == self.node_number:
            self._tell_status(0, packet_id)
            self._take_own_packet(packet, packet_id)
        else:
            self._tell_status(self._mesh.send(self._outgoing(packet, packet_id)), packet_id)

    def queue_status(self, result: int, packet_id: int) -> Message:
        free = self._mesh.free_count
        self._last_free = free
        return mesh_pb2.QueueStatus(res=result, free=free, maxlen=16, mesh_packet_id=packet_id)

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
        ack = messages.routing_data(ERROR.NONE, packet_id)
        admin = None
        if packet.decoded.portnum == messages.ADMIN:
            admin = messages.parse(messages.admin_pb2.AdminMessage, packet.decoded.payload)
        if admin is None:
            if packet.want_ack:
                self.deliver(self._own_packet(ack, PRIORITY.ACK))
            return
        answer = self._administrate(admin, packet_id)
        if answer is not None:
            self._answer_admin(packet, self._own_packet(answer, PRIORITY.RELIABLE))
        elif packet.want_ack:
            self._answer_admin(packet, self._own_packet(ack, PRIORITY.ACK))

    def _administrate(self, admin: Message, packet_id: int) -> Message | None:
        """Obey; the answer where that is more than an ack."""
        variant = admin.WhichOneof("payload_variant")
        self._admin.obey(admin, reboot=self._plan_reboot)
        reply = messages.admin_pb2.AdminMessage(session_passkey=self._session_key)
        if variant == "get_config_request":
            reply.get_config_response.sessionkey.SetInParent()
        elif variant == "remove_by_nodenum":
            self.forget(admin.remove_by_nodenum)
            return None
        elif variant == "get_owner_request":
            reply.get_owner_response.CopyFrom(self._identity.user())
        else:
            return None
        return mesh_pb2.Data(
            portnum=messages.ADMIN, payload=reply.SerializeToString(), request_id=packet_id
        )

    def _answer_admin(self, request: Message, answer: Message) -> None:
        """An answer of the admin module goes the way of a packet: it has a status of its own."""
        answer.pki_encrypted = request.pki_encrypted
        self._tell_status(0, answer.id)
        self.deliver(answer)

    def _own_packet(self, data: Message, priority: int) -> Message:
        packet_id = self._mesh.new_packet_id()
        return own_packet(self.node_number, data, packet_id, priority, hop_limit=HOP_LIMIT_DEFAULT)

    def _plan_reboot(self, after_s: int) -> None:
        boot = self._reboot_count
        due_ms = self.air.now_ms + after_s * 1000
        self.air.timetable.at(due_ms, lambda: self._planned_reboot(boot))

    def _planned_reboot(self, boot: int) -> None:
        if boot == self._reboot_count and not self.is_frozen:
            self.reboot()

    # --- to the client (the mesh calls these)

    def deliver(self, packet: Message) -> None:
        self.waiting.packets.append(packet)
        self.log("INFO", "", f"Tell client we have new packets {len(self.waiting.packets)}")
        self._wake()

    def notify(self, notification: Message) -> None:
        self.waiting.notifications.append(notification)
        self._wake()

    def queue_changed(self) -> None:
        """After a full queue was reported, the first free slot is told unasked."""
        if self._last_free == 0:
            self._tell_status(0, 0)

    def _tell_status(self, result: int, packet_id: int) -> None:
        self.waiting.queue_statuses.append(self.queue_status(result, packet_id))
        self._wake()

    def _wake(self) -> None:
        """USB is quicker: where clients are on both ports, it gets what waits."""
        self.usb.wake()
        self.tcp.wake()

    def log(self, level: str, thread: str, text: str) -> None:
        """A line of text between the frames on USB."""
        where = f"[{thread}] " if thread else ""
        uptime_s = self._uptime_ms() // 1000
        self.usb.write_text(f"{level:<5} | ??:??:?? {uptime_s} {where}{text}\r\n")
