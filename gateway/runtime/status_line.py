"""The status in one line, for `systemctl status`. Pure."""

from __future__ import annotations

from collections.abc import Callable

from gateway.core.effects import Alarm, AlarmCode, Status
from gateway.model import Station


def status_line(status: Status, name_of: Callable[[Station], str]) -> str:
    """Links, what waits, alarms: `SOUTH radio UP, cable UP; in 0, out 1 pending; no alarm`."""
    parts: list[str] = []
    for station in dict.fromkeys(link.station for link in status.links):
        links = [link for link in status.links if link.station == station]
        states = ", ".join(f"{link.name} {link.state.value}" for link in links)
        parts.append(f"{name_of(station)} {states}")
    parts.append(f"in {status.pending_in_count}, out {status.pending_out_count} pending")
    alarms = dict.fromkeys(alarm.code.value for alarm in status.alarms)
    parts.append(f"ALARM {', '.join(alarms)}" if alarms else "no alarm")
    return "; ".join(parts)


def refused_alarm(refusal: str) -> Alarm | None:
    """Of a gateway without an engine whose store refuses; None: it does not."""
    text = f"this gateway stands by, and its store cannot be written: {refusal}"
    return Alarm(AlarmCode.STORE_REFUSED, text) if refusal else None


def waiting_alarm(reason: str) -> Alarm:
    """Of one that holds the claim of its station and is not the active one yet."""
    text = f"this gateway takes over, and nothing is sent or accepted until it has: {reason}"
    return Alarm(AlarmCode.NOT_ACTIVE, text)


def nothing_to_show(station: Station, alarm: Alarm | None = None) -> Status:
    """What a gateway without an engine shows: alive, and what is wrong, if anything is."""
    return Status(
        station=station,
        links=(),
        peers=(),
        pending_in=(),
        pending_in_count=0,
        pending_out=(),
        pending_out_count=0,
        alarms=() if alarm is None else (alarm,),
        store_refused=alarm is not None and alarm.code is AlarmCode.STORE_REFUSED,
        stopping=False,
        buzzer_silenced=False,
        button_refused_at=None,
        lamp_test_until=None,
        utc=None,
    )
