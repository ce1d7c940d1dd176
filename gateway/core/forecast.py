"""When own notices that wait will go, for people: of those that the status lists, not of all.

Computed when it is shown, from what the governor has spent and what stands before each; nothing
more urgent is foreseen, and answers on their way are too short to count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.core.life import Record
from gateway.core.line import Line
from gateway.core.orders import Orders
from gateway.core.outgoing import OutAct
from gateway.core.records import Direction
from gateway.model import ActId, DeliveryState, Instant, Station


def forecasts(
    records: Iterable[Record],
    lines: Mapping[Station, Line],
    orders: Mapping[Station, Orders],
    now: Instant,
) -> dict[ActId, Instant]:
    """Of notices that airtime or MINIMIZE holds, in the order in which they go: the time of each.

    Absent: it waits for nothing that has a time (for a link, or for its turn there).
    """
    found: dict[ActId, Instant] = {}
    waiting: dict[Station, list[OutAct]] = {}
    for record in records:
        act_id, peer = record.notice.id, record.notice.to
        line = lines.get(peer)
        if line is None or record.direction is not Direction.OUT:
            continue
        if record.state not in (DeliveryState.HELD, DeliveryState.QUEUED):
            continue
        act = line.outgoing.get(act_id)
        if act is None or act.attempts:
            continue
        if line.outgoing.is_parked(act):
            order = orders[peer].holder_of(record, now) if peer in orders else None
            if order is not None:
                found[act_id] = order.expires_at()
            continue
        waiting.setdefault(peer, []).append(act)
    for peer, acts in waiting.items():
        times = lines[peer].dispatcher.forecast(acts, now)
        found.update((act.id, at) for act, at in zip(acts, times, strict=False))
    return found
