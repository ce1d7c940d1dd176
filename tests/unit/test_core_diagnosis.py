"""Our device, the path, their gateway or their watch: twelve situations, each named right."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gateway.core.diagnosis import RADIO_ACK_MS, Place, diagnose
from gateway.core.effects import LinkStatus, PeerStatus, PendingNotice
from gateway.model import (
    ActId,
    DeliveryState,
    Epoch,
    Instant,
    LinkName,
    LinkState,
    Operation,
    Precedence,
    Serial,
    Station,
)

NOW = Instant(10_000_000)
FAR = Station(2)
UP, DOWN, PROBING, DEGRADED = (
    LinkState.UP,
    LinkState.DOWN,
    LinkState.PROBING,
    LinkState.DEGRADED,
)
TALKS = PeerStatus(FAR, True, Instant(NOW - 5_000), False)
NEVER = PeerStatus(FAR, False, None, False)
HEARD_ONLY = PeerStatus(FAR, False, Instant(NOW - 5_000), False)
BUSY = PeerStatus(FAR, True, Instant(NOW - 5_000), True)


def link(
    name: str,
    state: LinkState,
    *,
    device: bool = True,
    detail: str = "",
    acknowledged_ms_ago: int | None = None,
) -> LinkStatus:
    at = None if acknowledged_ms_ago is None else Instant(NOW - acknowledged_ms_ago)
    return LinkStatus(LinkName(name), FAR, state, device, detail, None, None, None, 0, at)


def waiting(*, overdue: bool) -> PendingNotice:
    return PendingNotice(
        ActId(Station(1), Epoch(1), Serial(1)),
        Precedence.FLASH,
        Operation.OPERATION,
        DeliveryState.RECEIPTED,
        Instant(1),
        displayed=False,
        overdue=overdue,
        far=FAR,
    )


@dataclass(frozen=True)
class Situation:
    links: list[LinkStatus]
    peer: PeerStatus | None
    place: Place
    words: str
    pending: tuple[PendingNotice, ...] = ()


GONE = link("radio", DOWN, device=False, detail="/dev/radio is not there")
SITUATIONS = {
    "all is well": Situation(
        [link("radio", UP), link("cable", UP)], TALKS, Place.NOWHERE, "no fault"
    ),
    "a person has time yet": Situation(
        [link("radio", UP)], TALKS, Place.NOWHERE, "no fault", (waiting(overdue=False),)
    ),
    "nobody answers there": Situation(
        [link("radio", UP)],
        TALKS,
        Place.FAR_WATCH,
        "nobody there",
        (waiting(overdue=True),),
    ),
    "their disk is full": Situation(
        [link("radio", UP)], BUSY, Place.FAR_GATEWAY, "cannot store", (waiting(overdue=True),)
    ),
    "our only device is gone": Situation(
        [GONE], TALKS, Place.OUR_DEVICE, "no device of ours works: radio: /dev/radio is not there"
    ),
    "our only radio may not send": Situation(
        [link("radio", DOWN, device=False, detail="it has no region")],
        NEVER,
        Place.OUR_DEVICE,
        "no device of ours works: radio: it has no region",
    ),
    "our radio is gone, the cable works": Situation(
        [GONE, link("cable", UP)], TALKS, Place.OUR_DEVICE, "the line works without"
    ),
    "our radio is gone and the cable is cut": Situation(
        [GONE, link("cable", DOWN)], TALKS, Place.PATH, "cable brings nothing any more; check"
    ),
    "a radio that was never heard": Situation(
        [link("radio", DOWN)], NEVER, Place.PATH, "nothing was ever heard by radio"
    ),
    "the cable is cut, the radio works": Situation(
        [link("radio", UP), link("cable", DOWN)], TALKS, Place.PATH, "but not by cable"
    ),
    "the radio loses frames": Situation(
        [link("radio", DEGRADED), link("cable", UP)], TALKS, Place.PATH, "radio loses frames"
    ),
    "their gateway is off, their radio is on": Situation(
        [link("radio", DOWN, acknowledged_ms_ago=60_000)],
        TALKS,
        Place.FAR_GATEWAY,
        "their radio acknowledges",
    ),
    "every link fell silent": Situation(
        [link("radio", DOWN), link("cable", DOWN)], TALKS, Place.FAR_GATEWAY, "nothing comes by any"
    ),
    "it hears nothing of us": Situation(
        [link("radio", UP)], HEARD_ONLY, Place.UNKNOWN, "has not shown that it hears us"
    ),
    "just started": Situation([link("radio", PROBING)], NEVER, Place.UNKNOWN, "are being tried"),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_fault_is_named_right(name: str) -> None:
    """The place, and words that say what to do."""
    case = SITUATIONS[name]
    found = diagnose(case.links, case.peer, case.pending, instant=NOW)
    assert (found.place, case.words in found.text) == (case.place, True), found.text


def test_old_ack_of_their_radio_proves_no_path() -> None:
    """After a quarter of an hour it may be off as well."""
    links = [link("radio", DOWN, acknowledged_ms_ago=RADIO_ACK_MS + 1)]
    assert diagnose(links, TALKS, (), instant=NOW).place is Place.PATH
