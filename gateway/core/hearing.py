"""What we hear: acts of the far station, judged, kept, receipted and applied to the record.

An act is signed, so it counts in any incarnation; `seen` guards against repeats. Whatever a peer
sends ends in exactly one way: new, repeated, refused with a reason in the log.
"""

from __future__ import annotations

from typing import Final

from gateway.core.delivery import DeliveryInput, input_of
from gateway.core.draft import Draft
from gateway.core.effects import AlarmCode, Level
from gateway.core.intake import Intake
from gateway.core.life import Record, log_act, log_state, log_station
from gateway.core.line import Line
from gateway.core.reception import Novelty
from gateway.core.records import (
    Direction,
    PutAct,
    PutReceipted,
    PutSeen,
    StoredAct,
)
from gateway.core.session import Opened
from gateway.core.shares import Shares
from gateway.core.speech import digest, signed_digest
from gateway.core.station import StationState
from gateway.errors import AuthenticationError, DecodeError
from gateway.model import (
    Act,
    ActId,
    Answer,
    AnswerCode,
    Countersign,
    DeliveryState,
    Instant,
    Kind,
    LinkName,
    Notice,
    Operation,
    Precedence,
    Role,
    Station,
    TimeQuality,
    UtcTime,
    Void,
)
from gateway.security.signature import verify_act
from gateway.wire.head import head_of
from gateway.wire.items import ActItem
from gateway.wire.notice import decode_act, peek_act_id

EARLY_END_COUNT_MAX: Final = 1024
"""CANCELs and UPDATEs of a line kept for notices to come; the oldest is forgotten first."""
UNPROVEN_COUNT_MAX: Final = 1024
"""Notices of a line remembered until their incarnation is proven; the oldest keeps its mark."""
_COMPLYING: Final = frozenset({DeliveryState.WILCO, DeliveryState.HAVCO, DeliveryState.AFFIRM})


class Hearing:
    """Applies acts of peers to the station's state."""

    def __init__(self, state: StationState) -> None:
        self._state = state
        self.intake = Intake(state)
        self._early_ends: Shares[DeliveryInput] = Shares(EARLY_END_COUNT_MAX)
        self._unproven: Shares[bytes] = Shares(UNPROVEN_COUNT_MAX)
        """Notices that came from an incarnation that has proven nothing, and which."""

    def note_early_end(self, reference: ActId, kind: Kind) -> None:
        """A CANCEL or UPDATE came before the notice that it ends."""
        self._early_ends.put(reference.originator, reference, end_of(kind))

    def receive(
        self, line: Line, link: LinkName, item: ActItem, opened: Opened, draft: Draft
    ) -> None:
        """An act came in whole, by a frame that opened."""
        counter = opened.counter
        act_id = peek_act_id(item.octets, originator=line.peer)
        if act_id is None:
            draft.observe(Level.WARNING, "act_without_id", link=link)
            self._state.note_refused(line, "without an id", link, draft)
            return
        sha256 = digest(item.octets)
        former = signed_digest(item.octets, item.signature)
        novelty = line.reception.judge(act_id.epoch, act_id.serial, sha256, former)
        if novelty is Novelty.REPEAT:
            if opened.is_proven:
                self._prove(act_id, draft)
            line.owe_receipt(link, act_id.epoch, act_id.serial, counter)
            return
        if novelty is Novelty.OTHER_OCTETS:
            self._same_id(act_id, sha256, line, link, draft)
            return
        if not self.intake.admits(line, item.octets, act_id, link, draft):
            return
        if not self._is_signed(line, link, item, act_id, draft):
            return
        try:
            act = decode_act(item.octets, originator=line.peer, to=self._state.own)
        except DecodeError as error:
            self._cannot_process(act_id, item, sha256, line, link, counter, str(error), draft)
            return
        born = self._keep(act_id, item, sha256, line, link, draft)
        line.owe_receipt(link, act_id.epoch, act_id.serial, counter)
        self._apply(act, born, item.age_s is not None, line, link, draft, opened)

    def prove(self, peer: Station, incarnation: bytes, draft: Draft) -> None:
        """It answered our challenge: what came of this peer in it before is no recording."""
        held = self._unproven.items(peer)
        for act_id in [name for name, said_in in held if said_in == incarnation]:
            self._prove(act_id, draft)

    def _prove(self, act_id: ActId, draft: Draft) -> None:
        if self._unproven.pop(act_id.originator, act_id) is None or self._state.is_refused:
            return
        record = self._state.ledger.get(act_id)
        if record is not None:
            record.unproven = False
            self._state.ledger.note(record, draft, evidence="freshness proven")

    def _is_signed(
        self, line: Line, link: LinkName, item: ActItem, act_id: ActId, draft: Draft
    ) -> bool:
        # Checkpoint signing is not built: an unsigned act is refused on every line.
        problem = "unsigned"
        if item.signature is not None:
            card = self._state.keys.lines[line.peer].card
            try:
                verify_act(
                    card, item.octets, item.signature, originator=line.peer, to=self._state.own
                )
            except AuthenticationError:
                problem = "bad signature"
            else:
                return True
        draft.observe(Level.ERROR, "act_refused", link=link, notice_id=str(act_id), problem=problem)
        self._state.note_refused(line, problem, link, draft, act=str(act_id))
        return False

    def _keep(
        self,
        act_id: ActId,
        item: ActItem,
        sha256: bytes,
        line: Line,
        link: LinkName,
        draft: Draft,
    ) -> Instant:
        """Write the act down: durable before its receipt leaves."""
        age_s = item.age_s or 0
        born = Instant(draft.now.instant - age_s * 1000)
        utc = None
        if draft.now.utc is not None and item.age_s is not None:
            utc = UtcTime(max(draft.now.utc - age_s, 0))
        stored = StoredAct(
            id=act_id,
            to=self._state.own,
            direction=Direction.IN,
            octets=item.octets,
            signature=item.signature,
            boot_id=self._state.boot_id,
            born=born,
            age_known=item.age_s is not None,
            utc=utc,
        )
        line.reception.add(act_id, sha256)
        draft.write(PutSeen(act_id, sha256))
        draft.write(PutAct(stored))
        log_act(stored, "received", draft, link=link)
        self._state.witness.note_act(line, draft)
        return born

    def _apply(
        self,
        act: Act,
        born: Instant,
        age_known: bool,
        line: Line,
        link: LinkName,
        draft: Draft,
        opened: Opened,
    ) -> None:
        match act:
            case Notice():
                if not opened.is_proven:
                    self._unproven.put(line.peer, act.id, opened.incarnation)
                self._notice(act, born, age_known, link, draft)
            case Answer():
                self._answer(act, line, link, draft)
            case Countersign():
                self._state.witness.heard(act, line, draft)
            case Void():
                draft.observe(Level.INFO, "void_received", notice_id=str(act.id), link=link)

    # Notices

    def _notice(
        self,
        notice: Notice,
        born: Instant,
        age_known: bool,
        link: LinkName,
        draft: Draft,
    ) -> None:
        state = self._state
        age_ms = draft.now.instant - born
        record = Record(
            notice=head_of(notice),
            direction=Direction.IN,
            state=DeliveryState.RECEIPTED,
            born=born,
            age_known=age_known,
            since=draft.now.instant,
            # An age that is not known never counts as in time.
            late=not age_known or age_ms > state.policy.receipt_limit_ms(notice.precedence),
            unproven=notice.id in self._unproven,
            link=link,
        )
        end = self._early_ends.pop(notice.id.originator, notice.id)
        if end is DeliveryInput.CANCELLED:
            record.state = DeliveryState.CANCELLED
        elif end is DeliveryInput.SUPERSEDED:
            record.state = DeliveryState.SUPERSEDED
        elif draft.now.instant >= record.expires_at():
            record.state = DeliveryState.EXPIRED_RECEIPTED
        evidence = "received, freshness unproven" if record.unproven else "received"
        state.ledger.add(record)
        state.ledger.keep(record, draft)
        state.ledger.publish_notice(record, notice, draft)
        log_state(record, draft, evidence=evidence, link=link)
        draft.observe(
            Level.INFO,
            "notice_received",
            notice_id=str(notice.id),
            kind=notice.kind.name,
            precedence=notice.precedence.name,
            operation=notice.operation.name,
            link=link,
            late=record.late,
            unproven=record.unproven,
            state=record.state.value,
        )
        if record.is_open:
            state.watch.begin(record, draft.now.instant)
            if notice.operation is Operation.OPERATION and notice.kind is not Kind.CHECK:
                state.watch.arrived(record, draft.now.instant)
        state.declare(record, draft)
        if notice.kind in (Kind.CANCEL, Kind.UPDATE):
            self._end_earlier(notice, link, draft)

    def _end_earlier(self, notice: Notice, link: LinkName, draft: Draft) -> None:
        """Apply a CANCEL or UPDATE to the notice that it names, come or still to come."""
        assert notice.reference is not None
        target = self._state.ledger.get(notice.reference)
        if target is None or target.direction is not Direction.IN:
            self.note_early_end(notice.reference, notice.kind)
            return
        if target.state in _COMPLYING:
            self._state.watch.raise_alarm(
                AlarmCode.CROSSED,
                f"{target.state.value} to {target.notice.id} crossed its {notice.kind.name}"
                f" {notice.id}; agree with the far watch which holds",
                notice_id=notice.id,
            )
        self._state.ledger.move(
            target,
            end_of(notice.kind),
            draft,
            evidence=f"{notice.kind.name} {notice.id}",
            link=link,
        )
        self._state.settle(target, draft)

    # Answers

    def _answer(self, answer: Answer, line: Line, link: LinkName, draft: Draft) -> None:
        state = self._state
        record = state.ledger.get(answer.reference)
        if record is None:
            if not line.outgoing.knows(answer.reference.epoch, answer.reference.serial):
                self.rollback(line, f"answer {answer.id} names {answer.reference}", draft)
            draft.observe(
                Level.WARNING,
                "answer_without_notice",
                notice_id=str(answer.reference),
                answer_id=str(answer.id),
            )
            return
        if record.notice.to != line.peer:
            # Well signed, but by a station that this notice is nothing to.
            draft.observe(Level.ERROR, "answer_of_another", answer_id=str(answer.id), link=link)
            self._state.note_refused(
                line, "answers a notice to another", link, draft, act=str(answer.id)
            )
            return
        if len(record.answers) >= state.policy.answer_count_max:
            draft.observe(Level.WARNING, "too_many_answers", notice_id=str(answer.reference))
            return
        record.answers.append(answer.id)
        self._imply_receipt(line, answer.reference, draft)
        state.ledger.move(
            record,
            input_of(answer.code),
            draft,
            evidence=f"answer {answer.code.name} {answer.id}, signed",
            link=link,
            answer=answer,
            announce=True,
        )
        state.settle(record, draft)
        if record.state in (DeliveryState.CANCELLED, DeliveryState.SUPERSEDED) and answer.code in (
            AnswerCode.WILCO,
            AnswerCode.HAVCO,
            AnswerCode.AFFIRM,
        ):
            self._crossed(record, answer, draft)

    def _crossed(self, record: Record, answer: Answer, draft: Draft) -> None:
        """Both are shown; lit until the ending notice is settled, or for 12 h if it is already."""
        change = self._state.ledger.change_of(record.notice.id)
        ending = record.notice.id
        if change is not None and change.is_open:
            ending = change.notice.id
        else:
            self._state.watch.end_alarms_later(ending, draft.now.instant)
        self._state.watch.raise_alarm(
            AlarmCode.CROSSED,
            f"{answer.code.name} {answer.id} crossed the {record.state.value} of"
            f" {record.notice.id}; agree with the far watch which holds",
            notice_id=ending,
        )

    def _imply_receipt(self, line: Line, act_id: ActId, draft: Draft) -> None:
        """Who answers a notice has it, whatever became of the receipt."""
        acts = line.outgoing.receipt_serials(act_id.epoch, (act_id.serial,))
        for act in acts:
            draft.write(PutReceipted(act.id))
        line.rounds.receipted(acts, draft)

    # What should not happen

    def _same_id(
        self, act_id: ActId, sha256: bytes, line: Line, link: LinkName, draft: Draft
    ) -> None:
        name = self._state.names[line.peer]
        is_new = self._state.watch.raise_alarm(
            AlarmCode.SAME_ID,
            f"{name} said two things under the id {act_id}; the first one stands,"
            " ask them which is true",
            station=line.peer,
            notice_id=act_id,
            evidence=sha256.hex(),
        )
        draft.observe(Level.ERROR, "same_id_other_octets", notice_id=str(act_id), link=link)
        if is_new:
            log_station(draft, "same_id_other_octets", ("notice", str(act_id)), ("link", link))
            draft.status_changed = True

    def rollback(self, line: Line, evidence: str, draft: Draft) -> None:
        """The peer knows acts of ours that we do not: our store is older than what we said."""
        name = self._state.names[line.peer]
        is_new = self._state.watch.raise_alarm(
            AlarmCode.ROLLBACK,
            f"{name} holds notices of ours that this store has lost ({evidence});"
            " compare the log books",
            station=line.peer,
            evidence=evidence,
        )
        if is_new:
            draft.observe(Level.ERROR, "rollback", station=name, evidence=evidence)
            log_station(draft, "rollback", ("station", name), ("evidence", evidence))
            draft.status_changed = True

    def _cannot_process(
        self,
        act_id: ActId,
        item: ActItem,
        sha256: bytes,
        line: Line,
        link: LinkName,
        counter: int,
        problem: str,
        draft: Draft,
    ) -> None:
        """Well signed, but not readable here: kept, receipted and answered CANTPRO."""
        self._keep(act_id, item, sha256, line, link, draft)
        line.owe_receipt(link, act_id.epoch, act_id.serial, counter)
        draft.observe(
            Level.ERROR, "act_not_processed", notice_id=str(act_id), link=link, problem=problem
        )
        self.say_cantpro(act_id, line, draft)

    def say_cantpro(self, act_id: ActId, line: Line, draft: Draft) -> None:
        own_id, previous = self._state.speech.next_id(line, draft)
        answer = Answer(
            id=own_id,
            to=line.peer,
            precedence=Precedence.IMMEDIATE,
            operation=Operation.OPERATION,
            created=draft.now.utc,
            time_quality=draft.now.quality or TimeQuality.NONE,
            reference=act_id,
            code=AnswerCode.CANTPRO,
            released_by=Role.AUTOMATIC,
            previous=previous,
        )
        line.submit(self._state.speech.say(answer, line, draft, event="accepted"), draft)


def end_of(kind: Kind) -> DeliveryInput:
    """What a CANCEL or UPDATE does to its notice."""
    return DeliveryInput.CANCELLED if kind is Kind.CANCEL else DeliveryInput.SUPERSEDED
