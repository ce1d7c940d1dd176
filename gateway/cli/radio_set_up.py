"""`hotline radio set-up`: bring a radio to what the configuration, or the options, say."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.keyfiles import read_text_file
from gateway.cli.number_type import IntegerRange
from gateway.cli.options import Common, file_options
from gateway.cli.output import can_ask, print_json, print_table, say, warn
from gateway.cli.port_type import PortType
from gateway.cli.radio_session import new_rng, run_session

if TYPE_CHECKING:
    from gateway.config.settings import MeshtasticLinkSettings
    from gateway.links.meshtastic.setup_plan import Plan, Wanted
    from gateway.links.meshtastic.survey import RadioSurvey

ROLE_WORDS: Final = ("CLIENT", "CLIENT_MUTE")
HOP_COUNT_MAX: Final = 7
PUBLIC_KEY_WARNING: Final = (
    "look: the channel keeps the key of every fresh radio, so its name alone keeps nobody out; "
    "make one for both ends and name it: head -c 32 /dev/urandom | base64 > channel.key; "
    "--channel-key-file channel.key"
)


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


@dataclass(frozen=True, slots=True)
class _Task:
    """Which radio, and what it shall become."""

    port: str
    wanted: Wanted
    own_node: int | None
    """Another radio at the port is not touched; None: any is taken."""
    source: str
    """Where the settings come from, for people."""


@click.command("set-up")
@click.option(
    "--port",
    type=PortType(),
    help="/dev/hotline/... or tcp://host:4403.  [default: the link's in the configuration]",
)
@click.option("--link", help="Link of the configuration.  [default: the one at PORT, or the only]")
@click.option("--region", type=_WordType("region"), help="Where it stands, such as EU_868.")
@click.option(
    "--preset", type=_WordType("preset"), help="Such as LONG_FAST; the same at both ends."
)
@click.option(
    "--role",
    type=click.Choice(ROLE_WORDS, case_sensitive=False),
    help="CLIENT relays for others, CLIENT_MUTE spares that airtime.",
)
@click.option(
    "--hop-limit",
    type=IntegerRange(1, HOP_COUNT_MAX),
    help="How often a frame may be relayed.",
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
@file_options
def set_up(
    common: Common,
    port: str | None,
    link: str | None,
    yes: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Bring a radio to what the line needs: show the changes, ask, write, restart, verify.

    The settings are those of the link in the configuration; an option overrides one. What neither
    names stays, but for what saves airtime: position, telemetry and neighbours are told once a
    day or never, MQTT, range test, store and forward are off, the transmitter and the serial
    console are on, text logs off. Direct messages use the radios' own keys (PKC); a channel of
    one's own keeps strangers' traffic out, and where a region has several frequencies its name
    chooses one: name and key must be the same at both ends.
    """
    found = _link(common, port, link)
    task = _task(common, port, found, options)
    run_session(task.port, lambda: _set_up(common, task, is_sure=yes))


def _link(common: Common, port: str | None, name: str | None) -> MeshtasticLinkSettings | None:
    """The link whose radio is meant; None: no configuration speaks of it, the options alone do."""
    is_there = os.access(common.config_path, os.R_OK)
    if common.config is None and name is None and port is not None and not is_there:
        return None
    from gateway.config.load import load_settings
    from gateway.config.settings import MeshtasticLinkSettings

    settings = load_settings(common.config_path, check_files=False)
    links = [it for it in settings.links if isinstance(it, MeshtasticLinkSettings)]
    names = ", ".join(it.name for it in links) or "none"
    if name is not None:
        links = [it for it in links if it.name == name]
    elif port is not None:
        links = [it for it in links if _same(it.port, port)]
        if not links:
            return None
    if len(links) == 1:
        return links[0]
    problem = f"has no radio {name!r}" if name is not None else "names several radios or none"
    raise CommandError(
        ExitCode.USAGE,
        f"{common.config_path} {problem}; name one with --link (there: {names}), or a radio "
        "without a link with --port",
    )


def _same(one: str, other: str) -> bool:
    return one == other or (
        one.startswith("/")
        and other.startswith("/")
        and Path(one).resolve() == Path(other).resolve()
    )


def _task(
    common: Common, port: str | None, link: MeshtasticLinkSettings | None, options: dict[str, Any]
) -> _Task:
    from gateway.doctor.wishes import wanted_of
    from gateway.links.meshtastic.setup_plan import Wanted, parse_channel_key

    given = {name: value for name, value in options.items() if value is not None}
    key_file = given.pop("channel_key_file", None if link is None else link.channel_key_file)
    if key_file is not None:
        given["channel_key"] = parse_channel_key(read_text_file(key_file, private=True))
    if "channel" in given:
        given["channel_name"] = given.pop("channel")
    if "role" in given:
        given["role"] = given["role"].upper()
    if link is None:
        assert port is not None
        return _Task(port, Wanted(**given), None, "the options")
    source = f"link {link.name} of {common.config_path}"
    if options_given := sorted(name for name, value in options.items() if value is not None):
        source += f", with {', '.join(options_given)} of the options"
    own_node = None if link.own_node is None else int(link.own_node[1:], 16)
    wanted = dataclasses.replace(wanted_of(link), **given)
    return _Task(port or link.port, wanted, own_node, source)


async def _set_up(common: Common, task: _Task, *, is_sure: bool) -> None:
    from gateway.links.meshtastic.session import open_session, survey_after_restart
    from gateway.links.meshtastic.setup_plan import plan

    rng = new_rng()
    async with open_session(task.port, rng=rng) as session:
        changes = plan(session.survey, task.wanted)
        _check_node(session.survey, task)
        _show_plan(common, task, changes)
        if has_public_key(session.survey, task.wanted):
            warn(PUBLIC_KEY_WARNING)
        _check_region(session.survey, task)
        if changes.orders:
            _check_managed(session.survey, task)
        else:
            _report(
                common, task, session.survey, changes, "it is set up already; nothing was written"
            )
            return
        _ask(is_sure=is_sure)
        _progress("writing")
        await session.write(changes.orders)
        _progress("it restarts")
        await session.restart()
    _progress("waiting for it (at most 90 s)")
    survey = await survey_after_restart(task.port, rng=rng)
    left = plan(survey, task.wanted)
    if left.changes:
        names = ", ".join(change.setting for change in left.changes)
        raise CommandError(
            ExitCode.FAILED,
            f"the radio at {task.port} came back without these settings: {names}; "
            "is it managed, or does its firmware know them? See `hotline radio show`",
        )
    sentence = f"written, restarted and verified: {len(changes.changes)} settings"
    _report(common, task, survey, changes, sentence)


def _check_node(survey: RadioSurvey, task: _Task) -> None:
    from gateway.links.meshtastic.identity import node_name

    if task.own_node is not None and survey.node != task.own_node:
        raise CommandError(
            ExitCode.FAILED,
            f"the radio at {task.port} is {node_name(survey.node)} and not "
            f"{node_name(task.own_node)}; plug in the right one or correct `own_node`; "
            "nothing was written",
        )


def _check_region(survey: RadioSurvey, task: _Task) -> None:
    if survey.region == "UNSET" and task.wanted.region is None:
        raise CommandError(
            ExitCode.USAGE,
            f"the radio at {task.port} has no region, so it may not transmit; name the one where "
            "it stands with --region, or `region` in its link; nothing was written",
        )


def _check_managed(survey: RadioSurvey, task: _Task) -> None:
    if survey.is_managed:
        raise CommandError(
            ExitCode.FAILED,
            f"the radio at {task.port} is managed, so it takes no settings from here; have its "
            "administrator set it or end that (security.is_managed); nothing was written",
        )


def _show_plan(common: Common, task: _Task, changes: Plan) -> None:
    if not common.json:
        say(f"Settings of {task.source}:")
        rows = [(it.setting, it.now, it.then) for it in changes.changes]
        print_table(("SETTING", "NOW", "THEN"), rows, empty="No setting has to change.")


def has_public_key(survey: RadioSurvey, wanted: Wanted) -> bool:
    """Whether a channel of one's own is asked for and has the key of every fresh radio."""
    is_kept = wanted.channel_key is None and survey.channel.is_public_key
    return wanted.channel_name is not None and is_kept


def _ask(*, is_sure: bool) -> None:
    if is_sure:
        return
    if not can_ask():
        raise CommandError(
            ExitCode.USAGE, "nobody can be asked here; nothing was written; repeat with --yes"
        )
    if not click.confirm("Write these settings and restart the radio?", err=True):
        raise CommandError(ExitCode.INTERRUPTED, "nothing was written")


def _report(common: Common, task: _Task, survey: RadioSurvey, changes: Plan, sentence: str) -> None:
    """What was done, and what the configurations of both ends say of this radio."""
    from gateway.links.meshtastic.identity import node_name
    from gateway.links.meshtastic.survey import key_text

    node, key = node_name(survey.node), key_text(survey.public_key)
    if common.json:
        rows = [
            {"setting": it.setting, "before": it.now, "after": it.then} for it in changes.changes
        ]
        warnings = [PUBLIC_KEY_WARNING] if has_public_key(survey, task.wanted) else []
        document = {"port": task.port, "settings_of": task.source, "node": node, "public_key": key}
        print_json({**document, "changes": rows, "warnings": warnings, "result": sentence})
        return
    say(sentence)
    say(
        f'here: own_node = "{node}", own_key = "{key}"; in the far station\'s link: node = "{node}"'
    )


def _progress(sentence: str) -> None:
    if can_ask():
        warn(f"... {sentence}")
