"""Following one notice: print each state as it comes, until the goal or the end."""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterator, Mapping
from typing import Final

import click

from gateway.cli.connection import DeadlineError, Document, Gateway, deadline
from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.output import print_block, print_json, say
from gateway.cli.text import RECEIPT_IS_NOT_CONSENT
from gateway.cli.view import state_line

CLOSING: Final = frozenset({"WILCO", "HAVCO", "CANTCO", "AFFIRM", "NEGATIVE"})
PERSON: Final = frozenset({"ROGER", "STANDBY"}) | CLOSING
RECEIPT: Final = frozenset({"MACHINE RECEIPT", "DISPLAYED", "EXPIRED, MACHINE RECEIPT"}) | PERSON
DEAD: Final = frozenset(
    {"CANTPRO", "EXPIRED", "EXPIRED, MACHINE RECEIPT", "CANCELLED", "SUPERSEDED"}
)


class Goal(enum.Enum):
    """What `--wait` waits for."""

    RECEIPT = "receipt"
    ROGER = "roger"
    CLOSED = "closed"

    @property
    def sentence(self) -> str:
        return {
            Goal.RECEIPT: "the machine receipt of the far gateway",
            Goal.ROGER: "ROGER, the answer of a person",
            Goal.CLOSED: "the closing answer",
        }[self]

    def is_reached(self, state: str, response: str) -> bool:
        """Whether `state` fulfils it; no one answers a notice with response N."""
        if self is Goal.RECEIPT or response == "N":
            return state in RECEIPT
        if self is Goal.ROGER:
            return state in PERSON
        return state in CLOSING or (response == "R" and state == "ROGER")


def follow(
    gateway: Gateway, notice_id: str, goal: Goal, *, timeout_s: float | None, as_json: bool
) -> None:
    """Print the states of an own notice until the goal.

    Ends with `NOT_ACKNOWLEDGED` when the notice ends otherwise or the time is over.
    """
    last = "unknown"
    try:
        with deadline(timeout_s):
            for document, response in _states(gateway, notice_id):
                last = str(document.get("state", ""))
                _print(document, as_json=as_json)
                if goal.is_reached(last, response):
                    return
                if last in DEAD:
                    break
    except DeadlineError:
        raise CommandError(
            ExitCode.NOT_ACKNOWLEDGED,
            f"notice {notice_id} has not got {goal.sentence} yet (last state {last}); the gateway "
            f"goes on trying, look with `hotline show {notice_id}`",
        ) from None
    raise CommandError(
        ExitCode.NOT_ACKNOWLEDGED,
        f"notice {notice_id} ended as {last} without {goal.sentence}; tell the far watch by "
        "another way",
    )


def _states(gateway: Gateway, notice_id: str) -> Iterator[tuple[Document, str]]:
    """Each state once, from its beginning, with the response attribute of the notice."""
    response = ""
    seen: set[tuple[object, ...]] = set()
    for event in gateway.stream():
        documents: list[Document] = []
        if event is None:
            notice = gateway.notice(notice_id)
            response = str(notice.get("response", ""))
            documents = list(notice.get("history") or [notice])
        elif event.name == "state" and event.document.get("id") == notice_id:
            documents = [event.document.get("document") or {}]
        for document in documents:
            mark = tuple([document.get(key) for key in ("state", "time", "link", "evidence")])
            if mark not in seen:
                seen.add(mark)
                yield document, response


def _print(document: Document, *, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        click.echo(state_line(document))
        answer = document.get("answer")
        if isinstance(answer, Mapping) and answer.get("text"):
            print_block(str(answer["text"]))
        if document.get("state") in RECEIPT:
            say(RECEIPT_IS_NOT_CONSENT)
    sys.stdout.flush()
