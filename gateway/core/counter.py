"""The counter where requests are handed in: notices and answers of our own people and programs."""

from __future__ import annotations

from gateway.core.delivery import DeliveryInput, input_of
from gateway.core.dialogue import DIALOGUE, Verdict, accepted_answers
from gateway.core.draft import Draft
from gateway.core.effects import (
    ConfirmAnswer,
    ConfirmClear,
    ConfirmSubmission,
    Level,
    RejectCode,
    RejectRequest,
)
from gateway.core.events import AnswerSubmitted, ClearAsked, NoticeSubmitted
from gateway.core.life import Record, log_state, log_station
from gateway.core.line import Line
from gateway.core.outgoing import OutAct
from gateway.core.records import Direction
from gateway.core.requests import (
    check_answer_right,
    check_clear,
    check_submit_right,
    content_hash,
    reject,
)
from gateway.core.station import StationState
from gateway.model import (
    ActId,
    Answer,
    DeliveryState,
    Kind,
    Notice,
    NoticeDraft,
    Precedence,
    Station,
    TimeQuality,
    Void,
)
from gateway.wire.document import station_text
from gateway.wire.head import head_of
from gateway.wire.limits import LIFETIME_DEFAULT_MIN


class Counter:
    """Accepts or rejects requests; every one gets exactly one of the two."""

    def __init__(self, state: StationState) -> None:
        self._state = state

    # Notices

    def submit(self, event: NoticeSubmitted, draft: Draft) -> None:
        rejection = self._closed(event.token) or check_submit_right(event)
        if rejection is not None:
            self._reject(rejection, draft)
            return
        sha256 = content_hash(event.draft)
        known = self._state.submissions.find(event.principal, event.request_id, sha256)
        if known is not None:
            self._repeat(event, *known, draft)
            return
        rejection = self._check(event)
        if rejection is not None:
            self._reject(rejection, draft)
            return
        self._accept(event, sha256, draft)

    def _check(self, event: NoticeSubmitted) -> RejectRequest | None:
        state, wanted = self._state, event.draft
        if wanted.to not in state.lines:
            return reject(
                event.token,
                RejectCode.UNKNOWN_STATION,
                "to",
                f"no line leads to station {wanted.to}",
                "name a station of this configuration",
            )
        if state.lines[wanted.to].session.is_revoked:
            return self._revoked(event.token, "to", wanted.to)
        # A share for each line: a busy or dead one must not close the others.
        share = max(state.policy.open_notice_count // len(state.lines), 1)
        if state.ledger.open_to(wanted.to) >= share and not self._makes_room(wanted):
            return reject(
                event.token,
                RejectCode.FULL,
                "queue",
                f"{share} notices to {station_text(state.names, wanted.to)} are open",
                "wait until some are answered, cancelled or expired",
            )
        reference = wanted.reference
        if wanted.kind in (Kind.CANCEL, Kind.UPDATE):
            assert reference is not None
            target = state.ledger.get(reference)
            if target is None or target.direction is not Direction.OUT:
                return reject(
                    event.token,
                    RejectCode.UNKNOWN_NOTICE,
                    "reference",
                    f"{reference} is no notice of this station",
                    f"name the own notice that this {wanted.kind.name} changes",
                )
            if target.notice.to != wanted.to:
                return reject(
                    event.token,
                    RejectCode.INVALID,
                    "reference",
                    f"{reference} went to {station_text(state.names, target.notice.to)}",
                    "send the change to the same station",
                )
            return self._check_is_in_force(event, target)
        if reference is not None and reference.originator not in (state.own, wanted.to):
            return reject(
                event.token,
                RejectCode.INVALID,
                "reference",
                f"{reference} is of a third station",
                "refer to a notice of this line",
            )
        return None

    def _revoked(self, token: int, field: str, station: Station) -> RejectRequest:
        return reject(
            token,
            RejectCode.FORBIDDEN,
            field,
            f"the card of {station_text(self._state.names, station)} is revoked",
            "use another way, and bring the card of their new station",
        )

    def _makes_room(self, wanted: NoticeDraft) -> bool:
        """A CANCEL or UPDATE of an open notice takes its place, so a full line never refuses it."""
        if wanted.kind not in (Kind.CANCEL, Kind.UPDATE) or wanted.reference is None:
            return False
        target = self._state.ledger.get(wanted.reference)
        return target is not None and target.direction is Direction.OUT and target.is_open

    def _check_is_in_force(self, event: NoticeSubmitted, target: Record) -> RejectRequest | None:
        """A CANCEL or UPDATE of what is over would look done and do nothing."""
        if target.state not in (DeliveryState.CANCELLED, DeliveryState.SUPERSEDED):
            return None
        change = self._state.ledger.change_of(target.notice.id)
        ending = None if change is None else change.notice
        by = "" if ending is None else f" by {ending.id}"
        remedy = "there is nothing left to change"
        if ending is not None and ending.kind is Kind.UPDATE:
            remedy = f"name {ending.id}, which is in force now"
        return reject(
            event.token,
            RejectCode.CONFLICT,
            "reference",
            f"{target.notice.id} is {target.state.value}{by}",
            remedy,
        )

    def _accept(self, event: NoticeSubmitted, sha256: bytes, draft: Draft) -> None:
        state, wanted = self._state, event.draft
        line = state.lines[wanted.to]
        act_id, previous = state.speech.next_id(line, draft)
        lifetime = wanted.lifetime_min or LIFETIME_DEFAULT_MIN[wanted.precedence]
        notice = Notice(
            id=act_id,
            to=wanted.to,
            kind=wanted.kind,
            precedence=wanted.precedence,
            operation=wanted.operation,
            created=draft.now.utc,
            time_quality=_quality(draft),
            lifetime_min=lifetime,
            reply_by_min=wanted.reply_by_min,
            reference=wanted.reference,
            body=wanted.body,
            place=wanted.place,
            window=wanted.window,
            released_by=wanted.released_by,
            previous=previous,
        )
        act = state.speech.say(notice, line, draft, event="accepted")
        state.witness.note_act(line, draft)
        if notice.kind is Kind.HANDOVER:
            state.witness.soon(line, draft)
        draft.write(state.submissions.add(event.principal, event.request_id, sha256, act_id))
        record = Record(
            notice=head_of(notice),
            direction=Direction.OUT,
            state=DeliveryState.QUEUED,
            born=draft.now.instant,
            age_known=True,
            since=draft.now.instant,
        )
        state.ledger.add(record)
        state.ledger.keep(record, draft)
        evidence = f"accepted from {event.principal.user} by {event.principal.adapter}"
        if state.watch.is_unreplicated:
            evidence += ", UNREPLICATED"
        state.ledger.publish_state(record, draft, evidence=evidence, link=None)
        log_state(record, draft, evidence=evidence)
        draft.observe(
            Level.INFO,
            "notice_accepted",
            notice_id=str(act_id),
            kind=notice.kind.name,
            precedence=notice.precedence.name,
            operation=notice.operation.name,
            user=event.principal.user,
            adapter=event.principal.adapter,
        )
        draft.effect(ConfirmSubmission(event.token, act_id, record.state, repeated=False))
        state.watch.begin(record, draft.now.instant)
        if notice.kind in (Kind.CANCEL, Kind.UPDATE):
            self._end_own(notice, record, act, line, draft)
        else:
            line.submit(act, draft)
        # After it is on its way: the far station hears of an order's end before what that releases.
        state.declare(record, draft)

    def _end_own(
        self, notice: Notice, record: Record, act: OutAct, line: Line, draft: Draft
    ) -> None:
        """A CANCEL or UPDATE of ours ends its notice here at once, and there when it comes."""
        assert notice.reference is not None
        target = self._state.ledger.get(notice.reference)
        assert target is not None
        pending = line.outgoing.get(notice.reference)
        never_left = pending is not None and not pending.has_left and not target.notice.is_change
        line.outgoing.add(act)
        if never_left:
            # Before anything is dispatched, or it leaves for the far watch in this very step.
            self.void(target, line, draft)
        if never_left and notice.kind is Kind.CANCEL:
            # The far watch never heard of it, so there is nothing to tell: two serials are void.
            self.void(record, line, draft)
            self.end(record, DeliveryInput.CANCELLED, "its notice had not left", draft)
        line.dispatcher.dispatch(draft)
        given = DeliveryInput.CANCELLED if notice.kind is Kind.CANCEL else DeliveryInput.SUPERSEDED
        self.end(target, given, f"{notice.kind.name} {notice.id}", draft)
        if pending is not None and not never_left:
            line.dispatcher.demote(pending)

    def end(self, record: Record, given: DeliveryInput, evidence: str, draft: Draft) -> None:
        self._state.ledger.move(record, given, draft, evidence=evidence)
        self._state.settle(record, draft)

    def void(self, record: Record, line: Line, draft: Draft) -> None:
        """Replace an act that never left by a signed VOID under its serial: no hole stays.

        The VOID waits; the caller lets the line dispatch.
        """
        notice = record.notice
        stand_in = Void(
            id=notice.id,
            to=notice.to,
            precedence=Precedence.ROUTINE,
            operation=notice.operation,
            created=draft.now.utc,
            time_quality=_quality(draft),
            previous=notice.previous,
        )
        act = self._state.speech.say(stand_in, line, draft, event="void")
        line.dispatcher.replace(act)

    def _repeat(self, event: NoticeSubmitted, act_id: ActId, is_same: bool, draft: Draft) -> None:
        if not is_same:
            self._reject(_id_reused(event.token, event.request_id), draft)
            return
        record = self._state.ledger.get(act_id)
        # Closed long ago and out of memory: what is true of it then is that it was accepted.
        state = DeliveryState.QUEUED if record is None else record.state
        draft.effect(ConfirmSubmission(event.token, act_id, state, repeated=True))

    # Answers

    def answer(self, event: AnswerSubmitted, draft: Draft) -> RejectRequest | None:
        """None: it is accepted, now or before."""
        rejection = self._closed(event.token) or check_answer_right(event)
        if rejection is not None:
            self._reject(rejection, draft)
            return rejection
        sha256 = content_hash((event.notice_id, event.code, event.body))
        known = self._state.submissions.find(event.principal, event.request_id, sha256)
        if known is not None:
            act_id, is_same = known
            if is_same:
                draft.effect(ConfirmAnswer(event.token, act_id, event.notice_id, repeated=True))
                return None
            rejection = _id_reused(event.token, event.request_id)
            self._reject(rejection, draft)
            return rejection
        record = self._state.ledger.get(event.notice_id)
        if record is None or record.direction is not Direction.IN:
            rejection = reject(
                event.token,
                RejectCode.UNKNOWN_NOTICE,
                "id",
                f"{event.notice_id} is no notice that came to this station",
                "look it up in the inbox",
            )
        else:
            rejection = self._arbitrate(event, record)
        if rejection is not None or record is None:
            assert rejection is not None
            self._reject(rejection, draft)
            return rejection
        self._say_answer(event, record, sha256, draft)
        return None

    def _arbitrate(self, event: AnswerSubmitted, record: Record) -> RejectRequest | None:
        """The answering gateway decides: a second closing answer never leaves it."""
        if record.notice.id.originator not in self._state.lines:
            return reject(
                event.token,
                RejectCode.UNKNOWN_STATION,
                "id",
                f"no line leads to station {record.notice.id.originator} any more",
                "name a notice of a station of this configuration",
            )
        if self._state.lines[record.notice.id.originator].session.is_revoked:
            return self._revoked(event.token, "id", record.notice.id.originator)
        verdict = DIALOGUE[record.response, record.state, event.code]
        if (
            verdict is not Verdict.REFUSED
            and len(record.answers) < self._state.policy.answer_count_max
        ):
            return None
        accepted = accepted_answers(record.response, record.state)
        words = ", ".join(code.name for code in accepted) or "none"
        return reject(
            event.token,
            RejectCode.CONFLICT,
            "answer",
            f"{event.code.name} does not fit {record.notice.id}, which is {record.state.value}",
            f"accepted now: {words}",
        )

    def _say_answer(
        self, event: AnswerSubmitted, record: Record, sha256: bytes, draft: Draft
    ) -> None:
        state = self._state
        line = state.lines[record.notice.id.originator]
        act_id, previous = state.speech.next_id(line, draft)
        answer = Answer(
            id=act_id,
            to=line.peer,
            precedence=record.notice.precedence,
            operation=record.notice.operation,
            created=draft.now.utc,
            time_quality=_quality(draft),
            reference=record.notice.id,
            code=event.code,
            body=event.body,
            released_by=event.principal.role,
            previous=previous,
        )
        act = state.speech.say(answer, line, draft, event="accepted")
        state.witness.note_act(line, draft)
        draft.write(state.submissions.add(event.principal, event.request_id, sha256, act_id))
        record.answers.append(answer.id)
        who = f"answered by {event.principal.user} ({event.principal.role.name}), {act_id}"
        state.ledger.move(
            record, input_of(event.code), draft, evidence=who, answer=answer, announce=True
        )
        state.settle(record, draft)
        draft.effect(ConfirmAnswer(event.token, act_id, record.notice.id, repeated=False))
        line.submit(act, draft)

    # Alarms

    def clear(self, event: ClearAsked, draft: Draft) -> None:
        """Make an alarm dark that a person has seen to; who it was goes into the log book."""
        watch, principal = self._state.watch, event.principal
        alarm = watch.find_alarm(event.name)
        rejection = self._closed(event.token) or check_clear(event, alarm)
        if rejection is not None or alarm is None:
            assert rejection is not None
            self._reject(rejection, draft)
            return
        watch.clear_by_hand(alarm)
        draft.status_changed = True
        log_station(
            draft,
            "alarm_cleared",
            ("alarm", alarm.name),
            ("text", alarm.text),
            ("user", principal.user),
            ("role", principal.role.name),
            ("adapter", principal.adapter),
        )
        draft.observe(Level.WARNING, "alarm_cleared", alarm=alarm.name, user=principal.user)
        draft.effect(ConfirmClear(event.token, alarm.name))

    # All

    def _closed(self, token: int) -> RejectRequest | None:
        if self._state.watch.is_stopping:
            return reject(
                token,
                RejectCode.STOPPING,
                "gateway",
                "is stopping",
                "try again when it is back",
            )
        if self._state.is_refused:
            return reject(
                token,
                RejectCode.STORE_REFUSED,
                "store",
                "cannot write (disk full or read-only), so nothing is accepted",
                "free space or replace the card; the gateway goes on by itself then",
            )
        return None

    def _reject(self, rejection: RejectRequest, draft: Draft) -> None:
        draft.observe(
            Level.WARNING,
            "request_rejected",
            code=rejection.code.value,
            field=rejection.field,
            problem=rejection.problem,
        )
        draft.effect(rejection)


def _id_reused(token: int, request_id: str) -> RejectRequest:
    return reject(
        token,
        RejectCode.REQUEST_ID_REUSED,
        "request_id",
        f"{request_id!r} was used for another request",
        "give each request an id of its own",
    )


def _quality(draft: Draft) -> TimeQuality:
    if draft.now.utc is None:
        return TimeQuality.NONE
    return draft.now.quality or TimeQuality.NONE
