"""What a real radio does now and then, which a driver must bear: the simulated one does it too."""

from __future__ import annotations

from random import Random

import pytest

from gateway.sim.air import BROADCAST, Air
from gateway.sim.radio import SimulatedRadio
from gateway.sim.radio.messages import ADMIN, ERROR, PRIORITY, PRIVATE, admin_pb2, mesh_pb2
from gateway.sim.radio.phone import SLOW_POLL_MS
from gateway.sim.radio.probe import POLL_MS, Probe, direct_message

NORTH, SOUTH, FIRST, SECOND = 0x4D4C00A1, 0x4D4C00B2, 0x4D4C00C3, 0x4D4C00D4


def make_pair(seed: int = 1, *, region: str = "EU_868") -> tuple[Probe, Probe]:
    """Two radios that know each other, their clients on USB."""
    air = Air(Random(seed))
    north = Probe(SimulatedRadio(NORTH, "LabA", air, region=region))
    south = Probe(SimulatedRadio(SOUTH, "LabB", air, region=region))
    north.connect()
    south.connect()
    return north, south


@pytest.mark.parametrize("seed", [2, 4, 5])
def test_a_real_ack_may_follow_max_retransmit(seed: int) -> None:
    """Two relays in a row: the last transmission is heard, what comes of it is not for a while.
    First the NAK of the own node, then the ack of the addressee.
    """
    air = Air(Random(seed))
    north = Probe(SimulatedRadio(NORTH, "LabA", air))
    south = Probe(SimulatedRadio(SOUTH, "LabB", air))
    for number in (FIRST, SECOND):
        SimulatedRadio(number, "Relay", air)
    for one, other in ((NORTH, SECOND), (FIRST, SOUTH), (NORTH, SOUTH)):
        air.set_path(one, other, None)
    north.connect()
    south.connect()
    north.radio.cut()
    north.send(SOUTH, b"late", 77)
    while len([r for r in air.records if r.packet.packet_id == 77]) < 2:
        north.run(10)
    north.run(2_000)
    north.radio.restore()
    while FIRST not in [r.sender for r in air.records if r.packet.packet_id == 77]:
        north.run(10)
    north.radio.cut()
    while not north.acks(77):
        north.run(10)
    north.radio.restore()
    north.run(60_000)
    found = [(ack.source, ack.error) for ack in north.acks(77)]
    assert found == [(NORTH, ERROR.MAX_RETRANSMIT), (SOUTH, ERROR.NONE)]
    assert south.frames() == [b"late"]


def test_a_full_queue_drops_a_lower_priority_for_a_higher_one_without_a_word() -> None:
    """16 packets of priority 64, then one of 70: taken, and one that had res 0 is never sent. A
    second one of 64 is refused.
    """
    north, south = make_pair()
    for n in range(16):
        north.send(BROADCAST, bytes([n]), 1000 + n, want_ack=False)
    urgent = direct_message(BROADCAST, b"urgent", 2000, want_ack=False)
    urgent.packet.priority = PRIORITY.RELIABLE
    north.write(urgent)
    north.run(10)
    north.send(BROADCAST, b"routine", 2001, want_ack=False)
    north.run(10)
    assert [s.res for s in north.queue_statuses(2000)] == [0]
    assert [s.res for s in north.queue_statuses(2001)] == [32]
    north.run(120_000)
    assert south.frames()[:1] == [b"urgent"]
    assert len(south.frames()) == 16
    assert north.acks() == []


def test_a_radio_without_a_region_sends_nothing() -> None:
    """Res 34. Without want_ack that is all; with it the radio tries its three times, in vain."""
    north, south = make_pair(region="UNSET")
    north.send(SOUTH, b"mute", 77, want_ack=False)
    north.run(40_000)
    assert [s.res for s in north.queue_statuses(77)] == [34]
    assert north.acks(77) == []
    north.send(SOUTH, b"mute", 78)
    north.run(40_000)
    assert [s.res for s in north.queue_statuses(78)] == [34]
    assert [(ack.source, ack.error) for ack in north.acks(78)] == [(NORTH, ERROR.MAX_RETRANSMIT)]
    assert north.radio.air.spent[NORTH].airtime_ms == 0
    assert south.frames() == []


def test_two_clients_of_one_radio_share_what_comes() -> None:
    """USB and TCP: each packet and each status goes to one of them, to USB while that is there."""
    usb, south = make_pair()
    tcp = Probe(usb.radio, is_tcp=True)
    tcp.connect()
    for n in range(4):
        south.send(NORTH, bytes([n]), 100 + n, want_ack=False)
        south.run(3_000)
    usb.write(mesh_pb2.ToRadio(disconnect=True))
    usb.run(POLL_MS)
    for n in range(4, 8):
        south.send(NORTH, bytes([n]), 100 + n, want_ack=False)
        south.run(3_000)
    assert usb.frames() == [bytes([n]) for n in range(4)]
    assert tcp.frames() == [bytes([n]) for n in range(4, 8)]
    usb.connect()
    tcp.send(SOUTH, b"whose ack?", 77)
    tcp.run(5_000)
    assert len(usb.acks(77)) + len(tcp.acks(77)) == 1
    assert len(usb.queue_statuses(77)) + len(tcp.queue_statuses(77)) == 1


def test_a_question_on_private_app_is_answered_with_no_response() -> None:
    """The far radio has it, acknowledges it, and says NO_RESPONSE: nothing there answers."""
    north, south = make_pair()
    question = direct_message(SOUTH, b"anyone?", 77)
    question.packet.decoded.want_response = True
    north.write(question)
    north.run(10_000)
    assert [(ack.source, ack.error) for ack in north.acks(77)] == [
        (SOUTH, ERROR.NONE),
        (SOUTH, ERROR.NO_RESPONSE),
    ]
    assert south.frames() == [b"anyone?"]


def test_after_a_reboot_an_own_packet_comes_back_as_a_received_one() -> None:
    """A relay repeats it; the radio has forgotten that it sent it. `from` is the own node."""
    north, _ = make_pair()
    north.send(BROADCAST, b"mine", 77, want_ack=False)
    while not north.radio.air.spent[NORTH].frame_count:
        north.run(1)
    north.run(1_000)
    assert not north.radio.air.spent[SOUTH].frame_count
    north.radio.reboot()
    north.connect()
    north.run(10_000)
    (packet,) = [heard.message.packet for heard in north.of_kind("packet")]
    assert (getattr(packet, "from"), packet.decoded.payload) == (NORTH, b"mine")
    assert north.frames() == [b"mine"]


@pytest.mark.parametrize(
    ("asked", "limit", "start", "answer"), [(0, 3, 3, 2), (3, 3, 3, 2), (7, 7, 7, 2), (9, 3, 1, 3)]
)
def test_a_hop_limit_above_7_is_corrupted(asked: int, limit: int, start: int, answer: int) -> None:
    """9 arrives as 3 hops left of 1, so the ack goes 3 hops, as captured; 0 becomes 3; 7 works."""
    north, south = make_pair()
    message = direct_message(SOUTH, b"hops", 77)
    message.packet.hop_limit = asked
    north.write(message)
    north.run(3_000)
    packet = south.of_kind("packet")[0].message.packet
    assert (packet.hop_limit, packet.hop_start) == (limit, start)
    assert [heard.message.packet.hop_limit for heard in north.of_kind("packet")] == [answer]


def test_an_answer_of_the_admin_module_has_a_status_of_its_own() -> None:
    """Status of the request, status of the answer, answer; marked as encrypted like the request."""
    north, _ = make_pair()
    north.heard.clear()
    order = admin_pb2.AdminMessage(get_config_request=8).SerializeToString()
    message = direct_message(NORTH, order, 300, portnum=ADMIN)
    message.packet.pki_encrypted = True
    north.write(message)
    north.run(POLL_MS)
    first, second, answer = [heard.message for heard in north.heard]
    assert first.queueStatus.mesh_packet_id == 300
    assert second.queueStatus.mesh_packet_id == answer.packet.id
    assert answer.packet.pki_encrypted
    assert answer.packet.decoded.request_id == 300


def test_a_port_is_polled_quickly_only_while_its_client_writes() -> None:
    """Within 5 ms in the 2 s after the last octet; then at quarters of a second."""
    north, _ = make_pair()
    waits: list[int] = []
    for pause_ms in (1_000, 1_999, 2_010, 5_000):
        north.run(pause_ms)
        before, start_ms = len(north.queue_statuses()), north.radio.air.now_ms
        north.heartbeat()
        while len(north.queue_statuses()) == before:
            north.run(1)
        waits.append(north.radio.air.now_ms - start_ms)
    assert max(waits[:2]) <= 5
    assert 200 < waits[2] <= SLOW_POLL_MS
    assert 5 < waits[3] <= SLOW_POLL_MS


@pytest.mark.parametrize("is_tcp", [False, True])
def test_on_tcp_what_was_received_waits_for_the_next_poll(*, is_tcp: bool) -> None:
    """Idle for long: USB has it 2 ms after the radio, TCP at the next quarter of a second."""
    delays: list[int] = []
    for seed in range(8):
        _, south = make_pair(seed)
        north = Probe(SimulatedRadio(FIRST, "LabC", south.radio.air), is_tcp=is_tcp)
        north.connect()
        south.run(5_000)
        south.send(FIRST, b"x", 77, want_ack=False)
        south.run(3_000)
        (record,) = [r for r in south.radio.air.records if r.packet.packet_id == 77][:1]
        (packet,) = [h for h in north.of_kind("packet") if h.message.packet.id == 77]
        assert packet.message.packet.decoded.portnum == PRIVATE
        delays.append(packet.at_ms - record.at_ms - record.airtime_ms)
    if is_tcp:
        assert max(delays) <= SLOW_POLL_MS + 5
        assert max(delays) - min(delays) > 50
    else:
        assert max(delays) <= 10
