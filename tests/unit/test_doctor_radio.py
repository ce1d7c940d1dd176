"""What the doctor says of a radio, bad and good, and what a set-up changes; in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from gateway.cli.radio_set_up import has_public_key
from gateway.doctor.finding import NOTHING_TO_DO, Finding, Mark
from gateway.doctor.radio import judge_far, judge_radio
from gateway.errors import FieldError
from gateway.links.meshtastic.protobuf import admin_pb2, mesh_pb2
from gateway.links.meshtastic.setup_plan import RARE_S, Wanted, parse_channel_key, plan
from gateway.links.meshtastic.survey import RadioSurvey
from gateway.sim.air import Air
from gateway.sim.radio import SimulatedRadio
from gateway.sim.radio.messages import ADMIN
from gateway.sim.radio.probe import Probe, direct_message

NORTH, SOUTH = 0x4D4C00A1, 0x4D4C00B2
OK, LOOK, FAULT = Mark.OK, Mark.LOOK, Mark.FAULT
PORT = "/dev/radio"
KEY = bytes(range(32))


class Bench:
    """NORTH's radio with SOUTH's on the air, and a client that reads and orders."""

    def __init__(self) -> None:
        self.air = Air(Random(1))
        self.radio = SimulatedRadio(NORTH, "North", self.air)
        self.far = SimulatedRadio(SOUTH, "South", self.air)
        self.probe = Probe(self.radio)
        self._packet_id = 1000

    def survey(self) -> RadioSurvey:
        self.probe.heard.clear()
        self.probe.connect()
        survey = RadioSurvey()
        for heard in self.probe.heard:
            survey.take(heard.message)
        return survey

    def order(self, *orders: Any) -> None:
        for order in orders:
            self._packet_id += 1
            self.probe.write(
                direct_message(NORTH, order.SerializeToString(), self._packet_id, portnum=ADMIN)
            )
            self.probe.run(100)

    def set_up(self, wanted: Wanted) -> None:
        """Every order in one edit, and the time until the radio is back."""
        self.order(
            admin_pb2.AdminMessage(begin_edit_settings=True),
            *plan(self.survey(), wanted).orders,
            admin_pb2.AdminMessage(commit_edit_settings=True),
        )
        self.probe.run(10_000)


def has(findings: list[Finding], mark: Mark, words: str) -> None:
    assert [it for it in findings if it.mark is mark and words in it.text], findings
    assert all(it.mark is OK or it.remedy != NOTHING_TO_DO for it in findings)


def spoil(change: Callable[[RadioSurvey], None]) -> list[Finding]:
    survey = Bench().survey()
    change(survey)
    return list(judge_radio(PORT, survey, SOUTH))


def _set(section: str, **values: Any) -> Callable[[RadioSurvey], None]:
    def change(survey: RadioSurvey) -> None:
        for field, value in values.items():
            setattr(survey.config[section], field, value)

    return change


def _firmware(version: str) -> Callable[[RadioSurvey], None]:
    return lambda survey: setattr(survey, "firmware", version)


def _no_key(survey: RadioSurvey) -> None:
    survey.config["security"].public_key = b""
    survey.nodes[NORTH].user.public_key = b""


def _spent(percent: float) -> Callable[[RadioSurvey], None]:
    return lambda survey: setattr(survey.nodes[NORTH].device_metrics, "air_util_tx", percent)


def _far(**values: Any) -> Callable[[RadioSurvey], None]:
    def change(survey: RadioSurvey) -> None:
        for field, value in values.items():
            setattr(survey.nodes[SOUTH], field, value)

    return change


def _channel(survey: RadioSurvey) -> None:
    survey.channels[0].settings.name, survey.channels[0].settings.psk = "Hotline", KEY


BAD = [
    (_firmware("2.6.10.abc"), FAULT, "CVE-2025-52464"),
    (_firmware("2.7.14.abc"), LOOK, "CVE-2025-53627"),
    (_firmware("unknown"), LOOK, "has no version"),
    (_set("lora", region=0), FAULT, "no region is set"),
    (_set("lora", tx_enabled=False), FAULT, "transmitter is off"),
    (_set("device", role=2), LOOK, "role ROUTER"),
    (_no_key, FAULT, "no public key"),
    (_spent(9.5), LOOK, "0.5 % of the hour"),
    (_set("position", position_broadcast_secs=900), LOOK, "position_broadcast_secs"),
    (_far(snr=-15.0), LOOK, "at the edge"),
    (lambda survey: survey.nodes.pop(SOUTH), LOOK, "never heard of the far radio !4d4c00b2"),
    (
        lambda survey: survey.nodes[SOUTH].user.ClearField("public_key"),
        LOOK,
        "does not know the key of",
    ),
    (lambda _survey: None, LOOK, "the key of every fresh radio"),
]


@pytest.mark.parametrize(("change", "mark", "words"), BAD, ids=[row[2] for row in BAD])
def test_a_radio_that_is_not_as_it_should_be(
    change: Callable[[RadioSurvey], None], mark: Mark, words: str
) -> None:
    """Each wrong setting is named, with what to do."""
    has(spoil(change), mark, words)


def test_a_channel_of_ones_own_with_the_public_key_is_warned_of() -> None:
    """A name alone keeps nobody out; where a key was given, or no name is asked for: no word."""
    bench = Bench()
    assert has_public_key(bench.survey(), Wanted(channel_name="Hotline"))
    assert not has_public_key(bench.survey(), Wanted(channel_name="Hotline", channel_key=KEY))
    assert not has_public_key(bench.survey(), Wanted(preset="SHORT_FAST"))
    bench.set_up(Wanted(channel_name="Hotline", channel_key=KEY))
    assert not has_public_key(bench.survey(), Wanted(channel_name="Hotline"))


def test_a_radio_as_it_should_be() -> None:
    """After the set-up of our own, nothing is left to look at."""
    bench = Bench()
    bench.set_up(Wanted(channel_name="Hotline", channel_key=KEY))
    findings = list(judge_radio(PORT, bench.survey(), SOUTH))
    assert [it for it in findings if it.mark is not OK] == []
    for words in (
        "!4d4c00a1 'North' at /dev/radio answers: firmware 2.7.26",
        "region EU_868, preset LONG_FAST, transmitter on",
        "role CLIENT",
        "public key GBIzke9C",
        "channel 'Hotline', hash 0x",
        "% of the hour may still be sent",
        "sends nothing unasked",
        "far radio !4d4c00b2 'South' known with its key, SNR 7.5 dB",
    ):
        has(findings, OK, words)


def test_region_without_duty_cycle_and_a_far_radio_that_is_ours() -> None:
    """No limit in the US; a plug in the wrong gateway is a fault."""
    has(spoil(_set("lora", region=1)), OK, "no duty cycle limits it in region US")
    has([judge_far(Bench().survey(), NORTH)], FAULT, "itself")


def test_channel_hash_is_that_of_the_firmware() -> None:
    """A fresh LONG_FAST radio is on channel 0x08; a key of one's own gives another."""
    survey = Bench().survey()
    assert (survey.channel.name, survey.channel.hash) == ("LongFast", 0x08)
    _channel(survey)
    assert not survey.channel.is_public_key
    expected = 0
    for octet in b"Hotline" + KEY:
        expected ^= octet
    assert survey.channel.hash == expected


def test_rssi_is_told_when_a_packet_came() -> None:
    """The radio keeps the SNR of a node and no RSSI: that is of what came while we looked."""
    survey = Bench().survey()
    packet = mesh_pb2.MeshPacket(rx_rssi=-97)
    setattr(packet, "from", SOUTH)
    survey.take(mesh_pb2.FromRadio(packet=packet))
    has([judge_far(survey, SOUTH)], OK, "RSSI -97 dBm")


def test_set_up_changes_what_was_asked_and_survives_the_restart() -> None:
    """Modem, role, channel and names of the simulated radio are then those; nothing more to do."""
    bench = Bench()
    wanted = Wanted(
        region="US",
        preset="SHORT_FAST",
        role="CLIENT_MUTE",
        channel_name="Hotline",
        channel_key=KEY,
        long_name="NORTH hotline",
        short_name="NRTH",
    )
    changes = {it.setting: (it.now, it.then) for it in plan(bench.survey(), wanted).changes}
    assert changes == {
        "lora.region": ("EU_868", "US"),
        "lora.modem_preset": ("LONG_FAST", "SHORT_FAST"),
        "device.role": ("CLIENT", "CLIENT_MUTE"),
        "position.position_broadcast_smart_enabled": ("on", "off"),
        "position.position_broadcast_secs": ("3600 s", f"{RARE_S} s"),
        "owner.long_name": ("North", "NORTH hotline"),
        "owner.short_name": ("Nort", "NRTH"),
        "channel.name": ("LongFast", "Hotline"),
        "channel.key": (changes["channel.key"][0], "630dcd29"),
    }
    assert KEY.hex() not in str(changes), "a key is never shown"
    bench.set_up(wanted)
    assert (bench.radio.modem.preset, bench.radio.modem.region) == ("SHORT_FAST", "US")
    survey = bench.survey()
    assert plan(survey, wanted).orders == ()
    assert survey.user.long_name == "NORTH hotline"
    assert bytes(survey.config["security"].private_key), "a section is written whole"


def test_a_section_keeps_what_nobody_named() -> None:
    """Power, hop limit and keys stand in the same sections and must come back unchanged."""
    bench = Bench()
    before = bench.survey()
    bench.set_up(Wanted(preset="SHORT_FAST"))
    after = bench.survey()
    assert after.lora.tx_power == before.lora.tx_power == 27
    assert after.lora.hop_limit == before.lora.hop_limit
    assert after.config["security"] == before.config["security"]


def test_keys_that_the_radio_does_not_show_are_not_written_back() -> None:
    """Firmware that keeps its private key to itself would draw new keys; a fresh radio has none."""
    survey = Bench().survey()
    survey.config["security"].debug_log_api_enabled = True
    assert [it.setting for it in plan(survey, Wanted()).changes][-1].startswith("security.")
    survey.config["security"].private_key = b""
    orders = plan(survey, Wanted()).orders
    assert orders
    assert not any(order.set_config.HasField("security") for order in orders)
    _no_key(survey)
    assert any(order.set_config.HasField("security") for order in plan(survey, Wanted()).orders)


def test_a_transmitter_that_is_off_is_switched_on() -> None:
    """It is off after an order and a restart, the doctor sees it, the set-up mends it."""
    bench = Bench()
    off = admin_pb2.AdminMessage()
    off.set_config.lora.CopyFrom(bench.survey().lora)
    off.set_config.lora.tx_enabled = False
    bench.order(off)
    bench.probe.run(10_000)
    has(list(judge_radio(PORT, bench.survey(), None)), FAULT, "transmitter is off")
    bench.set_up(Wanted())
    has(list(judge_radio(PORT, bench.survey(), None)), OK, "transmitter on")


def test_nothing_is_saved_without_a_commit() -> None:
    """An edit that breaks off does not restart the radio, and a restart forgets it."""
    bench = Bench()
    bench.survey()
    bench.order(admin_pb2.AdminMessage(begin_edit_settings=True))
    bench.order(*plan(bench.survey(), Wanted()).orders)
    bench.probe.heard.clear()
    bench.probe.run(20_000)
    assert bench.probe.of_kind("rebooted") == []
    assert plan(bench.survey(), Wanted()).orders == (), "in force at once"
    bench.radio.reboot()
    assert plan(bench.survey(), Wanted()).orders != (), "and gone with the restart"


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Wanted(channel_name="more than eleven"), "channel"),
        (lambda: Wanted(short_name="NORTH"), "short-name"),
        (lambda: Wanted(hop_limit=8), "hop-limit"),
        (lambda: Wanted(long_name=""), "long-name"),
        (lambda: Wanted(channel_key=b"short"), "channel key"),
        (lambda: parse_channel_key("no base64!"), "channel key"),
    ],
)
def test_wishes_that_no_radio_takes(make: Callable[[], object], field: str) -> None:
    """Refused before anything is written."""
    with pytest.raises(FieldError) as caught:
        make()
    assert caught.value.field == field
