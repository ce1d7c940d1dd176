"""What a far station may have open here: its share, the part of that for FLASH, BUSY at the bound.

Nothing of a notice beyond it is kept, so it gets no receipt and its originator keeps it, and BUSY
tells the people there why. Other lines have shares of their own.
"""

from __future__ import annotations

from typing import Final

from gateway.core.draft import Draft
from gateway.core.effects import AlarmCode, Level
from gateway.core.life import log_station
from gateway.core.line import Line
from gateway.core.station import StationState
from gateway.errors import DecodeError
from gateway.model import ActId, LinkName, Precedence
from gateway.wire.head import notice_outline

_ROOM_SHARE: Final = 16
"""BUSY ends when this part of the share is free, or each answer would end and begin it."""

_CHANGE_FACTOR: Final = 2
"""So many times its share a station may have open in all, CANCELs and UPDATEs among them."""


class Intake:
    """Judges notices of far stations by how many of theirs are open."""

    def __init__(self, state: StationState) -> None:
        self._state = state

    def admits(
        self, line: Line, octets: bytes, act_id: ActId, link: LinkName, draft: Draft
    ) -> bool:
        """Whether there is room for this act; if not, BUSY is said and the alarm is lit.

        An answer opens nothing, so it has room always. What ends a notice takes the place of that;
        of those whose notices never come there may be as many again.
        """
        open_count = self._state.ledger.open_from(line.peer)
        if open_count < self._ordinary():
            return True
        try:
            outline = notice_outline(octets)
        except DecodeError:
            outline = Precedence.ROUTINE, False  # it would be kept and answered CANTPRO
        if outline is None:
            return True
        precedence, ends_another = outline
        share = self._share()
        limit = share if precedence is Precedence.FLASH else self._ordinary()
        if open_count < (_CHANGE_FACTOR * share if ends_another else limit):
            return True
        self._refuse(line, act_id, link, draft)
        return False

    def look(self, draft: Draft) -> None:
        """After each step: whether a line that was full has room again."""
        for line in self._state.lines.values():
            if line.standing.is_full:
                self._look_at(line, draft)

    def _share(self) -> int:
        return max(self._state.policy.inbound_notice_count // len(self._state.lines), 1)

    def _ordinary(self) -> int:
        """What is slower than FLASH may have."""
        share = self._share()
        reserve = -(-share * self._state.policy.inbound_reserve_percent // 100)
        return max(share - reserve, 1)

    def _refuse(self, line: Line, act_id: ActId, link: LinkName, draft: Draft) -> None:
        draft.observe(Level.WARNING, "too_many_open", notice_id=str(act_id), link=link)
        if not line.standing.is_full:
            line.standing.is_full = True
            name, share = self._state.names[line.peer], self._ordinary()
            self._state.watch.raise_alarm(
                AlarmCode.TOO_MANY_OPEN,
                f"{name} has {share} notices open here, its whole share: it is told BUSY, and only"
                " FLASH, answers and cancellations of it are taken; answer what is open, or call"
                " them",
                station=line.peer,
            )
            log_station(draft, "too_many_open", ("station", name), ("count", share))
            draft.status_changed = True
        line.say_busy(link, draft)

    def _look_at(self, line: Line, draft: Draft) -> None:
        limit = self._ordinary()
        if self._state.ledger.open_from(line.peer) > limit - max(limit // _ROOM_SHARE, 1):
            return
        line.standing.is_full = False
        self._state.watch.clear_alarm(AlarmCode.TOO_MANY_OPEN, station=line.peer)
        name = self._state.names[line.peer]
        draft.observe(Level.INFO, "room_again", station=name)
        if not self._state.is_refused:
            log_station(draft, "room_again", ("station", name))
        draft.status_changed = True
        line.say_room(draft)
