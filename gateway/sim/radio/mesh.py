"""The mesh side of a simulated radio: its transmit queue, acks, retransmissions, relaying, duty.

After the firmware's Router, ReliableRouter and NextHopRouter (2.7.26); each figure was checked
against the captures. It ends at a reboot: a radio that starts has a fresh one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Final

from gateway.sim.air import BROADCAST, Air, AirPacket, Antenna, Signal
from gateway.sim.radio import messages
from gateway.sim.radio.messages import ERROR, PRIORITY, Message, data_message, mesh_pb2
from gateway.sim.radio.modem import REGION_UNSET, AirtimeLog, Modem
from gateway.sim.radio.packets import Client, Outgoing, own_packet, received_packet
from gateway.sim.radio.peers import Peer
from gateway.sim.radio.retransmission import Retransmissions
from gateway.sim.radio.transmit_queue import Key, Log, Queued, TransmitQueue, describe

HISTORY_COUNT_MAX: Final = 400
PACKET_SIZE_MAX: Final = 255
HOP_LIMIT_MAX: Final = 7
HOP_LIMIT_DEFAULT: Final = 3
RELIABLE_TRANSMIT_COUNT: Final = 3
RELAYED_TRANSMIT_COUNT: Final = 2
PROCESSING_MS: Final = 4
RESULT_DISABLED: Final = 34
IN_CLEAR: Final = (
    messages.ROUTING,
    messages.NODEINFO,
    messages.POSITION,
    messages.TRACEROUTE,
)
"""Ports whose direct messages are encrypted for the channel, not for the addressee."""


class Mesh:
    def __init__(
        self,
        antenna: Antenna,
        modem: Modem,
        air: Air,
        peers: dict[int, Peer],
        client: Client,
        *,
        rng: Random,
        log: Log,
        has_own_key: bool,
        own_user: Callable[[], bytes],
        relays: bool,
    ) -> None:
        self.node_number = antenna.node_number
        self.is_transmitter_on = True
        self.airtime = AirtimeLog(air.now_ms)
        self._modem = modem
        self._air = air
        self._peers = peers
        self._client = client
        self._rng = rng
        self._log = log
        self._has_own_key = has_own_key
        self._own_user = own_user
        self._relays = relays
        self._seen: dict[Key, set[int]] = {}
        """The last octets of the nodes that transmitted it."""
        self._is_stopped = False
        self._queue = TransmitQueue(
            antenna,
            modem,
            air,
            self.airtime,
            rng=rng,
            after=self._after,
            log=log,
            slot_freed=client.queue_changed,
        )
        self._retransmissions = Retransmissions(
            modem,
            air,
            self.airtime,
            after=self._after,
            log=log,
            transmit=self._transmit_again,
            fell_back=self._forget_next_hop,
            failed=self._give_up,
        )

    # --- life

    def stop(self) -> None:
        """Power off or hang: nothing that was planned happens any more."""
        self._is_stopped = True
        self._queue.clear()
        self._retransmissions.clear()

    def _after(self, delay_ms: int, action: Callable[[], None]) -> None:
        self._air.timetable.at(
            self._air.now_ms + delay_ms, lambda: None if self._is_stopped else action()
        )

    @property
    def free_count(self) -> int:
        return self._queue.free_count

    def new_packet_id(self) -> int:
        return self._rng.randrange(1, 1 << 32)

    # --- from the client or the radio's own modules

    def send(self, out: Outgoing) -> int:
        """Take a packet for another node or all; the `res` of the queueStatus."""
        if out.want_ack and out.hop_limit == 0:
            out.hop_limit = HOP_LIMIT_DEFAULT
        hop_start = out.hop_limit & HOP_LIMIT_MAX  # Of a larger one three bits go on the air.
        if out.hop_limit > HOP_LIMIT_MAX:
            out.hop_limit = HOP_LIMIT_DEFAULT
        error = self._check_duty(out)
        packet: AirPacket | None = None
        if error == ERROR.NONE:
            encoded = self._encode(out, hop_start)
            if isinstance(encoded, AirPacket):
                packet = encoded
            else:
                error = encoded
        if packet is None:
            self._log("ERROR", "Router", f"Error={error}, return NAK and drop packet")
            self._after(1, lambda: self.acknowledge_locally(out.packet_id, error))
            return error
        self._note_seen(packet)
        self._retransmissions.defer(packet)
        if out.want_ack:
            self._retransmissions.start(packet, out.priority, RELIABLE_TRANSMIT_COUNT)
        elif packet.next_hop and packet.hop_limit:
            self._retransmissions.start(packet, out.priority, RELAYED_TRANSMIT_COUNT)
        return self._enqueue(Queued(packet, out.priority))

    def _enqueue(self, entry: Queued) -> int:
        if self._modem.region == REGION_UNSET or not self.is_transmitter_on:
            return RESULT_DISABLED
        return self._queue.enqueue(entry)

    def _transmit_again(self, packet: AirPacket, priority: int) -> None:
        self._enqueue(Queued(packet, priority))

    def _give_up(self, packet: AirPacket) -> None:
        if packet.source == self.node_number:
            self._log("DEBUG", "Router", "Reliable send failed, returning a nak")
            self.acknowledge_locally(packet.packet_id, ERROR.MAX_RETRANSMIT)

    def _check_duty(self, out: Outgoing) -> int:
        percent = self.airtime.transmit_percent(self._air.now_ms)
        if percent <= self._modem.duty_percent:
            return int(ERROR.NONE)
        minutes = self.airtime.silent_minutes(self._air.now_ms, self._modem.duty_percent)
        text = f"Duty cycle limit exceeded. You can send again in {minutes} mins"
        self._log("WARN", "Router", text)
        self._client.notify(
            mesh_pb2.ClientNotification(reply_id=out.packet_id, level="WARNING", message=text)
        )
        return int(ERROR.DUTY_CYCLE_LIMIT)

    def _encode(self, out: Outgoing, hop_start: int) -> AirPacket | int:
        is_broadcast = out.to == BROADCAST
        is_pkc = self._has_own_key and not is_broadcast and out.data.portnum not in IN_CLEAR
        frame = out.data.payload if out.data.portnum == messages.PRIVATE else b""
        packet = AirPacket(
            source=self.node_number,
            to=out.to,
            packet_id=out.packet_id,
            hop_limit=out.hop_limit,
            hop_start=hop_start,
            want_ack=out.want_ack,
            next_hop=0 if is_broadcast else self._next_hop(out.to),
            relay_node=self.node_number & 0xFF,
            data=out.data.SerializeToString(),
            is_pkc=is_pkc,
            frame=frame,
        )
        if packet.size > PACKET_SIZE_MAX:
            return int(ERROR.TOO_LARGE)
        if not is_pkc:
            if out.is_pkc_asked:
                return int(ERROR.PKI_FAILED)
            return int(ERROR.NO_CHANNEL) if is_broadcast and out.channel else packet
        peer = self._peers.get(out.to)
        if peer is None or peer.public_key is None:
            return int(ERROR.PKI_SEND_FAIL_PUBLIC_KEY)
        if out.public_key and out.public_key != peer.public_key:
            return int(ERROR.PKI_FAILED)
        return packet

    def _next_hop(self, to: int) -> int:
        peer = self._peers.get(to)
        return peer.next_hop if peer else 0

    def _forget_next_hop(self, to: int) -> None:
        if to in self._peers:
            self._peers[to].next_hop = 0

    def acknowledge_locally(self, packet_id: int, error: int) -> None:
        """Tell the client about its packet in our own name: an implicit ack, or a NAK."""
        self._retransmissions.stop((self.node_number, packet_id))
        data = messages.routing_data(error, packet_id)
        self._client.deliver(own_packet(self.node_number, data, self.new_packet_id(), PRIORITY.ACK))

    # --- receiving

    def hear(self, packet: AirPacket, signal: Signal) -> None:
        if not self._is_stopped:
            self._after(PROCESSING_MS, lambda: self._receive(packet, signal))

    def _receive(self, packet: AirPacket, signal: Signal) -> None:
        airtime_ms = self._modem.packet_ms(packet.size)
        self.airtime.add(self._air.now_ms, airtime_ms, is_own=False)
        heard = f"rxSNR={signal.snr_db} rxRSSI={signal.rssi_dbm}"
        self._log("DEBUG", "LabAir", f"Lora RX ({describe(packet)} {heard})")
        self._log("DEBUG", "LabAir", f"Packet RX: {airtime_ms}ms")
        if packet.source == self.node_number:
            self._heard_own(packet)
        self._retransmissions.defer(packet)
        if self._is_repeat(packet, signal):
            return
        data = self._decrypt(packet)
        if packet.to in (self.node_number, BROADCAST):
            self._accept(packet, data, signal)
        elif data is not None and data.request_id:
            self._queue.cancel((packet.to, data.request_id))  # its ack goes by: no need to relay
        self._relay(packet, signal)

    def _heard_own(self, packet: AirPacket) -> None:
        self._log("DEBUG", "Router", f"Rx someone rebroadcasting for us ({describe(packet)})")
        if (packet.source, packet.packet_id) in self._retransmissions:
            self._log("DEBUG", "Router", "Generate implicit ack")
            self.acknowledge_locally(packet.packet_id, ERROR.NONE)

    def _is_repeat(self, packet: AirPacket, signal: Signal) -> bool:
        key = (packet.source, packet.packet_id)
        was_seen = key in self._seen
        self._note_seen(packet)
        if not was_seen:
            return False
        self._log("DEBUG", "Router", f"Ignore dupe incoming msg ({describe(packet)})")
        self._retransmissions.stop(key)
        is_from_source = packet.hop_start > 0 and packet.hop_start == packet.hop_limit
        if not is_from_source:
            self._queue.cancel(key)
        elif packet.to == self.node_number:
            # Its sender did not hear our ack: the client has it once, the sender gets it again.
            if packet.want_ack:
                self._send_ack(packet, ERROR.NONE)
        elif key not in self._queue:
            self._relay(packet, signal)
        return True

    def _note_seen(self, packet: AirPacket) -> None:
        key = (packet.source, packet.packet_id)
        self._seen.setdefault(key, set()).add(packet.relay_node)
        while len(self._seen) > HISTORY_COUNT_MAX:
            del self._seen[next(iter(self._seen))]

    def _decrypt(self, packet: AirPacket) -> Message | None:
        if packet.is_pkc:
            peer = self._peers.get(packet.source)
            is_for_us = packet.to == self.node_number and self._has_own_key
            if not is_for_us or peer is None or peer.public_key is None:
                return None
        return messages.parse(mesh_pb2.Data, packet.data)

    def _accept(self, packet: AirPacket, data: Message | None, signal: Signal) -> None:
        is_ours = packet.to == self.node_number
        if data is None:
            self._log("INFO", "Router", "PKI packet from unknown node, send PKI_UNKNOWN_PUBKEY")
            if is_ours and packet.want_ack:
                self._send_ack(packet, ERROR.PKI_UNKNOWN_PUBKEY)
            return
        if is_ours:
            self._answer(packet, data)
        self._read_modules(packet, data)
        peer = self._peers.get(packet.source)
        key = peer.public_key if packet.is_pkc and peer else None
        self._client.deliver(received_packet(packet, data, signal, key))

    def _answer(self, packet: AirPacket, data: Message) -> None:
        """Ack what asks for it; where we are the next hop, tell the sender to stop repeating. No
        module here answers a question, which the sender is told too, besides the ack.
        """
        if packet.want_ack and not data.request_id:
            self._send_ack(packet, ERROR.NONE if data.portnum else ERROR.NO_CHANNEL)
        elif packet.next_hop == self.node_number & 0xFF and packet.hop_limit > 0:
            self._send_ack(packet, ERROR.NONE, hop_limit=0)
        if data.want_response and data.portnum == messages.PRIVATE:
            self._send_ack(packet, ERROR.NO_RESPONSE)

    def _send_ack(self, packet: AirPacket, error: int, hop_limit: int | None = None) -> None:
        used = packet.hop_start - packet.hop_limit
        if used < 0:  # Not to be believed: as far as a packet of ours would go.
            used = HOP_LIMIT_DEFAULT
        data = messages.routing_data(error, packet.packet_id)
        data.bitfield = 0
        self._after(
            1,
            lambda: self._send_quietly(
                Outgoing(
                    to=packet.source,
                    packet_id=self.new_packet_id(),
                    data=data,
                    hop_limit=min(used + 2, HOP_LIMIT_DEFAULT) if hop_limit is None else hop_limit,
                    want_ack=False,
                    priority=PRIORITY.ACK,
                )
            ),
        )

    def _send_quietly(self, out: Outgoing) -> None:
        self.send(out)

    def _read_modules(self, packet: AirPacket, data: Message) -> None:
        if data.portnum == messages.ROUTING and packet.to == self.node_number:
            routing = messages.parse(mesh_pb2.Routing, data.payload)
            if routing is not None:
                self._learn_next_hop(packet, data.request_id)
                self._retransmissions.stop((self.node_number, data.request_id))
                if routing.error_reason == ERROR.PKI_UNKNOWN_PUBKEY:
                    self.send_node_info(packet.source, want_response=True)
        if data.portnum == messages.NODEINFO:
            user = messages.parse(mesh_pb2.User, data.payload)
            if user is not None:
                self._learn_peer(packet.source, user)
            if data.want_response and packet.to == self.node_number:
                self.send_node_info(packet.source, want_response=False)

    def _learn_next_hop(self, packet: AirPacket, request_id: int) -> None:
        peer = self._peers.get(packet.source)
        if peer is None:
            return
        relayers = self._seen.get((self.node_number, request_id), set())
        is_direct = packet.hop_start > 0 and packet.hop_start == packet.hop_limit
        is_sole = relayers == {self.node_number & 0xFF}
        if packet.relay_node in relayers or (is_direct and is_sole):
            peer.next_hop = packet.relay_node

    def _learn_peer(self, number: int, user: Message) -> None:
        known = self._peers.get(number)
        if known is None:
            self._peers[number] = Peer(number, user.long_name, user.public_key or None)
        elif known.public_key is None and user.public_key:
            known.public_key = user.public_key

    def send_node_info(self, to: int, *, want_response: bool) -> None:
        data = data_message(messages.NODEINFO, self._own_user(), want_response=want_response)
        priority = PRIORITY.BACKGROUND if to == BROADCAST else PRIORITY.DEFAULT
        self._send_quietly(
            Outgoing(to, self.new_packet_id(), data, HOP_LIMIT_DEFAULT, False, priority)
        )

    # --- relaying

    def _relay(self, packet: AirPacket, signal: Signal) -> None:
        own = self.node_number & 0xFF
        if not self._relays or packet.hop_limit == 0:
            return
        if self.node_number in (packet.source, packet.to):
            return
        if packet.next_hop not in (0, own):
            return
        next_hop = 0 if packet.to == BROADCAST else self._next_hop(packet.to)
        copy = replace(
            packet,
            hop_limit=packet.hop_limit - 1,
            relay_node=own,
            next_hop=0 if next_hop == packet.relay_node else next_hop,
            frame=b"",
        )
        self._note_seen(copy)
        if copy.next_hop and packet.next_hop == own and copy.hop_limit:
            self._retransmissions.start(copy, PRIORITY.DEFAULT, RELAYED_TRANSMIT_COUNT)
        self._enqueue(Queued(copy, PRIORITY.DEFAULT, signal.snr_db))
