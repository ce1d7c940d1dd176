"""The conversation with a radio, case by case: handshake, deadlines, refusals, late acks."""

from __future__ import annotations

from random import Random
from typing import Any

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
from gateway.errors import DeviceSilentError, LinkLostError
from gateway.links.base import LinkEvent
from gateway.links.meshtastic.conversation import EARLY_PACKET_COUNT_MAX, Conversation
from gateway.links.meshtastic.identity import ExpectedRadio
from gateway.links.meshtastic.packet_ids import PacketIds
from gateway.links.meshtastic.protobuf import config_pb2, mesh_pb2
from gateway.links.meshtastic.stream import WAKE, StreamParser, encode_frame
from gateway.links.meshtastic.transmissions import WAITING_ACK_COUNT_MAX
from gateway.model import LinkName, Precedence, Station

RADIO = LinkName("radio")
OWN, FAR, OTHER = 0x4D4C00A1, 0x4D4C00B2, 0x4D4C00C3
LoRa = config_pb2.Config.LoRaConfig
Error = mesh_pb2.Routing.Error
LONG_FAST = LoraAirtime(11, 250.0, 5)


def lora(**fields: Any) -> config_pb2.Config.LoRaConfig:
    setting = {"use_preset": True, "region": LoRa.RegionCode.EU_868, "tx_enabled": True}
    return LoRa(**{**setting, "hop_limit": 3, **fields})


class Bench:
    """A conversation and the radio's side of it, in virtual time."""

    def __init__(self, *, is_up: bool = True, **setting: Any) -> None:
        self.now = 0
        self.conversation = Conversation(RADIO, FAR, "port", rng=Random(7))
        self._writes = StreamParser(mesh_pb2.ToRadio.FromString)
        self.events: list[LinkEvent] = []
        self.written: list[mesh_pb2.ToRadio] = []
        self.conversation.start(self.now)
        if is_up:
            self.wait(100)
            self.hand_shake(**setting)
            self.events.clear()

    def collect(self) -> None:
        self.written += self._writes.feed(self.conversation.take_octets())
        self.events += self.conversation.take_events()

    def wait(self, duration_ms: int) -> None:
        until = self.now + duration_ms
        while (deadline := self.conversation.next_deadline_ms()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.conversation.advance(self.now)
            self.collect()
        self.now = until

    def say(self, **message: Any) -> None:
        octets = encode_frame(mesh_pb2.FromRadio(**message).SerializeToString())
        self.conversation.feed(octets, self.now)
        self.collect()

    def configuration(self, **setting: Any) -> None:
        self.say(my_info=mesh_pb2.MyNodeInfo(my_node_num=OWN))
        self.say(config=config_pb2.Config(lora=lora(**setting)))

    def hand_shake(self, **setting: Any) -> None:
        self.configuration(**setting)
        self.say(config_complete_id=self.written[-1].want_config_id)

    def status(self, packet_id: int = 0, *, res: int = 0, free: int = 15) -> None:
        self.say(
            queueStatus=mesh_pb2.QueueStatus(
                res=res, free=free, maxlen=16, mesh_packet_id=packet_id
            )
        )

    def routing(self, packet_id: int, error: int = 0, *, source: int = OWN) -> None:
        payload = mesh_pb2.Routing(error_reason=Error.ValueType(error)).SerializeToString()
        self.packet(source, 5, payload, request_id=packet_id)

    def packet(self, source: int, portnum: int, payload: bytes, **data: Any) -> None:
        decoded: Any = {"portnum": portnum, "payload": payload, **data}
        packet: Any = {"from": source, "to": OWN, "decoded": mesh_pb2.Data(**decoded)}
        self.say(packet=mesh_pb2.MeshPacket(**packet))

    def submit(self, number: int, *, want_ack: bool = True, size: int = 50) -> int:
        """Give a frame to the conversation; its packet id."""
        assert self.conversation.is_ready
        self.conversation.submit(
            Transmit(RADIO, number, Station(2), bytes(size), Precedence.FLASH, want_ack=want_ack),
            self.now,
        )
        self.collect()
        ids = [message.packet.id for message in self.written if message.HasField("packet")]
        return ids[-1] if ids else 0

    def send(self, number: int, *, want_ack: bool = True) -> int:
        """A frame that the radio accepted and that has left the antenna."""
        packet_id = self.submit(number, want_ack=want_ack)
        self.status(packet_id, free=16)
        self.wait(2_000)
        return packet_id

    def know_far(self) -> None:
        """The far radio's NodeInfo comes, with its key."""
        self.packet(FAR, 4, mesh_pb2.User(public_key=bytes(32)).SerializeToString())

    def heartbeat_count(self) -> int:
        return sum(message.HasField("heartbeat") for message in self.written)


def test_radio_is_woken_before_it_is_asked() -> None:
    """32 wake octets, then 100 ms later the question; not in one piece, which it may lose."""
    conversation = Conversation(RADIO, FAR, "port", rng=Random(1))
    conversation.start(1000)
    assert conversation.take_octets() == WAKE
    conversation.advance(1099)
    assert conversation.take_octets() == b""
    conversation.advance(1100)
    assert conversation.take_octets().startswith(b"\x94\xc3")


def test_silent_port_is_asked_again_and_given_up() -> None:
    """Every 5 s a new question; mute for 15 s, the link is lost with what to do."""
    bench = Bench(is_up=False)
    with pytest.raises(DeviceSilentError, match="no Meshtastic radio answered at port in 15 s"):
        bench.wait(31_000)
    assert bench.now == 15_000
    assert sum(message.HasField("want_config_id") for message in bench.written) == 3


def test_handshake_that_never_ends_is_given_up() -> None:
    """A radio that talks has 30 s: a large node list and a text log take long."""
    bench = Bench(is_up=False)
    for _ in range(6):
        bench.wait(4_900)
        bench.say(my_info=mesh_pb2.MyNodeInfo(my_node_num=OWN))
    with pytest.raises(DeviceSilentError, match="in 30 s"):
        bench.wait(5_000)
    assert bench.now == 30_000


def test_radio_that_restarts_in_the_handshake_is_asked_again() -> None:
    """`rebooted` right after the open is usual: the port's opening may reset the board."""
    bench = Bench(is_up=False)
    bench.wait(100)
    bench.configuration()
    first = bench.written[-1].want_config_id
    bench.say(rebooted=True)
    assert bench.written[-1].want_config_id not in (0, first)
    bench.say(config_complete_id=first)
    assert bench.events == []
    bench.hand_shake()
    assert isinstance(bench.events[0], LinkUp)


def test_handshake_without_number_or_setting_is_a_lost_link() -> None:
    """We never send with a modem that we know nothing of."""
    bench = Bench(is_up=False)
    bench.wait(100)
    bench.say(my_info=mesh_pb2.MyNodeInfo(my_node_num=OWN))
    with pytest.raises(LinkLostError, match="neither its number nor its setting"):
        bench.say(config_complete_id=bench.written[-1].want_config_id)


def test_far_node_that_is_our_own_radio_is_named() -> None:
    """The two radios were exchanged in the configuration."""
    bench = Bench(is_up=False)
    bench.wait(100)
    bench.say(my_info=mesh_pb2.MyNodeInfo(my_node_num=FAR))
    bench.say(config=config_pb2.Config(lora=lora()))
    with pytest.raises(LinkLostError, match="is !4d4c00b2 itself; correct `node`"):
        bench.say(config_complete_id=bench.written[-1].want_config_id)


def test_packets_before_the_handshake_ends_are_kept() -> None:
    """What the radio had buffered for us is received after `LinkUp`, up to a bound."""
    bench = Bench(is_up=False)
    bench.wait(100)
    for number in range(EARLY_PACKET_COUNT_MAX + 1):
        bench.packet(FAR, 256, bytes([number]))
    bench.hand_shake()
    kept = [event.octets[0] for event in bench.events if isinstance(event, FrameReceived)]
    assert isinstance(bench.events[0], LinkUp)
    assert kept == list(range(1, EARLY_PACKET_COUNT_MAX + 1))


@pytest.mark.parametrize(
    ("setting", "airtime"),
    [
        ({"modem_preset": LoRa.ModemPreset.SHORT_FAST}, LoraAirtime(7, 250.0, 5)),
        ({"modem_preset": LoRa.ModemPreset.LONG_SLOW}, LoraAirtime(12, 125.0, 8)),
        ({"region": LoRa.RegionCode.LORA_24}, LoraAirtime(11, 812.5, 5)),
        (
            {"use_preset": False, "spread_factor": 9, "bandwidth": 62, "coding_rate": 6},
            LoraAirtime(9, 62.5, 6),
        ),
        ({"use_preset": False}, LoraAirtime(12, 125.0, 8)),
        ({"modem_preset": 99}, LoraAirtime(12, 125.0, 8)),
    ],
)
def test_airtime_follows_the_modem_setting(setting: dict[str, Any], airtime: LoraAirtime) -> None:
    """Presets as the firmware's, own settings as given, the slowest for the unknown."""
    bench = Bench(is_up=False)
    bench.wait(100)
    bench.hand_shake(**setting)
    assert isinstance(bench.events[0], LinkUp)
    assert bench.events[0].traits.airtime == airtime


def test_every_preset_of_the_definitions_is_known() -> None:
    """A new preset in the package must get its numbers here."""
    for preset in LoRa.ModemPreset.values():
        bench = Bench(is_up=False)
        bench.wait(100)
        bench.hand_shake(modem_preset=preset)
        assert isinstance(bench.events[0], LinkUp)
        is_slowest = bench.events[0].traits.airtime == LoraAirtime(12, 125.0, 8)
        assert is_slowest == (preset == LoRa.ModemPreset.LONG_SLOW)


@pytest.mark.parametrize("setting", [{"tx_enabled": False}, {"region": LoRa.RegionCode.UNSET}])
def test_radio_that_cannot_transmit_still_receives(setting: dict[str, Any]) -> None:
    """The link comes up and says so; frames are refused without asking, since there is no NAK."""
    bench = Bench(**setting)
    bench.conversation.submit(
        Transmit(RADIO, 1, Station(2), b"x", Precedence.FLASH, want_ack=False), bench.now
    )
    bench.packet(FAR, 256, b"heard")
    assert bench.events == [
        FrameRefused(RADIO, 1, Refusal.NOT_READY, 60_000),
        FrameReceived(RADIO, b"heard"),
    ]


def test_frame_over_200_octets_is_refused_here() -> None:
    """Above 235 the radio would drop it without any answer."""
    bench = Bench()
    bench.submit(1, size=201)
    assert bench.events == [FrameRefused(RADIO, 1, Refusal.TOO_LARGE)]
    assert bench.conversation.is_ready


def test_frame_without_want_ack_ends_when_it_left() -> None:
    """Sent after its time on air; the link is free again, and no later report comes."""
    bench = Bench()
    packet_id = bench.submit(1, want_ack=False)
    bench.status(packet_id, free=16)
    bench.wait(int(LONG_FAST.of(50)) - 1)
    assert bench.events == []
    assert not bench.conversation.is_ready
    bench.wait(2)
    assert bench.events == [FrameSent(RADIO, 1)]
    assert bench.conversation.is_ready
    bench.routing(packet_id, Error.MAX_RETRANSMIT)
    bench.routing(packet_id, source=FAR)
    assert bench.events == [FrameSent(RADIO, 1)]


def test_sent_waits_until_the_packet_has_left_the_radios_queue() -> None:
    """A busy channel or others ahead: we ask until the queue is empty, then its airtime counts."""
    bench = Bench()
    bench.status(bench.submit(1, want_ack=False), free=12)
    for free in (13, 15, 15):
        bench.wait(1_000)
        bench.status(free=free)
    assert bench.events == []
    bench.wait(1_000)
    bench.status(free=16)
    bench.wait(int(LONG_FAST.of(50)) - 1)
    assert bench.events == []
    bench.wait(2)
    assert bench.events == [FrameSent(RADIO, 1)]


def test_queue_that_never_runs_empty_is_not_waited_for() -> None:
    """On a busy mesh a relaying radio always holds something: 20 s at most."""
    bench = Bench()
    bench.status(bench.submit(1, want_ack=False), free=12)
    while not bench.events:
        bench.wait(1_000)
        bench.status(free=15)
    assert bench.events == [FrameSent(RADIO, 1)]
    assert bench.now == pytest.approx(20_000 + LONG_FAST.of(50), abs=1_200)


def test_ack_guard_ends_a_wait_that_nobody_ends() -> None:
    """60 s after it left: UNKNOWN. An ack that comes even later still counts."""
    bench = Bench()
    packet_id = bench.send(1)
    for _ in range(7):
        bench.wait(8_300)
        bench.status()
    assert bench.events == [FrameSent(RADIO, 1)]
    bench.wait(3_000)
    assert bench.events[1:] == [FrameRefused(RADIO, 1, Refusal.UNKNOWN)]
    bench.routing(packet_id, source=FAR)
    bench.routing(packet_id, source=FAR)
    assert bench.events[2:] == [FrameAcknowledged(RADIO, 1)]


def test_real_ack_after_max_retransmit_counts_once() -> None:
    """The ack itself was slow: first NO_ACK, then the truth."""
    bench = Bench()
    packet_id = bench.send(1)
    bench.routing(packet_id, Error.MAX_RETRANSMIT)
    bench.routing(packet_id, source=FAR)
    bench.routing(packet_id, source=FAR)
    assert bench.events[1:] == [
        FrameRefused(RADIO, 1, Refusal.NO_ACK),
        FrameAcknowledged(RADIO, 1),
    ]


def test_ack_before_the_computed_time_is_up_reports_sent_first() -> None:
    """The network's word is better than our arithmetic."""
    bench = Bench()
    packet_id = bench.submit(1)
    bench.routing(packet_id, source=FAR)
    assert bench.events == [FrameSent(RADIO, 1), FrameAcknowledged(RADIO, 1)]
    assert bench.conversation.is_ready


def test_relayed_is_reported_once_and_other_sources_never() -> None:
    """Implicit acks of our own node only; a stranger's ack for our id proves nothing."""
    bench = Bench()
    packet_id = bench.send(1)
    bench.routing(packet_id, source=OTHER)
    bench.routing(packet_id)
    bench.routing(packet_id)
    bench.routing(packet_id + 1, source=FAR)
    bench.packet(FAR, 5, b"\xff\xff", request_id=packet_id)
    assert bench.events[1:] == [FrameRelayed(RADIO, 1)]


@pytest.mark.parametrize(
    ("error", "reason", "retry_ms"),
    [
        (Error.TOO_LARGE, Refusal.TOO_LARGE, None),
        (Error.PKI_FAILED, Refusal.NO_KEY, 15_000),
        (Error.PKI_SEND_FAIL_PUBLIC_KEY, Refusal.NO_KEY, 15_000),
        (Error.NO_CHANNEL, Refusal.NOT_READY, 60_000),
        (Error.NO_INTERFACE, Refusal.NOT_READY, 60_000),
        (77, Refusal.NOT_READY, 60_000),
    ],
)
@pytest.mark.parametrize("by_status", [True, False])
def test_refusal_by_status_or_nak_is_one_refusal(
    error: int, reason: Refusal, retry_ms: int | None, *, by_status: bool
) -> None:
    """Whichever of the two comes first ends it; the other is ignored."""
    bench = Bench()
    packet_id = bench.submit(1)
    if by_status:
        bench.status(packet_id, res=error, free=16)
    bench.routing(packet_id, error)
    bench.status(packet_id, res=error, free=16)
    ends = [event for event in bench.events if not isinstance(event, LinkTold)]
    assert ends == [FrameRefused(RADIO, 1, reason, retry_ms)]
    assert bench.conversation.is_ready


def test_far_radio_that_forgot_our_key() -> None:
    """Its NAK comes after the frame was sent."""
    bench = Bench()
    packet_id = bench.send(1)
    bench.routing(packet_id, Error.PKI_UNKNOWN_PUBKEY, source=FAR)
    assert bench.events == [FrameSent(RADIO, 1), FrameRefused(RADIO, 1, Refusal.NO_KEY)]


def test_far_nak_before_the_computed_time_is_up_reports_sent_first() -> None:
    """What the far radio refuses has left ours."""
    bench = Bench()
    packet_id = bench.submit(1)
    bench.routing(packet_id, Error.PKI_UNKNOWN_PUBKEY, source=FAR)
    assert bench.events == [FrameSent(RADIO, 1), FrameRefused(RADIO, 1, Refusal.NO_KEY)]


def test_packet_ids_do_not_repeat_even_if_the_draw_does() -> None:
    """The radio would ignore a known id without any answer."""

    class Poor(Random):
        def getrandbits(self, k: int) -> int:
            return super().getrandbits(2)

    ids = PacketIds(Poor(1))
    assert {ids.draw() for _ in range(3)} == {1, 2, 3}


def test_duty_cycle_without_a_notification_is_refused_all_the_same() -> None:
    """The text only says for how long; the code decides."""
    bench = Bench()
    packet_id = bench.submit(1)
    bench.status(packet_id, res=Error.DUTY_CYCLE_LIMIT)
    assert bench.events == []
    bench.wait(500)
    assert bench.events == [FrameRefused(RADIO, 1, Refusal.DUTY_CYCLE)]


def test_duty_cycle_notification_before_the_status() -> None:
    """The three reports come in any order."""
    bench = Bench()
    packet_id = bench.submit(1)
    bench.say(
        clientNotification=mesh_pb2.ClientNotification(
            reply_id=packet_id, message="Duty cycle limit exceeded. You can send again in 7 mins"
        )
    )
    bench.routing(packet_id, Error.DUTY_CYCLE_LIMIT)
    assert bench.events == [FrameRefused(RADIO, 1, Refusal.DUTY_CYCLE, 300_000)]


def test_full_queue_is_tried_until_its_limit() -> None:
    """Without want_ack the packet is lost: a new one every 2 s, QUEUE_FULL after 20 s."""
    bench = Bench()
    ids = {bench.submit(1, want_ack=False)}
    while not bench.events:
        bench.status(bench.written[-1].packet.id, res=32, free=0)
        bench.wait(2_000)
        ids.add(bench.written[-1].packet.id)
    assert bench.events == [FrameRefused(RADIO, 1, Refusal.QUEUE_FULL, 2_000)]
    assert len(ids) == 11


def test_full_queue_keeps_a_packet_that_wants_an_ack() -> None:
    """The radio sends it later by itself: not offered twice."""
    bench = Bench()
    packet_id = bench.submit(1, want_ack=True)
    bench.status(packet_id, res=32, free=0)
    bench.wait(1_000)
    bench.status(free=16)
    bench.wait(1_000)
    assert bench.events == [FrameSent(RADIO, 1)]
    assert sum(message.HasField("packet") for message in bench.written) == 1


def test_lost_status_is_asked_for_and_silence_is_no_nak() -> None:
    """Statuses of a burst get lost: after 2 s a heartbeat, whose answer lets ours go on."""
    bench = Bench()
    bench.submit(1, want_ack=False)
    bench.wait(2_000)
    assert bench.heartbeat_count() == 1
    bench.status(free=16)
    bench.wait(1_000)
    assert bench.events == [FrameSent(RADIO, 1)]


def test_quiet_radio_is_asked_every_40_s() -> None:
    """A heartbeat keeps the session and proves the radio; its answer has a deadline."""
    bench = Bench()
    for count in range(1, 4):
        bench.wait(40_000)
        assert bench.heartbeat_count() == count
        bench.status()
    assert bench.events == []


def test_frozen_radio_is_found_within_a_minute() -> None:
    """Idle: two heartbeats without an answer, 5 s each, from 40 s on."""
    bench = Bench()
    with pytest.raises(DeviceSilentError, match="does not answer; it is frozen"):
        bench.wait(60_000)
    assert bench.now == 100 + 50_000
    assert bench.heartbeat_count() == 2


def test_frozen_radio_is_found_within_20_s_while_traffic_waits() -> None:
    """A packet awaits its ack: the radio is asked each 8 s, whatever was said before."""
    bench = Bench()
    bench.send(1)
    sent_at = bench.now
    with pytest.raises(DeviceSilentError, match="frozen"):
        bench.wait(20_000)
    assert bench.now - sent_at < 20_000


def test_packet_that_a_frozen_radio_never_took_is_found_within_20_s() -> None:
    """The port took it, the radio did not."""
    bench = Bench()
    bench.wait(30_000)
    bench.submit(1)
    with pytest.raises(DeviceSilentError, match="frozen"):
        bench.wait(20_000)
    assert bench.now <= 100 + 30_000 + 20_000


def test_radio_that_talks_and_does_not_answer_is_named() -> None:
    """Received but deaf: packets come, nothing that we write has an effect."""
    bench = Bench()
    bench.wait(44_000)
    bench.packet(FAR, 256, b"a frame")
    with pytest.raises(DeviceSilentError, match="talks but answers nothing that we write"):
        bench.wait(10_000)
    assert bench.now == 100 + 50_000


def told(bench: Bench) -> list[str]:
    return [event.detail for event in bench.events if isinstance(event, LinkTold)]


@pytest.mark.parametrize(
    ("heard", "sentence"),
    [
        (None, "no radio is heard; check our antenna"),
        (OTHER, "though other radios are heard"),
        (FAR, "though the far radio is heard"),
    ],
)
def test_air_that_answers_nothing_is_named_after_three_packets(
    heard: int | None, sentence: str
) -> None:
    """Sends but lost: MAX_RETRANSMIT three times in a row; the next ack takes it back."""
    bench = Bench()
    bench.know_far()
    bench.events.clear()
    for number in range(3):
        assert told(bench) == []
        packet_id = bench.send(number)
        if heard is not None:
            bench.packet(heard, 256, b"a frame")
        bench.routing(packet_id, Error.MAX_RETRANSMIT)
    assert sentence in told(bench)[-1]
    bench.routing(bench.send(4), source=FAR)
    assert len(told(bench)) == 2
    assert sentence not in told(bench)[-1]


def test_air_that_was_named_long_ago_is_named_no_more() -> None:
    """On a link that works no ack is asked for, so that nothing would take it back."""
    bench = Bench()
    bench.know_far()
    for number in range(3):
        bench.routing(bench.send(number), Error.MAX_RETRANSMIT)
    assert "check our antenna" in told(bench)[-1]
    for _ in range(16):
        bench.wait(40_000)
        bench.status()
    assert "antenna" not in told(bench)[-1]


def test_second_client_that_takes_our_answers_is_named() -> None:
    """Of one packet at a time no status gets lost, so that a third one is another's doing."""
    bench = Bench()
    bench.know_far()
    bench.events.clear()
    for number in range(3):
        bench.submit(number, want_ack=False)
        bench.wait(2_000)
        bench.status(free=16)
        bench.wait(1_000)
    assert "end the other program that uses this radio" in told(bench)[-1]


def test_missing_key_is_asked_for_until_it_comes() -> None:
    """NodeInfo with want_response: at once, after 60 s, then ever rarer; the status tells it."""
    bench = Bench(is_up=False)
    bench.wait(100)
    bench.configuration()
    bench.say(node_info=mesh_pb2.NodeInfo(num=OWN, user=mesh_pb2.User(long_name="North")))
    bench.say(config_complete_id=bench.written[-1].want_config_id)
    up = bench.events[0]
    assert isinstance(up, LinkUp)
    assert up.traits.detail.endswith("does not know the key of !4d4c00b2 yet, and asks for it")
    asked: list[int] = []
    for second in range(400):
        bench.now += 1_000
        bench.conversation.advance(bench.now)
        count = len(bench.written)
        bench.collect()
        new = bench.written[count:]
        asked += [second for message in new if message.packet.decoded.portnum == 4]
        if any(message.HasField("heartbeat") for message in new):
            bench.status()
    assert asked == [0, 60, 180]
    request = next(m.packet for m in bench.written if m.packet.decoded.portnum == 4)
    assert request.decoded.want_response
    assert mesh_pb2.User.FromString(request.decoded.payload).long_name == "North"
    bench.packet(FAR, 4, mesh_pb2.User(public_key=bytes(32)).SerializeToString())
    assert "key" not in told(bench)[-1]
    bench.packet(FAR, 4, mesh_pb2.User().SerializeToString())  # CVE-2025-55293
    assert len(told(bench)) == 1


def test_key_that_was_forgotten_is_told_and_asked_for() -> None:
    """Ours here at once, ours at theirs by its NAK; an ack settles it."""
    bench = Bench()
    bench.know_far()
    bench.events.clear()
    bench.routing(bench.send(1), Error.PKI_UNKNOWN_PUBKEY, source=FAR)
    assert told(bench)[-1].endswith("!4d4c00b2 does not know its key yet, and is told")
    bench.routing(bench.send(2), source=FAR)
    assert "key" not in told(bench)[-1]
    bench.status(bench.submit(3), res=39)
    assert bench.events[-2] == FrameRefused(RADIO, 3, Refusal.NO_KEY, 15_000)
    assert "does not know the key of !4d4c00b2 yet" in told(bench)[-1]


def test_far_radio_that_was_reset_is_told_with_what_to_do() -> None:
    """Our radio keeps its old key and drops its NodeInfo, so that nothing heals by itself; what
    shows another key and reads us all the same is no such radio.
    """
    other = mesh_pb2.User(public_key=b"n" * 32).SerializeToString()
    bench = Bench()
    bench.know_far()
    bench.packet(FAR, 4, other)
    assert "another key" not in told(bench)[-1]
    bench.routing(bench.send(1), Error.NO_CHANNEL, source=FAR)
    assert told(bench)[-1].endswith("if it was reset: hotline radio forget '!4d4c00b2' --port port")
    bench.packet(FAR, 4, other)
    bench.know_far()
    assert "another key" not in told(bench)[-1]
    bench.routing(bench.send(2), Error.NO_CHANNEL, source=FAR)
    bench.packet(FAR, 4, other)
    assert "another key" in told(bench)[-1]
    bench.routing(bench.send(3), source=FAR)
    assert "key" not in told(bench)[-1]


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        (ExpectedRadio(OWN, b"k" * 32), None),
        (ExpectedRadio(OTHER), "is !4d4c00a1 and not !4d4c00c3"),
        (ExpectedRadio(OWN, b"x" * 32), "has another key than `own_key`"),
    ],
)
def test_radio_is_the_one_of_the_configuration(
    expected: ExpectedRadio, problem: str | None
) -> None:
    """Another number or key at the port: refused before anything is sent by it."""
    conversation = Conversation(RADIO, FAR, "port", rng=Random(7), expected=expected)
    conversation.start(0)
    conversation.advance(100)
    asked = StreamParser(mesh_pb2.ToRadio.FromString).feed(conversation.take_octets())[-1]
    user = mesh_pb2.User(public_key=b"k" * 32)
    messages = [
        mesh_pb2.FromRadio(my_info=mesh_pb2.MyNodeInfo(my_node_num=OWN)),
        mesh_pb2.FromRadio(node_info=mesh_pb2.NodeInfo(num=OWN, user=user)),
        mesh_pb2.FromRadio(config=config_pb2.Config(lora=lora())),
        mesh_pb2.FromRadio(config_complete_id=asked.want_config_id),
    ]
    octets = b"".join(encode_frame(message.SerializeToString()) for message in messages)
    if problem is None:
        conversation.feed(octets, 200)
        assert isinstance(conversation.take_events()[0], LinkUp)
    else:
        with pytest.raises(LinkLostError, match=problem):
            conversation.feed(octets, 200)
        assert conversation.take_events() == []


def test_restart_of_the_radio_is_a_lost_link() -> None:
    """Its queue and pending acks are gone: a fresh driver starts."""
    bench = Bench()
    with pytest.raises(LinkLostError, match="restarted"):
        bench.say(rebooted=True)


def test_own_packets_that_come_back_are_filtered() -> None:
    """After a restart a radio may give us our own frame; empty and other packets are not ours."""
    bench = Bench()
    bench.packet(OWN, 256, b"echo")
    bench.packet(FAR, 256, b"")
    bench.packet(FAR, 1, b"text")
    bench.packet(OTHER, 256, b"stranger")
    assert bench.events == [FrameReceived(RADIO, b"stranger")]


def test_half_frame_does_not_hold_up_the_stream() -> None:
    """After 1 s its rest will not come: what stands behind it is taken."""
    bench = Bench()
    packet: Any = {
        "from": FAR,
        "decoded": mesh_pb2.Data(portnum=256, payload=b"whole"),
    }
    whole = encode_frame(
        mesh_pb2.FromRadio(packet=mesh_pb2.MeshPacket(**packet)).SerializeToString()
    )
    bench.conversation.feed(b"\x94\xc3\x01\x00half" + whole, bench.now)
    bench.wait(999)
    assert bench.events == []
    bench.wait(1)
    assert bench.events == [FrameReceived(RADIO, b"whole")]


def test_many_waiting_acks_are_bounded() -> None:
    """At the bound the oldest ends, as it was last told of; ids never repeat."""
    bench = Bench()
    ids = []
    for number in range(WAITING_ACK_COUNT_MAX + 1):
        ids.append(bench.submit(number))
        bench.routing(ids[-1])  # Heard by a relay at once: it left, the ack is awaited.
    refused = [event for event in bench.events if isinstance(event, FrameRefused)]
    assert refused == [FrameRefused(RADIO, 0, Refusal.RELAYED_ONLY)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(("hop_limit", "used"), [(0, 3), (5, 5), (7, 7), (9, 7)])
def test_hop_limit_is_the_radios_own_within_its_range(hop_limit: int, used: int) -> None:
    """More than 7 corrupts the header; 0 stands for the default."""
    bench = Bench(hop_limit=hop_limit)
    bench.submit(1)
    assert bench.written[-1].packet.hop_limit == used
