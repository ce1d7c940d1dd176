"""The status in one line, for `systemctl status`. Pure."""

from __future__ import annotations

from collections.abc import Callable

from gateway.core.effects import Status
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
