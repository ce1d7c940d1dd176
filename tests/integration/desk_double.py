"""A desk for adapter tests: a small gateway without links, over the real memory store.

It accepts, answers and takes as the contract of queues.base says, and commits before it returns.
It decides as little as it can; the engine's rules are tested elsewhere.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace

from gateway.core.effects import (
    ConfirmAnswer,
    ConfirmClear,
    ConfirmSubmission,
    LinkStatus,
    PeerStatus,
    RejectCode,
    RejectRequest,
    Status,
)
from gateway.core.events import Principal
from gateway.core.records import (
    AddLogEntry,
    AddPublication,
    AddStateEntry,
    Direction,
    EntryKind,
    Publication,
    PutAct,
    PutDelivery,
    StateEntry,
    StoredAct,
    StoredDelivery,
    Topic,
    Write,
)
from gateway.model import (
    ActId,
    Answer,
    AnswerCode,
    DeliveryState,
    Epoch,
    Instant,
    Kind,
    LinkName,
    LinkState,
    Notice,
    NoticeDraft,
    Now,
    Operation,
    Precedence,
    Previous,
    Serial,
    Station,
    Text,
    TimeQuality,
    UtcTime,
)
from gateway.store.memory import MemoryStore
from gateway.wire.document import document_text, notice_document, state_document
from gateway.wire.notice import encode_act

OWN = Station(1)
FAR = Station(2)
NAMES = {OWN: "NORTH", FAR: "SOUTH"}
BOOT_ID = "boot-1"
UTC = UtcTime(1_795_357_800)
NOW = Now(Instant(60_000), UTC, TimeQuality.SYNCHRONISED)


def clock() -> Now:
    """The time of these tests stands still."""
    return NOW


def status(**changes: object) -> Status:
    """A status with one line of two links, one of them up."""
    links = tuple(
        LinkStatus(
            name=LinkName(name),
            station=FAR,
            state=state,
            device_up=True,
            detail="/dev/ttyUSB0",
            round_trip_ms=1200,
            heard_at=Instant(500),
            loss=0.1234,
            queued=0,
        )
        for name, state in (("radio", LinkState.UP), ("cable", LinkState.PROBING))
    )
    plain = Status(
        station=OWN,
        links=links,
        peers=(PeerStatus(FAR, confirmed=True, heard_at=Instant(500), busy=False),),
        pending_in=(),
        pending_in_count=0,
        pending_out=(),
        pending_out_count=0,
        alarms=(),
        store_refused=False,
        stopping=False,
        buzzer_silenced=False,
        button_refused_at=None,
        lamp_test_until=None,
        utc=UTC,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


class MemoryDesk:
    """Satisfies `Desk`. `reject` makes the next requests fail with that code."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.reject: RejectCode | None = None
        self.accepted: list[tuple[Principal, str, NoticeDraft]] = []
        self.asked_count = 0
        """Submissions that came here, decided or not."""
        self.seen_displayed: list[ActId] = []
        self.gate = asyncio.Event()
        """Cleared: submissions wait, as for a slow disk."""
        self.gate.set()
        self._requests: dict[tuple[str, str], ActId] = {}
        self._serials = {OWN: 0, FAR: 0}
        self._offset = 0
        self._status: Status | None = None
        self._change = 0
        self._changed = asyncio.Event()

    async def submit(
        self, principal: Principal, request_id: str, draft: NoticeDraft
    ) -> ConfirmSubmission | RejectRequest:
        self.asked_count += 1
        await self.gate.wait()
        refusal = self._refusal(draft.operation in principal.rights.submit)
        if refusal is not None:
            return refusal
        known = self._requests.get((principal.user, request_id))
        if known is not None:
            return ConfirmSubmission(1, known, DeliveryState.QUEUED, repeated=True)
        notice = Notice(
            id=self._next_id(OWN),
            to=draft.to,
            kind=draft.kind,
            precedence=draft.precedence,
            operation=draft.operation,
            created=UTC,
            time_quality=TimeQuality.SYNCHRONISED,
            lifetime_min=draft.lifetime_min or 60,
            reply_by_min=draft.reply_by_min,
            reference=draft.reference,
            body=draft.body,
            place=draft.place,
            window=draft.window,
            released_by=draft.released_by,
            previous=self._previous(OWN),
        )
        self._requests[principal.user, request_id] = notice.id
        self._keep(notice, Direction.OUT, DeliveryState.QUEUED)
        self.accepted.append((principal, request_id, draft))
        return ConfirmSubmission(1, notice.id, DeliveryState.QUEUED, repeated=False)

    async def answer(
        self,
        principal: Principal,
        request_id: str,
        notice_id: ActId,
        code: AnswerCode,
        body: Text | None,
    ) -> ConfirmAnswer | RejectRequest:
        refusal = self._refusal(principal.rights.answer)
        if refusal is not None:
            return refusal
        known = self._requests.get((principal.user, request_id))
        if known is not None:
            return ConfirmAnswer(1, known, notice_id, repeated=True)
        stored = await self.store.notice(notice_id)
        if stored is None:
            return RejectRequest(1, RejectCode.UNKNOWN_NOTICE, "id", "is unknown", "look it up")
        answer = Answer(
            id=self._next_id(OWN),
            to=FAR,
            precedence=Precedence.ROUTINE,
            operation=Operation.TEST,
            created=UTC,
            time_quality=TimeQuality.SYNCHRONISED,
            reference=notice_id,
            code=code,
            body=body,
            previous=self._previous(OWN),
        )
        self._requests[principal.user, request_id] = answer.id
        delivery = stored.delivery._replace(
            state=DeliveryState[code.name],
            answers=(*stored.delivery.answers, answer.id),
        )
        self._commit(PutAct(_stored(answer, Direction.OUT)), PutDelivery(delivery))
        return ConfirmAnswer(1, answer.id, notice_id, repeated=False)

    async def clear(self, principal: Principal, name: str) -> ConfirmClear | RejectRequest:
        if refusal := self._refusal(principal.rights.answer):
            return refusal
        assert self._status is not None
        left = tuple(alarm for alarm in self._status.alarms if alarm.name != name)
        if len(left) == len(self._status.alarms):
            return RejectRequest(0, RejectCode.UNKNOWN_ALARM, "alarm", f"no {name}", "look")
        self.show(replace(self._status, alarms=left))
        return ConfirmClear(0, name)

    async def taken(self, principal: Principal, notice_id: ActId) -> None:
        stored = await self.store.notice(notice_id)
        if stored is not None:
            self._commit(PutDelivery(stored.delivery._replace(taken=True)))

    async def displayed(self, notice_id: ActId) -> None:
        stored = await self.store.notice(notice_id)
        if stored is not None:
            self.seen_displayed.append(notice_id)
            self._commit(PutDelivery(stored.delivery._replace(displayed=True)))

    def status(self) -> Status | None:
        return self._status

    async def changed(self, after: int) -> int:
        while self._change <= after:
            await self._changed.wait()
        return self._change

    def station_number(self, name: str) -> Station | None:
        return next((number for number, known in NAMES.items() if known == name), None)

    def station_name(self, station: Station) -> str:
        return NAMES.get(station, f"STATION {station}")

    # What the far side and the engine would cause.

    def show(self, status: Status) -> None:
        self._status = status
        self._announce()

    def hear(self, status: Status) -> None:
        """Figures of a line moved, and nothing else: nobody is woken."""
        self._status = status

    def arrive(
        self,
        text: str = "hello",
        *,
        kind: Kind = Kind.NOTIFY,
        precedence: Precedence = Precedence.ROUTINE,
        operation: Operation = Operation.TEST,
    ) -> Notice:
        """A notice of the far station is received, receipted and published."""
        notice = Notice(
            id=self._next_id(FAR),
            to=OWN,
            kind=kind,
            precedence=precedence,
            operation=operation,
            created=UTC,
            time_quality=TimeQuality.MANUAL,
            lifetime_min=60,
            body=Text(text, "en"),
            previous=self._previous(FAR),
        )
        self._keep(notice, Direction.IN, DeliveryState.RECEIPTED)
        return notice

    def enter(self, notice: Notice, state: DeliveryState) -> None:
        """An own notice enters a state, with a publication."""
        self._commit(*self._state_writes(notice, Direction.OUT, state))

    def log(self, event: str, **fields: str | int | bytes | None) -> None:
        self._commit(
            AddLogEntry(EntryKind.STATION, event, UTC, TimeQuality.MANUAL, tuple(fields.items()))
        )

    def _refusal(self, is_allowed: bool) -> RejectRequest | None:
        code = self.reject if is_allowed else RejectCode.FORBIDDEN
        return None if code is None else RejectRequest(1, code, "x", "is refused", "do other")

    def _next_id(self, station: Station) -> ActId:
        self._serials[station] += 1
        return ActId(station, Epoch(0x3F2A), Serial(self._serials[station]))

    def _previous(self, station: Station) -> Previous | None:
        return Previous(0, 0) if self._serials[station] == 1 else None

    def _keep(self, notice: Notice, direction: Direction, state: DeliveryState) -> None:
        stored = _stored(notice, direction)
        writes: list[Write] = [
            PutAct(stored),
            PutDelivery(
                StoredDelivery(
                    notice.id,
                    direction,
                    state,
                    overdue=False,
                    late=False,
                    displayed=False,
                    taken=False,
                    answers=(),
                    is_open=True,
                )
            ),
        ]
        if direction is Direction.IN:
            document = notice_document(
                notice,
                names=NAMES,
                direction=direction.value,
                state=state.value,
                utc=UTC,
                age_s=3,
                late=False,
                unproven=False,
                overdue=False,
                link="radio",
            )
            writes.append(self._publication(notice, Topic.NOTICE, document))
        writes += self._state_writes(notice, direction, state)
        self._commit(*writes)

    def _state_writes(
        self, notice: Notice, direction: Direction, state: DeliveryState
    ) -> list[Write]:
        link = LinkName("radio")
        document = state_document(
            notice,
            names=NAMES,
            direction=direction.value,
            state=state.value,
            utc=UTC,
            link=link,
            evidence="test",
            overdue=False,
            answer=None,
        )
        return [
            AddStateEntry(StateEntry(notice.id, state, UTC, link, "test")),
            self._publication(notice, Topic.STATE, document),
        ]

    def _publication(
        self, notice: Notice, topic: Topic, document: dict[str, object]
    ) -> AddPublication:
        self._offset += 1
        return AddPublication(
            Publication(
                self._offset,
                topic,
                notice.id,
                notice.precedence,
                notice.operation,
                document_text(document),
            )
        )

    def _commit(self, *writes: Write) -> None:
        self.store.apply(writes)
        self._announce()

    def _announce(self) -> None:
        self._change += 1
        woken, self._changed = self._changed, asyncio.Event()
        woken.set()


def _stored(act: Notice | Answer, direction: Direction) -> StoredAct:
    octets = encode_act(act)
    return StoredAct(
        id=act.id,
        to=act.to,
        direction=direction,
        octets=octets,
        signature=hashlib.sha512(octets).digest(),
        boot_id=BOOT_ID,
        born=Instant(57_000),
        age_known=True,
        utc=UTC,
    )
