"""Each side is the other's witness: when we tell the far station where both log books stand.

A countersign is a signed act of its own, which no person sees: the head of our book, as far as a
FULL commit covers it, the last head that came from there, and up to which serial everything is
here. It goes some time after a start and daily, with a hand-over, and after so many acts, so that
no long stretch of a book can be written anew without the other side's copy betraying it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.core.draft import Draft
from gateway.core.effects import Level
from gateway.core.line import Line
from gateway.core.policy import Policy
from gateway.core.records import LogHead
from gateway.core.speech import Speech
from gateway.core.timers import Timers
from gateway.model import (
    ActId,
    BookHead,
    Countersign,
    Instant,
    Operation,
    Precedence,
    TimeQuality,
)

FAR_HASH_SIZE: Final = 16


@dataclass(slots=True)
class _Standing:
    """Of one line."""

    far_head: BookHead | None = None
    act_count: int = 0
    """Acts said and heard since the last countersign of ours."""
    last: ActId | None = None


class Witness:
    """Says and hears countersigns."""

    def __init__(self, policy: Policy, timers: Timers, speech: Speech) -> None:
        self.head: LogHead | None = None
        """Of our book, covered by a FULL commit: no other leaves the station."""
        self._policy = policy
        self._timers = timers
        self._speech = speech
        self._standing: dict[int, _Standing] = {}

    def watch(self, line: Line, draft: Draft) -> None:
        """A line begins: the first countersign is due some time after."""
        self._standing[line.peer] = _Standing()
        self._set(line, self._policy.countersign_first_ms, draft)

    def note_act(self, line: Line, draft: Draft) -> None:
        """An act was said or heard on this line."""
        standing = self._standing[line.peer]
        standing.act_count += 1
        if standing.act_count >= self._policy.countersign_act_count:
            self.soon(line, draft)

    def soon(self, line: Line, draft: Draft) -> None:
        """It is due in the next turn, when the book has what this turn writes."""
        self._timers.set_earlier(("countersign", line.peer), draft.now.instant)

    def heard(self, act: Countersign, line: Line, draft: Draft) -> None:
        """The far station tells where its book stands; the act itself is in ours already."""
        far = BookHead(act.head.number, act.head.hash[:FAR_HASH_SIZE])
        self._standing[line.peer].far_head = far
        draft.observe(Level.INFO, "countersigned", notice_id=str(act.id), far_entry=act.head.number)

    def say(self, line: Line, draft: Draft) -> None:
        """The deadline came. One that waits still, or a book without a head, is not doubled."""
        standing = self._standing[line.peer]
        self._set(line, self._policy.countersign_interval_ms, draft)
        is_waiting = standing.last is not None and line.outgoing.get(standing.last) is not None
        if self.head is None or is_waiting:
            return
        act_id, previous = self._speech.next_id(line, draft)
        act = Countersign(
            id=act_id,
            to=line.peer,
            precedence=Precedence.ROUTINE,
            operation=Operation.OPERATION,
            created=draft.now.utc,
            time_quality=TimeQuality.NONE
            if draft.now.utc is None
            else draft.now.quality or TimeQuality.NONE,
            head=BookHead(self.head.number, self.head.hash),
            far_head=standing.far_head,
            received=line.reception.received(),
            previous=previous,
        )
        standing.last, standing.act_count = act_id, 0
        line.submit(self._speech.say(act, line, draft, event="accepted"), draft)

    def _set(self, line: Line, delay_ms: int, draft: Draft) -> None:
        due = Instant(draft.now.instant + delay_ms)
        self._timers.set(("countersign", line.peer), due)
