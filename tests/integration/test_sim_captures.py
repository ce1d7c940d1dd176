"""The simulated radio says what the captured one said: order, kinds and contents of messages."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from gateway.links.meshtastic.stream import StreamParser
from gateway.sim.air import Air
from gateway.sim.radio import SimulatedRadio
from gateway.sim.radio.messages import Message, mesh_pb2, parse
from gateway.sim.radio.probe import Probe

CAPTURES = Path(__file__).parent / "captures"
OWN = {"public_key", "private_key", "device_metrics"}
"""What differs between any two radios or moments."""


def captured(name: str, direction: str) -> list[Message]:
    """The messages of one direction of a capture."""
    kind = mesh_pb2.FromRadio if direction == "rx" else mesh_pb2.ToRadio
    parser: StreamParser[Message] = StreamParser(lambda octets: parse(kind, octets))
    messages: list[Message] = []
    for line in (CAPTURES / name).read_text().splitlines():
        record = json.loads(line)
        if record["dir"] == direction:
            messages += parser.feed(bytes.fromhex(record["hex"]))
    return messages


def comparable(message: Message) -> object:
    """Fields and values without those that are each radio's own."""
    return {
        field.name: (
            [comparable(element) for element in value]
            if field.is_repeated and field.message_type
            else comparable(value)
            if field.message_type
            else value
        )
        for field, value in message.ListFields()
        if field.name not in OWN
    }


def three_radios(seed: int = 1) -> tuple[Probe, Probe]:
    """A, B and C as in the lab where the captures were made; the client is A's, and B's."""
    air = Air(Random(seed))
    first = Probe(SimulatedRadio(0x4D4C00A1, "LabA", air))
    second = Probe(SimulatedRadio(0x4D4C00B2, "LabB", air))
    SimulatedRadio(0x4D4C00C3, "LabC", air)
    first.run(10)
    return first, second


def test_the_handshake_is_the_captured_one() -> None:
    """47 messages, the same in the same order with the same contents; about 1.1 kB."""
    real = captured("send_ack_A.jsonl", "rx")[:47]
    probe, _ = three_radios()
    probe.heard.clear()
    probe.connect(12345)
    ours = [heard.message for heard in probe.heard[:47]]
    assert [comparable(message) for message in ours] == [comparable(message) for message in real]
    sizes = [sum(len(m.SerializeToString()) + 4 for m in some) for some in (ours, real)]
    assert abs(sizes[0] - sizes[1]) < 20


@pytest.mark.parametrize(
    ("name", "is_far_cut"),
    [
        ("send_ack_A.jsonl", False),
        ("dm_unknown_node_A.jsonl", False),
        ("ack_timeout_A.jsonl", True),
    ],
)
def test_a_captured_request_gets_the_captured_answers(name: str, *, is_far_cut: bool) -> None:
    """The client's octets of the capture, played to our radio: statuses and acks are the same but
    for the ids that a radio draws.
    """
    probe, far = three_radios()
    if is_far_cut:
        far.radio.cut()
        probe.radio.air.set_path(0x4D4C00A1, 0x4D4C00C3, None)
    requests = captured(name, "tx")
    probe.write(requests[0])
    probe.run(800)
    probe.heard.clear()
    for request in requests[1:]:
        probe.write(request)
        probe.run(40_000)

    def answers(messages: list[Message]) -> list[object]:
        found = []
        for message in messages:
            kind = message.WhichOneof("payload_variant")
            if kind == "queueStatus" or (kind == "packet" and message.packet.decoded.portnum == 5):
                plain = mesh_pb2.FromRadio()
                plain.CopyFrom(message)
                if kind == "packet":
                    plain.packet.ClearField("id")
                found.append(comparable(plain))
        return found

    heard = captured(name, "rx")
    complete = [m.WhichOneof("payload_variant") for m in heard].index("config_complete_id")
    real = answers(heard[complete + 1 :])
    assert real
    assert answers([heard.message for heard in probe.heard]) == real


def test_what_a_client_receives_has_the_captured_fields() -> None:
    """The direct message of `receive_B` as the far client got it, field by field."""
    real = captured("receive_B.jsonl", "rx")[-1].packet
    probe, far = three_radios()
    probe.connect()
    far.connect()
    probe.write(captured("send_ack_A.jsonl", "tx")[-1])
    probe.run(5_000)
    probe.send(0x4D4C00B2, b"second, over the next hop that was learned", 99)
    probe.run(5_000)
    first, second = [heard.message.packet for heard in far.of_kind("packet")][:2]
    ours = comparable(first)
    theirs = comparable(real)
    assert isinstance(ours, dict)
    assert isinstance(theirs, dict)
    assert second.next_hop == theirs.pop("next_hop")
    assert ours == theirs
