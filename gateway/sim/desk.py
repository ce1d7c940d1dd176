"""The button and the switch of a station: what a press may say, and what a stop must leave behind.

A press is a ROGER of the one displayed notice that the lamp showed, or it says nothing. Who was
told to stop accepts nothing more, says so, and ends its book with that.
"""

from __future__ import annotations

from typing import Final

from gateway.core.effects import (
    ConfirmAnswer,
    ConfirmSubmission,
    Effect,
    PendingNotice,
    RejectCode,
)
from gateway.core.engine import Engine
from gateway.core.events import ButtonPressed, ButtonReleased, Event, NoticeSubmitted, Stopping
from gateway.core.records import Direction, PutAct, Write
from gateway.logbook.entry import decode_entry
from gateway.model import (
    Answer,
    AnswerCode,
    Kind,
    NoticeDraft,
    Operation,
    Precedence,
    Station,
    Text,
)
from gateway.sim.safety import Blame
from gateway.sim.world import OPERATOR, Post, World
from gateway.wire.notice import decode_act

_FLASH_AGAIN_MS: Final = 5_000
_PRESS_MAX_MS: Final = 1_000
_TOKEN: Final = 1 << 42
_LAST_COUNT: Final = 64
"""Entries that a book may get between the order to stop and the end."""


class Desk:
    """All buttons and switches."""

    def __init__(self, world: World, blame: Blame) -> None:
        self._world = world
        self._blame = blame
        self._event: Event | None = None
        self._shown: PendingNotice | None = None
        self._pressed_ms: dict[Station, int] = {}
        self._released_ms: dict[Station, list[int]] = {}
        self._stopping: dict[Station, Engine] = {}
        self._token = _TOKEN
        self.roger_count = 0
        """Answers that presses have given."""

    # What happens

    def event(self, post: Post, event: Event | None) -> None:
        """Before the engine hears it: what the lamp shows now."""
        self._event, now = event, self._world.now_ms
        if isinstance(event, ButtonPressed):
            self._pressed_ms[post.station] = now
        elif isinstance(event, ButtonReleased):
            pending = () if post.status is None else post.status.pending_in
            self._shown = pending[0] if pending else None
            self._released_ms[post.station] = [*self._released_ms.get(post.station, ())[-1:], now]

    def committed(self, post: Post, writes: tuple[Write, ...]) -> None:
        if not isinstance(self._event, ButtonPressed | ButtonReleased):
            return
        for write in writes:
            if isinstance(write, PutAct) and write.act.direction is Direction.OUT:
                stored = write.act
                act = decode_act(stored.octets, originator=post.station, to=stored.to)
                self._said(post, act if isinstance(act, Answer) else None)

    def effect(self, post: Post, effect: Effect) -> None:
        if isinstance(effect, ConfirmSubmission | ConfirmAnswer) and self._is_stopping(post):
            self._blame(f"station {post.station} accepted something after it was told to stop")

    def _said(self, post: Post, answer: Answer | None) -> None:
        station, shown = post.station, self._shown
        if answer is None or isinstance(self._event, ButtonPressed):
            self._blame(f"the button of station {station} said something that is no answer")
        elif answer.code is not AnswerCode.ROGER:
            self._blame(f"the button of station {station} said {answer.code.name}")
        elif shown is None or shown.notice_id != answer.reference:
            self._blame(f"the button of station {station} answered what no lamp indicated")
        elif not shown.displayed or shown.operation is not Operation.OPERATION or shown.is_check:
            self._blame(f"the button of station {station} answered what nobody was shown")
        elif self._world.now_ms - self._pressed_ms.get(station, 0) > _PRESS_MAX_MS:
            self._blame(f"the button of station {station} answered after a long press")
        elif shown.precedence is Precedence.FLASH and not self._is_second(station):
            self._blame(f"the button of station {station} answered a FLASH at the first press")
        self.roger_count += 1

    def _is_second(self, station: Station) -> bool:
        released = self._released_ms[station]
        return len(released) > 1 and released[1] - released[0] <= _FLASH_AGAIN_MS

    # Stops

    def _is_stopping(self, post: Post) -> bool:
        return post.engine is not None and self._stopping.get(post.station) is post.engine

    def stop(self, post: Post) -> None:
        """Tell a station to stop, and hand it something all the same."""
        engine = post.engine
        self._world.give_to(post, Stopping("asked to"))
        if post.engine is not engine:
            # The disk was found full by that very step; the runtime tells the new engine too.
            self._world.give_to(post, Stopping("asked to"))
        if post.engine is None:
            return
        self._stopping[post.station] = post.engine
        if post.status is None or not post.status.stopping:
            self._blame(f"station {post.station} does not show that it stops")
        self._token += 1
        draft = NoticeDraft(
            to=next(iter(post.keys.lines)),
            kind=Kind.REPORT,
            precedence=Precedence.FLASH,
            operation=Operation.OPERATION,
            body=Text("too late", "en"),
        )
        name = f"late-{self._token}"
        self._world.give_to(post, NoticeSubmitted(self._token, OPERATOR, name, draft))
        rejection = post.rejected.pop(self._token, None)
        if rejection is None or rejection.code is not RejectCode.STOPPING:
            self._blame(f"station {post.station} stops and did not refuse a notice for that")

    def stopped(self, post: Post) -> None:
        """The process is about to end by itself."""
        self._stopping.pop(post.station, None)
        if post.refused or post.store.is_refusing:
            return
        rows = post.store._live.log[-_LAST_COUNT:]  # noqa: SLF001 - the store's queries are coroutines
        if all(decode_entry(row.octets).event != "stop" for row in rows):
            self._blame(f"the book of station {post.station} does not tell that it stopped")
