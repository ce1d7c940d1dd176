"""The notices of all lines and what became of each: records, their states, what is published.

One record a (notice, addressee). A change of state is written, logged and published in the same
step; nothing here knows of links or frames.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from gateway.core.delivery import NOT_THERE, DeliveryInput, advance
from gateway.core.dialogue import is_settled
from gateway.core.draft import Draft
from gateway.core.effects import Level, Publish
from gateway.core.events import Started
from gateway.core.records import (
    AddLogEntry,
    AddPublication,
    AddStateEntry,
    Direction,
    Durability,
    EntryKind,
    Publication,
    PutDelivery,
    Recovered,
    StateEntry,
    StoredAct,
    StoredDelivery,
    Topic,
)
from gateway.core.shares import Shares
from gateway.core.timers import Timers
from gateway.model import (
    ActId,
    Answer,
    DeliveryState,
    Instant,
    Kind,
    LinkName,
    Notice,
    Now,
    Operation,
    Precedence,
    Response,
    Station,
    TimeQuality,
)
from gateway.security.cards import card_digest
from gateway.security.keys import KeyRing
from gateway.wire.document import document_text, notice_document, state_document
from gateway.wire.head import NoticeHead

FAR_AWAY: Final = Instant(1 << 62)


@dataclasses.dataclass(slots=True)
class Record:
    """A notice, either direction, with its state."""

    notice: NoticeHead
    """What is decided by; text, place and window lie in the store."""
    direction: Direction
    state: DeliveryState
    born: Instant
    """When its age was zero, on this boot's clock."""
    age_known: bool
    since: Instant
    """When it came to its state here: for lamps."""
    overdue: bool = False
    late: bool = False
    unproven: bool = False
    displayed: bool = False
    taken: bool = False
    link: LinkName | None = None
    answers: list[ActId] = dataclasses.field(default_factory=list)
    is_counted_there: bool = False
    """Whether the ledger counts it in `waiting_there`."""

    @property
    def is_there(self) -> bool:
        """The far gateway has it, as its receipt or an answer says."""
        return self.state not in NOT_THERE

    @property
    def response(self) -> Response:
        return self.notice.kind.response

    @property
    def is_open(self) -> bool:
        return not is_settled(self.response, self.state)

    def expires_at(self) -> Instant:
        return Instant(self.born + self.notice.lifetime_min * 60_000)

    def age_s(self, now: Now) -> int | None:
        """Whole seconds since it was made; None while only a lower bound is known."""
        if not self.age_known:
            return None
        return max(now.instant - self.born, 0) // 1000


class Ledger:
    """Records by id. Open ones always; closed ones up to `closed_count` for each line, its oldest
    goes first.
    """

    def __init__(self, *, names: Mapping[Station, str], timers: Timers, closed_count: int) -> None:
        self.records: dict[ActId, Record] = {}
        self.next_offset = 1
        self._names = names
        self._timers = timers
        self._closed: Shares[None] = Shares(closed_count)
        self._open_to: dict[Station, int] = {}
        self._open_from: dict[Station, int] = {}
        self._waiting_there: dict[Station, int] = {}
        self._open: dict[Direction, list[OrderedDict[ActId, Record]]] = {
            direction: _levels() for direction in Direction
        }
        self._for_watch = _levels()
        self._changes: dict[ActId, ActId] = {}

    def get(self, act_id: ActId) -> Record | None:
        return self.records.get(act_id)

    def open_count(self, direction: Direction) -> int:
        return sum(len(level) for level in self._open[direction])

    def open_to(self, peer: Station) -> int:
        """Own notices to one far station that are open."""
        return self._open_to.get(peer, 0)

    def waiting_there(self, peer: Station) -> int:
        """Those of them that the far gateway has, so that a person there may see them."""
        return self._waiting_there.get(peer, 0)

    def open_from(self, peer: Station) -> int:
        """Notices of one far station that are open here."""
        return self._open_from.get(peer, 0)

    def open_records(self, direction: Direction) -> list[OrderedDict[ActId, Record]]:
        """Open records of a direction, a dict for each precedence, oldest first in each."""
        return self._open[direction]

    def first_for_watch(self) -> Record | None:
        """The fastest, then oldest, open inbound OPERATION that is no comm check."""
        for level in self._for_watch:
            for record in level.values():
                return record
        return None

    def change_of(self, act_id: ActId) -> Record | None:
        """The newest own CANCEL or UPDATE of an own notice, if it is in memory still."""
        change = self._changes.get(act_id)
        return None if change is None else self.records.get(change)

    def add(self, record: Record) -> None:
        self.records[record.notice.id] = record
        reference = record.notice.reference
        if record.direction is Direction.OUT and reference is not None and record.notice.is_change:
            self._changes[reference] = record.notice.id
        self._file(record)

    def _file(self, record: Record) -> None:
        act_id, is_open = record.notice.id, record.is_open
        held = self._open[record.direction][record.notice.precedence]
        is_own = record.direction is Direction.OUT
        far = record.notice.to if is_own else act_id.originator
        if is_open is not (act_id in held):
            counts = self._open_to if is_own else self._open_from
            counts[far] = counts.get(far, 0) + (1 if is_open else -1)
        is_waiting_there = is_own and is_open and record.is_there
        if is_waiting_there is not record.is_counted_there:
            record.is_counted_there = is_waiting_there
            there = self._waiting_there
            there[far] = there.get(far, 0) + (1 if is_waiting_there else -1)
        levels = [self._open[record.direction]]
        if record.direction is Direction.IN and _is_for_watch(record):
            levels.append(self._for_watch)
        if is_open:
            for level in levels:
                level[record.notice.precedence][act_id] = record
            self._closed.pop(far, act_id)
            return
        for level in levels:
            level[record.notice.precedence].pop(act_id, None)
        forgotten = self._closed.put(far, act_id, None)
        if forgotten is not None:
            self._forget(forgotten)

    def drop(self, act_id: ActId) -> None:
        """A closed one was removed from the store; harmless for one that is not here."""
        record = self.records.get(act_id)
        if record is None:
            return
        assert not record.is_open, act_id
        is_own = record.direction is Direction.OUT
        self._closed.pop(record.notice.to if is_own else act_id.originator, act_id)
        self._forget(act_id)

    def _forget(self, act_id: ActId) -> None:
        record = self.records.pop(act_id, None)
        if record is None or record.notice.reference is None:
            return
        if self._changes.get(record.notice.reference) == act_id:
            del self._changes[record.notice.reference]

    def move(
        self,
        record: Record,
        given: DeliveryInput,
        draft: Draft,
        *,
        evidence: str,
        link: LinkName | None = None,
        durability: Durability = Durability.FULL,
        answer: Answer | None = None,
        announce: bool = False,
    ) -> bool:
        """Advance a record; write and publish if that changed it (or `announce`).

        True if it moved.
        """
        before = record.state
        record.state = advance(before, given, roger_closes=record.response is Response.ROGER)
        moved = record.state is not before
        if link is not None:
            record.link = link
        if not moved and not announce:
            return False
        if moved:
            record.since = draft.now.instant
        self.keep(record, draft, durability=durability)
        self.publish_state(record, draft, evidence=evidence, link=link, answer=answer)
        log_state(record, draft, evidence=evidence, link=link)
        draft.observe(
            Level.INFO,
            "notice_state",
            notice_id=str(record.notice.id),
            direction=record.direction.value,
            state=record.state.value,
            link=link,
            evidence=evidence,
        )
        self._file(record)
        if not record.is_open:
            self._timers.drop(("limit", record.notice.id))
        return moved

    def keep(
        self, record: Record, draft: Draft, *, durability: Durability = Durability.FULL
    ) -> None:
        """Write the record as it is."""
        draft.status_changed = True
        draft.write(
            PutDelivery(
                StoredDelivery(
                    notice_id=record.notice.id,
                    direction=record.direction,
                    state=record.state,
                    overdue=record.overdue,
                    late=record.late,
                    displayed=record.displayed,
                    taken=record.taken,
                    answers=tuple(record.answers),
                    is_open=record.is_open,
                    unproven=record.unproven,
                ),
                durability,
            )
        )

    def note(self, record: Record, draft: Draft, *, evidence: str) -> None:
        """Something but its state changed of a record: write, publish and enter that."""
        self.keep(record, draft)
        self.publish_state(record, draft, evidence=evidence, link=record.link)
        draft.write(
            AddStateEntry(
                StateEntry(record.notice.id, record.state, draft.now.utc, record.link, evidence)
            )
        )

    def publish_notice(self, record: Record, notice: Notice, draft: Draft) -> None:
        """An inbound notice for the consumer."""
        document = notice_document(
            notice,
            names=self._names,
            direction=record.direction.value,
            state=record.state.value,
            utc=draft.now.utc,
            age_s=record.age_s(draft.now),
            late=record.late,
            unproven=record.unproven,
            overdue=record.overdue,
            link=record.link,
        )
        self._publish(Topic.NOTICE, record, document, Durability.FULL, draft)

    def publish_state(
        self,
        record: Record,
        draft: Draft,
        *,
        evidence: str,
        link: LinkName | None,
        answer: Answer | None = None,
    ) -> None:
        document = state_document(
            record.notice,
            names=self._names,
            direction=record.direction.value,
            state=record.state.value,
            utc=draft.now.utc,
            link=link,
            evidence=evidence,
            overdue=record.overdue,
            answer=answer,
        )
        self._publish(Topic.STATE, record, document, Durability.NORMAL, draft)

    def _publish(
        self,
        topic: Topic,
        record: Record,
        document: dict[str, object],
        durability: Durability,
        draft: Draft,
    ) -> None:
        offset = self.next_offset
        self.next_offset += 1
        publication = Publication(
            offset=offset,
            topic=topic,
            notice_id=record.notice.id,
            precedence=record.notice.precedence,
            operation=record.notice.operation,
            document=document_text(document),
        )
        draft.write(AddPublication(publication, durability))
        draft.effect(Publish(offset))


def _levels() -> list[OrderedDict[ActId, Record]]:
    """Records for each precedence."""
    return [OrderedDict() for _ in Precedence]


def _is_for_watch(record: Record) -> bool:
    """Lights pending in and may be answered by the button: OPERATION, no comm check."""
    return record.notice.operation is Operation.OPERATION and record.notice.kind is not Kind.CHECK


def log_act(stored: StoredAct, event: str, draft: Draft, *, link: LinkName | None = None) -> None:
    """Enter a signed act, ours or theirs, into the log book."""
    draft.write(
        AddLogEntry(
            kind=EntryKind.ACT,
            event=event,
            utc=draft.now.utc,
            time_quality=draft.now.quality or TimeQuality.NONE,
            fields=(("link", link),) if link else (),
            act_id=stored.id,
            octets=stored.octets,
            signature=stored.signature,
            durability=Durability.NORMAL,
        )
    )


def log_station(draft: Draft, event: str, *fields: tuple[str, str | int | bytes | None]) -> None:
    """Enter what happened at this station into the log book."""
    draft.write(
        AddLogEntry(
            kind=EntryKind.STATION,
            event=event,
            utc=draft.now.utc,
            time_quality=draft.now.quality or TimeQuality.NONE,
            fields=fields,
        )
    )


def log_state(record: Record, draft: Draft, *, evidence: str, link: LinkName | None = None) -> None:
    """Enter the state of a notice into its history and into the log book."""
    notice_id, state = record.notice.id, record.state
    draft.write(AddStateEntry(StateEntry(notice_id, state, draft.now.utc, link, evidence)))
    fields: list[tuple[str, str]] = [("notice", str(notice_id)), ("state", state.value)]
    if link is not None:
        fields.append(("link", link))
    log_station(draft, "state", *fields, ("evidence", evidence))


def log_start(keys: KeyRing, event: Started, recovered: Recovered, draft: Draft) -> None:
    """Whose book this is, by which configuration and keys it goes on, so that changes show, and
    that it goes on from a copy, whose alarm lasts for one run.
    """
    log_station(
        draft,
        "start",
        ("station", keys.card.station),
        ("version", event.version),
        ("boot", event.boot_id),
        ("configuration", event.configuration),
        ("card", card_digest(keys.card)),
    )
    for station, line in keys.lines.items():
        log_station(
            draft,
            "line",
            ("station", station),
            ("generation", line.generation),
            ("card", card_digest(line.card)),
            ("revoked", int(line.is_revoked)),
        )
    if recovered.was_restored:
        log_station(draft, "goes_on_from_copy")
