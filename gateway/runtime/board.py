"""What a gateway without an engine shows: its alarms, and what pended when it was the active one.

As long as no other gateway is the active one, what waits for our watch or theirs is shown as it was
last known; nothing of it is kept, answered or counted here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final, NoReturn

from gateway.core.effects import (
    CLEARED_BY_HAND,
    Alarm,
    AlarmCode,
    ConfirmClear,
    Level,
    PendingNotice,
    RejectRequest,
    Status,
)
from gateway.core.events import ButtonPressed, ClearAsked
from gateway.core.requests import check_clear
from gateway.core.tenure import Tenure
from gateway.core.vacancy import Vigil, has_successor
from gateway.model import Now, Station
from gateway.runtime.inbox import Inbox
from gateway.runtime.left_behind import LeftBehind
from gateway.runtime.standby_words import nothing_to_show, pending_alarm, vacant_text

LOOK_S: Final = 1.0
EVENT_COUNT_MAX: Final = 64
PENDING_MS: Final = 5_000
"""A promotion that waits longer is an alarm."""
_STAYS: Final = CLEARED_BY_HAND | {AlarmCode.OVERDUE, AlarmCode.UNREPLICATED}
"""Alarms of the last time of being the active one that are true still."""

Show = Callable[[Status], None]
Observe = Callable[..., None]


class Board:
    """Of one daemon, through all the times of standing by."""

    def __init__(
        self,
        *,
        name: str,
        station: Station,
        tenure: Tenure,
        by_lease: bool,
        now: Callable[[], Now],
        observe: Observe,
        refusal: Callable[[], str],
        left: LeftBehind,
    ) -> None:
        """`name` of this gateway; `refusal`: why its promotion is pending."""
        self.name = name
        self._station = station
        self._tenure = tenure
        self._now = now
        self._observe = observe
        self._refusal = refusal
        self._left = left
        self._vigil = Vigil(by_lease=by_lease, now=now().instant)
        self._told: Alarm | None = None
        self.problem: Callable[[], str] = str
        """What the copy lacks."""
        self._last: Status | None = None
        self._is_silenced = False
        self._shown: Status | None = None
        self._show: Show = lambda _status: None
        self.vacancy = ""
        """Why no gateway of this station is the active one, and what to do; empty: one is, or may
        be soon.
        """

    def open(self, show: Show) -> None:
        """A time of standing by begins."""
        self._show = show
        self._told = self._shown = None
        self.look()

    def explain(self) -> str:
        """What the copy lacks, as told last."""
        return self.problem()

    def keep(self, last: Status | None) -> None:
        """What the engine showed last: a time of being the active one is over."""
        self._last, self._is_silenced = last, False

    def tell(self, alarm: Alarm | None) -> None:
        """What is wrong with this gateway itself, if anything is."""
        self._told = alarm
        self.look()

    def clear(self, event: ClearAsked) -> ConfirmClear | RejectRequest:
        """What was left behind has been seen to by a person. Other alarms are the engine's."""
        alarm = next((it for it in self._left.alarms() if it.name == event.name), None)
        rejection = check_clear(event, alarm)
        if rejection is not None or alarm is None:
            assert rejection is not None
            return rejection
        with suppress(OSError):
            self._left.clear(alarm)
        user = event.principal.user
        self._observe(Level.WARNING, "alarm_cleared", alarm=alarm.name, user=user, text=alarm.text)
        self.look()
        return ConfirmClear(event.token, alarm.name)

    async def run(self, inbox: Inbox) -> NoReturn:
        """A press of the button silences the buzzer; it says nothing to anyone else."""
        while True:
            await inbox.wait(LOOK_S)
            for entry in inbox.take(EVENT_COUNT_MAX):
                self._is_silenced |= isinstance(entry.event, ButtonPressed)
            self.look()

    def look(self) -> None:
        """Show what is so now."""
        now = self._now()
        vacant = self._vigil.look(self._tenure, now.instant)
        vacancy = "" if vacant is None else vacant_text(vacant, now, self.problem())
        if bool(vacancy) != bool(self.vacancy):
            level = Level.ERROR if vacancy else Level.INFO
            self._observe(level, "nobody_active" if vacancy else "not_vacant", reason=vacancy)
        self.vacancy = vacancy
        if has_successor(self._tenure, now.instant):
            self._last = None
        status = self._status()
        if status != self._shown:
            self._shown = status
            self._show(status)

    def _status(self) -> Status:
        alarms = [] if self._told is None else [self._told]
        if self._tenure.promotion.waited_ms(self._now().instant) >= PENDING_MS:
            alarms.append(pending_alarm(self._refusal()))
        if self.vacancy:
            alarms.append(Alarm(AlarmCode.NOT_ACTIVE, self.vacancy))
        alarms += self._left.alarms()
        status = nothing_to_show(self._station, alarms)
        last = self._last
        if last is None:
            return status
        return replace(
            status,
            pending_in=_as_known(last.pending_in),
            pending_in_count=last.pending_in_count,
            pending_out=_as_known(last.pending_out),
            pending_out_count=last.pending_out_count,
            alarms=(*alarms, *(it for it in last.alarms if it.code in _STAYS)),
            buzzer_silenced=last.buzzer_silenced or self._is_silenced,
            buzzer_until=last.buzzer_until,
        )


def _as_known(pending: tuple[PendingNotice, ...]) -> tuple[PendingNotice, ...]:
    """Without when it will leave: nothing leaves now."""
    return tuple(replace(it, goes_at=None) for it in pending)
