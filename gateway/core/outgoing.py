"""Own acts on their way to one peer: who waits, who is under way on which link, what is receipted.

Holds no timers and sends nothing: the line asks it what a free link shall carry next and tells it
what became of that.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.model import ActId, Epoch, Instant, LinkName, Precedence, Serial, Station

WHOLE: Final = -1
"""Part number of an act that travels in one frame."""


@dataclass(slots=True)
class Attempt:
    """An act under way on one link."""

    queued: int = 0
    """Parts that wait in the link's heap."""
    unresolved: int = 0
    """Frames with the driver, or whose radio still retransmits them."""
    sent_at: Instant | None = None
    size_last: int = 0
    count: int = 0
    """Rounds sent on this link."""
    is_hedged: bool = False
    """No answer came in the time after which the next link got the act as well."""


@dataclass(slots=True)
class OutAct:
    """An own act until the peer's machine receipt."""

    id: ActId
    precedence: Precedence
    octets: bytes
    signature: bytes | None
    born: Instant
    """When its age was zero, on this boot's clock."""
    age_known: bool
    fragments: tuple[bytes, ...] = ()
    """Its parts where it does not fit one frame of the smallest link."""
    held_bitmap: int = 0
    """Fragments that the peer said it holds."""
    attempts: dict[LinkName, Attempt] = field(default_factory=dict)
    has_left: bool = False
    """Some frame with a part of it was handed to a driver, in this run or an earlier one."""
    is_receipted: bool = False

    def missing(self) -> list[int]:
        return [i for i in range(len(self.fragments)) if not self.held_bitmap >> i & 1]


class Outgoing:
    """Acts by id, a heap of those that wait, and the cumulative receipt an epoch.

    Every operation costs O(log n) in the acts that wait.
    """

    __slots__ = ("_acts", "_highest", "_order", "_own", "_parked", "_receipted_upto", "_waiting")

    def __init__(self, own: Station) -> None:
        self._own = own
        self._acts: dict[ActId, OutAct] = {}
        self._waiting: list[tuple[int, int, ActId]] = []
        self._parked: dict[ActId, None] = {}
        self._order = 0
        self._highest: dict[int, int] = {}
        self._receipted_upto: dict[int, int] = {}

    def note_epoch(self, epoch: int, highest: int) -> None:
        """An own epoch and the highest serial given out in it."""
        self._highest[epoch] = max(highest, self._highest.get(epoch, 0))

    def epochs(self) -> list[tuple[int, int]]:
        """(own epoch, highest serial given out in it)."""
        return list(self._highest.items())

    def knows(self, epoch: int, serial: int) -> bool:
        """Whether we gave this serial out; a peer that claims more shows a rollback of ours."""
        return serial <= self._highest.get(epoch, 0)

    def lost(self, known: Sequence[tuple[int, int]]) -> dict[int, int]:
        """Own epochs with acts that were receipted and that a peer which names `known` (its newest
        epochs, with the highest serial of each) does not hold; with the highest that it holds.

        It names a few: of one that it does not name it holds nothing only if that is later than
        all that it names. Where it names one that is not known here, our own store is an old one,
        and of the epochs only that of this run is surely later.
        """
        named = dict(known)
        order = list(self._highest)
        if all(epoch in self._highest for epoch in named):
            first = 1 + max((order.index(epoch) for epoch in named), default=-1)
        else:
            first = len(order) - (order[-1] not in named)
        held = named | dict.fromkeys(order[first:], 0)
        return {
            epoch: upto
            for epoch, upto in held.items()
            if any(
                ActId(self._own, Epoch(epoch), Serial(serial)) not in self._acts
                for serial in range(upto + 1, self._highest.get(epoch, 0) + 1)
            )
        }

    def forget_receipt(self, act_id: ActId) -> None:
        """Its receipt is looked for again."""
        upto = self._receipted_upto.get(act_id.epoch, 0)
        self._receipted_upto[act_id.epoch] = min(upto, act_id.serial - 1)

    def add(self, act: OutAct) -> None:
        self._acts[act.id] = act
        self.note_epoch(act.id.epoch, act.id.serial)
        self.wait(act)

    def replace(self, act: OutAct) -> None:
        """Another act under the id of one that never left (VOID)."""
        assert not self._acts[act.id].has_left
        self._acts[act.id] = act
        self.wait(act)

    def get(self, act_id: ActId) -> OutAct | None:
        return self._acts.get(act_id)

    def wait(self, act: OutAct) -> None:
        """Put an act (back) among those that wait for a link."""
        self._order += 1
        heapq.heappush(self._waiting, (act.precedence, self._order, act.id))

    def next_waiting(self) -> OutAct | None:
        """The fastest act that waits and has no attempt under way; it stays in the heap."""
        while self._waiting:
            act = self._acts.get(self._waiting[0][2])
            waits = act is not None and not act.attempts and not act.is_receipted
            if act is not None and waits and act.precedence == self._waiting[0][0]:
                return act
            heapq.heappop(self._waiting)
        return None

    def pop_waiting(self) -> None:
        heapq.heappop(self._waiting)

    def park(self, act: OutAct) -> None:
        """Take the fastest waiting act out of the heap until `unpark`: MINIMIZE holds it."""
        self.pop_waiting()
        self._parked[act.id] = None

    def is_parked(self, act: OutAct) -> bool:
        return act.id in self._parked

    def unpark(self) -> list[OutAct]:
        """All parked acts wait again, as ever in order of precedence."""
        parked, self._parked = self._parked, {}
        acts = [act for act_id in parked if (act := self._acts.get(act_id)) is not None]
        for act in acts:
            self.wait(act)
        return acts

    def receipt(self, epoch: int, cumulative: int, bitmap: int) -> list[OutAct]:
        """Acts that this receipt covers and none before did, in the order of serials."""
        covered: list[OutAct] = []
        cumulative = min(cumulative, self._highest.get(epoch, 0))
        start = self._receipted_upto.get(epoch, 0) + 1
        for serial in range(start, cumulative + 1):
            self._take(epoch, serial, covered)
        self._receipted_upto[epoch] = max(cumulative, start - 1)
        for index in range(bitmap.bit_length()):
            if bitmap >> index & 1:
                self._take(epoch, cumulative + 1 + index, covered)
        return covered

    def receipt_serials(self, epoch: int, serials: tuple[int, ...]) -> list[OutAct]:
        covered: list[OutAct] = []
        for serial in serials:
            self._take(epoch, serial, covered)
        return covered

    def restore_receipted(self, epoch: int, upto: int) -> None:
        """At start: serials up to `upto` need no look any more."""
        self._receipted_upto[epoch] = upto

    def unreceipted(self) -> list[OutAct]:
        """All acts still on their way; for a change of all links only."""
        return list(self._acts.values())

    def _take(self, epoch: int, serial: int, covered: list[OutAct]) -> None:
        act = self._acts.pop(ActId(self._own, Epoch(epoch), Serial(serial)), None)
        if act is not None:
            self._parked.pop(act.id, None)
            act.is_receipted = True
            covered.append(act)
