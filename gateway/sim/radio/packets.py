"""Packets between the two sides of a simulated radio: its client's and the mesh's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.sim.air import AirPacket, Signal
from gateway.sim.radio import messages
from gateway.sim.radio.messages import Message, mesh_pb2


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


def own_packet(
    number: int, data: Message, packet_id: int, priority: int, *, hop_limit: int = 0
) -> Message:
    """A packet of the radio itself to its client."""
    packet = mesh_pb2.MeshPacket(
        to=number, decoded=data, id=packet_id, hop_limit=hop_limit, priority=priority
    )
    setattr(packet, "from", number)
    return packet


def received_packet(
    packet: AirPacket, data: Message, signal: Signal, public_key: bytes | None
) -> Message:
    """A packet from the air as the client gets it; with the sender's key if that encrypted it."""
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
    if public_key is not None:
        received.pki_encrypted = True
        received.public_key = public_key
    return received
