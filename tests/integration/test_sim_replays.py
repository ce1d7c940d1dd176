"""Whole captured conversations, played to the simulated radio in virtual time at their own times.

What is compared: statuses, acks, NAKs and notifications, in order and time. Left out: telemetry and
NodeInfo, which the real radios sent of their own accord after the lab had been up for long.
"""

from __future__ import annotations

import gzip
import json
from functools import partial
from pathlib import Path
from random import Random

import pytest

from gateway.links.meshtastic.stream import StreamParser
from gateway.sim.air import Air
from gateway.sim.radio import SimulatedRadio
from gateway.sim.radio.messages import ROUTING, Message, mesh_pb2, parse
from gateway.sim.radio.peers import public_key_of
from gateway.sim.radio.probe import Probe

CAPTURES = Path(__file__).parent / "captures"
A, B, C = 0x4D4C00A1, 0x4D4C00B2, 0x4D4C00C3
SETTLE_MS = 30_000
Told = tuple[object, ...]
Cut = tuple[tuple[int, int], ...]
"""Pairs of radios that do not hear each other."""


def load(name: str) -> list[tuple[int, str, Message]]:
    """Time in ms since the start, direction and message of a whole capture."""
    octets = (CAPTURES / name).read_bytes()
    text = gzip.decompress(octets) if name.endswith(".gz") else octets
    records = [json.loads(line) for line in text.splitlines()]
    kinds = {"rx": mesh_pb2.FromRadio, "tx": mesh_pb2.ToRadio}
    parsers = {direction: StreamParser(partial(parse, kind)) for direction, kind in kinds.items()}
    return [
        (round((record["t"] - records[0]["t"]) * 1000), record["dir"], message)
        for record in records
        if record.get("hex")
        for message in parsers[record["dir"]].feed(bytes.fromhex(record["hex"]))
    ]


def told(message: Message) -> Told | None:
    """What a message tells the client about its packets."""
    match message.WhichOneof("payload_variant"):
        case "queueStatus":
            status = message.queueStatus
            return "status", status.mesh_packet_id, status.res, status.free
        case "clientNotification":
            return "notification", message.clientNotification.message
        case "packet" if message.packet.decoded.portnum == ROUTING:
            routing = parse(mesh_pb2.Routing, message.packet.decoded.payload)
            data = message.packet.decoded
            assert routing is not None
            return "ack", data.request_id, getattr(message.packet, "from"), routing.error_reason
    return None


def lab(messages: list[tuple[int, str, Message]], cut: Cut) -> Probe:
    """A, B and C with the preset of the capture; the probe is A's client."""
    (lora,) = [m.config.lora for _, way, m in messages if way == "rx" and m.config.HasField("lora")]
    preset = type(lora).ModemPreset.Name(lora.modem_preset)
    air = Air(Random(5))
    first = Probe(SimulatedRadio(A, "LabA", air, preset))
    for number, name in ((B, "LabB"), (C, "LabC")):
        SimulatedRadio(number, name, air, preset)
    for one, other in cut:
        air.set_path(one, other, None)
    first.run(10)
    return first


def with_our_key(message: Message, messages: list[tuple[int, str, Message]]) -> Message:
    """A request that names B's key names that of our B."""
    keys = [
        m.node_info.user.public_key
        for _, way, m in messages
        if way == "rx" and m.node_info.num == B
    ]
    if message.packet.public_key and message.packet.public_key in keys:
        message.packet.public_key = public_key_of(B)
    return message


def replay(name: str, cut: Cut) -> tuple[list[tuple[int, Told]], list[tuple[int, Told]]]:
    """What the real radio told, and ours, each with its time since the start."""
    messages = load(name)
    probe = lab(messages, cut)
    start_ms = probe.radio.air.now_ms
    for at_ms, direction, message in messages:
        if direction == "tx":
            probe.run(max(start_ms + at_ms - probe.radio.air.now_ms, 0))
            probe.write(with_our_key(message, messages))
    probe.run(SETTLE_MS)
    heard = [(h.at_ms - start_ms, h.message) for h in probe.heard]
    real = [(at_ms, message) for at_ms, direction, message in messages if direction == "rx"]
    return _told_of_packets(real), _told_of_packets(heard)


def _told_of_packets(messages: list[tuple[int, Message]]) -> list[tuple[int, Told]]:
    """Without statuses that speak of no packet: at a handshake they depend on what was before."""
    found = [(at_ms, told(message)) for at_ms, message in messages]
    return [
        (at_ms, what) for at_ms, what in found if what is not None and what[:2] != ("status", 0)
    ]


DRAWN_MS = 450
"""Contention before a packet and before its ack: each draws 0 to 7 slots of 28 ms at LONG_FAST."""
TAKEN_MS = 2 * DRAWN_MS
"""The last ack of `misc` came 0.8 s later than the others: most likely the air was taken."""
RELAY_MS = 3_600
"""A relay draws among 128 slots, so that no two runs are alike; how far the real one's differ was
not measured."""


@pytest.mark.parametrize(
    ("name", "cut", "slack_ms"),
    [
        ("send_ack_A.jsonl", (), DRAWN_MS),
        ("dm_unknown_node_A.jsonl", (), 0),
        ("ack_timeout_A.jsonl", ((A, B), (A, C)), 0),
        ("broadcast_implicit_ack_A.jsonl", (), 0),
        ("broadcast_timeout_A.jsonl", ((A, B), (A, C)), 0),
        ("dm_relay_only_implicit_A.jsonl", ((A, B), (C, B)), RELAY_MS),
        ("dm_via_relay_A.jsonl", ((A, B),), RELAY_MS),
        ("queue_full_A.jsonl", (), 0),
        ("misc_A.jsonl", (), TAKEN_MS),
    ],
)
def test_a_captured_conversation_goes_the_same_way(name: str, cut: Cut, slack_ms: int) -> None:
    """The same statuses, acks and NAKs in the same order; from request to ack within 20 %, or what
    contention draws, or 210 ms, perhaps the lab machine's public key arithmetic.
    """
    real, ours = replay(name, cut)
    assert real
    assert [what for _, what in ours] == [what for _, what in real]
    asked = {
        message.packet.id: at_ms
        for at_ms, direction, message in load(name)
        if direction == "tx" and message.HasField("packet")
    }
    for (real_ms, what), (our_ms, _) in zip(real, ours, strict=True):
        took_ms = real_ms - asked[int(str(what[1]))]
        assert abs(our_ms - real_ms) <= max(0.2 * took_ms, slack_ms, 210), what
