"""The mesh side of a simulated radio: its transmit queue, acks, retransmissions, relaying, duty.

After the firmware's Router, ReliableRouter and NextHopRouter (2.7.26); each figure was checked
against the captures. It ends at a reboot: a radio that starts has a fresh one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Final, Protocol

from gateway.sim.air import BROADCAST, Air, AirPacket, Antenna, Signal
from gateway.sim.radio import messages
from gateway.sim.radio.messages import ERROR, PRIORITY, Message, data_message, mesh_pb2
from gateway.sim.radio.modem import (
    CONTENTION_MAX,
    REGION_UNSET,
    SNR_MAX,
    SNR_MIN,
    AirtimeLog,
    Modem,
    contention_size,
)
from gateway.sim.radio.peers import Peer

QUEUE_COUNT_MAX: Final = 16
HISTORY_COUNT_MAX: Final = 400
PENDING_COUNT_MAX: Final = 64
PACKET_SIZE_MAX: Final = 255
HOP_LIMIT_MAX: Final = 7
HOP_LIMIT_DEFAULT: Final = 3
RELIABLE_TRANSMIT_COUNT: Final = 3
RELAYED_TRANSMIT_COUNT: Final = 2
PROCESSING_MS: Final = 4
DISABLED: Final = 34
QUEUE_FULL: Final = 32


class Client(Protocol):
    """The side of the radio that talks to the program on the wire."""

    def deliver(self, packet: Message) -> None:
        """A MeshPacket for the client."""
        ...

    def notify(self, notification: Message) -> None:
        """A ClientNotification."""
        ...

    def queue_changed(self) -> None:
        """A slot of the transmit queue came free."""
        ...


@dataclass(slots=True)
class Outgoing:
    """A packet of our own on its way to the queue."""

    to: int
    packet_id: int
    data: Message
    hop_limit: int
    want_ack: bool
    priority: int
    channel: int = 0
    is_pkc_asked: bool = False
    public_key: bytes = b""


@dataclass(slots=True)
class _Queued:
    packet: AirPacket
    priority: int
    snr_db: float | None
    """None for an own packet; else how well the packet to relay was heard."""


@dataclass(slots=True)
class _Pending:
    """A packet that is transmitted again until an ack, real or implicit, comes."""

    packet: AirPacket
    priority: int
    retransmit_count: int
    due_ms: int


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
        log: Callable[[str, str, str], None],
        own_user: Callable[[], bytes],
        relays: bool,
    ) -> None:
        self.node_number = antenna.node_number
        self.is_transmitter_on = True
        self.airtime = AirtimeLog(air.now_ms)
        self._antenna = antenna
        self._modem = modem
        self._air = air
        self._peers = peers
        self._client = client
        self._rng = rng
        self._log = log
        self._own_user = own_user
        self._relays = relays
        self._queue: list[_Queued] = []
        self._pending: dict[tuple[int, int], _Pending] = {}
        self._seen: dict[tuple[int, int], set[int]] = {}
        """By source and id: the last octets of the nodes that transmitted it."""
        self._is_timer_set = False
        self._is_transmitting = False
        self._is_stopped = False

    # --- life

    def stop(self) -> None:
        """Power off or hang: nothing that was planned happens any more."""
        self._is_stopped = True
        self._queue.clear()
        self._pending.clear()

    def _after(self, delay_ms: int, action: Callable[[], None]) -> None:
        self._air.timetable.at(
            self._air.now_ms + delay_ms, lambda: None if self._is_stopped else action()
        )

    @property
    def free_count(self) -> int:
        return QUEUE_COUNT_MAX - len(self._queue)

    def new_packet_id(self) -> int:
        return self._rng.randrange(1, 1 << 32)

    # --- from the client or the radio's own modules

    def send(self, out: Outgoing) -> int:
        """Take a packet for another node or all; the `res` of the queueStatus."""
        if out.want_ack and out.hop_limit == 0:
            out.hop_limit = HOP_LIMIT_DEFAULT
        if out.hop_limit > HOP_LIMIT_MAX:
            out.hop_limit = HOP_LIMIT_DEFAULT
        error = self._check_duty(out)
        packet: AirPacket | None = None
        if error == ERROR.NONE:
            encoded = self._encode(out)
            if isinstance(encoded, AirPacket):
                packet = encoded
            else:
                error = encoded
        if packet is None:
            self._log("ERROR", "Router", f"Error={error}, return NAK and drop packet")
            self._after(1, lambda: self.acknowledge_locally(out.packet_id, error))
            return error
        self._note_seen(packet)
        self._defer_pending(packet)
        if out.want_ack:
            self._start_retransmission(packet, out.priority, RELIABLE_TRANSMIT_COUNT)
        elif packet.next_hop and packet.hop_limit:
            self._start_retransmission(packet, out.priority, RELAYED_TRANSMIT_COUNT)
        return self._enqueue(_Queued(packet, out.priority, None))

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

    def _encode(self, out: Outgoing) -> AirPacket | int:
        is_broadcast = out.to == BROADCAST
        in_clear = {messages.ROUTING, messages.NODEINFO, messages.POSITION, messages.TRACEROUTE}
        is_pkc = not is_broadcast and out.data.portnum not in in_clear
        frame = out.data.payload if out.data.portnum == messages.PRIVATE else b""
        packet = AirPacket(
            source=self.node_number,
            to=out.to,
            packet_id=out.packet_id,
            hop_limit=out.hop_limit,
            hop_start=out.hop_limit,
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

    def acknowledge_locally(self, packet_id: int, error: int) -> None:
        """Tell the client about its packet in our own name: an implicit ack, or a NAK."""
        self._pending.pop((self.node_number, packet_id), None)
        packet = mesh_pb2.MeshPacket(
            to=self.node_number,
            decoded=messages.routing_data(error, packet_id),
            id=self.new_packet_id(),
            priority=PRIORITY.ACK,
        )
        setattr(packet, "from", self.node_number)
        self._client.deliver(packet)

    # --- the transmit queue

    def _enqueue(self, entry: _Queued) -> int:
        if self._modem.region == REGION_UNSET or not self.is_transmitter_on:
            return DISABLED
        if len(self._queue) >= QUEUE_COUNT_MAX:
            if self._queue[-1].priority >= entry.priority:
                return QUEUE_FULL
            self._queue.pop()  # a lower priority gives way without a word
        position = len(self._queue)
        while position and self._queue[position - 1].priority < entry.priority:
            position -= 1
        self._queue.insert(position, entry)
        self._log("DEBUG", "Router", f"enqueuing for send ({describe(entry.packet)})")
        self._set_transmit_delay()
        return int(ERROR.NONE)

    def _set_transmit_delay(self) -> None:
        """Contention: wait a random number of slots, for a relay longer the better it heard."""
        if self._is_timer_set or self._is_transmitting or not self._queue:
            return
        snr_db = self._queue[0].snr_db
        if snr_db is None:
            size = contention_size(self.airtime.channel_percent(self._air.now_ms), 0, 100)
            slots = self._rng.randrange(1 << size)
        else:
            size = contention_size(snr_db, SNR_MIN, SNR_MAX)
            slots = 2 * CONTENTION_MAX + self._rng.randrange(1 << size)
        self._is_timer_set = True
        self._after(max(slots * self._modem.slot_ms, 1), self._transmit_due)

    def _transmit_due(self) -> None:
        self._is_timer_set = False
        if not self._queue or self._is_transmitting:
            return
        if self._air.is_busy(self._antenna):
            self._set_transmit_delay()
            return
        packet = self._queue.pop(0).packet
        airtime_ms = self._modem.packet_ms(packet.size)
        self._is_transmitting = True
        self._log("DEBUG", "SimRadio", f"Start low level send ({describe(packet)})")
        self._log("DEBUG", "SimRadio", f"Packet TX: {airtime_ms}ms")
        self._air.transmit(
            self._antenna, packet, airtime_ms, lambda: self._transmitted(packet, airtime_ms)
        )
        self._client.queue_changed()

    def _transmitted(self, packet: AirPacket, airtime_ms: int) -> None:
        if self._is_stopped:
            return
        self._is_transmitting = False
        self.airtime.add(self._air.now_ms, airtime_ms, is_own=True)
        self._log("DEBUG", "SimRadio", f"Completed sending ({describe(packet)})")
        self._set_transmit_delay()

    # --- retransmission

    def _start_retransmission(self, packet: AirPacket, priority: int, count: int) -> None:
        if len(self._pending) >= PENDING_COUNT_MAX:
            self._pending.pop(next(iter(self._pending)))
        due_ms = self._air.now_ms + self._retransmission_ms(packet)
        self._pending[packet.source, packet.packet_id] = _Pending(
            packet, priority, count - 1, due_ms
        )
        self._watch_pending(packet.source, packet.packet_id, due_ms)

    def _retransmission_ms(self, packet: AirPacket) -> int:
        channel_percent = self.airtime.channel_percent(self._air.now_ms)
        # The firmware measures its own packet before it has added the bitfield (2 octets).
        size = len(packet.data) - (2 if packet.source == self.node_number else 0)
        return self._modem.retransmission_ms(size, channel_percent)

    def _watch_pending(self, source: int, packet_id: int, due_ms: int) -> None:
        self._after(
            max(due_ms - self._air.now_ms, 0), lambda: self._retransmission_due(source, packet_id)
        )

    def _retransmission_due(self, source: int, packet_id: int) -> None:
        pending = self._pending.get((source, packet_id))
        if pending is None:
            return
        if pending.due_ms > self._air.now_ms:
            self._watch_pending(source, packet_id, pending.due_ms)
            return
        if pending.retransmit_count == 0:
            del self._pending[source, packet_id]
            if source == self.node_number:
                self._log("DEBUG", "Router", "Reliable send failed, returning a nak")
                self.acknowledge_locally(packet_id, ERROR.MAX_RETRANSMIT)
            return
        self._log(
            "DEBUG",
            "Router",
            f"Sending retransmission fr=0x{source:x},to=0x{pending.packet.to:x},"
            f"id=0x{packet_id:x}, tries left={pending.retransmit_count}",
        )
        if pending.retransmit_count == 1 and pending.packet.to != BROADCAST:
            pending.packet = replace(pending.packet, next_hop=0)
            if pending.packet.to in self._peers:
                self._peers[pending.packet.to].next_hop = 0
        self._enqueue(_Queued(pending.packet, pending.priority, None))
        pending.retransmit_count -= 1
        pending.due_ms = self._air.now_ms + self._retransmission_ms(pending.packet)
        self._watch_pending(source, packet_id, pending.due_ms)

    def _defer_pending(self, packet: AirPacket) -> None:
        """While this packet is on the air no ack of another one can come: give those more time."""
        for key, pending in self._pending.items():
            if key != (packet.source, packet.packet_id):
                pending.due_ms += self._modem.packet_ms(packet.size)

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
        self._defer_pending(packet)
        if packet.source == self.node_number or self._is_repeat(packet, signal):
            return
        data = self._decrypt(packet)
        if packet.to in (self.node_number, BROADCAST):
            self._accept(packet, data, signal)
        elif data is not None and data.request_id:
            self._cancel_relay(packet.to, data.request_id)
        self._relay(packet, signal)

    def _heard_own(self, packet: AirPacket) -> None:
        self._log("DEBUG", "Router", f"Rx someone rebroadcasting for us ({describe(packet)})")
        self._note_seen(packet)
        if (packet.source, packet.packet_id) in self._pending:
            self._log("DEBUG", "Router", "Generate implicit ack")
            self.acknowledge_locally(packet.packet_id, ERROR.NONE)

    def _is_repeat(self, packet: AirPacket, signal: Signal) -> bool:
        key = (packet.source, packet.packet_id)
        was_seen = key in self._seen
        self._note_seen(packet)
        if not was_seen:
            return False
        self._log("DEBUG", "Router", f"Ignore dupe incoming msg ({describe(packet)})")
        self._pending.pop(key, None)
        is_from_source = packet.hop_start > 0 and packet.hop_start == packet.hop_limit
        if not is_from_source:
            self._cancel_relay(*key)
        elif packet.to == self.node_number:
            # Its sender did not hear our ack: the client has it once, the sender gets it again.
            if packet.want_ack:
                self._send_ack(packet, ERROR.NONE)
        elif not any(key == (e.packet.source, e.packet.packet_id) for e in self._queue):
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
            if packet.to != self.node_number or peer is None or peer.public_key is None:
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
        self._client.deliver(self._for_client(packet, data, signal))

    def _answer(self, packet: AirPacket, data: Message) -> None:
        """Ack what asks for it; where we are the next hop, tell the sender to stop repeating."""
        if packet.want_ack and not data.request_id:
            self._send_ack(packet, ERROR.NONE)
        elif packet.next_hop == self.node_number & 0xFF and packet.hop_limit > 0:
            self._send_ack(packet, ERROR.NONE, hop_limit=0)

    def _send_ack(self, packet: AirPacket, error: int, hop_limit: int | None = None) -> None:
        used = packet.hop_start - packet.hop_limit
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
                self._pending.pop((self.node_number, data.request_id), None)
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

    def _for_client(self, packet: AirPacket, data: Message, signal: Signal) -> Message:
        received = mesh_pb2.MeshPacket(
            to=packet.to,
            decoded=data,
            id=packet.packet_id,
            rx_snr=signal.snr_db,
            hop_limit=packet.hop_limit,
            want_ack=packet.want_ack,
            rx_rssi=signal.rssi_dbm,
            hop_start=packet.hop_start,
            next_hop=packet.next_hop,
            relay_node=packet.relay_node,
            transport_mechanism=messages.TRANSPORT_LORA,
        )
        setattr(received, "from", packet.source)
        if packet.is_pkc:
            received.pki_encrypted = True
            received.public_key = self._peers[packet.source].public_key or b""
        return received

    # --- relaying

    def _relay(self, packet: AirPacket, signal: Signal) -> None:
        own = self.node_number & 0xFF
        if not self._relays or packet.to == self.node_number or packet.hop_limit == 0:
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
        self._enqueue(_Queued(copy, PRIORITY.DEFAULT, signal.snr_db))

    def _cancel_relay(self, source: int, packet_id: int) -> None:
        """Someone else relayed it, or its ack went by: our copy is not needed."""
        self._queue = [
            entry
            for entry in self._queue
            if (entry.packet.source, entry.packet.packet_id) != (source, packet_id)
        ]


def describe(packet: AirPacket) -> str:
    """A packet as the firmware's log names it."""
    return (
        f"id=0x{packet.packet_id:08x} fr=0x{packet.source:08x} to=0x{packet.to:08x}, "
        f"transport = 0, WantAck={int(packet.want_ack)}, HopLim={packet.hop_limit} "
        f"Ch=0x{0 if packet.is_pkc else 8:x} encrypted len={packet.size} "
        f"hopStart={packet.hop_start} relay=0x{packet.relay_node:x}"
    )
