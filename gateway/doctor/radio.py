"""A radio's own settings, judged for a line of ours. Pure but for the session itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from random import Random
from typing import Final

from gateway.config.files import FileProblemError, read_private
from gateway.config.settings import MeshtasticLinkSettings
from gateway.doctor.finding import Finding, fault, look, ok
from gateway.doctor.waiting import in_thread
from gateway.doctor.wishes import wanted_of
from gateway.errors import FieldError, LinkLostError
from gateway.links.meshtastic.identity import node_name
from gateway.links.meshtastic.session import survey_radio
from gateway.links.meshtastic.setup_plan import ROLES, Wanted, parse_channel_key, plan
from gateway.links.meshtastic.survey import RadioSurvey, key_text

TOPIC: Final = "radio"
SURVEY_S: Final = 35.0
"""For opening, handshake and close together; each has a shorter deadline of its own."""
SET_UP: Final = "hotline radio set-up --port"
_PUBLIC_KEY_SIZE: Final = 32
_WEAK_KEYS_BEFORE: Final = (2, 6, 11)
"""CVE-2025-52464: keys shared between boards, or weak."""
_DOWNGRADE_BEFORE: Final = (2, 7, 15)
"""CVE-2025-53627: a direct message may fall back from PKC to the channel's key."""
_SAME_AT_BOTH_ENDS: Final = frozenset(
    {"lora.region", "lora.use_preset", "lora.modem_preset", "channel.name", "channel.key"}
)
"""With another value here than there, neither hears the other."""
_DUTY_FEW: Final = 2.0
_SNR_FEW_DB: Final = -12.0
"""LONG_FAST is lost at about -17.5 dB."""


async def examine_radio(
    port: str, far_node: int | None, link: MeshtasticLinkSettings | None = None, *, rng: Random
) -> list[Finding]:
    """Ask the radio at `port`, of this link if any. A dead port is a finding too."""
    try:
        survey = await survey_radio(port, rng=rng)
    except LinkLostError as error:
        sentence, _, remedy = str(error).partition("; ")
        return [fault(TOPIC, sentence, remedy or "check the plug, the power and `port`")]
    findings = list(judge_radio(port, survey, far_node))
    if link is not None:
        findings += await in_thread(lambda: list(judge_wishes(survey, link)))
    return findings


def judge_radio(port: str, survey: RadioSurvey, far_node: int | None) -> Iterator[Finding]:
    """Everything about one radio; `far_node` None: nobody said whom it shall reach."""
    yield ok(
        TOPIC,
        f"{node_name(survey.node)} {survey.user.long_name!r} at {port} answers: firmware"
        f" {survey.firmware}, state version {survey.state_version}, wants clients from"
        f" {survey.app_version_min} (definitions here: {version('meshtastic')})",
    )
    yield _judge_firmware(survey.firmware)
    yield _judge_modem(port, survey)
    yield _judge_role(port, survey)
    yield _judge_key(survey)
    yield _judge_channel(port, survey)
    yield _judge_duty(survey)
    yield _judge_savers(port, survey)
    if far_node is not None:
        yield judge_far(survey, far_node)


def judge_wishes(survey: RadioSurvey, link: MeshtasticLinkSettings) -> Iterator[Finding]:
    """Is it set to what its link says? Reads the channel's key."""
    wanted = wanted_of(link)
    if link.channel_key_file is not None:
        try:
            octets = read_private("channel_key_file", link.channel_key_file)
            wanted = wanted_of(link, parse_channel_key(octets.decode(errors="replace")))
        except (FileProblemError, FieldError) as error:
            sentence, _, remedy = str(error).partition("; ")
            yield look(TOPIC, sentence, remedy)
    savers = {change.setting for change in plan(survey, Wanted()).changes}
    other = [it for it in plan(survey, wanted).changes if it.setting not in savers]
    remedy = f"stop the gateway, then: hotline radio set-up --link {link.name}"
    for change in other:
        text = f"{change.setting} is {change.now}, link {link.name} says {change.then}"
        judge = fault if change.setting in _SAME_AT_BOTH_ENDS else look
        yield judge(TOPIC, text, remedy)
    if not other and wanted != Wanted():
        yield ok(TOPIC, f"it is set to what link {link.name} says")


def _judge_firmware(firmware: str) -> Finding:
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", firmware)
    if numbers is None:
        return look(TOPIC, f"firmware {firmware!r} has no version", "install a released one")
    found = tuple(int(number) for number in numbers.groups())
    remedy = "install firmware 2.7.15 or newer, then make new keys (factory reset)"
    if found < _WEAK_KEYS_BEFORE:
        return fault(TOPIC, f"firmware {firmware} may have weak keys (CVE-2025-52464)", remedy)
    if found < _DOWNGRADE_BEFORE:
        text = f"firmware {firmware} may fall back to the channel's key (CVE-2025-53627)"
        return look(TOPIC, text, "install firmware 2.7.15 or newer")
    return ok(TOPIC, f"firmware {firmware} has the known faults of its keys mended")


def _judge_modem(port: str, survey: RadioSurvey) -> Finding:
    modem = f"region {survey.region}, preset {survey.preset}"
    if survey.region == "UNSET":
        remedy = f"{SET_UP} {port} --region EU_868 (the region where it stands)"
        return fault(TOPIC, "no region is set, so it does not transmit", remedy)
    if not survey.lora.tx_enabled:
        return fault(TOPIC, f"{modem}; its transmitter is off", f"{SET_UP} {port}")
    return ok(TOPIC, f"{modem}, transmitter on; both ends of the line need the same")


def _judge_role(port: str, survey: RadioSurvey) -> Finding:
    if survey.role in ROLES:
        return ok(TOPIC, f"role {survey.role}")
    return look(
        TOPIC,
        f"role {survey.role}: it spends airtime on others, or sleeps",
        f"{SET_UP} {port} --role CLIENT",
    )


def _judge_key(survey: RadioSurvey) -> Finding:
    if len(survey.public_key) == _PUBLIC_KEY_SIZE:
        return ok(TOPIC, f"public key {key_text(survey.public_key)}")
    return fault(
        TOPIC,
        "it has no public key, so no direct message can be encrypted to it",
        "set its region, which makes a key, or update the firmware",
    )


def _judge_channel(port: str, survey: RadioSurvey) -> Finding:
    channel = survey.channel
    text = f"channel {channel.name!r}, hash 0x{channel.hash:02x}, key {channel.fingerprint}"
    if channel.is_public_key:
        return look(
            TOPIC,
            f"{text}: the key of every fresh radio, so strangers' traffic is taken and relayed",
            f"{SET_UP} {port} --channel NAME --channel-key-file FILE, the same at both ends",
        )
    return ok(TOPIC, text)


def _judge_duty(survey: RadioSurvey) -> Finding:
    left = survey.duty_percent_left
    if left is None:
        return ok(TOPIC, f"no duty cycle limits it in region {survey.region}")
    text = f"{left:.1f} % of the hour may still be sent (duty cycle, by the radio's own count)"
    if left < _DUTY_FEW:
        return look(TOPIC, text, "wait up to an hour; find what spends it: hotline status")
    return ok(TOPIC, text)


def _judge_savers(port: str, survey: RadioSurvey) -> Finding:
    names = [change.setting for change in plan(survey, Wanted()).changes]
    if not names:
        return ok(TOPIC, "it sends nothing unasked but its node info")
    text = f"settings that waste airtime or octets: {', '.join(names)}"
    return look(TOPIC, text, f"{SET_UP} {port}")


def judge_far(survey: RadioSurvey, far_node: int) -> Finding:
    """What this radio knows of the far station's."""
    name = node_name(far_node)
    if survey.node == far_node:
        return fault(
            TOPIC,
            f"this radio is {name} itself, which the configuration names as the far one",
            "correct `node` of the link, or exchange the plugs",
        )
    heard = survey.heard(far_node)
    if heard is None or not heard.knows_key:
        what = "has never heard of" if heard is None else "does not know the key of"
        return look(
            TOPIC,
            f"it {what} the far radio {name}; direct messages cannot be encrypted to it yet",
            "switch the far radio on near this one; their node info goes by itself within 3 h,"
            " or at once after a restart",
        )
    rssi = "" if heard.rssi_dbm is None else f", RSSI {heard.rssi_dbm} dBm"
    hops = f", {heard.hops_away} hops away" if heard.hops_away else ""
    if heard.snr_db is None:
        return ok(TOPIC, f"far radio {name} {heard.name!r} is known with its key{hops}{rssi}")
    text = f"far radio {name} {heard.name!r} known with its key, SNR {heard.snr_db} dB{hops}{rssi}"
    if heard.snr_db < _SNR_FEW_DB:
        remedy = "raise the antenna, or choose a slower preset at both ends"
        return look(TOPIC, f"{text}, at the edge of what can be heard", remedy)
    return ok(TOPIC, text)
