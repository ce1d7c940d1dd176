"""`hotline radio`: what a Meshtastic radio is set to; setting it up and simulating it beside."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.options import Common, plain_options
from gateway.cli.output import print_fields, print_json, print_table, say
from gateway.cli.port_type import PortType, node_text
from gateway.cli.radio_session import new_rng, run_session
from gateway.cli.radio_set_up import set_up
from gateway.cli.radio_simulate import simulate

if TYPE_CHECKING:
    from gateway.links.meshtastic.survey import RadioSurvey

PORT: Final = click.option(
    "--port",
    type=PortType(),
    required=True,
    help="/dev/hotline/... or tcp://host:4403. Stop the gateway first if it holds it.",
)


@click.group("radio")
@plain_options
def command(_common: Common) -> None:
    """Show what a Meshtastic radio is set to; set it up for the line; simulate some.

    `show`, `set-up` and `forget` speak to the radio itself. A running gateway that holds the port
    must be stopped first: systemctl stop hotline-gateway.
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


@command.command("forget")
@click.argument("node")
@PORT
@plain_options
def forget(common: Common, node: str, port: str) -> None:
    """Make a radio forget NODE, such as '!4d4c00b2', that was reset and has new keys.

    A radio keeps the first key that it hears of another, and drops what shows a second one. The
    next NodeInfo brings the new key; the gateway asks for it when it starts.
    """
    node = node_text(node)
    number = _number(node)
    run_session(port, lambda: _forget(port, node, number))
    sentence = f"the radio at {port} forgot {node}; start the gateway, which asks for its new key"
    if common.json:
        print_json({"port": port, "node": node, "result": sentence})
    else:
        say(sentence)


def _number(node: str) -> int:
    if re.fullmatch("![0-9a-f]{8}", node) is None:
        raise CommandError(
            ExitCode.USAGE,
            f"{node!r} is no node; write ! and 8 of 0-9 and a-f, such as '!4d4c00b2'",
        )
    return int(node[1:], 16)


async def _forget(port: str, node: str, number: int) -> None:
    from gateway.links.meshtastic.protobuf import admin_pb2
    from gateway.links.meshtastic.session import open_session

    async with open_session(port, rng=new_rng()) as session:
        if number == session.survey.node or number not in session.survey.nodes:
            raise CommandError(
                ExitCode.NOT_FOUND,
                f"the radio at {port} knows no other radio {node}; whom it knows: hotline radio"
                f" show --port {port}",
            )
        await session.order(admin_pb2.AdminMessage(remove_by_nodenum=number))


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
