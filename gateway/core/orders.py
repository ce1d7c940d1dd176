"""What the two parties of one line declare of it: open, suspended, closed, and MINIMIZE.

Each party's own latest word counts, and only until it is lifted, cancelled or expired; nobody lifts
the order of the other. What is declared stops no link: the technical state is measured elsewhere.
"""

from __future__ import annotations

from typing import Final

from gateway.core.effects import Declared
from gateway.core.life import Record
from gateway.model import DeliveryState, Instant, Kind, LineState, Operation, Station, UtcTime
from gateway.wire.declaration import Minimize, declared

NEVER_HELD: Final = frozenset({Kind.LINE_STATE, Kind.CANCEL, Kind.UPDATE})
"""The order itself, and what changes an earlier notice: the far watch would go on by that one."""
OVER: Final = frozenset(
    {
        DeliveryState.CANCELLED,
        DeliveryState.SUPERSEDED,
        DeliveryState.EXPIRED,
        DeliveryState.EXPIRED_RECEIPTED,
    }
)


class Orders:
    """The latest LINE STATE of each party, operation indicator and subject: at most 16 a line."""

    __slots__ = ("_latest",)

    def __init__(self) -> None:
        self._latest: dict[tuple[Station, Operation, bool], Record] = {}

    def note(self, record: Record) -> bool:
        """Take a notice in, ours or theirs, in any order; True if it declares anything."""
        meaning = declared(record.notice)
        if meaning is None:
            return False
        notice = record.notice
        key = (notice.id.originator, notice.operation, isinstance(meaning, Minimize))
        known = self._latest.get(key)
        if known is None or _is_later(record, known):
            self._latest[key] = record
        return True

    def in_force(self, now: Instant) -> list[Record]:
        return [
            record
            for record in self._latest.values()
            if record.state not in OVER and now < record.expires_at()
        ]

    def holder_of(self, record: Record, now: Instant) -> Record | None:
        """The MINIMIZE that holds this notice of ours, the one that ends last; None: it may go.

        An order of OPERATION holds every notice, since all spend the same airtime; one of EXERCISE,
        SIMULATION or TEST holds only notices of its own indicator, never what is meant in earnest.
        """
        notice = record.notice
        if notice.kind in NEVER_HELD:
            return None
        holders = [
            order
            for order in self.in_force(now)
            if order.notice.operation in (Operation.OPERATION, notice.operation)
            and isinstance(meaning := declared(order.notice), Minimize)
            and meaning.lowest is not None
            and notice.precedence > meaning.lowest
        ]
        return max(holders, key=Record.expires_at, default=None)

    def next_expiry(self, now: Instant) -> Instant | None:
        return min((record.expires_at() for record in self.in_force(now)), default=None)

    def shown(self, now: Instant) -> tuple[Declared, ...]:
        """For the status; an order that lifts shows nothing."""
        return tuple(
            _shown(record, meaning)
            for record in self.in_force(now)
            if (meaning := declared(record.notice)) is not None and meaning != Minimize(None)
        )


def _is_later(record: Record, known: Record) -> bool:
    """Said later by the same party: by serial in one epoch, by age where the epoch changed."""
    if record.notice.id.epoch == known.notice.id.epoch:
        return record.notice.id.serial > known.notice.id.serial
    return record.born >= known.born


def _shown(record: Record, meaning: LineState | Minimize) -> Declared:
    made, lifetime_s = record.notice.created, record.notice.lifetime_min * 60
    return Declared(
        by=record.notice.id.originator,
        notice_id=record.notice.id,
        operation=record.notice.operation,
        state=meaning if isinstance(meaning, LineState) else None,
        minimize=meaning.lowest if isinstance(meaning, Minimize) else None,
        expires=None if made is None else UtcTime(made + lifetime_s),
    )
