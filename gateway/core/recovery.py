"""What the engine makes of the last runs: records, acts on their way, numbering, limits in time."""

from __future__ import annotations

from gateway.core.delivery import advance, input_of
from gateway.core.dialogue import is_settled
from gateway.core.draft import Draft
from gateway.core.effects import AlarmCode, Level
from gateway.core.hearing import Hearing, end_of
from gateway.core.life import Record
from gateway.core.records import Direction, Recovered, StoredAct, StoredDelivery
from gateway.core.speech import make_out_act
from gateway.core.station import StationState
from gateway.errors import DecodeError
from gateway.model import Act, ActId, Answer, DeliveryState, Kind, Notice, Precedence
from gateway.wire.notice import decode_act

OFFSET_MARGIN = 4096
"""Offsets left out at each start: a power cut may have lost NORMAL publications that a consumer has
seen, and no offset may ever mean two things."""


def restore(state: StationState, hearing: Hearing, recovered: Recovered, draft: Draft) -> None:
    """Fill the state from the store. Lines exist already; links are down still."""
    if recovered.next_offset > 1:
        state.ledger.next_offset = recovered.next_offset + OFFSET_MARGIN
    for peer, epoch, highest in recovered.epochs:
        state.speech.restore_epoch(peer, epoch, highest)
        if peer in state.lines:
            state.lines[peer].outgoing.note_epoch(epoch, highest)
    for submission in recovered.submissions:
        state.submissions.restore(submission)
    for act_id, sha256 in recovered.seen:
        if act_id.originator in state.lines:
            state.lines[act_id.originator].reception.restore([(act_id, sha256)])
    acts = _decode(recovered, draft)
    answers = {act.id: act for _, act in acts.values() if isinstance(act, Answer)}
    ends = {
        act.reference: act.kind
        for _, act in acts.values()
        if isinstance(act, Notice) and act.kind in (Kind.CANCEL, Kind.UPDATE)
    }
    deliveries = {delivery.notice_id: delivery for delivery in recovered.deliveries}
    for stored, act in acts.values():
        if isinstance(act, Notice):
            delivery = deliveries.get(act.id) or _rebuilt(stored, act, answers, ends.get(act.id))
            _restore_record(state, stored, act, delivery, answers, draft)
            if act.id not in deliveries and not state.is_refused:
                state.ledger.keep(state.ledger.records[act.id], draft)
    for stored, act in acts.values():
        if isinstance(act, Notice) and stored.direction is Direction.IN:
            _restore_early_end(state, hearing, act)
    for stored, act in acts.values():
        if stored.direction is Direction.OUT and stored.id not in recovered.receipted:
            _restore_out_act(state, stored, act, draft)
    _mark_receipted(state)
    if recovered.was_rebuilt:
        state.watch.raise_alarm(
            AlarmCode.STORE_REBUILT,
            "the store was damaged and rebuilt; the damaged file is kept, compare the log books",
        )


def _decode(recovered: Recovered, draft: Draft) -> dict[ActId, tuple[StoredAct, Act]]:
    acts: dict[ActId, tuple[StoredAct, Act]] = {}
    for stored in recovered.acts:
        try:
            act = decode_stored(stored)
        except DecodeError as error:
            # It came signed and was answered CANTPRO; what it says is not known here.
            draft.observe(
                Level.WARNING, "act_not_processed", notice_id=str(stored.id), problem=str(error)
            )
            continue
        acts[stored.id] = (stored, act)
    return acts


def decode_stored(stored: StoredAct) -> Act:
    """The act of a row. Raises `DecodeError`."""
    return decode_act(stored.octets, originator=stored.id.originator, to=stored.to)


def _rebuilt(
    stored: StoredAct, notice: Notice, answers: dict[ActId, Answer], end: Kind | None
) -> StoredDelivery:
    """The delivery of a notice that only the log book still knew: what later acts prove.

    An own one counts as sent, so that the peer's receipt settles it; a foreign one as receipted.
    """
    is_own = stored.direction is Direction.OUT
    state = DeliveryState.SENT if is_own else DeliveryState.RECEIPTED
    given = [answer for answer in answers.values() if answer.reference == notice.id]
    for answer in given:
        state = advance(state, input_of(answer.code))
    if end is not None:
        state = advance(state, end_of(end))
    return StoredDelivery(
        notice_id=notice.id,
        direction=stored.direction,
        state=state,
        overdue=False,
        late=False,
        displayed=False,
        taken=False,
        answers=tuple(answer.id for answer in given),
        is_open=not is_settled(notice.kind.response, state),
    )


def _restore_record(
    state: StationState,
    stored: StoredAct,
    notice: Notice,
    delivery: StoredDelivery,
    answers: dict[ActId, Answer],
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
        displayed=delivery.displayed,
        taken=delivery.taken,
        answers=[answers[act_id] for act_id in delivery.answers if act_id in answers],
    )
    state.ledger.add(record)
    state.declare(record, draft)
    state.watch.begin(record, draft.now.instant)


def _restore_early_end(state: StationState, hearing: Hearing, notice: Notice) -> None:
    if notice.kind not in (Kind.CANCEL, Kind.UPDATE) or notice.reference is None:
        return
    peer = state.lines.get(notice.id.originator)
    reference = notice.reference
    if peer is not None and not peer.reception.holds(reference.epoch, reference.serial):
        hearing.note_early_end(reference, notice.kind)


def _restore_out_act(state: StationState, stored: StoredAct, act: Act, draft: Draft) -> None:
    line = state.lines.get(stored.to)
    if line is None:
        draft.observe(Level.WARNING, "act_without_line", notice_id=str(stored.id), to=stored.to)
        return
    born, age_known = state.boots.born(stored, draft.now)
    precedence = act.precedence
    record = state.ledger.get(stored.id)
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
