"""Refused acts and what comes under a revoked card: entries of the log book that no flood can fill.

Of each line and reason the first is entered at once, with what it was; those that follow are
counted, and entered as one number when the window ends. So a refusal costs at most two entries in
each window, however many there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.core.draft import Draft
from gateway.core.life import log_station
from gateway.core.policy import Policy
from gateway.core.timers import Timers
from gateway.model import Instant, LinkName, Station

REFUSALS_TIMER: Final = "refusals"


@dataclass(slots=True)
class _Count:
    """Of one line and reason, in the window that is open."""

    station: str
    link: LinkName
    """That the last one came by."""
    count: int = 0
    """Since the entry that opened the window."""


class Refusals:
    """Counts what is refused, by line and reason; reasons are words of ours, so few."""

    def __init__(self, policy: Policy, timers: Timers) -> None:
        self._policy = policy
        self._timers = timers
        self._counts: dict[tuple[Station, str], _Count] = {}

    def note(
        self, peer: Station, name: str, reason: str, link: LinkName, draft: Draft, *, act: str = ""
    ) -> None:
        """Something of this peer was refused. `act` names it, as far as it can be named."""
        known = self._counts.get((peer, reason))
        if known is not None:
            known.count += 1
            known.link = link
            return
        self._counts[peer, reason] = _Count(name, link)
        due = Instant(draft.now.instant + self._policy.refusal_window_ms)
        self._timers.set((REFUSALS_TIMER, peer, reason), due)
        fields: list[tuple[str, str | int | bytes | None]] = [("station", name), ("reason", reason)]
        if act:
            fields.append(("act", act))
        log_station(draft, "refused", *fields, ("link", link))

    def end_window(self, peer: Station, reason: str, draft: Draft, *, can_write: bool) -> None:
        """The window is over: say how many more there were; none closes it."""
        known = self._counts[peer, reason]
        if known.count == 0:
            del self._counts[peer, reason]
            return
        if can_write:
            self._enter(known, reason, draft)
        due = Instant(draft.now.instant + self._policy.refusal_window_ms)
        self._timers.set((REFUSALS_TIMER, peer, reason), due)

    def close(self, draft: Draft) -> None:
        """The gateway stops: what was counted and not entered is entered now."""
        for (_, reason), known in self._counts.items():
            if known.count:
                self._enter(known, reason, draft)

    def _enter(self, known: _Count, reason: str, draft: Draft) -> None:
        log_station(
            draft,
            "refused_again",
            ("station", known.station),
            ("reason", reason),
            ("count", known.count),
            ("link", known.link),
        )
        known.count = 0
