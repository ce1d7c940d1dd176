"""Where a line is broken: our device, the path, their gateway or their watch. Pure.

A sentence for people, from the evidence that the status has. It never guesses beyond that: two
silent links say less than one over which the far radio still acknowledges.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.effects import LinkStatus, PeerStatus, PendingNotice
from gateway.model import Instant, LinkState

RADIO_ACK_MS = 900_000
"""An ack of the far radio within this says that the path to it works."""


class Place(enum.Enum):
    NOWHERE = "none"
    OUR_DEVICE = "our device"
    PATH = "the path"
    FAR_GATEWAY = "their gateway"
    FAR_WATCH = "their watch"
    UNKNOWN = "not known yet"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Which of them it is, and what to do."""

    place: Place
    text: str


_USABLE = frozenset({LinkState.UP, LinkState.DEGRADED})


def diagnose(
    links: Sequence[LinkStatus],
    peer: PeerStatus | None,
    waiting: Sequence[PendingNotice],
    *,
    instant: Instant | None,
) -> Diagnosis:
    """The first fault on the way from our device to a person there. `links` in PACE order.

    `waiting` are our notices to this station that wait for a person there.
    """
    if peer is not None and peer.is_revoked:
        return Diagnosis(
            Place.NOWHERE, "its card is revoked here: this line is shut until a new one is trusted"
        )
    broken = [link for link in links if not link.device_up]
    if broken and len(broken) == len(links):
        return Diagnosis(Place.OUR_DEVICE, f"no device of ours works: {_why(broken)}")
    if not any(link.state in _USABLE for link in links):
        return _silent([link for link in links if link.device_up], broken, peer, instant)
    if peer is None or not peer.confirmed:
        return Diagnosis(
            Place.UNKNOWN, "the far gateway is heard, but has not shown that it hears us; wait"
        )
    if peer.busy:
        return Diagnosis(
            Place.FAR_GATEWAY,
            "their gateway answers but keeps no new notice: it cannot store, or too many of ours"
            " are open there; call them",
        )
    return _partly(links, broken) or _people(waiting)


def _silent(
    links: Sequence[LinkStatus],
    broken: Sequence[LinkStatus],
    peer: PeerStatus | None,
    instant: Instant | None,
) -> Diagnosis:
    """Our devices work and no answer comes."""
    also = f"; besides, {_why(broken)}" if broken else ""
    if any(_is_recent(link.acknowledged_at, instant) for link in links):
        return Diagnosis(
            Place.FAR_GATEWAY,
            f"their radio acknowledges, their gateway does not answer; have them look at it{also}",
        )
    if any(link.state is LinkState.PROBING for link in links):
        return Diagnosis(Place.UNKNOWN, f"the links are being tried; wait a minute{also}")
    never = peer is None or peer.heard_at is None
    if len(links) > 1:
        return Diagnosis(
            Place.FAR_GATEWAY,
            "nothing comes by any link though our devices work; most likely their gateway or its"
            f" power{also}",
        )
    if never:
        return Diagnosis(
            Place.PATH,
            f"nothing was ever heard by {links[0].name}; check its antenna or cable, and that both"
            f" ends have the same settings{also}",
        )
    return Diagnosis(
        Place.PATH,
        f"{links[0].name} brings nothing any more; check its antenna or cable, then ask whether"
        f" their gateway runs{also}",
    )


def _partly(links: Sequence[LinkStatus], broken: Sequence[LinkStatus]) -> Diagnosis | None:
    """The far gateway answers, but not by every link."""
    if broken:
        return Diagnosis(
            Place.OUR_DEVICE, f"the line works without a device of ours: {_why(broken)}"
        )
    silent = [link.name for link in links if link.state is LinkState.DOWN]
    if silent:
        return Diagnosis(
            Place.PATH,
            f"their gateway answers, but not by {', '.join(silent)}: check antenna or cable at both"
            " ends, and their device",
        )
    poor = [link.name for link in links if link.state is LinkState.DEGRADED]
    if poor:
        return Diagnosis(Place.PATH, f"{', '.join(poor)} loses frames; the line works")
    return None


def _people(waiting: Sequence[PendingNotice]) -> Diagnosis:
    overdue = sum(notice.overdue for notice in waiting)
    if not overdue:
        return Diagnosis(Place.NOWHERE, "no fault: their gateway answers by every link")
    what = "a notice is" if overdue == 1 else f"{overdue} notices are"
    return Diagnosis(
        Place.FAR_WATCH, f"machines work, but {what} overdue: nobody there answers; call them"
    )


def _why(broken: Sequence[LinkStatus]) -> str:
    return "; ".join(f"{link.name}: {link.detail or 'no device yet'}" for link in broken)


def _is_recent(at: Instant | None, instant: Instant | None) -> bool:
    return at is not None and (instant is None or instant - at <= RADIO_ACK_MS)
