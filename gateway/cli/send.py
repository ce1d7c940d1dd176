"""`hotline send`: show exactly what will go, ask, hand it to the gateway, follow it if asked."""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from gateway.cli.connection import Gateway, connect
from gateway.cli.draft import (
    KINDS,
    LINE_STATES,
    MINIMIZE_WORDS,
    OPERATIONS,
    ROLES,
    DurationType,
    PointType,
    PrecedenceType,
    TimeType,
    WordType,
    check_draft,
    draft_document,
    size_text,
)
from gateway.cli.follow import Goal, follow
from gateway.cli.options import Common, api_options, reading_language
from gateway.cli.output import can_ask, print_json, say, warn
from gateway.cli.release import ask_release, new_request_id, read_text
from gateway.cli.spare_text import UNREPLICATED
from gateway.cli.text import duration
from gateway.cli.view import links_text

UNTIL: Final = {goal.value: goal for goal in Goal}


@click.command("send")
@click.argument("to", metavar="STATION")
@click.argument("text", required=False)
@click.option("-k", "--kind", type=WordType(KINDS), required=True, help="What the notice means.")
@click.option(
    "-p",
    "--precedence",
    type=PrecedenceType(),
    required=True,
    help="Speed: FLASH, IMMEDIATE, PRIORITY, ROUTINE or Z, O, P, R.",
)
@click.option(
    "-o",
    "--operation",
    type=WordType(OPERATIONS),
    required=True,
    help="Operation indicator. Only OPERATION is meant in earnest.",
)
@click.option("--language", help="Language tag of the text (default en), or to read the phrase in.")
@click.option(
    "--phrase", type=int, metavar="NUMBER", help="Instead of text: see `hotline phrases`."
)
@click.option("--slot", "slots", multiple=True, help="Fills a slot of the phrase; repeat it.")
@click.option(
    "--state",
    "line_state",
    type=WordType(LINE_STATES),
    help="With -k LINE-STATE: declare the line open, suspended or closed.",
)
@click.option(
    "--minimize",
    type=WordType(MINIMIZE_WORDS),
    help="With -k LINE-STATE: hold what is slower than this, or OFF.",
)
@click.option("--expires", "expires_min", type=DurationType(), help="Lifetime: 90m, 2h, 1d.")
@click.option("--reply-by", "reply_by_min", type=DurationType(), help="Answer wanted within.")
@click.option("--reference", metavar="ID", help="The notice this one is about.")
@click.option("--point", type=PointType(), help="Place: latitude,longitude in degrees.")
@click.option("--radius", "radius_m", type=int, metavar="METRES", help="Radius around the point.")
@click.option("--polygon", type=PointType(), multiple=True, help="A corner; repeat it, 3 to 8.")
@click.option("--altitude", type=int, nargs=2, metavar="LOW HIGH", help="Band in metres.")
@click.option("--window", type=TimeType(), nargs=2, metavar="FROM TO", help="As DTG or ISO time.")
@click.option("--released-by", type=WordType(ROLES), help="Role; the gateway knows yours.")
@click.option("--request-id", help="Repeat a request safely under the same id.")
@click.option("-y", "--yes", is_flag=True, help="Release without asking.")
@click.option("--wait", is_flag=True, help="Follow it until --until is reached.")
@click.option(
    "--until",
    type=click.Choice(list(UNTIL)),
    default=None,
    help="What --wait waits for: receipt (far gateway), roger (a person, the default), "
    "closed (the closing answer).",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=DurationType(in_seconds=True),
    help="Give --wait up after this: 30s, 10m, 2h.",
)
@api_options
def command(common: Common, **options: Any) -> None:  # noqa: ANN401 (click's options)
    """Send a notice to STATION.

    On a terminal the exact text, its size and its precedence are shown and you are asked to
    release it; --yes skips the question, and without a terminal none is asked. TEXT - reads the
    text from standard input.

    \b
    hotline send SOUTH -k NOTIFY -p PRIORITY -o EXERCISE "Convoy of 4 lorries on road M5"
    hotline send SOUTH -k CHECK -p R -o TEST --wait "HARBOUR SEVEN"
    hotline send SOUTH -k LINE-STATE -p IMMEDIATE -o OPERATION --minimize IMMEDIATE --expires 6h
    hotline send SOUTH -k REQUEST -p FLASH -o OPERATION --phrase 54 --point 35.1,38.75
    """  # noqa: D301 (click reads the backspace)
    text_from_input = options["text"] == "-"
    if text_from_input:
        options["text"] = read_text()
    document = draft_document(options)
    draft = check_draft(document)
    request_id = options["request_id"] or new_request_id()
    with connect(common) as gateway:
        if not options["yes"] and not text_from_input and can_ask():
            links = links_text(gateway.status(), options["to"])
            language = reading_language(options["language"])
            ask_release(document, size=size_text(draft), links=links, language=language)
        accepted = gateway.submit(document, request_id)
        _print_accepted(common, accepted)
        if options["wait"] or options["until"]:
            goal = UNTIL[options["until"] or Goal.ROGER.value]
            _wait(common, gateway, accepted, goal, options["timeout_s"])


def _print_accepted(common: Common, accepted: dict[str, Any]) -> None:
    if common.json:
        print_json(accepted)
        sys.stdout.flush()
        return
    repeated = " (this request was accepted before)" if accepted.get("repeated") else ""
    say(f"{accepted['id']}  {accepted['state']}{repeated}")
    if accepted.get("unreplicated"):
        warn(UNREPLICATED)


def _wait(
    common: Common,
    gateway: Gateway,
    accepted: dict[str, Any],
    goal: Goal,
    timeout_s: int | None,
) -> None:
    if not common.json and can_ask():
        limit = f", at most {duration(timeout_s)}" if timeout_s else ""
        warn(f"waiting for {goal.sentence}{limit}; Ctrl-C stops waiting, not the notice")
    follow(gateway, str(accepted["id"]), goal, timeout_s=timeout_s, as_json=common.json)
