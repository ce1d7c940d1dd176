"""What real firmware does or later firmware may do, and a simulated radio of ours does not."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from google.protobuf.internal.encoder import TagBytes

from gateway.core.effects import Transmit
from gateway.core.events import (
    FrameAcknowledged,
    FrameReceived,
    FrameRefused,
    FrameSent,
    LinkTold,
    LinkUp,
    Refusal,
)
from gateway.errors import DeviceSilentError
from gateway.links.meshtastic.conversation import EARLY_PACKET_COUNT_MAX, Conversation
from gateway.links.meshtastic.identity import Handshake
from gateway.links.meshtastic.payload import payload_size_max
from gateway.links.meshtastic.protobuf import mesh_pb2
from gateway.links.meshtastic.stream import StreamParser, encode_frame
from gateway.model import Precedence, Station
from gateway.sim.air import Air
from gateway.sim.radio.device import SimulatedRadio
from gateway.wire.limits import FRAME_SIZE_MAX_RADIO
from tests.unit.test_links_meshtastic_conversation import FAR, OWN, RADIO, Bench, Error, LoRa

KEY = bytes(range(32))
LATER_FIELD = 500
"""A number that no definition of ours has."""


def later(text: bytes) -> bytes:
    """A field of later firmware: length-delimited octets."""
    return bytes(TagBytes(LATER_FIELD, 2)) + bytes([len(text)]) + text


class LaterBench(Bench):
    """Whose firmware puts a field of its own into every message, and messages between them."""

    def say(self, **message: Any) -> None:
        octets = mesh_pb2.FromRadio(**message).SerializeToString()
        alone = encode_frame(later(b"a message of its own kind \x94\xc3\x00\x05"))
        for part in (alone, encode_frame(octets + later(b"more")), alone):
            self.conversation.feed(part, self.now)
            self.collect()


def knowing() -> Bench:
    """A radio that knows the far one's key."""
    bench = Bench(is_up=False)
    bench.wait(100)
    bench.say(node_info=mesh_pb2.NodeInfo(num=FAR, user=mesh_pb2.User(public_key=KEY)))
    bench.hand_shake()
    bench.events.clear()
    return bench


def last_packet(bench: Bench) -> mesh_pb2.MeshPacket:
    return [it.packet for it in bench.written if it.HasField("packet")][-1]


def test_fields_and_messages_of_later_firmware_disturb_nothing() -> None:
    """Up, sent, acknowledged, received; octets that look like a start in them as well."""
    bench = LaterBench(is_up=False)
    bench.wait(100)
    bench.hand_shake()
    assert isinstance(bench.events[0], LinkUp)
    packet_id = bench.submit(1)
    bench.status(packet_id, free=16)
    bench.wait(2_000)
    bench.routing(packet_id, source=FAR)
    bench.packet(FAR, 256, b"theirs")
    assert FrameAcknowledged(RADIO, 1) in bench.events
    assert [it.octets for it in bench.events if isinstance(it, FrameReceived)] == [b"theirs"]


def test_any_order_of_the_configuration_is_taken() -> None:
    """The own node before my_info, lora first, the rest missing: up, and able to name itself."""
    bench = Bench(is_up=False)
    bench.wait(100)
    own = mesh_pb2.User(id="!own", public_key=KEY)
    bench.say(node_info=mesh_pb2.NodeInfo(num=OWN, user=own))
    bench.hand_shake()
    identity = bench.conversation.identity
    assert identity is not None
    assert (identity.node, identity.public_key, identity.user) == (
        OWN,
        KEY,
        own.SerializeToString(),
    )


def test_long_handshake_with_many_nodes() -> None:
    """250 nodes, 100 ms each as on a slow port with logs: asked once, up in the end."""
    bench = Bench(is_up=False)
    bench.wait(100)
    bench.configuration()
    for number in range(250):
        bench.wait(100)
        user = mesh_pb2.User(long_name=f"Node {number}", public_key=KEY)
        bench.say(node_info=mesh_pb2.NodeInfo(num=1000 + number, user=user))
    bench.say(config_complete_id=bench.written[-1].want_config_id)
    assert sum(it.want_config_id > 0 for it in bench.written) == 1
    assert any(isinstance(it, LinkUp) for it in bench.events)


def test_queue_full_of_old_packets_before_and_in_the_handshake() -> None:
    """All that a radio kept while nobody listened; beyond the bound the newest are kept."""
    bench = Bench(is_up=False)
    count = EARLY_PACKET_COUNT_MAX + 5
    for number in range(count):
        if number == count // 2:
            bench.wait(100)
        bench.packet(FAR, 256, bytes([number]))
    bench.hand_shake()
    frames = [it.octets for it in bench.events if isinstance(it, FrameReceived)]
    assert frames == [bytes([number]) for number in range(5, count)]


def test_other_sessions_answer_does_not_end_the_handshake() -> None:
    """Two programs on one radio: a `config_complete_id` of the other's question."""
    bench = Bench(is_up=False)
    bench.wait(100)
    bench.configuration()
    bench.say(config_complete_id=bench.written[-1].want_config_id ^ 1)
    assert bench.events == []


def test_radio_that_does_no_pkc_is_served_under_the_channels_key() -> None:
    """A simulated (`meshtasticd --sim`) or licensed radio refuses PKC: the frame goes again."""
    bench = knowing()
    first = bench.submit(1)
    assert last_packet(bench).pki_encrypted
    bench.status(first, res=Error.PKI_FAILED, free=16)
    bench.routing(first, Error.PKI_FAILED)
    again = last_packet(bench)
    assert (again.pki_encrypted, again.id == first) == (False, False)
    bench.status(again.id, free=16)
    bench.wait(2_000)
    bench.routing(again.id, source=FAR)
    assert FrameAcknowledged(RADIO, 1) in bench.events
    assert not any(isinstance(it, FrameRefused) for it in bench.events)
    assert any("does no PKC" in getattr(it, "detail", "") for it in bench.events)
    bench.submit(2)
    assert not last_packet(bench).pki_encrypted


def test_status_34_of_a_radio_that_cannot_transmit_is_not_ready() -> None:
    """The transmitter was switched off since the handshake: refused both ways, then PKC again."""
    bench = knowing()
    bench.status(bench.submit(1), res=34, free=16)
    bench.status(last_packet(bench).id, res=34, free=16)
    assert bench.events[0] == FrameRefused(RADIO, 1, Refusal.NOT_READY, 60_000)
    bench.submit(2)
    assert last_packet(bench).pki_encrypted


class OlderBench(Bench):
    """Whose firmware answers no heartbeat, but tells the status of each packet."""

    def collect(self) -> None:
        count = len(self.written)
        super().collect()
        for message in self.written[count:]:
            if message.packet.to == OWN:
                assert (message.packet.want_ack, message.packet.decoded.payload) == (False, b"")
                self.status(message.packet.id, free=16)


def test_a_radio_whose_firmware_answers_no_heartbeat_is_not_frozen() -> None:
    """Before 2.7.6: asked by a packet to itself from then on, and its freeze found as soon."""
    bench = OlderBench()
    bench.wait(600_000)
    assert bench.events == []
    assert bench.heartbeat_count() == 2  # both questions of the first round
    for number in range(3):
        packet_id = bench.submit(number, want_ack=False)
        bench.status(packet_id, free=15)  # it waits in the radio's queue: we ask when it left
        bench.wait(2_000)
        assert bench.events[-1] == FrameSent(RADIO, number)
    frozen_at = bench.now
    bench.collect = lambda: Bench.collect(bench)  # type: ignore[method-assign]
    with pytest.raises(DeviceSilentError, match="frozen"):
        bench.wait(60_000)
    assert bench.now - frozen_at <= 50_000
    assert not any(isinstance(it, FrameReceived | FrameRefused) for it in bench.events)


class Drawn(Random):
    """Draws these numbers first."""

    def __init__(self, *first: int) -> None:
        super().__init__(1)
        self._first = list(first)

    def getrandbits(self, k: int, /) -> int:
        return self._first.pop(0) if self._first else super().getrandbits(k)


def test_a_question_is_never_one_for_a_part_of_the_configuration() -> None:
    """Firmware from 2.6 takes 69420 for the settings alone and 69421 for the nodes alone."""
    rng = Drawn(0, 69_420, 69_421, 7)
    conversation = Conversation(RADIO, FAR, "port", rng=rng)
    conversation.start(0)
    conversation.take_octets()
    conversation.advance(100)
    [asked] = StreamParser(mesh_pb2.ToRadio.FromString).feed(conversation.take_octets())
    assert asked.want_config_id == 7


def told(bench: Bench) -> list[tuple[bool, bool, str]]:
    """Of each thing told: is it mute, is a person called, the words."""
    return [
        (it.is_mute, it.needs_person, it.detail) for it in bench.events if isinstance(it, LinkTold)
    ]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({}, ""),
        ({"tx_enabled": False}, "its transmitter is off"),
        ({"region": LoRa.RegionCode.UNSET}, "no region, so it does not send"),
    ],
)
def test_a_fresh_radio_is_served_and_known_to_be_mute(setting: dict[str, Any], words: str) -> None:
    """As it comes out of its box: it answers, it hears, and it never sends."""
    bench = Bench(is_up=False)
    bench.wait(100)
    bench.hand_shake(**setting)
    up = bench.events[0]
    assert isinstance(up, LinkUp)
    assert (up.traits.is_mute, words in up.traits.detail) == (bool(setting), True)


def test_a_radio_that_falls_mute_is_told_until_it_sends_again() -> None:
    """Its transmitter was switched off by another client: refused under both kinds of key."""
    bench = knowing()
    for number in (1, 2):
        bench.status(bench.submit(number), res=Error.PKI_FAILED, free=16)
        assert len(told(bench)) == number - 1  # not before the second refusal, and once
        bench.status(last_packet(bench).id, res=Error.PKI_FAILED, free=16)
    [(is_mute, needs_person, words)] = told(bench)
    assert (is_mute, needs_person) == (True, True)
    assert "refuses to send: its transmitter is off" in words
    bench.send(3)
    assert [(mute, "refuses" in words) for mute, _, words in told(bench)[1:]] == [(False, False)]


@pytest.mark.parametrize("by_status", [True, False])
def test_a_board_without_a_working_lora_chip_is_named(*, by_status: bool) -> None:
    """The firmware runs on and answers: no interface, so no queue; NO_INTERFACE for each packet."""
    bench = knowing()
    packet_id = bench.submit(1)
    if by_status:
        status = mesh_pb2.QueueStatus(res=33, free=0, maxlen=0, mesh_packet_id=packet_id)
        bench.say(queueStatus=status)
    bench.routing(packet_id, Error.NO_INTERFACE)
    assert FrameRefused(RADIO, 1, Refusal.NOT_READY, 60_000) in bench.events
    [(is_mute, needs_person, words)] = told(bench)
    assert (is_mute, needs_person, "LoRa chip" in words) == (True, True, True)
    bench.say(queueStatus=mesh_pb2.QueueStatus(res=0, free=0, maxlen=0))  # a heartbeat's answer
    assert len(told(bench)) == 1


CASES = {
    "direct, PKC": (payload_size_max(is_pkc=True), 219),
    "direct, channel's key; broadcast": (payload_size_max(is_pkc=False), 231),
    "broadcast with a reply id": (payload_size_max(is_pkc=False, has_reply_id=True), 226),
    "broadcast that wants a response": (payload_size_max(is_pkc=False, wants_response=True), 229),
    "broadcast signed by firmware 2.8": (payload_size_max(is_pkc=False, is_signed=True), 165),
}


@pytest.mark.parametrize("case", CASES)
def test_payload_limit_of_each_case_is_the_measured_one(case: str) -> None:
    """What fits by arithmetic is what real firmware took; 200 fits all but what we never send."""
    computed, measured = CASES[case]
    assert computed == measured
    assert (computed >= FRAME_SIZE_MAX_RADIO) is ("2.8" not in case)


@pytest.mark.parametrize("is_pkc", [True, False])
def test_full_frame_fits_in_each_case_that_the_driver_makes(*, is_pkc: bool) -> None:
    """Its own packet, as the radio sends it: no reply id, no response wanted, one addressee."""
    bench = knowing()
    packet_id = bench.submit(1, size=FRAME_SIZE_MAX_RADIO)
    if not is_pkc:
        bench.status(packet_id, res=Error.PKI_FAILED, free=16)
    packet = last_packet(bench)
    assert (packet.to, packet.decoded.reply_id, packet.decoded.want_response) == (FAR, 0, False)
    packet.decoded.bitfield = 1
    frame_size = 16 + len(packet.decoded.SerializeToString()) + 12 * is_pkc
    assert frame_size == 255 - payload_size_max(is_pkc=is_pkc) + FRAME_SIZE_MAX_RADIO
    assert frame_size <= 255


def test_full_frame_crosses_and_a_larger_one_is_refused_before_the_radio() -> None:
    """200 octets arrive over the simulated air; 201 never reach a radio."""
    air = Air(Random(1))
    radios = SimulatedRadio(OWN, "North", air), SimulatedRadio(FAR, "South", air)
    ends = [Conversation(RADIO, far, "port", rng=Random(far)) for far in (FAR, OWN)]
    for end in ends:
        end.start(0)
    received: list[bytes] = []
    refused: list[Refusal] = []
    waiting = [
        Transmit(RADIO, n, Station(2), bytes(size), Precedence.FLASH, want_ack=True)
        for n, size in ((1, FRAME_SIZE_MAX_RADIO), (2, FRAME_SIZE_MAX_RADIO + 1))
    ]
    for now_ms in range(0, 6_000, 5):
        air.advance(now_ms)
        for end, radio in zip(ends, radios, strict=True):
            end.feed(radio.usb.take_output(), now_ms)
            end.advance(now_ms)
            if end is ends[0] and waiting and end.is_ready:
                end.submit(waiting.pop(0), now_ms)
            for event in end.take_events():
                if isinstance(event, FrameReceived):
                    received.append(event.octets)
                if isinstance(event, FrameRefused):
                    refused.append(event.reason)
            radio.usb.feed(end.take_octets())
    assert [len(it) for it in received] == [FRAME_SIZE_MAX_RADIO]
    assert refused == [Refusal.TOO_LARGE]


@pytest.mark.parametrize(
    ("percent", "spent_ms"),
    [(0.0, 0), (2.5, 90_000), (100.0, 3_600_000), (-1.0, 0), (101.0, 0), (float("nan"), 0)],
)
def test_the_radio_tells_what_it_spent(percent: float, spent_ms: int) -> None:
    """`air_util_tx` of its own NodeInfo: its last hour in percent, where the governor begins."""
    handshake = Handshake(2)
    handshake.take(mesh_pb2.FromRadio(my_info=mesh_pb2.MyNodeInfo(my_node_num=1)))
    own = mesh_pb2.NodeInfo(num=1)
    own.device_metrics.air_util_tx = percent
    other = mesh_pb2.NodeInfo(num=2)
    other.device_metrics.air_util_tx = 50.0
    for node in (own, other):
        handshake.take(mesh_pb2.FromRadio(node_info=node))
    message = mesh_pb2.FromRadio()
    message.config.lora.SetInParent()
    handshake.take(message)
    assert handshake.finish("/dev/ttyACM0").airtime_spent_ms == spent_ms
