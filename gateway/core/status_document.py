"""The public JSON form of the status: for the API, the event stream and the retained topics. Pure.

Times are told as ages, since an `Instant` says nothing to another program.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.core.delivery import NOT_THERE
from gateway.core.diagnosis import diagnose
from gateway.core.effects import (
    CLEARED_BY_HAND,
    Alarm,
    Declared,
    LinkStatus,
    PeerStatus,
    PendingNotice,
    Status,
)
from gateway.model import Instant, LinkState, Station
from gateway.wire.document import dtg, iso_time, station_text


def status_document(
    status: Status, names: Mapping[Station, str], *, instant: Instant | None = None
) -> dict[str, object]:
    """Everything that lamps and operators need. `instant` is now; without it ages are null."""
    return {
        "station": station_text(names, status.station),
        "time": iso_time(status.utc),
        "dtg": dtg(status.utc),
        "lines": [
            {
                "line": station_text(names, station),
                **line_document(status, names, station, instant=instant),
                "far_watch": _far_watch(status, station),
                "fault": _fault(status, station, instant),
            }
            for station in line_stations(status)
        ],
        "pending_in": [_pending(pending, instant) for pending in status.pending_in],
        "pending_in_count": status.pending_in_count,
        "pending_out": [_pending(pending, instant) for pending in status.pending_out],
        "pending_out_count": status.pending_out_count,
        "alarms": [_alarm(alarm, names) for alarm in status.alarms],
        "store_refused": status.store_refused,
        "stopping": status.stopping,
        "buzzer_silenced": status.buzzer_silenced,
        "button_refused": _button_refused(status, instant),
    }


def _button_refused(status: Status, instant: Instant | None) -> dict[str, object] | None:
    if not status.button_refusal:
        return None
    return {"text": status.button_refusal, "ms_ago": _age_ms(status.button_refused_at, instant)}


def line_stations(status: Status) -> list[Station]:
    """The far stations of all lines, in the order of the status."""
    stations = [peer.station for peer in status.peers] + [link.station for link in status.links]
    return list(dict.fromkeys(stations))


_USABLE: Final = frozenset({LinkState.UP, LinkState.DEGRADED})


def line_document(
    status: Status,
    names: Mapping[Station, str],
    station: Station,
    *,
    instant: Instant | None = None,
) -> dict[str, object]:
    """One line as it is: the far gateway, and each link to it in PACE order.

    `instant` is now, for ages; without it they are null.
    """
    peers = [peer for peer in status.peers if peer.station == station]
    links = [link for link in status.links if link.station == station]
    return {
        "station": station_text(names, status.station),
        "far_station": station_text(names, station),
        "far_gateway": _peer(peers[0], links, instant) if peers else None,
        "declared": [_declared(declared, names) for peer in peers for declared in peer.declared],
        "links": [_link(link, instant) for link in links],
    }


def _fault(status: Status, station: Station, instant: Instant | None) -> dict[str, object]:
    """Where this line is broken, in words; not for retained topics, since it goes by the time."""
    diagnosis = diagnose(
        [link for link in status.links if link.station == station],
        next((peer for peer in status.peers if peer.station == station), None),
        [pending for pending in status.pending_out if pending.far == station],
        instant=instant,
    )
    return {"place": diagnosis.place.value, "text": diagnosis.text}


def _far_watch(status: Status, station: Station) -> dict[str, object]:
    """How many of our notices wait for a person there, and how many have not come so far."""
    peer = next((peer for peer in status.peers if peer.station == station), None)
    there = [one for one in status.pending_out if one.far == station and one.state not in NOT_THERE]
    there_count = 0 if peer is None else peer.there_count
    return {
        "waiting_count": there_count,
        "overdue_count": sum(one.overdue for one in there),
        "not_there_count": 0 if peer is None else peer.open_count - there_count,
    }


def _peer(peer: PeerStatus, links: list[LinkStatus], instant: Instant | None) -> dict[str, object]:
    return {
        "confirmed": peer.confirmed,
        "freshness_proven": peer.fresh,
        "generation": peer.generation,
        "rotating": peer.rotating,
        "former_secret": peer.has_former,
        "revoked": peer.is_revoked,
        "answers": peer.confirmed and any(link.state in _USABLE for link in links),
        "busy": peer.busy,
        "full": peer.is_full,
        "heard_ms_ago": _age_ms(peer.heard_at, instant),
    }


def _declared(declared: Declared, names: Mapping[Station, str]) -> dict[str, object]:
    """What a party said of the line, in a notice that is in force; never a measurement."""
    return {
        "by": station_text(names, declared.by),
        "notice": str(declared.notice_id),
        "operation": declared.operation.name,
        "state": None if declared.state is None else declared.state.value,
        "minimize": None if declared.minimize is None else declared.minimize.name,
        "expires": iso_time(declared.expires),
    }


def _age_ms(at: Instant | None, instant: Instant | None) -> int | None:
    return None if at is None or instant is None else max(0, instant - at)


def _link(link: LinkStatus, instant: Instant | None) -> dict[str, object]:
    return {
        "name": link.name,
        "state": link.state.value,
        "device_up": link.device_up,
        "detail": link.detail,
        "queued": link.queued,
        "round_trip_ms": link.round_trip_ms,
        "heard_ms_ago": _age_ms(link.heard_at, instant),
        "failed_opens": link.failed_opens,
        "turned_away": link.turned_away,
        "loss": None if link.loss is None else round(link.loss, 3),
    }


def _pending(pending: PendingNotice, instant: Instant | None) -> dict[str, object]:
    born = pending.born
    waited_s = None if instant is None or born is None else max(0, (instant - born) // 1000)
    return {
        "id": str(pending.notice_id),
        "precedence": pending.precedence.name,
        "operation": pending.operation.name,
        "state": pending.state.value,
        "waiting_s": waited_s,
        "goes_in_s": _ahead_s(pending.goes_at, instant),
        "displayed": pending.displayed,
        "overdue": pending.overdue,
        "late": pending.late,
        "age_unknown": pending.born is None,
        "freshness_unproven": pending.unproven,
    }


def _ahead_s(at: Instant | None, instant: Instant | None) -> int | None:
    return None if at is None or instant is None else max(0, -((instant - at) // 1000))


def _alarm(alarm: Alarm, names: Mapping[Station, str]) -> dict[str, object]:
    return {
        "name": alarm.name,
        "code": alarm.code.value,
        "clearable": alarm.code in CLEARED_BY_HAND,
        "text": alarm.text,
        "station": None if alarm.station is None else station_text(names, alarm.station),
        "notice_id": None if alarm.notice_id is None else str(alarm.notice_id),
    }
