"""Where adapters and the API meet the engine: requests in, outcomes and news out.

The `Desk` of queues.base. Owns the tokens of requests under way and the number of the last
change. Decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from gateway.core.effects import (
    ConfirmAnswer,
    ConfirmClear,
    ConfirmSubmission,
    RejectCode,
    RejectRequest,
    ShowHeard,
    Status,
)
from gateway.core.events import (
    AnswerSubmitted,
    ClearAsked,
    Event,
    NoticeDisplayed,
    NoticeSubmitted,
    NoticeTaken,
    Principal,
)
from gateway.model import ActId, AnswerCode, NoticeDraft, Station, Text
from gateway.runtime.inbox import Inbox

REQUEST_COUNT_MAX: Final = 256

Clear = Callable[[ClearAsked], ConfirmClear | RejectRequest]
Outcome = ConfirmSubmission | ConfirmAnswer | ConfirmClear | RejectRequest


class RuntimeDesk:
    """The desk of one daemon. `names`: configured stations, own one included."""

    def __init__(
        self,
        inbox: Inbox,
        names: Mapping[Station, str],
        *,
        request_count_max: int = REQUEST_COUNT_MAX,
    ) -> None:
        self._inbox = inbox
        self._names = dict(names)
        self._numbers = {name: station for station, name in names.items()}
        self._request_count_max = request_count_max
        self._waiting: dict[int, asyncio.Future[Outcome]] = {}
        self._token = 0
        self._status: Status | None = None
        self._heard: dict[Station, ShowHeard] = {}
        """What was heard since the status."""
        self._change = 0
        self._changed = asyncio.Event()
        self._closed: tuple[RejectCode, str] | None = None
        """Why nothing is taken any more."""
        self._clear: Clear | None = None

    # What adapters call (queues.base.Desk).

    async def submit(
        self, principal: Principal, request_id: str, draft: NoticeDraft
    ) -> ConfirmSubmission | RejectRequest:
        outcome = await self._ask(
            lambda token: NoticeSubmitted(token, principal, request_id, draft)
        )
        assert not isinstance(outcome, ConfirmAnswer | ConfirmClear)
        return outcome

    async def answer(
        self,
        principal: Principal,
        request_id: str,
        notice_id: ActId,
        code: AnswerCode,
        body: Text | None,
    ) -> ConfirmAnswer | RejectRequest:
        outcome = await self._ask(
            lambda token: AnswerSubmitted(token, principal, request_id, notice_id, code, body)
        )
        assert not isinstance(outcome, ConfirmSubmission | ConfirmClear)
        return outcome

    async def clear(self, principal: Principal, name: str) -> ConfirmClear | RejectRequest:
        if self._clear is not None:
            return self._clear(ClearAsked(0, principal, name))
        outcome = await self._ask(lambda token: ClearAsked(token, principal, name))
        assert not isinstance(outcome, ConfirmSubmission | ConfirmAnswer)
        return outcome

    async def taken(self, principal: Principal, notice_id: ActId) -> None:
        await self._inbox.deliver(NoticeTaken(notice_id, principal))

    async def displayed(self, notice_id: ActId) -> None:
        await self._inbox.deliver(NoticeDisplayed(notice_id))

    def status(self) -> Status | None:
        if self._status is not None:
            for heard in self._heard.values():
                self._status = heard.laid_over(self._status)
            self._heard.clear()
        return self._status

    async def changed(self, after: int) -> int:
        while self._change <= after:
            await self._changed.wait()
        return self._change

    def station_number(self, name: str) -> Station | None:
        return self._numbers.get(name.upper())

    def station_name(self, station: Station) -> str:
        return self._names.get(station, f"STATION {station}")

    # What the loop calls.

    def settle(self, outcome: Outcome) -> None:
        """Give a request its outcome; one whose caller went away is ignored."""
        future = self._waiting.pop(outcome.token, None)
        if future is not None and not future.done():
            future.set_result(outcome)

    def refuse(self, events: Iterable[Event | None], code: RejectCode, problem: str) -> None:
        """Reject those of `events` that are requests: the step that took them was dropped."""
        for event in events:
            if isinstance(event, NoticeSubmitted | AnswerSubmitted | ClearAsked):
                self.settle(_refusal(event.token, code, problem))

    def show(self, status: Status) -> None:
        """Keep the status; `announce` wakes those who wait for it."""
        self._status = status
        self._heard.clear()

    def note_heard(self, heard: ShowHeard) -> None:
        """Keep it for who asks for the status."""
        self._heard[heard.peer.station] = heard

    def announce(self) -> None:
        """A status or a publication is new: wake everyone in `changed`."""
        self._change += 1
        woken, self._changed = self._changed, asyncio.Event()
        woken.set()

    def close(
        self,
        code: RejectCode = RejectCode.STOPPING,
        problem: str = "the gateway is stopping",
        clear: Clear | None = None,
    ) -> None:
        """Reject every request under way and to come: the daemon stops, or stands by. `clear`
        still clears alarms.
        """
        self._closed, self._clear = (code, problem), clear
        for token in list(self._waiting):
            self.settle(_refusal(token, code, problem))

    async def _ask(self, event_of: Callable[[int], Event]) -> Outcome:
        """Put a request to the engine and wait for its outcome; at the bound it is rejected."""
        self._token += 1
        token = self._token
        if self._closed is not None:
            return _refusal(token, *self._closed)
        if len(self._waiting) >= self._request_count_max:
            count = self._request_count_max
            return _refusal(token, RejectCode.FULL, f"{count} requests are under way already")
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[token] = future
        self._inbox.put(event_of(token))
        try:
            return await future
        finally:
            self._waiting.pop(token, None)


def _refusal(token: int, code: RejectCode, problem: str) -> RejectRequest:
    return RejectRequest(
        token, code, "request", problem, "send it again with the same request_id a little later"
    )
