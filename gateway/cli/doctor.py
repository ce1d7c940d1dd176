"""`hotline doctor`: what is, finding by finding, and what to do about it."""

from __future__ import annotations

import asyncio
import os
import sys
from random import Random
from typing import TYPE_CHECKING, Final

import click

from gateway.cli.connection import RUNTIME_FOLDER_DEFAULT, SOCKET_NAME, socket_path
from gateway.cli.draft import DurationType
from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.options import Common, api_options
from gateway.cli.output import print_json, say, warn
from gateway.cli.port_type import PortType

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.doctor.examination import Request, Step
    from gateway.doctor.finding import Finding

_MARGIN: Final = " " * 21
FAR_S_DEFAULT: Final = 90


@click.command("doctor")
@click.option(
    "--port",
    type=PortType(),
    help="Examine the radio here: /dev/... or tcp://host:4403. A radio serves one TCP client: "
    "whoever is connected is cut off.",
)
@click.option(
    "--far",
    is_flag=True,
    help="Send each far station a TEST comm check through the running gateway; tell who answered.",
)
@click.option(
    "--timeout",
    "far_s",
    type=DurationType(in_seconds=True),
    default=None,
    help=f"How long --far waits for a person there: 90s, 10m.  [default: {FAR_S_DEFAULT}s]",
)
@api_options
def command(common: Common, port: str | None, far: bool, far_s: int | None) -> None:
    """Examine this station: ports, radio, disturbing programs, permissions, clock, lamps, broker,
    disk, database, keys, configuration, service, versions.

    \b
    ok     as it should be
    look   may be meant so; a person should look
    fault  the line does not or will not work; the exit code is then 1

    Nothing on the machine is changed. A port that the running gateway holds is not touched; the
    gateway is asked instead. It works without a configuration file too, and then examines what it
    can. Use sudo to see everything.
    """  # noqa: D301 (click reads the backspace)
    from gateway.doctor.examination import Request

    request = Request(
        common.config_path,
        _socket(common),
        is_config_named=common.config is not None,
        port=port,
        is_far=far,
        far_s=far_s or FAR_S_DEFAULT,
    )
    findings = asyncio.run(_examine(common, request))
    marks = [finding.mark.value for finding in findings]
    counts = {word: marks.count(word) for word in ("ok", "look", "fault")}
    if common.json:
        print_json({"findings": [_document(finding) for finding in findings], "counts": counts})
    else:
        say(f"{counts['ok']} ok, {counts['look']} to look at, {counts['fault']} at fault")
    if counts["fault"]:
        click.get_current_context().exit(ExitCode.FAILED)


def _socket(common: Common) -> Path:
    """Where the gateway listens; a broken configuration is a finding and no end."""
    try:
        return socket_path(common)
    except CommandError:
        return RUNTIME_FOLDER_DEFAULT / SOCKET_NAME


async def _examine(common: Common, request: Request) -> list[Finding]:
    from gateway.doctor.examination import examine
    from gateway.doctor.machine import Machine

    findings: list[Finding] = []
    is_person = sys.stderr.isatty()

    def tell(step: Step) -> None:
        if is_person:
            warn(f"... {step.title} (at most {step.limit_s:.0f} s)")

    rng = Random(int.from_bytes(os.urandom(8), "big"))  # noqa: S311 (packet ids only)
    async for finding in examine(Machine(), request, rng=rng, tell=tell):
        findings.append(finding)
        if not common.json:
            _print(finding)
    return findings


def _print(finding: Finding) -> None:
    say(f"{finding.mark.value:<6} {finding.topic:<13} {finding.text}")
    if finding.mark.value != "ok":
        say(f"{_MARGIN}do: {finding.remedy}")
    sys.stdout.flush()


def _document(finding: Finding) -> dict[str, str]:
    return {
        "topic": finding.topic,
        "mark": finding.mark.value,
        "text": finding.text,
        "remedy": finding.remedy,
    }
