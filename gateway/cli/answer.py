"""`hotline answer`: what our watch says to a notice."""

from __future__ import annotations

from typing import Final

import click

from gateway.cli.connection import connect
from gateway.cli.draft import WordType
from gateway.cli.options import Common, api_options
from gateway.cli.output import print_json, say, warn
from gateway.cli.release import new_request_id, read_text
from gateway.cli.spare_text import UNREPLICATED
from gateway.model import ActId, AnswerCode

ANSWERS: Final = [code.name for code in AnswerCode if code is not AnswerCode.CANTPRO]


@click.command("answer")
@click.argument("notice_id", metavar="ID")
@click.argument("code", type=WordType(ANSWERS), metavar="ANSWER")
@click.argument("text", required=False)
@click.option("--language", default="en", show_default=True, help="Language tag of the text.")
@click.option("--request-id", help="Repeat a request safely under the same id.")
@api_options
def command(
    common: Common,
    notice_id: str,
    code: str,
    text: str | None,
    language: str,
    request_id: str | None,
) -> None:
    """Answer the notice ID.

    \b
    ROGER     a person has received it; says nothing more
    STANDBY   wait, an answer follows
    WILCO     we will comply             HAVCO  we have complied
    CANTCO    we cannot comply
    AFFIRM    yes                        NEGATIVE  no

    Exactly one closing answer is accepted; a second is refused (exit code 7). TEXT - reads the
    text from standard input.
    """  # noqa: D301 (click reads the backspace)
    from gateway.wire.document import answer_from_document

    ActId.parse(notice_id)
    document: dict[str, object] = {"answer": code}
    if text is not None:
        document |= {"text": read_text() if text == "-" else text, "language": language}
    answer_from_document(document)
    with connect(common) as gateway:
        accepted = gateway.answer(notice_id, document, request_id or new_request_id())
    if common.json:
        print_json(accepted)
        return
    repeated = " (this request was accepted before)" if accepted.get("repeated") else ""
    say(f"{code} to {notice_id} is accepted as {accepted.get('id', '?')}{repeated}")
    if accepted.get("unreplicated"):
        warn(UNREPLICATED)
