"""`hotline radio`: what a Meshtastic radio is set to; setting it up and simulating it beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from gateway.cli.options import Common, plain_options
from gateway.cli.output import print_fields, print_json, print_table, say
from gateway.cli.port_type import PortType
from gateway.cli.radio_session import new_rng, run_session
from gateway.cli.radio_set_up import set_up
from gateway.cli.radio_simulate import simulate

if TYPE_CHECKING:
    from gateway.links.meshtastic.survey import RadioSurvey

PORT: Final = click.option(
    "--port",
    type=PortType(),
    required=True,
    help="/dev/serial/by-id/... or tcp://host:4403. Stop the gateway first if it holds it.",
)


@click.group("radio")
@plain_options
def command(_common: Common) -> None:
    """Show what a Meshtastic radio is set to; set it up for the line; simulate some.

    `show` and `set-up` speak to the radio itself. A running gateway that holds the port must be
    stopped first: systemctl stop hotline-gateway.
    """


command.add_command(simulate)
command.add_command(set_up)


@command.command("show")
@PORT
@plain_options
def show(common: Common, port: str) -> None:
    """Print what a radio is set to, and which radios it knows."""
    from gateway.links.meshtastic.session import survey_radio

    survey = run_session(port, lambda: survey_radio(port, rng=new_rng()))
    document = _document(port, survey)
    if common.json:
        print_json(document)
        return
    print_fields([(name, value) for name, value in document.items() if name != "nodes"])
    say("")
    rows = [
        (str(it["node"]), str(it["name"]), "yes" if it["knows_key"] else "NO", str(it["snr_db"]))
        for it in _nodes(survey)
    ]
    print_table(("NODE", "NAME", "KEY KNOWN", "SNR dB"), rows, empty="It knows no other radio.")


def _document(port: str, survey: RadioSurvey) -> dict[str, object]:
    from gateway.links.meshtastic.identity import node_name
    from gateway.links.meshtastic.survey import key_text

    channel, left = survey.channel, survey.duty_percent_left
    return {
        "port": port,
        "node": node_name(survey.node),
        "long_name": survey.user.long_name,
        "short_name": survey.user.short_name,
        "firmware": survey.firmware,
        "region": survey.region,
        "preset": survey.preset,
        "transmitter": "on" if survey.lora.tx_enabled else "off",
        "hop_limit": survey.lora.hop_limit,
        "role": survey.role,
        "channel": channel.name,
        "channel_hash": f"0x{channel.hash:02x}",
        "channel_key": "public" if channel.is_public_key else f"own, {channel.fingerprint}",
        "public_key": key_text(survey.public_key),
        "duty_percent_left": None if left is None else round(left, 2),
        "nodes": _nodes(survey),
    }


def _nodes(survey: RadioSurvey) -> list[dict[str, object]]:
    from gateway.links.meshtastic.identity import node_name

    found = []
    for number in survey.nodes:
        heard = survey.heard(number)
        if number != survey.node and heard is not None:
            found.append(
                {
                    "node": node_name(number),
                    "name": heard.name,
                    "knows_key": heard.knows_key,
                    "snr_db": heard.snr_db,
                }
            )
    return found
