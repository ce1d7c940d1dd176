"""What the engine makes of the last runs: records, acts on their way, numbering, limits in time."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.core.delivery import advance, input_of
from gateway.core.dialogue import is_settled
from gateway.core.draft import Draft
from gateway.core.effects import AlarmCode, Level
from gateway.core.hearing import Hearing, end_of
from gateway.core.life import Record, log_act
from gateway.core.records import Direction, PutAct, Recovered, StoredAct, StoredDelivery
from gateway.core.speech import make_out_act
from gateway.core.station import StationState
from gateway.errors import DecodeError
from gateway.model import Act, ActId, DeliveryState, Kind, Precedence, Station
from gateway.wire.head import ActHead, AnswerHead, NoticeHead, read_head
from gateway.wire.notice import decode_act

OFFSET_MARGIN = 4096
"""Offsets left out at each start, once or up to 65 536 times as drawn: a power cut may have lost
publications that a consumer has seen, a lying card even all of the last start, and no offset may
ever mean two things."""


def restore(state: StationState, hearing: Hearing, recovered: Recovered, draft: Draft) -> None:
    """Fill the state from the store. Lines exist already; links are down still."""
    if recovered.next_offset > 1:
        times = 1 + int.from_bytes(state.entropy.take(2, draft))
        state.ledger.next_offset = recovered.next_offset + OFFSET_MARGIN * times
    for peer, epoch, highest in recovered.epochs:
        state.speech.restore_epoch(peer, epoch, highest)
        if peer in state.lines:
            state.lines[peer].outgoing.note_epoch(epoch, highest)
    for submission in recovered.submissions:
        state.submissions.restore(submission)
    for act_id, sha256 in recovered.seen:
        if act_id.originator in state.lines:
            state.lines[act_id.originator].reception.restore([(act_id, sha256)])
    heads = _read_heads(recovered, draft)
    deliveries = {delivery.notice_id: delivery for delivery in recovered.deliveries}
    bare = [
        stored
        for stored, head in heads
        if isinstance(head, NoticeHead) and head.id not in deliveries
    ]
    changed = _rebuilt(heads, bare) if bare else {}
    if recovered.was_rebuilt:
        changed |= _overtaken(heads, recovered.deliveries)
    deliveries |= changed
    for stored, head in heads:
        if isinstance(head, NoticeHead):
            _restore_record(state, stored, head, deliveries[head.id], draft)
    if not state.is_refused:
        for notice_id in changed:
            state.ledger.keep(state.ledger.records[notice_id], draft)
    for stored, head in heads:
        if isinstance(head, NoticeHead) and stored.direction is Direction.IN:
            _restore_early_end(state, hearing, head)
    restore_out_acts(
        state,
        [
            (stored, head.precedence)
            for stored, head in heads
            if stored.direction is Direction.OUT and stored.id not in recovered.receipted
        ],
        draft,
    )
    _mark_receipted(state)
    state.watch.begin_alarms(recovered.alarms, draft.now.instant)
    if recovered.was_rebuilt:
        state.watch.raise_alarm(
            AlarmCode.STORE_REBUILT,
            "the store was damaged and rebuilt; the damaged file is kept, compare the log books",
        )
    if recovered.book_problem:
        state.watch.raise_alarm(
            AlarmCode.LOG_BOOK,
            f"{recovered.book_problem}; somebody changed it while this gateway was off, or the card"
            " loses what it was given: compare both sides' books with `hotline log verify`",
        )
    if recovered.was_restored:
        state.watch.raise_alarm(
            AlarmCode.ROLLBACK,
            "the store is a copy, from a backup or of the station's other gateway: what was said"
            " after it may be missing here; compare the log books with the far stations'",
        )


def _read_heads(recovered: Recovered, draft: Draft) -> list[tuple[StoredAct, ActHead]]:
    """Heads only, and texts where nothing else says that an act was readable here."""
    known = {delivery.notice_id for delivery in recovered.deliveries}
    heads: list[tuple[StoredAct, ActHead]] = []
    for stored in recovered.acts:
        try:
            head = read_head(stored.octets, stored.id, to=stored.to)
            if isinstance(head, NoticeHead) and stored.id not in known:
                decode_stored(stored)
        except DecodeError as error:
            # It came signed and was answered CANTPRO; what it says is not known here.
            draft.observe(
                Level.WARNING, "act_not_processed", notice_id=str(stored.id), problem=str(error)
            )
            continue
        heads.append((stored, head))
    return heads


def decode_stored(stored: StoredAct) -> Act:
    """The act of a row. Raises `DecodeError`."""
    return decode_act(stored.octets, originator=stored.id.originator, to=stored.to)


def _is_readable(stored: StoredAct) -> bool:
    """What was answered CANTPRO changed nothing."""
    try:
        decode_stored(stored)
    except DecodeError:
        return False
    return True


def _rebuilt(
    heads: list[tuple[StoredAct, ActHead]], bare: list[StoredAct]
) -> dict[ActId, StoredDelivery]:
    """Deliveries of the notices that only the log book still knew: what later acts prove."""
    answers, ends = _later_acts(heads)
    by_id = {head.id: head for _, head in heads if isinstance(head, NoticeHead)}
    return {
        stored.id: _rebuilt_one(
            stored, by_id[stored.id], answers.get(stored.id, []), ends.get(stored.id)
        )
        for stored in bare
    }


def _overtaken(
    heads: list[tuple[StoredAct, ActHead]], deliveries: Iterable[StoredDelivery]
) -> dict[ActId, StoredDelivery]:
    """Open deliveries of a database that is older than the log book: answers and ends that came
    since are acts of the book, and what they settled is not open again.
    """
    answers, ends = _later_acts(heads)
    notices = {head.id: head for _, head in heads if isinstance(head, NoticeHead)}
    found: dict[ActId, StoredDelivery] = {}
    for delivery in deliveries:
        notice = notices.get(delivery.notice_id)
        if notice is None or not delivery.is_open:
            continue
        known = set(delivery.answers)
        later = [one for one in answers.get(notice.id, ()) if one.id not in known]
        end = ends.get(notice.id)
        if not later and end is None:
            continue
        state = _advanced(delivery.state, later, end)
        found[notice.id] = delivery._replace(
            state=state,
            answers=(*delivery.answers, *(answer.id for answer in later)),
            is_open=not is_settled(notice.kind.response, state),
        )
    return found


def _later_acts(
    heads: list[tuple[StoredAct, ActHead]],
) -> tuple[dict[ActId, list[AnswerHead]], dict[ActId, Kind]]:
    """What speaks of a notice: the answers to it in order, and what kind of act ends it."""
    answers: dict[ActId, list[AnswerHead]] = {}
    ends: dict[ActId, Kind] = {}
    for stored, head in heads:
        if isinstance(head, AnswerHead) and _is_readable(stored):
            answers.setdefault(head.reference, []).append(head)
        elif isinstance(head, NoticeHead) and head.is_change and head.reference is not None:
            ends[head.reference] = head.kind
    return answers, ends


def _advanced(state: DeliveryState, answers: list[AnswerHead], end: Kind | None) -> DeliveryState:
    for answer in answers:
        state = advance(state, input_of(answer.code))
    return state if end is None else advance(state, end_of(end))


def _rebuilt_one(
    stored: StoredAct, notice: NoticeHead, answers: list[AnswerHead], end: Kind | None
) -> StoredDelivery:
    """An own one counts as sent, so that the peer's receipt settles it; a foreign one as
    receipted.
    """
    is_own = stored.direction is Direction.OUT
    state = _advanced(DeliveryState.SENT if is_own else DeliveryState.RECEIPTED, answers, end)
    return StoredDelivery(
        notice_id=notice.id,
        direction=stored.direction,
        state=state,
        overdue=False,
        late=False,
        displayed=False,
        taken=False,
        answers=tuple(answer.id for answer in answers),
        is_open=not is_settled(notice.kind.response, state),
    )


def _restore_record(
    state: StationState,
    stored: StoredAct,
    notice: NoticeHead,
    delivery: StoredDelivery,
    draft: Draft,
) -> None:
    born, age_known = state.boots.born(stored, draft.now)
    record = Record(
        notice=notice,
        direction=delivery.direction,
        state=delivery.state,
        born=born,
        age_known=age_known,
        since=draft.now.instant,
        overdue=delivery.overdue,
        late=delivery.late,
        unproven=delivery.unproven,
        displayed=delivery.displayed,
        taken=delivery.taken,
        answers=list(delivery.answers),
    )
    state.ledger.add(record)
    state.declare(record, draft)
    state.watch.begin(record, draft.now.instant)


def _restore_early_end(state: StationState, hearing: Hearing, notice: NoticeHead) -> None:
    if not notice.is_change or notice.reference is None:
        return
    peer = state.lines.get(notice.id.originator)
    reference = notice.reference
    if peer is not None and not peer.reception.holds(reference.epoch, reference.serial):
        hearing.note_early_end(reference, notice.kind)


def restore_out_acts(
    state: StationState, acts: list[tuple[StoredAct, Precedence]], draft: Draft
) -> None:
    """Own acts without a receipt. A run has one key and epochs of its own, so one act of an epoch
    tells of all whether they were signed by the keys of now.
    """
    ours: dict[tuple[Station, int], bool] = {}
    for stored, precedence in acts:
        run = (stored.to, stored.id.epoch)
        if run not in ours:
            ours[run] = state.speech.is_ours(stored)
        if not ours[run]:
            stored = state.speech.sign_again(stored)  # noqa: PLW2901 (the same act, signed anew)
            if not state.is_refused:
                draft.write(PutAct(stored))
                log_act(stored, "signed_again", draft)
        _restore_out_act(state, stored, precedence, draft)


def _restore_out_act(
    state: StationState, stored: StoredAct, precedence: Precedence, draft: Draft
) -> None:
    line = state.lines.get(stored.to)
    if line is None:
        draft.observe(Level.WARNING, "act_without_line", notice_id=str(stored.id), to=stored.to)
        return
    record = state.ledger.get(stored.id)
    if record is None:
        born, age_known = state.boots.born(stored, draft.now)
    else:
        born, age_known = record.born, record.age_known
    if record is not None and not record.is_open:
        precedence = Precedence.ROUTINE
    out = make_out_act(stored, precedence, born=born, age_known=age_known)
    # SENT is written after a frame left, so whether this one did before the end is not known: it
    # must never be replaced by a VOID under the same id.
    out.has_left = True
    line.outgoing.add(out)


def _mark_receipted(state: StationState) -> None:
    """Serials below the lowest unreceipted one of an epoch need no look any more."""
    for line in state.lines.values():
        lowest: dict[int, int] = {}
        for act in line.outgoing.unreceipted():
            lowest[act.id.epoch] = min(act.id.serial, lowest.get(act.id.epoch, act.id.serial))
        for epoch, highest in line.outgoing.epochs():
            line.outgoing.restore_receipted(epoch, lowest.get(epoch, highest + 1) - 1)
