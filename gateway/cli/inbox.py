"""`hotline inbox`: what came in. What a person sees here counts as DISPLAYED."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from gateway.cli.connection import Document, Gateway, connect
from gateway.cli.number_type import IntegerRange
from gateway.cli.options import Common, api_options, language_option
from gateway.cli.output import is_terminal, print_json, say, warn
from gateway.cli.view import print_notice, print_notices, state_line


@click.command("inbox")
@click.option("-f", "--follow", is_flag=True, help="Go on and show each notice as it comes.")
@click.option("-o", "--open", "open_only", is_flag=True, help="Only those that are still open.")
@click.option(
    "-n", "--limit", type=IntegerRange(1, 1000), default=50, show_default=True, help="At most."
)
@click.option(
    "--displayed/--not-displayed",
    default=None,
    help="Tell the far side that a person saw them.  [default: on a terminal, not with --json]",
)
@language_option
@api_options
def command(
    common: Common, follow: bool, open_only: bool, limit: int, displayed: bool | None, language: str
) -> None:
    """List the notices that came in, newest first.

    A notice whose whole text was shown to a person on a terminal is DISPLAYED, and the far side
    is told so. That is no ROGER: answer with `hotline answer ID ROGER`.
    """
    mark = (is_terminal() and not common.json) if displayed is None else displayed
    with connect(common) as gateway:
        if follow:
            _follow(common, gateway, open_only=open_only, limit=limit, mark=mark, language=language)
            return
        notices = gateway.notices("in", open_only=open_only, limit=limit)
        if common.json:
            print_json({"notices": notices})
        else:
            empty = "No open notice." if open_only else "The inbox is empty."
            print_notices(notices, other="from", empty=empty, language=language)
        sys.stdout.flush()
        if mark:
            _mark_displayed(gateway, notices)


def _mark_displayed(gateway: Gateway, notices: Iterable[Document]) -> None:
    for notice in notices:
        if not notice.get("displayed") and "problem" not in notice:
            gateway.displayed(str(notice["id"]))


def _follow(
    common: Common, gateway: Gateway, *, open_only: bool, limit: int, mark: bool, language: str
) -> None:
    """The list, oldest first, then each notice and each change of state as it comes."""
    known: set[str] = set()
    for event in gateway.stream():
        fresh: list[Document] = []
        if event is None:
            is_start = not known
            fresh = gateway.notices("in", open_only=open_only, limit=limit)[::-1]
            fresh = [notice for notice in fresh if notice.get("id") not in known]
            if is_start and not fresh and not common.json:
                warn("the inbox is empty; waiting, Ctrl-C ends it")
        elif event.name == "notice":
            if event.document.get("id") not in known:
                fresh = [event.document.get("document") or {}]
        elif event.name == "state":
            _print_state(common, event.document.get("document") or {})
        for notice in fresh:
            known.add(str(notice.get("id")))
            _print_fresh(common, notice, ring=event is not None, language=language)
        sys.stdout.flush()
        if mark:
            _mark_displayed(gateway, fresh)


def _print_fresh(common: Common, notice: Document, *, ring: bool, language: str) -> None:
    if common.json:
        print_json(notice)
        return
    if ring:
        _ring(notice)
    print_notice(notice, language)
    say("")


def _print_state(common: Common, document: Document) -> None:
    if document.get("direction") != "in":
        return
    if common.json:
        print_json(document)
    else:
        say(f"{document.get('id')}  {state_line(document)}")


def _ring(notice: Document) -> None:
    """The terminal's bell, for OPERATION alone: a test never sounds like the real thing."""
    if is_terminal() and notice.get("operation") == "OPERATION":
        click.echo("\a", nl=False)
