"""What the parts of the engine share: one station's lines, records, timers and standing."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.core.boots import Boots
from gateway.core.countersign import Witness
from gateway.core.draft import Draft
from gateway.core.entropy import EntropyPool
from gateway.core.life import Ledger, Record
from gateway.core.line import Line
from gateway.core.orders import OVER, Orders
from gateway.core.outgoing import OutAct
from gateway.core.policy import Policy
from gateway.core.refusals import Refusals
from gateway.core.requests import Submissions
from gateway.core.rotation import Rotation
from gateway.core.speech import Speech
from gateway.core.timers import Timers
from gateway.core.watch import Watch
from gateway.model import ActId, Instant, LinkName, Station
from gateway.security.keys import KeyRing
from gateway.wire.declaration import declared


@dataclass(slots=True)
class StationState:
    """All of it lives as long as one engine."""

    keys: KeyRing
    names: dict[Station, str]
    policy: Policy
    timers: Timers
    entropy: EntropyPool
    ledger: Ledger
    speech: Speech
    submissions: Submissions
    watch: Watch
    rotation: Rotation
    witness: Witness
    refusals: Refusals
    lines: dict[Station, Line] = field(default_factory=dict)
    orders: dict[Station, Orders] = field(default_factory=dict)
    boot_id: str = ""
    boots: Boots = field(default_factory=Boots)
    is_refused: bool = False
    started_at: Instant = field(default=Instant(0))

    @property
    def own(self) -> Station:
        return self.keys.card.station

    def note_refused(
        self, line: Line, reason: str, link: LinkName, draft: Draft, *, act: str = ""
    ) -> None:
        """Something that came in under a far station's name was refused: the log book says so."""
        if not self.is_refused:
            self.refusals.note(line.peer, self.names[line.peer], reason, link, draft, act=act)

    def find_out_act(self, act_id: ActId) -> tuple[Line, OutAct] | None:
        """An own act that is not receipted yet, with its line."""
        for line in self.lines.values():
            act = line.outgoing.get(act_id)
            if act is not None:
                return line, act
        return None

    def orders_of(self, peer: Station) -> Orders:
        """What is declared of the line to `peer`."""
        orders = self.orders.get(peer)
        if orders is None:
            orders = self.orders[peer] = Orders()
        return orders

    def declare(self, record: Record, draft: Draft) -> None:
        """A notice was accepted or came in: if it declares anything, that is in force from now."""
        line = self._line_of(record)
        if line is not None and self.orders_of(line.peer).note(record):
            self.apply_orders(line, draft)

    def apply_orders(self, line: Line, draft: Draft) -> None:
        """Hold and release by what is in force now, and look again when the next order expires."""
        draft.status_changed = True
        due = self.orders_of(line.peer).next_expiry(draft.now.instant)
        if due is not None:
            self.timers.set(("orders", line.peer), due)
        line.dispatcher.orders_changed(draft)

    def _line_of(self, record: Record) -> Line | None:
        notice = record.notice
        return self.lines.get(notice.id.originator) or self.lines.get(notice.to)

    def settle(self, record: Record, draft: Draft) -> None:
        self.watch.settle(record, draft.now.instant)
        line = self._line_of(record)
        if line is not None and record.state in OVER and declared(record.notice) is not None:
            self.apply_orders(line, draft)
