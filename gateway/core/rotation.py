"""Generations of a line's secret: when the older one ends, what is kept of that, and the alarms.

Which generation seals and which are taken is the session's; where secrets lie, the configuration's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.core.draft import Draft
from gateway.core.effects import AlarmCode, Level
from gateway.core.life import log_station
from gateway.core.line import Line
from gateway.core.records import PutKeys
from gateway.core.session import KeyTrouble, Session
from gateway.core.watch import Watch
from gateway.model import Station


@dataclass(slots=True)
class Rotation:
    """Of all lines of a station."""

    names: Mapping[Station, str]
    watch: Watch
    _confirmed: dict[Station, bytes] = field(default_factory=dict)
    _far_newest: dict[Station, int] = field(default_factory=dict)

    def restore(self, stored: Iterable[PutKeys]) -> None:
        self._confirmed = {keys.peer: keys.confirmed for keys in stored}

    def confirmed(self, peer: Station) -> bytes | None:
        """Mark of the generation that the peer is known to use."""
        return self._confirmed.get(peer)

    def used(self, line: Line, generation: int, draft: Draft) -> None:
        """A fresh frame of a proven incarnation opened under this generation."""
        session = line.session
        if not session.takes_former or generation != session.newest.generation:
            return
        session.retire_former()
        mark = self._confirmed[line.peer] = session.newest.mark()
        draft.write(PutKeys(line.peer, mark))
        draft.status_changed = True
        name, number = self.names[line.peer], session.newest.generation
        log_station(draft, "generation_confirmed", ("station", name), ("generation", number))
        draft.observe(Level.INFO, "generation_confirmed", station=name, generation=number)

    def judge(self, line: Line, draft: Draft) -> None:
        """A proven hello said what the peer holds."""
        session = line.session
        far = session.far_newest or 1
        if self._far_newest.get(line.peer) != far:
            self._far_newest[line.peer] = far
            draft.status_changed = True
            own = session.newest.generation
            if far != own:
                name = self.names[line.peer]
                draft.observe(Level.WARNING, "generations", station=name, far=far, own=own)
        if session.trouble is None:
            if self.watch.clear_alarm(AlarmCode.GENERATION, station=line.peer):
                draft.status_changed = True
            return
        text = self._text(session, session.trouble)
        if self.watch.raise_alarm(AlarmCode.GENERATION, text, station=line.peer):
            draft.status_changed = True
            log_station(
                draft,
                "generations_differ",
                ("station", self.names[line.peer]),
                ("trouble", session.trouble.value),
            )

    def _text(self, session: Session, trouble: KeyTrouble) -> str:
        name, own, far = self.names[session.peer], session.newest.generation, session.far_newest
        match trouble:
            case KeyTrouble.PEER_OLD:
                return (
                    f"{name} holds the secret of generation {far} only, as an old image does; here"
                    f" {own} is in use: rotate the keys of this line and bring them the new secret"
                )
            case KeyTrouble.WE_OLD:
                return (
                    f"{name} uses the secret of generation {far}, which this station lacks (it has"
                    f" {own}), as an old image does: ask them to rotate, and accept what they bring"
                )
            case KeyTrouble.DIFFER:
                return (
                    f"{name} has another secret under the number {own}: rotate the keys of this"
                    " line again, on one side only, and let the other accept it"
                )
