"""What a line tells of own acts on their way, applied to the records: left, relayed, held, age."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.core.delivery import DeliveryInput
from gateway.core.draft import Draft
from gateway.core.governor import MINUTE_MS
from gateway.core.lane import Lane
from gateway.core.outgoing import OutAct
from gateway.core.records import Durability, PutAirtime, Recovered
from gateway.core.station import StationState
from gateway.model import Instant, LinkName, Station

AIRTIME_MINUTE_COUNT: Final = 60
AIRTIME_UNWRITTEN_MS: Final = 1_000
"""Beats and receipts of a minute after the last act that was written down, at most about this."""


class Tidings:
    """The listener of every line of a station."""

    def __init__(self, state: StationState, line_of: Mapping[LinkName, Station]) -> None:
        self._state = state
        self._line_of = line_of

    def _lane(self, link: LinkName) -> Lane:
        return self._state.lines[self._line_of[link]].lanes[link]

    def act_left(self, act: OutAct, link: LinkName, draft: Draft) -> None:
        """A frame with it left by this link for the first time: SENT, with the link as evidence."""
        self._keep_airtime(link, draft)
        record = self._state.ledger.get(act.id)
        if record is None or self._state.is_refused or not record.is_open:
            return
        self._state.ledger.move(
            record,
            DeliveryInput.SENT,
            draft,
            evidence="left our device",
            link=link,
            durability=Durability.NORMAL,
            announce=True,
        )

    def act_held(self, act: OutAct, until: Instant, draft: Draft) -> None:
        """The airtime budget of every link is spent: HELD, with the time at which it will go."""
        record = self._state.ledger.get(act.id)
        if record is None or self._state.is_refused or not record.is_open:
            return
        wait_s = -(-(until - draft.now.instant) // 1000)
        self._state.ledger.move(
            record,
            DeliveryInput.HELD,
            draft,
            evidence=f"airtime budget spent; goes in {wait_s} s if nothing more urgent comes",
            durability=Durability.NORMAL,
        )

    def is_minimized(self, act: OutAct, draft: Draft) -> bool:
        """Whether MINIMIZE holds it; answers have no record of their own and are never held."""
        record = self._state.ledger.get(act.id)
        if record is None:
            return False
        now = draft.now.instant
        order = self._state.orders_of(record.notice.to).holder_of(record, now)
        if order is None:
            return False
        if record.is_open and not self._state.is_refused:
            left_s = -(-(order.expires_at() - now) // 1000)
            self._state.ledger.move(
                record,
                DeliveryInput.HELD,
                draft,
                evidence=f"MINIMIZE {order.notice.id}; goes when it is lifted, at latest in"
                f" {left_s} s",
                durability=Durability.NORMAL,
            )
        return True

    def act_released(self, act: OutAct, draft: Draft) -> None:
        """No MINIMIZE holds it any more: QUEUED again."""
        record = self._state.ledger.get(act.id)
        if record is None or self._state.is_refused or not record.is_open:
            return
        self._state.ledger.move(
            record,
            DeliveryInput.RELEASED,
            draft,
            evidence="MINIMIZE does not hold it any more",
            durability=Durability.NORMAL,
        )

    def act_relayed(self, act: OutAct, link: LinkName, draft: Draft) -> None:
        """Another radio repeated it: its own state, which proves nothing of the far station."""
        record = self._state.ledger.get(act.id)
        if record is None or self._state.is_refused:
            return
        self._state.ledger.move(
            record,
            DeliveryInput.RELAYED,
            draft,
            evidence="implicit ack: a radio repeated it",
            link=link,
            durability=Durability.NORMAL,
        )

    def _keep_airtime(self, link: LinkName, draft: Draft) -> None:
        """What a link has spent must outlive a restart; beats alone write nothing."""
        governor = self._lane(link).governor
        minutes = governor.minutes()
        if not self._state.is_refused and governor.is_limited and minutes:
            minute, spent_ms = minutes[-1]
            draft.write(PutAirtime(link, self._state.boot_id, minute, spent_ms))

    def restore_airtime(self, recovered: Recovered, draft: Draft) -> None:
        """Rounded up; of another boot the time is unknown, so it counts as spent just now."""
        for put in recovered.airtime[-AIRTIME_MINUTE_COUNT:]:
            if self._line_of.get(put.link) not in self._state.lines:
                continue
            governor = self._lane(put.link).governor
            same = put.boot_id == self._state.boot_id
            at = Instant(put.minute * MINUTE_MS) if same else draft.now.instant
            governor.spend(at, put.spent_ms + AIRTIME_UNWRITTEN_MS)

    def age_s(self, act: OutAct, draft: Draft) -> int | None:
        """Seconds since it was made; None: AGE UNKNOWN."""
        if not act.age_known:
            return None
        return min(max(draft.now.instant - act.born, 0) // 1000, 0xFFFF_FFFF)
