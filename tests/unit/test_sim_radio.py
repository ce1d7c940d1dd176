"""The simulated radio in virtual time, against what was measured on real firmware."""

from __future__ import annotations

from random import Random

import pytest

from gateway.links.meshtastic.identity import DUTY_SHARES, _airtime
from gateway.links.meshtastic.protobuf import config_pb2
from gateway.sim.air import BROADCAST, Air, Signal
from gateway.sim.radio import SimulatedRadio
from gateway.sim.radio.messages import ADMIN as ADMIN_PORT
from gateway.sim.radio.messages import ERROR, POSITION, TEXT, admin_pb2
from gateway.sim.radio.modem import DUTY_PERCENT, PRESETS
from gateway.sim.radio.probe import POLL_MS, Probe, direct_message

ModemPreset = config_pb2.Config.LoRaConfig.ModemPreset
NORTH = 0x4D4C00A1
SOUTH = 0x4D4C00B2
RELAY = 0x4D4C00C3


def make_pair(
    seed: int = 1, *, loss: float = 0.0, region: str = "EU_868", relays: bool = True
) -> tuple[Probe, Probe]:
    """Two radios that know each other, their clients connected."""
    air = Air(Random(seed), loss=loss)
    north = Probe(SimulatedRadio(NORTH, "LabA", air, region=region, relays=relays))
    south = Probe(SimulatedRadio(SOUTH, "LabB", air, region=region, relays=relays))
    north.connect()
    south.connect()
    return north, south


def is_on_air(probe: Probe, packet_id: int) -> list[int]:
    """When each transmission of this packet by this radio began."""
    return [
        record.at_ms
        for record in probe.radio.air.records
        if record.packet.packet_id == packet_id and record.sender == probe.radio.node_number
    ]


@pytest.mark.parametrize(
    ("preset", "least_ms", "most_ms"), [("LONG_FAST", 1200, 1730), ("SHORT_FAST", 100, 240)]
)
def test_a_direct_message_is_acknowledged_by_the_far_radio(
    preset: str, least_ms: int, most_ms: int
) -> None:
    """50 octets: 1.2 to 1.6 s at LONG_FAST, 0.15 s at SHORT_FAST; the ack comes from the addressee
    with rssi and snr, and the far client has the octets once, marked with the sender's key.
    """
    for seed in range(20):
        air = Air(Random(seed))
        north = Probe(SimulatedRadio(NORTH, "LabA", air, preset))
        south = Probe(SimulatedRadio(SOUTH, "LabB", air, preset))
        north.connect()
        south.connect()
        start_ms = air.now_ms
        north.send(SOUTH, bytes(range(50)), 77)
        north.run(3_000)
        assert [(s.res, s.free, s.maxlen) for s in north.queue_statuses(77)] == [(0, 15, 16)]
        (ack,) = north.acks(77)
        assert (ack.source, ack.error) == (SOUTH, ERROR.NONE)
        assert least_ms <= ack.at_ms - start_ms <= most_ms
        assert south.frames() == [bytes(range(50))]
        packet = south.of_kind("packet")[0].message.packet
        assert packet.pki_encrypted
        assert packet.public_key == south.radio.peers[NORTH].public_key
        assert (packet.rx_rssi, packet.rx_snr, packet.hop_limit) == (-60, 7.5, 3)


def test_without_any_ack_a_packet_goes_three_times_and_then_is_refused() -> None:
    """Transmissions at about 0.2, 7.8 and 15.3 s, MAX_RETRANSMIT at 23 s from the own node."""
    north, south = make_pair()
    south.radio.cut()
    start_ms = north.radio.air.now_ms
    north.send(SOUTH, bytes(50), 77)
    north.run(30_000)
    times = [at_ms - start_ms for at_ms in is_on_air(north, 77)]
    assert len(times) == 3
    for at_ms, measured_ms in zip(times, (100, 7_700, 15_250), strict=True):
        assert measured_ms - 100 <= at_ms <= measured_ms + 250
    (ack,) = north.acks(77)
    assert (ack.source, ack.error) == (NORTH, ERROR.MAX_RETRANSMIT)
    assert 22_600 <= ack.at_ms - start_ms <= 23_200
    assert south.frames() == []


def test_with_other_traffic_on_the_air_the_refusal_comes_later() -> None:
    """While anything is sent or heard no ack can come, so waits grow: 23 s become up to 44 s."""
    north, south = make_pair()
    start_ms = north.radio.air.now_ms
    south.radio.forget(NORTH)
    south.radio.set_transmitter(is_on=False)
    north.send(SOUTH, bytes(50), 77)
    for n in range(10):
        north.run(2_500)
        north.send(BROADCAST, bytes(200), 100 + n, want_ack=False)
    north.run(60_000)
    (ack,) = north.acks(77)
    assert ack.error == ERROR.MAX_RETRANSMIT
    assert 30_000 <= ack.at_ms - start_ms <= 46_000


def test_the_addressee_has_a_retransmitted_packet_once_and_acknowledges_it_again() -> None:
    """The first ack is lost: the second transmission brings another ack, not another packet."""
    north, south = make_pair()
    north.send(SOUTH, b"once", 77)
    while not south.frames():
        north.run(1)
    north.radio.cut()
    north.run(1_000)
    north.radio.restore()
    north.run(10_000)
    assert len(is_on_air(north, 77)) == 2
    assert [ack.error for ack in north.acks(77)] == [ERROR.NONE]
    assert south.frames() == [b"once"]


def test_a_lost_ack_still_ends_in_max_retransmit() -> None:
    """All acks lost: the far client has the packet, ours is told MAX_RETRANSMIT all the same."""
    north, south = make_pair()
    south.radio.set_transmitter(is_on=False)
    north.send(SOUTH, b"heard", 77)
    north.run(30_000)
    assert south.frames() == [b"heard"]
    assert [ack.error for ack in north.acks(77)] == [ERROR.MAX_RETRANSMIT]


def test_a_relay_gives_an_implicit_ack_and_no_nak_when_only_it_hears() -> None:
    """The addressee is out of reach: the own node says NONE, and nothing else ever comes."""
    air = Air(Random(4))
    north = Probe(SimulatedRadio(NORTH, "LabA", air))
    south = Probe(SimulatedRadio(SOUTH, "LabB", air))
    SimulatedRadio(RELAY, "LabC", air)
    air.set_path(NORTH, SOUTH, None)
    air.set_path(RELAY, SOUTH, None)
    north.connect()
    south.connect()
    north.send(SOUTH, b"far", 77)
    north.run(60_000)
    assert [(ack.source, ack.error) for ack in north.acks(77)] == [(NORTH, ERROR.NONE)]
    assert south.frames() == []


def test_through_a_relay_the_implicit_ack_comes_before_the_real_one() -> None:
    """Implicit when the relay repeats it, real when the addressee's ack has come back."""
    air = Air(Random(5))
    north = Probe(SimulatedRadio(NORTH, "LabA", air))
    south = Probe(SimulatedRadio(SOUTH, "LabB", air))
    SimulatedRadio(RELAY, "LabC", air)
    air.set_path(NORTH, SOUTH, None)
    north.connect()
    south.connect()
    start_ms = air.now_ms
    north.send(SOUTH, bytes(50), 77)
    north.run(60_000)
    implicit, real = north.acks(77)
    assert (implicit.source, implicit.error) == (NORTH, ERROR.NONE)
    assert (real.source, real.error) == (SOUTH, ERROR.NONE)
    assert 2_000 <= implicit.at_ms - start_ms <= 6_500
    assert real.at_ms - start_ms <= 12_000
    assert south.frames() == [bytes(50)]
    packet = south.of_kind("packet")[0].message.packet
    assert (packet.hop_limit, packet.hop_start, packet.relay_node) == (2, 3, RELAY & 0xFF)


def test_a_broadcast_is_acknowledged_by_a_neighbour_that_repeats_it() -> None:
    """want_ack on a broadcast: an implicit ack when the other radio relays, and no real one."""
    north, south = make_pair()
    north.send(BROADCAST, b"all", 77)
    north.run(30_000)
    assert [(ack.source, ack.error) for ack in north.acks(77)] == [(NORTH, ERROR.NONE)]
    assert south.frames() == [b"all"]
    assert not south.of_kind("packet")[0].message.packet.pki_encrypted


@pytest.mark.parametrize(
    ("to", "size", "result"),
    [
        (SOUTH, 219, ERROR.NONE),
        (SOUTH, 220, ERROR.TOO_LARGE),
        (BROADCAST, 231, ERROR.NONE),
        (BROADCAST, 232, ERROR.TOO_LARGE),
        (SOUTH, 235, ERROR.TOO_LARGE),
    ],
)
def test_the_largest_payload_is_219_direct_and_231_broadcast(
    to: int, size: int, result: int
) -> None:
    """One octet more: queueStatus 7, then NAK TOO_LARGE from the own node within 50 ms."""
    north, _ = make_pair()
    start_ms = north.radio.air.now_ms
    north.send(to, bytes(size), 77)
    north.run(100)
    assert [s.res for s in north.queue_statuses(77)] == [result]
    if result:
        (ack,) = north.acks(77)
        assert (ack.source, ack.error) == (NORTH, ERROR.TOO_LARGE)
        assert ack.at_ms - start_ms <= 50


def test_from_236_octets_up_a_packet_vanishes_without_any_answer() -> None:
    """The radio cannot decode it: no queueStatus, no NAK, nothing on the air."""
    north, _ = make_pair()
    before = len(north.heard)
    north.send(SOUTH, bytes(236), 77)
    north.run(30_000)
    assert len(north.heard) == before
    assert is_on_air(north, 77) == []


def test_a_packet_to_an_unknown_node_is_refused_at_once() -> None:
    """QueueStatus 39 with all slots free, then the NAK from the own node."""
    north, _ = make_pair()
    north.send(0x12345678, b"who", 77)
    north.run(20)
    assert [(s.res, s.free) for s in north.queue_statuses(77)] == [(39, 16)]
    (ack,) = north.acks(77)
    assert (ack.source, ack.error) == (NORTH, ERROR.PKI_SEND_FAIL_PUBLIC_KEY)


def test_an_addressee_that_forgot_our_key_heals_after_the_exchange_of_node_info() -> None:
    """PKI_UNKNOWN_PUBKEY from the addressee; the radios exchange NodeInfo; the next one passes."""
    north, south = make_pair()
    south.radio.forget(NORTH)
    north.send(SOUTH, b"lost", 77)
    north.run(20_000)
    assert [(a.source, a.error) for a in north.acks(77)] == [(SOUTH, ERROR.PKI_UNKNOWN_PUBKEY)]
    assert south.frames() == []
    north.send(SOUTH, b"healed", 78)
    north.run(20_000)
    assert ERROR.NONE in [ack.error for ack in north.acks(78)]
    assert south.frames() == [b"healed"]


def test_a_burst_fills_the_queue_and_loses_most_of_the_statuses() -> None:
    """22 broadcasts in one write: only 2 queueStatus fit, both res 32 and free 0; no NAK; then one
    that nobody asked for says that a slot is free.
    """
    north, south = make_pair()
    before = len(north.queue_statuses())
    north.write(
        *(direct_message(BROADCAST, bytes([n]) * 100, 1000 + n, want_ack=False) for n in range(22))
    )
    north.run(300)
    statuses = [(s.res, s.free, s.mesh_packet_id) for s in north.queue_statuses()[before:]]
    assert statuses == [(32, 0, 1020), (32, 0, 1021), (0, 1, 0)]
    north.run(60_000)
    assert north.acks() == []
    assert len(south.frames()) == 16


def test_a_packet_with_want_ack_that_found_no_slot_is_sent_later() -> None:
    """Its retransmission timer runs although the queue was full."""
    north, south = make_pair()
    north.write(
        *(direct_message(BROADCAST, bytes([n]) * 10, 1000 + n, want_ack=True) for n in range(16)),
        direct_message(SOUTH, b"late", 2000),
    )
    north.run(10)
    assert [s.res for s in north.queue_statuses(2000)] == [32]
    north.run(120_000)
    assert b"late" in south.frames()


def test_a_heartbeat_is_answered_with_the_state_of_the_queue() -> None:
    """The one thing to poll: a queueStatus with packet id 0."""
    north, _ = make_pair()
    before = len(north.queue_statuses())
    north.heartbeat()
    north.run(10)
    (status,) = north.queue_statuses()[before:]
    assert (status.res, status.free, status.maxlen, status.mesh_packet_id) == (0, 16, 16, 0)


def test_the_duty_cycle_is_spent_after_an_hours_tenth() -> None:
    """As in the capture: one full-size broadcast whenever at least 8 slots are free; refused after
    about 485 s with res 9, the clientNotification's text and the NAK. An hour later it goes.
    """
    north, _ = make_pair(relays=False)
    sent = 0
    start_ms = north.radio.air.now_ms
    while not north.of_kind("clientNotification"):
        north.heartbeat()
        north.run(10)
        if north.queue_statuses()[-1].free > 8:
            sent += 1
            north.send(BROADCAST, bytes(231), 5000 + sent, want_ack=False)
        north.run(990)
    elapsed_s = (north.radio.air.now_ms - start_ms) / 1000
    assert 169 + 7 <= sent <= 169 + 10
    assert 455 <= elapsed_s <= 515
    notification = north.of_kind("clientNotification")[0].message.clientNotification
    assert notification.reply_id == 5000 + sent
    minute = int((north.radio.air.now_ms - start_ms) / 60_000)
    assert notification.message == (
        f"Duty cycle limit exceeded. You can send again in {59 - minute} mins"
    )
    assert [s.res for s in north.queue_statuses(5000 + sent)] == [ERROR.DUTY_CYCLE_LIMIT]
    assert [a.error for a in north.acks(5000 + sent)] == [ERROR.DUTY_CYCLE_LIMIT]
    spent = north.radio.air.spent[NORTH].airtime_ms
    assert 360_000 <= spent <= 362_500
    for packet_id, wait_min, result in ((9000, 50, ERROR.DUTY_CYCLE_LIMIT), (9001, 3, ERROR.NONE)):
        for _ in range(wait_min):
            north.heartbeat()
            north.run(60_000)
        north.send(BROADCAST, bytes(231), packet_id, want_ack=False)
        north.run(POLL_MS)
        assert [s.res for s in north.queue_statuses(packet_id)] == [result]


def test_a_region_without_duty_cycle_never_refuses() -> None:
    """US: an hour's tenth is spent and the next packet goes."""
    north, _ = make_pair(region="US", relays=False)
    for n in range(190):
        north.send(BROADCAST, bytes(231), 5000 + n, want_ack=False)
        north.run(4_000)
    assert {s.res for s in north.queue_statuses()} == {0}
    assert north.radio.air.spent[NORTH].airtime_ms > 380_000


def test_a_packet_id_seen_in_the_last_20_is_ignored_without_answer() -> None:
    """Neither queueStatus nor a second transmission; the 21st id after it is new again."""
    north, south = make_pair()
    north.send(SOUTH, b"first", 77)
    north.run(3_000)
    north.send(SOUTH, b"again", 77)
    north.run(30_000)
    assert len(north.queue_statuses(77)) == 1
    assert south.frames() == [b"first"]


def test_a_reboot_forgets_the_queue_and_pending_acks_without_a_nak() -> None:
    """`rebooted`, then silence about the packets before; the next handshake and packet work."""
    north, south = make_pair()
    south.radio.cut()
    for packet_id in range(100, 105):
        north.send(SOUTH, b"gone", packet_id)
    north.run(2_000)
    north.radio.reboot()
    north.run(60_000)
    assert len(north.of_kind("rebooted")) == 2
    assert north.acks() == []
    assert len(is_on_air(north, 104)) == 0
    south.radio.restore()
    north.connect(7)
    north.send(SOUTH, b"here", 200)
    north.run(5_000)
    assert south.frames() == [b"here"]
    assert [ack.error for ack in north.acks(200)] == [ERROR.NONE]


def test_a_client_reboots_its_radio_through_the_admin_module() -> None:
    """The order is acknowledged by the own node; the radio reboots after the seconds named."""
    north, _ = make_pair()
    order = admin_pb2.AdminMessage(reboot_seconds=2).SerializeToString()
    north.write(direct_message(NORTH, order, 300, portnum=ADMIN_PORT))
    north.run(1_500)
    assert [(a.source, a.error) for a in north.acks(300)] == [(NORTH, ERROR.NONE)]
    assert len(north.of_kind("rebooted")) == 1
    north.run(1_000)
    assert len(north.of_kind("rebooted")) == 2


def test_a_frozen_radio_is_silent_until_it_is_rebooted() -> None:
    """No answer to a heartbeat or a handshake and nothing on the air, while the port is open."""
    north, south = make_pair()
    north.radio.freeze()
    before = len(north.heard)
    north.heartbeat()
    north.send(SOUTH, b"deaf", 77)
    south.send(NORTH, b"hello?", 78)
    north.run(30_000)
    assert len(north.heard) == before
    assert [ack.error for ack in south.acks(78)] == [ERROR.MAX_RETRANSMIT]
    north.radio.reboot()
    north.connect()
    assert north.of_kind("config_complete_id")


def test_after_15_minutes_without_a_word_the_radio_goes_silent() -> None:
    """On serial without EOF; a heartbeat in time prevents it; a new handshake ends it."""
    north, south = make_pair()
    for _ in range(3):
        north.run(800_000)
        north.heartbeat()
    north.run(901_000)
    before = len(north.heard)
    south.connect()
    south.send(NORTH, b"knock", 77)
    north.run(100_000)
    assert len(north.heard) == before
    north.connect()
    north.run(10)
    assert north.frames() == [b"knock"]


def test_the_link_is_dropped_900_s_after_the_last_word() -> None:
    """TCP shows it as EOF; a word in between puts it off by as much."""
    air = Air(Random(1))
    north = Probe(SimulatedRadio(NORTH, "LabA", air), is_tcp=True)
    north.connect()
    count = north.port.drop_count
    north.run(100_000)
    north.heartbeat()
    north.run(899_900)
    assert north.port.drop_count == count
    north.run(500)
    assert north.port.drop_count == count + 1


def test_packets_wait_for_a_client_and_the_oldest_give_way() -> None:
    """No client: at most 32 packets are kept."""
    air = Air(Random(6))
    north = Probe(SimulatedRadio(NORTH, "LabA", air))
    south = Probe(SimulatedRadio(SOUTH, "LabB", air))
    north.connect()
    for n in range(40):
        north.send(SOUTH, bytes([n]), 1000 + n)
        north.run(4_000)
    assert south.frames() == []
    south.connect()
    assert south.frames()[-1] == bytes([39])
    assert len(south.of_kind("packet")) == 32


def test_ports_with_a_rate_limit_drop_the_excess_silently() -> None:
    """TEXT 2 s, POSITION 10 s; PRIVATE_APP has none."""
    north, _ = make_pair()
    for n, portnum in enumerate((TEXT, TEXT, POSITION, POSITION)):
        north.write(direct_message(SOUTH, b"x", 100 + n, portnum=portnum))
        north.run(10)
    answered = {s.mesh_packet_id for s in north.queue_statuses()} - {0}
    assert answered == {100, 102}


def test_loss_on_the_air_is_the_share_that_was_asked_for() -> None:
    """30 % of receptions are lost and retransmission still brings nearly everything across."""
    north, south = make_pair(seed=9, loss=0.3)
    for n in range(60):
        north.send(SOUTH, n.to_bytes(2, "big"), 1000 + n)
        north.run(30_000)
        south.heartbeat()
    air = north.radio.air
    heard = len(air.records)
    assert 0.2 < air.lost_count / heard < 0.4
    assert len(south.frames()) == len(set(south.frames())) >= 55


def test_a_weak_path_shows_in_what_the_client_is_told() -> None:
    """rx_rssi and rx_snr are those of the path."""
    north, south = make_pair()
    north.radio.air.set_path(NORTH, SOUTH, Signal(rssi_dbm=-121, snr_db=-14.5))
    north.send(SOUTH, b"weak", 77)
    north.run(3_000)
    packet = south.of_kind("packet")[0].message.packet
    assert (packet.rx_rssi, packet.rx_snr) == (-121, -14.5)


def test_noise_and_cut_frames_from_a_client_do_no_harm() -> None:
    """Wake-up octets, text, half a frame and a frame of garbage; then the radio still answers."""
    north, _ = make_pair()
    before = len(north.queue_statuses())
    for octets in (b"\xc3" * 32, b"hello\r\n", b"\x94\xc3\xff\xff", b"\x94\xc3\x00\x04\xff\xff"):
        north.radio.usb.feed(octets)
    north.radio.usb.feed(b"\xff\xff")
    north.heartbeat()
    north.run(10)
    assert len(north.queue_statuses()) == before + 1


def test_the_same_seed_gives_the_same_history() -> None:
    """Times and lost packets repeat exactly."""

    def history(seed: int) -> list[tuple[int, int, int]]:
        north, _ = make_pair(seed, loss=0.2)
        for n in range(10):
            north.send(SOUTH, bytes(20), 1000 + n)
            north.run(20_000)
        return [(r.at_ms, r.sender, r.packet.packet_id) for r in north.radio.air.records]

    assert history(3) == history(3)
    assert history(3) != history(4)


def test_the_radio_says_it_is_itself_that_sends_its_telemetry() -> None:
    """Once a minute a packet from the own node to all: a driver must not take it for a message."""
    north, _ = make_pair()
    north.run(61_000)
    (packet,) = [heard.message.packet for heard in north.of_kind("packet")]
    assert (getattr(packet, "from"), packet.to) == (NORTH, BROADCAST)


def test_a_status_says_nothing_when_the_transmitter_is_off() -> None:
    """Res 34 and no NAK for a packet without want_ack."""
    north, _ = make_pair()
    north.radio.set_transmitter(is_on=False)
    north.send(SOUTH, b"mute", 77, want_ack=False)
    north.run(30_000)
    assert [s.res for s in north.queue_statuses(77)] == [34]
    assert north.acks(77) == []


def test_two_radios_that_start_at_once_do_not_hear_each_other() -> None:
    """Half duplex: who transmits receives nothing; on 40 tries it happens, and not always."""
    north, south = make_pair()
    for n in range(40):
        north.send(SOUTH, b"n%d" % n, 1000 + n, want_ack=False)
        south.send(NORTH, b"s%d" % n, 2000 + n, want_ack=False)
        north.run(20_000)
    assert north.radio.air.lost_count > 0
    assert 0 < len(set(south.frames())) <= 40


@pytest.mark.parametrize("preset", ModemPreset.keys())
def test_every_preset_of_the_definitions_can_be_simulated(preset: str) -> None:
    """With the time on air that the driver reckons for it, which `radio set-up` can ask for."""
    lora = config_pb2.Config.LoRaConfig(use_preset=True, modem_preset=ModemPreset.Value(preset))
    for size in (0, 25, 200):
        assert PRESETS[preset].of(size) == _airtime(lora).of(size)


def test_the_duty_cycles_are_those_that_the_driver_keeps() -> None:
    """Of each region that has one; percent here, a share there."""
    assert {region: percent / 100 for region, percent in DUTY_PERCENT.items()} == DUTY_SHARES
