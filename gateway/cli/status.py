"""`hotline status`: our device, the path, their gateway, their watch; each answered apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from gateway.cli.connection import connect
from gateway.cli.options import Common, api_options
from gateway.cli.output import print_json, print_table, print_wrapped, say, wrapped
from gateway.cli.spare_text import spare_text
from gateway.cli.text import (
    RECEIPT_IS_NOT_CONSENT,
    duration,
    milliseconds,
    precedence_letter,
    visible,
)
from gateway.cli.view import Document, state_text
from gateway.model import LineState

CLOCK_NOT_TRUSTED: Final = (
    "clock not trusted: NTP not synchronised; "
    "set clock_is_manual in [station] if you set it by hand"
)
_MARGIN: Final = "      "
"""Before the second line of an alarm."""
_RECEIPTED = frozenset({"MACHINE RECEIPT", "DISPLAYED", "ROGER", "STANDBY"})


@click.command("status")
@api_options
def command(common: Common) -> None:
    """Say how the line is. Four questions, answered apart:

    \b
    our device    does our radio or cable adapter work?
    the path      did a frame of the far station come by it, and when?
    far gateway   does it answer, and does it store what we send?
    far watch     which of our notices still wait for a person there?

    What was declared (line open, suspended) is a notice of kind LINE STATE, never a measurement.
    """  # noqa: D301 (click reads the backspace)
    with connect(common) as gateway:
        document = gateway.status()
    if common.json:
        print_json(document)
        return
    say(f"station {document.get('station')}  {document.get('dtg') or 'no trusted time'}")
    if not document.get("dtg"):
        say(CLOCK_NOT_TRUSTED)
    for line in document.get("lines") or ():
        print_line(line)
    _print_pending("waiting for our watch", document, "pending_in")
    _print_pending("waiting for theirs", document, "pending_out")
    for problem in _problems(document):
        for index, text in enumerate(wrapped(visible(problem), len(_MARGIN))):
            say(f"{_MARGIN if index else ''}{text}")


def print_line(line: Document) -> None:
    """One line with its links: what each device says stands below the table, where it has room."""
    say("")
    far = str(line.get("far_station") or line.get("line"))
    say(f"line to {far}")
    rows = [
        (
            str(link.get("name")),
            str(link.get("state")),
            _works(link),
            path_text(link),
            milliseconds(link.get("round_trip_ms")) if link.get("round_trip_ms") else "-",
            _share(link.get("loss")),
            str(link.get("queued", 0)),
        )
        for link in line.get("links") or ()
    ]
    columns = ("LINK", "STATE", "OUR DEVICE", "THE PATH", "ROUND TRIP", "LOSS", "QUEUED")
    print_table(columns, rows, empty="This line has no link; add one to the configuration.")
    print_wrapped(
        [
            *((f"our {link.get('name')}", device_text(link)) for link in line.get("links") or ()),
            ("far gateway", gateway_text(line.get("far_gateway"))),
            *secret_fields(line.get("far_gateway"), far),
            ("far watch", watch_text(line.get("far_watch"))),
            ("fault", fault_text(line.get("fault"))),
            *(("declared", declared_text(declared)) for declared in line.get("declared") or ()),
        ]
    )


def declared_text(declared: Document) -> str:
    """What a party said of the line; suspended or closed, it carries notices all the same."""
    until = f" until {declared['expires']}" if declared.get("expires") else ""
    said = f"by {declared.get('by')} in {declared.get('notice')} ({declared.get('operation')})"
    if declared.get("minimize"):
        return f"MINIMIZE {said}{until}: what is slower than {declared['minimize']} is HELD"
    state = str(declared.get("state"))
    rest = "" if state == LineState.OPEN.value else "; notices go all the same"
    return f"line {state} {said}{until}{rest}"


def device_text(link: Document) -> str:
    """Does our device work? The detail names port and radio."""
    return f"{_works(link)}: {link['detail']}" if link.get("detail") else _works(link)


def _works(link: Document) -> str:
    return "works" if link.get("device_up") else "DOES NOT WORK"


def path_text(link: Document) -> str:
    """Did an authentic frame of the far station come by this link, and when?"""
    heard = link.get("heard_ms_ago")
    when = "nothing heard yet" if heard is None else f"heard {milliseconds(heard)} ago"
    forged = (link.get("failed_opens") or 0) + (link.get("turned_away") or 0)
    return f"{when}; {forged} frames did not open" if forged else when


def gateway_text(peer: Document | None) -> str:
    """Does the far gateway answer, and does it take what we send?"""
    if peer is not None and peer.get("revoked"):
        return "ITS CARD IS REVOKED: nothing of it is taken, nothing goes to it"
    if peer is None or peer.get("heard_ms_ago") is None:
        return f"nothing heard yet{_freshness(peer)}"
    answers = "HEARD, BUT HAS NOT SHOWN THAT IT HEARS US"
    if peer.get("confirmed"):
        answers = "answers" if peer.get("answers") else "DOES NOT ANSWER"
    busy = ", BUT KEEPS NOTHING NEW NOW (busy)" if peer.get("busy") else ""
    if peer.get("full"):
        busy += "; TOO MANY OF ITS NOTICES ARE OPEN HERE, only FLASH is taken"
    return f"{answers}{busy}; heard {milliseconds(peer['heard_ms_ago'])} ago{_freshness(peer)}"


def _freshness(peer: Document | None) -> str:
    if peer is None or peer.get("freshness_proven", True):
        return ""
    return "; FRESHNESS UNPROVEN: what comes may be a recording until it answers our challenge"


def secret_fields(peer: Document | None, far: str) -> list[tuple[str, str]]:
    """How far the rotation of the line's secret is; nothing where none goes on."""
    if peer is None or not peer.get("former_secret"):
        return []
    if peer.get("rotating"):
        return [("secret", f"ROTATING: {far} has not used the new one yet; both are taken")]
    done = f"generation {peer.get('generation')} on both sides"
    return [("secret", f"{done}; `hotline key rotate {far} --finish` erases the former one")]


def watch_text(watch: Document | None) -> str:
    """What we know of people there: only what came there and they have not answered."""
    if watch is None:
        return "not told by this gateway"
    waiting, overdue, away = (
        int(watch.get(f"{name}_count") or 0) for name in ("waiting", "overdue", "not_there")
    )
    not_there = f"; {away} {'is' if away == 1 else 'are'} not there yet" if away else ""
    if not waiting:
        return f"no notice waits for a person there{not_there}"
    waits = "notice waits" if waiting == 1 else "notices wait"
    late = f", {overdue} OVERDUE" if overdue else ""
    return f"{waiting} {waits} for a person there{late}{not_there}"


def fault_text(fault: Document | None) -> str:
    """Which of the four it is, and what to do."""
    if fault is None:
        return "not told by this gateway"
    place, text = str(fault.get("place")), str(fault.get("text"))
    return text if place == "none" else f"{place.upper()}: {text}"


def _share(loss: Any) -> str:  # noqa: ANN401 (a JSON value)
    return f"{loss * 100:.0f} %" if isinstance(loss, int | float) else "-"


def _print_pending(title: str, document: Document, key: str) -> None:
    pending = document.get(key) or []
    count = document.get(f"{key}_count") or len(pending)
    if not count:
        return
    say("")
    say(f"{title}: {count}")
    rows = [
        (
            str(notice.get("id")),
            precedence_letter(notice.get("precedence")),
            str(notice.get("operation")),
            pending_text(notice),
            duration(notice.get("waiting_s")),
        )
        for notice in pending
    ]
    print_table(("ID", "P", "OPERATION", "STATE", "WAITS"), rows, empty="")
    if count > len(pending):
        say(f"and {count - len(pending)} more; see `hotline {_box(key)}`")
    if key == "pending_out" and any(notice.get("state") in _RECEIPTED for notice in pending):
        say(RECEIPT_IS_NOT_CONSENT)


def pending_text(notice: Document) -> str:
    """With the time at which it will go, where airtime or MINIMIZE holds it."""
    goes_in_s = notice.get("goes_in_s")
    forecast = "" if goes_in_s is None else f", goes in about {duration(goes_in_s)}"
    return state_text(notice) + forecast


def _box(key: str) -> str:
    return "inbox" if key == "pending_in" else "outbox"


def _problems(document: Document) -> Iterator[str]:
    for alarm in document.get("alarms") or ():
        yield f"ALARM {alarm.get('code')}: {alarm.get('text')}"
        if alarm.get("clearable"):
            yield f"      seen to? `hotline alarm clear {alarm.get('name')}`"
    if refused := document.get("button_refused"):
        when = milliseconds(refused.get("ms_ago"))
        yield f"BUTTON: the press of {when} ago said nothing: {refused.get('text')}"
    if document.get("store_refused"):
        yield "STORE REFUSED: the disk cannot be written; nothing is accepted until it can"
    if spare := document.get("spare"):
        yield spare_text(spare)
    if document.get("stopping"):
        yield "STOPPING: the gateway was asked to stop; nothing is accepted"
