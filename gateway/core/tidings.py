"""What a line tells of own acts on their way, applied to the records: left, relayed, held, age."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.core.delivery import DeliveryInput
from gateway.core.draft import Draft
from gateway.core.governor import HOUR_MS, MINUTE_MS
from gateway.core.lane import Lane
from gateway.core.outgoing import OutAct
from gateway.core.records import Durability, PutAirtime, Recovered
from gateway.core.station import StationState
from gateway.model import Instant, LinkName, Station

AIRTIME_WRITE_MS: Final = 4_000
"""Airtime of a link that is worth a write: an act, or some beats."""
AIRTIME_UNWRITTEN_MS: Final = 6_000
"""What a link spent and a restart does not know: that, and a retransmission of the firmware."""


class Tidings:
    """The listener of every line of a station."""

    def __init__(self, state: StationState, line_of: Mapping[LinkName, Station]) -> None:
        self._state = state
        self._line_of = line_of
        self._written: dict[LinkName, dict[int, int]] = {}
        """Milliseconds of each minute as the store has them."""
        self._carried: dict[LinkName, dict[int, int]] = {}
        """What the store has of other boots, in minutes of this one."""

    def _lane(self, link: LinkName) -> Lane:
        return self._state.lines[self._line_of[link]].lanes[link]

    def act_left(self, act: OutAct, link: LinkName, draft: Draft) -> None:
        """A frame with it left by this link for the first time: SENT, with the link as evidence."""
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

    def airtime_spent(self, link: LinkName, draft: Draft) -> None:
        """A frame was handed over: what a link has spent must outlive a restart. Beats are so
        short that some are written together.
        """
        governor = self._lane(link).governor
        if self._state.is_refused or not governor.is_limited:
            return
        carried, written = self._carried.get(link, {}), self._written.get(link, {})
        own = {minute: spent - carried.get(minute, 0) for minute, spent in governor.minutes()}
        new = {minute: spent for minute, spent in own.items() if spent > written.get(minute, 0)}
        if sum(spent - written.get(minute, 0) for minute, spent in new.items()) < AIRTIME_WRITE_MS:
            return
        for minute, spent in new.items():
            draft.write(PutAirtime(link, self._state.boot_id, minute, spent))
        self._written[link] = own

    def restore_airtime(self, recovered: Recovered, draft: Draft) -> None:
        """Of another boot as late as it can have been; what was not written counts as of now, for
        every link.
        """
        now = draft.now.instant
        spent: list[tuple[Instant, PutAirtime]] = []
        for put in recovered.airtime:
            end = Instant((put.minute + 1) * MINUTE_MS - 1)
            at = self._state.boots.latest(put.boot_id, end, draft.now)
            if self._line_of.get(put.link) in self._state.lines and now - at <= HOUR_MS:
                spent.append((at, put))
        for at, put in sorted(spent, key=lambda each: each[0]):
            self._lane(put.link).governor.spend(at, put.spent_ms)
            own = put.boot_id == self._state.boot_id
            kept = (self._written if own else self._carried).setdefault(put.link, {})
            minute = at // MINUTE_MS
            kept[minute] = kept.get(minute, 0) + put.spent_ms
        if recovered.boots:
            # It ran before, and what it had not written yet may be of a minute ago.
            for link in self._line_of:
                if self._line_of[link] in self._state.lines:
                    self._lane(link).governor.spend(now, AIRTIME_UNWRITTEN_MS)
        if recovered.airtime_lost_count:
            # Of which link they were is not known, so each may have been on air all that time.
            lost_ms = min(recovered.airtime_lost_count * MINUTE_MS, HOUR_MS)
            for link in self._line_of:
                if self._line_of[link] in self._state.lines:
                    self._lane(link).governor.spend(now, lost_ms)

    def age_s(self, act: OutAct, draft: Draft) -> int | None:
        """Seconds since it was made; None: AGE UNKNOWN."""
        if not act.age_known:
            return None
        return min(max(draft.now.instant - act.born, 0) // 1000, 0xFFFF_FFFF)
