"""`hotline promote`: the word of a person that this gateway is the active one of its station."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Final

import click

from gateway.cli.connection import DeadlineError, Document, connect, deadline
from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.number_type import IntegerRange
from gateway.cli.options import Common, api_options
from gateway.cli.output import print_json, say
from gateway.cli.spare_text import pending_text, spare_text

POLL_S: Final = 0.3


@click.command("promote")
@click.option(
    "--other-is-off",
    is_flag=True,
    help="You have seen that the other gateway of the station is off. Needed where the cluster "
    "cannot be asked, or the other one was promoted by hand.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=IntegerRange(0, 600),
    default=60,
    show_default=True,
    help="Seconds to wait until it is the active one; 0: do not wait.",
)
@api_options
def command(common: Common, other_is_off: bool, timeout_s: int) -> None:
    """Make this gateway the active one of its station's two, by hand.

    It stays so without the cluster and after restarts, until `hotline standby` here or a promotion
    of the other one. Where the other holds a lease, that ends first. Where the cluster does not
    take it within 60 s, or the other one is promoted meanwhile, it is void; with --other-is-off it
    counts after 5 s all the same. Two gateways that transmit as one station are told at the far end
    (TWO INCARNATIONS): never say --other-is-off unseen.
    """
    with connect(common) as gateway:
        spare = gateway.say_spare("active", other_is_off=other_is_off)
    if timeout_s:
        with suppress(DeadlineError), deadline(timeout_s):
            while spare.get("role") != "active" and not _is_void(spare):
                threading.Event().wait(POLL_S)
                # Between two roles nobody listens on the socket for a moment.
                with suppress(CommandError), connect(common) as gateway:
                    spare = gateway.spare()
    if common.json:
        print_json(spare)
    else:
        say(spare_text(spare))
    if timeout_s and spare.get("role") != "active":
        raise CommandError(ExitCode.TRY_LATER, _why(spare, timeout_s))


def _is_void(spare: Document) -> bool:
    """Whether nothing of the promotion is left. An older gateway says nothing of that."""
    is_pending = "pending" not in spare or spare["pending"] is not None
    return spare.get("held_by") == "none" and not is_pending


def _why(spare: Document, timeout_s: int) -> str:
    late = f"it is not the active one after {timeout_s} s"
    if pending := spare.get("pending"):
        return f"{late}; {pending_text(pending)}"
    if _is_void(spare):
        return (
            "the promotion is void: the cluster did not take it, or the other gateway was promoted"
            " meanwhile; see `hotline standby --show`, then say it again where it is right still"
        )
    return f"{late}, and goes on with that; `hotline standby` cancels it, `--show` says why"
