"""The contract between the adapters (queues, API) and the daemon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.core.effects import (
    ConfirmAnswer,
    ConfirmClear,
    ConfirmSubmission,
    RejectRequest,
    Status,
)
from gateway.core.events import Principal, QueueDown, QueueUp
from gateway.model import ActId, AnswerCode, NoticeDraft, Station, Text

QueueEvent = QueueUp | QueueDown
EmitQueue = Callable[[QueueEvent], None]


class Desk(Protocol):
    """What the runtime offers to adapters. Each awaited call returns after the commit."""

    async def submit(
        self, principal: Principal, request_id: str, draft: NoticeDraft
    ) -> ConfirmSubmission | RejectRequest: ...

    async def answer(
        self,
        principal: Principal,
        request_id: str,
        notice_id: ActId,
        code: AnswerCode,
        body: Text | None,
    ) -> ConfirmAnswer | RejectRequest: ...

    async def clear(self, principal: Principal, name: str) -> ConfirmClear | RejectRequest:
        """Make the alarm of this name dark: a person has seen to it."""
        ...

    async def taken(self, principal: Principal, notice_id: ActId) -> None: ...

    async def displayed(self, notice_id: ActId) -> None: ...

    def status(self) -> Status | None:
        """The last `ShowStatus` with what was heard since; None before the first.

        The same value until something is new. Not everything new is a change: see `changed`.
        """
        ...

    async def changed(self, after: int) -> int:
        """Wait until a status or publication later than change `after` exists; gives its number.

        What is only heard of a line wakes nobody.
        """
        ...

    def station_number(self, name: str) -> Station | None:
        """The number of a configured station by its name (upper case)."""
        ...

    def station_name(self, station: Station) -> str:
        """Its configured name; `STATION n` for an unknown one."""
        ...


class QueueAdapter(Protocol):
    async def run(self, emit: EmitQueue) -> None:
        """Serve one connection until it is gone. Raises `QueueUnavailableError`.

        Emits `QueueUp` once it is connected, and again each time that its cursor has moved: what
        goes once more on each connection says nothing of what waits behind it.
        """
        ...


def first_error(errors: Sequence[BaseException]) -> BaseException:
    """The first single error of (nested) groups."""
    for error in errors:
        return first_error(error.exceptions) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("the connection ended without an error")
