"""Real conversations through the stream parser and the conversation core, without a radio."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from gateway.core.airtime import LoraAirtime
from gateway.core.effects import Transmit
from gateway.core.events import (
    FrameAcknowledged,
    FrameReceived,
    FrameRefused,
    FrameRelayed,
    FrameSent,
    LinkTold,
    LinkUp,
    Refusal,
)
from gateway.errors import LinkLostError
from gateway.links.meshtastic.conversation import Conversation, RadioTimes
from gateway.links.meshtastic.protobuf import ProtobufError, mesh_pb2
from gateway.links.meshtastic.setup_plan import Wanted, plan
from gateway.links.meshtastic.stream import StreamParser, encode_frame
from gateway.links.meshtastic.survey import RadioSurvey
from gateway.model import LinkName, Precedence, Station

if TYPE_CHECKING:
    from collections.abc import Container

    from gateway.links.base import LinkEvent

RADIO = LinkName("radio")
PRIVATE = 256
FOLDER = Path(__file__).parent / "captures"
NODE_A, NODE_B, BROADCAST = 0x4D4C00A1, 0x4D4C00B2, 0xFFFFFFFF
NO_HEARTBEAT = RadioTimes(heartbeat_ms=10**9)
FIFTY = bytes(range(50))

CAPTURES = sorted(
    path.name for path in FOLDER.glob("*.jsonl*") if not path.name.endswith(".marks.jsonl")
)


@dataclass
class Chunk:
    at_ms: int
    direction: str
    octets: bytes


def load(name: str) -> list[Chunk]:
    path = FOLDER / name
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    start = lines[0]["t"]
    return [
        Chunk(round((line["t"] - start) * 1000) + 1000, line["dir"], bytes.fromhex(line["hex"]))
        for line in lines
        if line["hex"]
    ]


def to_radio(octets: bytes) -> mesh_pb2.ToRadio:
    return mesh_pb2.ToRadio.FromString(octets)


class ScriptedRandom(Random):
    """Draws the ids and nonces of the capture, so that the radio's answers fit our questions."""

    def __init__(self) -> None:
        super().__init__(0)
        self.script: list[int] = []

    def getrandbits(self, k: int) -> int:
        return self.script.pop(0) if self.script else super().getrandbits(k)


@dataclass
class Replay:
    """Feeds a capture; what we wrote and what happened, with the time of each."""

    name: str
    far_node: int
    only: Container[int] | None = None
    """Send only the packets with these ids; the others would have waited in our outbox."""
    events: list[LinkEvent] = field(default_factory=list)
    at_ms: list[int] = field(default_factory=list)
    written: list[mesh_pb2.ToRadio] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def run(self, until_extra_ms: int = 0) -> Replay:
        self._rng = ScriptedRandom()
        self._now = 0
        self._writes = StreamParser(to_radio)
        self._asked = StreamParser(to_radio)
        chunks = load(self.name)
        self._open(chunks[0].at_ms - 1000)
        for chunk in chunks:
            self._wait(chunk.at_ms)
            if chunk.direction == "rx":
                self._guard(chunk.octets)
            else:
                for message in self._asked.feed(chunk.octets):
                    self._send(message)
        self._wait(chunks[-1].at_ms + until_extra_ms)
        return self

    def _open(self, now_ms: int) -> None:
        self.conversation = Conversation(
            RADIO, self.far_node, "port", rng=self._rng, times=NO_HEARTBEAT
        )
        self._now = now_ms
        self._is_asking = False

    def _wait(self, until_ms: int) -> None:
        """Pass through every deadline on the way, as the driver does."""
        while self._is_asking:
            deadline = self.conversation.next_deadline_ms()
            if deadline is None or deadline > until_ms:
                break
            self._now = max(self._now, deadline)
            try:
                self.conversation.advance(self._now)
            except LinkLostError as error:
                self.lost.append(str(error))
                self._is_asking = False
            self._collect()
        self._now = until_ms

    def _guard(self, octets: bytes) -> None:
        try:
            self.conversation.feed(octets, self._now)
        except LinkLostError as error:
            self.lost.append(str(error))
            self._collect()
            self._open(self._now)
        else:
            self._collect()

    def _send(self, message: mesh_pb2.ToRadio) -> None:
        match message.WhichOneof("payload_variant"):
            case "want_config_id":
                if self._is_asking:
                    self._open(self._now)
                self._rng.script = [message.want_config_id]
                self.conversation.start(self._now - 100)
                self._is_asking = True
                self.conversation.advance(self._now)
                self._collect()
            case "packet" if self.only is None or message.packet.id in self.only:
                packet = message.packet
                self._rng.script = [packet.id]
                assert self.conversation.is_ready
                self.conversation.submit(
                    Transmit(
                        RADIO,
                        packet.id,
                        Station(2),
                        packet.decoded.payload[:200],
                        Precedence.ROUTINE,
                        want_ack=packet.want_ack,
                    ),
                    self._now,
                )
                self._collect()
            case _:
                pass

    def _collect(self) -> None:
        for message in self._writes.feed(self.conversation.take_octets()):
            self.written.append(message)
            if message.HasField("heartbeat"):  # The recorded client did not ask.
                self._answer(mesh_pb2.QueueStatus(free=16, maxlen=16))
            packet = message.packet
            if packet.decoded.portnum == PRIVATE and not packet.pki_encrypted:
                # Nor did it try again under the channel's key: its transmitter was off.
                self._answer(
                    mesh_pb2.QueueStatus(res=34, free=16, maxlen=16, mesh_packet_id=packet.id)
                )
        for event in self.conversation.take_events():
            self.events.append(event)
            self.at_ms.append(self._now)

    def _answer(self, status: mesh_pb2.QueueStatus) -> None:
        answer = mesh_pb2.FromRadio(queueStatus=status).SerializeToString()
        self.conversation.feed(encode_frame(answer), self._now)

    def of(self, transmission: int) -> list[LinkEvent]:
        return [
            event for event in self.events if getattr(event, "transmission", None) == transmission
        ]


@pytest.mark.parametrize("name", CAPTURES)
def test_every_octet_of_a_capture_is_a_message_or_text(name: str) -> None:
    """Cut in pieces of any size, each frame comes out once; only text logs are skipped."""

    def decode(octets: bytes) -> bytes | None:
        return octets if mesh_pb2.FromRadio.FromString(octets).ListFields() else None

    stream = b"".join(chunk.octets for chunk in load(name) if chunk.direction == "rx")
    whole = StreamParser(decode)
    messages = whole.feed(stream)
    assert len(messages) + sum(len(message) + 3 for message in messages) <= len(stream)
    assert sum(len(message) + 4 for message in messages) + whole.skipped_count == len(stream)
    if not name.startswith("serial_session"):
        assert whole.skipped_count == 0
    for size in (1, 7, 64):
        pieces = StreamParser(decode)
        found: list[bytes] = []
        for start in range(0, len(stream), size):
            found += pieces.feed(stream[start : start + size])
        assert found == messages


def test_real_ack() -> None:
    """A direct message: accepted, on air for its computed time, acknowledged by the far radio."""
    replay = Replay("send_ack_A.jsonl", NODE_B).run()
    up, sent, acknowledged = replay.events
    assert isinstance(up, LinkUp)
    assert up.traits.frame_size_max == 200
    assert up.traits.is_radio
    assert up.traits.airtime == LoraAirtime(11, 250.0, 5)
    assert up.traits.detail == (
        "!4d4c00a1 at port, firmware 2.7.26.54e0d8d, EU_868 LONG_FAST,"
        " channel of the preset, CLIENT"
    )
    assert sent == FrameSent(RADIO, 1431001708)
    assert acknowledged == FrameAcknowledged(RADIO, 1431001708)
    # Our question whether it is on air comes a sixteenth of the airtime after it was accepted.
    airtime_ms = up.traits.airtime.of(50)
    assert replay.at_ms[1] - 1863 == pytest.approx(airtime_ms * 17 / 16, abs=2)


def test_packet_as_written() -> None:
    """To the far node, port 256, encrypted to its key, the radio's hop limit, no response asked."""
    replay = Replay("send_ack_A.jsonl", NODE_B).run()
    packet = next(each.packet for each in replay.written if each.HasField("packet"))
    assert packet.to == NODE_B
    assert packet.decoded.portnum == 256
    assert packet.decoded.payload == FIFTY
    assert packet.pki_encrypted
    assert packet.hop_limit == 3
    assert packet.want_ack
    assert not packet.decoded.want_response
    assert packet.priority == mesh_pb2.MeshPacket.Priority.RELIABLE


def test_frame_received_with_its_signal() -> None:
    """A direct message from the other station's radio."""
    replay = Replay("receive_B.jsonl", NODE_A).run()
    assert replay.events[1:] == [
        FrameReceived(RADIO, FIFTY, rssi_dbm=-60, snr_db=7.5, wants_ack=True)
    ]


def test_no_ack_after_the_radios_own_retransmissions() -> None:
    """MAX_RETRANSMIT ends it as NO_ACK, which is no proof of a loss."""
    replay = Replay("ack_timeout_A.jsonl", NODE_B).run()
    transmission = 4098221623
    assert replay.events[1:] == [
        FrameSent(RADIO, transmission),
        FrameRefused(RADIO, transmission, Refusal.NO_ACK),
    ]


def test_implicit_ack_then_real_ack_through_a_relay() -> None:
    """The relay's repetition is RELAYED and nothing more; the real ack comes 3.5 s later."""
    replay = Replay("dm_via_relay_A.jsonl", NODE_B).run()
    assert replay.events[1:] == [
        FrameSent(RADIO, 3392506943),
        FrameRelayed(RADIO, 3392506943),
        FrameAcknowledged(RADIO, 3392506943),
    ]


def test_relayed_only_never_counts_as_an_ack() -> None:
    """Heard by a relay alone: RELAYED, and after the guard of 60 s RELAYED_ONLY."""
    replay = Replay("dm_relay_only_implicit_A.jsonl", NODE_B).run(until_extra_ms=70_000)
    assert replay.events[1:] == [
        FrameSent(RADIO, 1498373225),
        FrameRelayed(RADIO, 1498373225),
        FrameRefused(RADIO, 1498373225, Refusal.RELAYED_ONLY),
    ]


def test_unknown_far_node_is_no_key() -> None:
    """Status 39 and the NAK that follows are one refusal, with no frame sent."""
    replay = Replay("dm_unknown_node_A.jsonl", 0x12345678).run()
    up, refused = replay.events
    assert isinstance(up, LinkUp)
    assert up.traits.detail.endswith("it does not know the key of !12345678 yet, and asks for it")
    assert refused == FrameRefused(RADIO, 355110426, Refusal.NO_KEY, 15_000)


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("broadcast_implicit_ack_A.jsonl", FrameRelayed(RADIO, 1858591083)),
        ("broadcast_timeout_A.jsonl", FrameRefused(RADIO, 1752502763, Refusal.NO_ACK)),
    ],
)
def test_broadcast(name: str, end: LinkEvent) -> None:
    """Of a broadcast there are only implicit acks."""
    assert Replay(name, BROADCAST).run().events[-1] == end


def test_duty_cycle_refusal_says_when_to_come_back() -> None:
    """Status 9, the notification in words, and the NAK: one refusal; of its 51 minutes, 5."""
    replay = Replay("duty_cycle_D.jsonl.gz", BROADCAST, only={2958934902}).run()
    assert replay.of(2958934902) == [FrameRefused(RADIO, 2958934902, Refusal.DUTY_CYCLE, 300_000)]


def test_full_queue_is_waited_for() -> None:
    """Status 32 without want_ack lost the packet: offered again after 2 s under another id."""
    replay = Replay("queue_full_A.jsonl", BROADCAST, only={1815152552}).run()
    packets = [message.packet for message in replay.written if message.HasField("packet")]
    offered = [packet.id for packet in packets if packet.decoded.portnum == 256]
    assert offered[0] == 1815152552
    assert len(offered) == len(set(offered)) == 2


def test_other_refusals() -> None:
    """NO_CHANNEL, 34 though the key is known, an unknown node; and what the far radio refused."""
    refused = {
        974883618: Refusal.NOT_READY,
        81119801: Refusal.NOT_READY,
        3717506138: Refusal.NO_KEY,
    }
    replay = Replay("misc_A.jsonl", NODE_B, only={3288311933, 993739118, *refused}).run()
    for transmission, reason in refused.items():
        (event,) = replay.of(transmission)
        assert isinstance(event, FrameRefused)
        assert event.reason is reason
    assert replay.of(3288311933) == [
        FrameSent(RADIO, 3288311933),
        FrameAcknowledged(RADIO, 3288311933),
    ]
    # The far radio got it and could not decrypt it.
    assert replay.of(993739118) == [
        FrameSent(RADIO, 993739118),
        FrameRefused(RADIO, 993739118, Refusal.NO_KEY),
    ]


def test_serial_session_with_logs_reboot_and_too_large() -> None:
    """A USB session: text logs skipped, a foreign ack ignored, a restart is a lost link."""
    ours = {1408520226, 595172387, 989165604}
    replay = Replay("serial_session.jsonl.gz", NODE_B, only=ours).run()
    assert [type(event) for event in replay.events] == [
        LinkUp,
        FrameSent,
        FrameAcknowledged,
        FrameReceived,
        FrameSent,
        FrameRefused,
        FrameRefused,
        LinkUp,
    ]
    hello = FrameReceived(RADIO, b"hello from B", rssi_dbm=-60, snr_db=7.5, wants_ack=True)
    assert replay.events[3] == hello
    assert replay.of(595172387)[-1] == FrameRefused(RADIO, 595172387, Refusal.NO_ACK)
    assert replay.of(989165604) == [FrameRefused(RADIO, 989165604, Refusal.TOO_LARGE)]
    assert replay.lost == ["the radio at port restarted"]


def test_tcp_session_with_a_reboot() -> None:
    """Up, sent and acknowledged, before and after the radio's restart."""
    replay = Replay("lib_tcp_session_reboot_A.jsonl", NODE_B, only={0x470E53DA, 0xF10AB7DD}).run()
    session = [LinkUp, FrameSent, FrameAcknowledged]
    assert [type(event) for event in replay.events] == session * 2


def test_strangers_frames_are_passed_on_and_the_rest_of_the_mesh_is_not() -> None:
    """PRIVATE_APP from any node is received (it must prove itself); telemetry and text are not."""
    replay = Replay("idle_timeout_C.jsonl", NODE_B).run()
    received = [event.octets for event in replay.events if isinstance(event, FrameReceived)]
    assert b"from callback" in received
    assert received.count(b"frozen") == 3
    assert received.count(b"hi") == 4
    others = [event for event in replay.events if not isinstance(event, FrameReceived)]
    # The first NodeInfo of the far radio brings its key: the handshake did not.
    assert [type(event) for event in others] == [LinkUp, LinkTold]


@pytest.mark.parametrize("name", ["misc_A.jsonl", "serial_session.jsonl.gz"])
def test_a_real_radio_is_looked_over(name: str) -> None:
    """All that the doctor and the set-up read is in what real firmware sends."""
    survey = RadioSurvey()
    parser = StreamParser(_from_radio)
    for chunk in load(name):
        if chunk.direction == "rx":
            for message in parser.feed(chunk.octets):
                survey.take(message)
    assert (survey.node, survey.firmware) == (NODE_A, "2.7.26.54e0d8d")
    assert (survey.region, survey.preset, survey.role) == ("EU_868", "LONG_FAST", "CLIENT")
    assert (survey.channel.name, survey.channel.hash) == ("LongFast", 0x08)
    assert len(survey.public_key) == 32
    assert survey.duty_percent_left is not None
    assert 9 < survey.duty_percent_left < 10
    heard = survey.heard(NODE_B)
    assert heard is not None
    assert (heard.knows_key, heard.snr_db, heard.rssi_dbm) == (True, 7.5, -60)
    assert {change.setting for change in plan(survey, Wanted()).changes} == {
        "position.position_broadcast_smart_enabled",
        "position.position_broadcast_secs",
    }


def _from_radio(octets: bytes) -> mesh_pb2.FromRadio | None:
    try:
        message = mesh_pb2.FromRadio.FromString(octets)
    except ProtobufError:
        return None
    return message if message.WhichOneof("payload_variant") else None
