"""What the parts of the engine share: one station's lines, records, timers and standing."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.core.boots import Boots
from gateway.core.draft import Draft
from gateway.core.entropy import EntropyPool
from gateway.core.life import Ledger, Record
from gateway.core.line import Line
from gateway.core.outgoing import OutAct
from gateway.core.policy import Policy
from gateway.core.requests import Submissions
from gateway.core.speech import Speech
from gateway.core.timers import Timers
from gateway.core.watch import Watch
from gateway.model import ActId, Instant, Station
from gateway.security.keys import KeyRing


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
    lines: dict[Station, Line] = field(default_factory=dict)
    boot_id: str = ""
    boots: Boots = field(default_factory=Boots)
    is_refused: bool = False
    started_at: Instant = field(default=Instant(0))

    @property
    def own(self) -> Station:
        return self.keys.card.station

    def find_out_act(self, act_id: ActId) -> tuple[Line, OutAct] | None:
        """An own act that is not receipted yet, with its line."""
        for line in self.lines.values():
            act = line.outgoing.get(act_id)
            if act is not None:
                return line, act
        return None

    def settle(self, record: Record, draft: Draft) -> None:
        self.watch.settle(record, draft.now.instant)
