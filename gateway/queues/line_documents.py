"""The lines as programs see them: what changes by itself all the time is left out."""

from __future__ import annotations

from typing import Any, Final

from gateway.core.status_document import line_document, line_stations
from gateway.queues.base import Desk

_COUNTERS: Final = (
    "heard_ms_ago",
    "round_trip_ms",
    "loss",
    "queued",
    "failed_opens",
    "turned_away",
)
"""What moves by itself stays out of retained topics: each change would be a publication."""


def steady_lines(desk: Desk, own: str) -> dict[str, dict[str, Any]]:
    """The document of each line by the name of its far station; `own` is that of ours."""
    status = desk.status()
    if status is None:
        return {}
    stations = line_stations(status)
    names = {station: desk.station_name(station) for station in stations}
    names[status.station] = own
    lines: dict[str, dict[str, Any]] = {}
    for station in stations:
        document: dict[str, Any] = line_document(status, names, station)
        for part in [*document["links"], document["far_gateway"] or {}]:
            for counter in _COUNTERS:
                part.pop(counter, None)
        lines[names[station]] = document
    return lines
