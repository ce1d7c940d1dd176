"""`hotline radio`: what a Meshtastic radio is set to, and setting it up for the line."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final, TypeVar

import click

from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.keyfiles import read_text_file
from gateway.cli.options import Common, plain_options
from gateway.cli.output import can_ask, print_fields, print_json, print_table, say, warn
from gateway.cli.port_type import PortType
from gateway.cli.radio_simulate import simulate
from gateway.errors import LinkLostError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from gateway.links.meshtastic.setup_plan import Plan, Wanted
    from gateway.links.meshtastic.survey import RadioSurvey

T = TypeVar("T")

PORT: Final = click.option(
    "--port",
    type=PortType(),
    required=True,
    help="/dev/serial/by-id/... or tcp://host:4403. Stop the gateway first if it holds it.",
)
ROLE_WORDS: Final = ("CLIENT", "CLIENT_MUTE")


class _WordType(click.ParamType[str]):
    """A word of Meshtastic's own lists, which are loaded only when one is given."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        from gateway.links.meshtastic.setup_plan import PRESETS, REGIONS

        known = REGIONS if self.name == "region" else PRESETS
        word = str(value).upper().replace("-", "_")
        if word not in known:
            self.fail(f"{value!r} is no {self.name}; write one of {', '.join(known)}", param, ctx)
        return word


@click.group("radio")
@plain_options
def command(_common: Common) -> None:
    """Show what a Meshtastic radio is set to; set it up for the line; simulate some.

    `show` and `set-up` speak to the radio itself. A running gateway that holds the port must be
    stopped first: systemctl stop hotline-gateway.
    """


command.add_command(simulate)


@command.command("show")
@PORT
@plain_options
def show(common: Common, port: str) -> None:
    """Print what a radio is set to, and which radios it knows."""
    from gateway.links.meshtastic.session import survey_radio

    survey = _radio(survey_radio(port, rng=_rng()))
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


@command.command("set-up")
@PORT
@click.option("--region", type=_WordType("region"), help="Where it stands, such as EU_868.")
@click.option(
    "--preset", type=_WordType("preset"), help="Such as LONG_FAST; the same at both ends."
)
@click.option(
    "--role",
    type=click.Choice(ROLE_WORDS, case_sensitive=False),
    help="CLIENT relays for others, CLIENT_MUTE spares that airtime.",
)
@click.option("--channel", help="Name of the primary channel; the same at both ends.")
@click.option(
    "--channel-key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Key of the channel in base64, the same at both ends: head -c 32 /dev/urandom | base64",
)
@click.option("--long-name", help="Such as NORTH hotline; everyone in reach can read it.")
@click.option("--short-name", help="1 to 4 octets.")
@click.option("-y", "--yes", is_flag=True, help="Write without asking.")
@plain_options
def set_up(
    common: Common,
    port: str,
    region: str | None,
    preset: str | None,
    role: str | None,
    channel: str | None,
    channel_key_file: Path | None,
    long_name: str | None,
    short_name: str | None,
    yes: bool,
) -> None:
    """Bring a radio to what the line needs: show the changes, ask, write, restart, verify.

    What is not named stays, but for what saves airtime: position, telemetry and neighbours are
    told once a day or never, MQTT, range test, store and forward are off, the transmitter and the
    serial console are on, text logs off. Direct messages use the radios' own keys (PKC); a channel
    of one's own keeps strangers' traffic out, and where a region has several frequencies its name
    chooses one: name and key must be the same at both ends.
    """
    from gateway.links.meshtastic.setup_plan import Wanted, parse_channel_key

    key = None
    if channel_key_file is not None:
        key = parse_channel_key(read_text_file(channel_key_file, private=True))
    wanted = Wanted(
        region=region,
        preset=preset,
        role=None if role is None else role.upper(),
        channel_name=channel,
        channel_key=key,
        long_name=long_name,
        short_name=short_name,
    )
    _radio(_set_up(common, port, wanted, is_sure=yes))


async def _set_up(common: Common, port: str, wanted: Wanted, *, is_sure: bool) -> None:
    from gateway.links.meshtastic.session import open_session, survey_after_restart
    from gateway.links.meshtastic.setup_plan import plan

    rng = _rng()
    async with open_session(port, rng=rng) as session:
        changes = plan(session.survey, wanted)
        _show_plan(common, changes)
        _check_region(session.survey, wanted, port)
        if not changes.orders:
            _report(common, changes, "it is set up already; nothing was written")
            return
        _ask(is_sure=is_sure)
        _progress("writing")
        await session.write(changes.orders)
        _progress("it restarts")
        await session.restart()
    _progress("waiting for it (at most 90 s)")
    left = plan(await survey_after_restart(port, rng=rng), wanted)
    if left.changes:
        names = ", ".join(change.setting for change in left.changes)
        raise CommandError(
            ExitCode.FAILED,
            f"the radio at {port} came back without these settings: {names}; "
            "is it managed, or does its firmware know them? See `hotline radio show`",
        )
    _report(common, changes, f"written, restarted and verified: {len(changes.changes)} settings")


def _check_region(survey: RadioSurvey, wanted: Wanted, port: str) -> None:
    if survey.region == "UNSET" and wanted.region is None:
        raise CommandError(
            ExitCode.USAGE,
            f"the radio at {port} has no region, so it may not transmit; name the one where it "
            "stands with --region; nothing was written",
        )


def _show_plan(common: Common, changes: Plan) -> None:
    if not common.json:
        rows = [(it.setting, it.now, it.then) for it in changes.changes]
        print_table(("SETTING", "NOW", "THEN"), rows, empty="No setting has to change.")


def _ask(*, is_sure: bool) -> None:
    if is_sure:
        return
    if not can_ask():
        raise CommandError(
            ExitCode.USAGE, "nobody can be asked here; nothing was written; repeat with --yes"
        )
    if not click.confirm("Write these settings and restart the radio?", err=True):
        raise CommandError(ExitCode.INTERRUPTED, "nothing was written")


def _report(common: Common, changes: Plan, sentence: str) -> None:
    if common.json:
        rows = [
            {"setting": it.setting, "before": it.now, "after": it.then} for it in changes.changes
        ]
        print_json({"changes": rows, "result": sentence})
    else:
        say(sentence)


def _progress(sentence: str) -> None:
    if can_ask():
        warn(f"... {sentence}")


def _radio(work: Coroutine[object, object, T]) -> T:
    """Run a session; a radio that cannot be reached ends the command with 4."""
    try:
        return asyncio.run(work)
    except LinkLostError as error:
        raise CommandError(ExitCode.UNREACHABLE, str(error)) from error


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


def _rng() -> Random:
    return Random(int.from_bytes(os.urandom(8), "big"))  # noqa: S311 (packet ids only)
