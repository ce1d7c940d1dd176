"""`hotline show`: one notice with its history and answers."""

from __future__ import annotations

import click

from gateway.cli.connection import connect
from gateway.cli.options import Common, api_options, language_option
from gateway.cli.output import is_terminal, print_json, say
from gateway.cli.text import RECEIPT_IS_NOT_CONSENT
from gateway.cli.view import print_answers, print_history, print_notice
from gateway.model import ActId


@click.command("show")
@click.argument("notice_id", metavar="ID")
@language_option
@api_options
def command(common: Common, notice_id: str, language: str) -> None:
    """Show the notice ID in full: its text, each state with its evidence, its answers."""
    ActId.parse(notice_id)
    with connect(common) as gateway:
        document = gateway.notice(notice_id)
        if common.json:
            print_json(document)
            return
        print_notice(document, language)
        say("")
        print_history(document.get("history") or ())
        print_answers(document.get("answers") or ())
        if document.get("note"):
            say(RECEIPT_IS_NOT_CONSENT)
        if is_terminal() and document.get("direction") == "in" and not document.get("displayed"):
            gateway.displayed(notice_id)
