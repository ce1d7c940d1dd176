"""What a gateway without an engine says: its status, and the sentences of its alarms. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from gateway.core.effects import Alarm, AlarmCode, Status
from gateway.core.vacancy import Vacant, Want
from gateway.model import Instant, Now, Station


def refused_alarm(refusal: str) -> Alarm | None:
    """Of a gateway without an engine whose store refuses; None: it does not."""
    text = f"this gateway stands by, and its store cannot be written: {refusal}"
    return Alarm(AlarmCode.STORE_REFUSED, text) if refusal else None


def waiting_alarm(reason: str) -> Alarm:
    """Of one that holds the claim of its station and is not the active one yet."""
    text = f"this gateway takes over, and nothing is sent or accepted until it has: {reason}"
    return Alarm(AlarmCode.NOT_ACTIVE, text)


def pending_alarm(reason: str) -> Alarm:
    """Of one that a person promoted, which the cluster has not taken."""
    text = f"the promotion of this gateway is pending (`hotline standby` cancels it): {reason}"
    return Alarm(AlarmCode.NOT_ACTIVE, text)


def vacant_text(vacant: Vacant, now: Now, problem: str) -> str:
    """That no gateway of the station is active, why, and what to do. `problem`: what the copy of
    this one lacks; empty: nothing.
    """
    nobody = "no gateway of this station is active"
    match vacant.want:
        case Want.UNSEEN:
            since = _since(vacant.seen_at, now)
            return (
                f"{nobody}, unless the other one still reaches the cluster, which does not answer"
                f" here {since}; bring it back, or promote one by hand: see that the other one is"
                " off, then `hotline promote --other-is-off`"
            )
        case Want.OVER:
            why = f"its copy is not whole: {problem}" if problem else "takeover is by hand"
            return (
                f"{nobody}: the lease of gateway {vacant.holder} is over, and this one takes"
                f" nothing by itself ({why}); see to gateway {vacant.holder}, or promote this one"
                " by hand: `hotline promote`"
            )
        case Want.FREE:
            return (
                f"{nobody}: none holds the claim; promote by hand the one that was active last:"
                " `hotline promote`"
            )


def _since(seen_at: Instant, now: Now) -> str:
    """By the boot's clock where the wall clock is not trusted."""
    if now.utc is None:
        return f"for {(now.instant - seen_at) // 60_000} min"
    moment = datetime.fromtimestamp(now.utc - (now.instant - seen_at) // 1000, tz=UTC)
    return f"since {moment:%H:%M}Z"


def nothing_to_show(station: Station, alarms: Sequence[Alarm] = ()) -> Status:
    """What a gateway without an engine shows: alive, and what is wrong, if anything is."""
    return Status(
        station=station,
        links=(),
        peers=(),
        pending_in=(),
        pending_in_count=0,
        pending_out=(),
        pending_out_count=0,
        alarms=tuple(alarms),
        store_refused=any(alarm.code is AlarmCode.STORE_REFUSED for alarm in alarms),
        stopping=False,
        buzzer_silenced=False,
        button_refused_at=None,
        lamp_test_until=None,
        utc=None,
    )
