"""What a far station receipted and has lost (a new card, an old backup) goes to it once more.

A new incarnation says in its first proven hello what it holds of us. Every receipt that counts here
is older than that incarnation, and was given for what lay on its medium: what is missing now was
lost there, whatever link was slower. What it still needs goes again: notices that are open, cancels
and updates, and our answers. Our people are told, for the rest is gone there.

A hello names the highest serial of an epoch: an act that came between the start there and that
hello hides what was lost below it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gateway.core.draft import Draft
from gateway.core.effects import AlarmCode, Level, RequestActs
from gateway.core.life import log_station
from gateway.core.line import Line
from gateway.core.records import Direction, DropReceipt, StoredAct
from gateway.core.recovery import restore_out_acts
from gateway.core.station import StationState
from gateway.errors import DecodeError
from gateway.model import ActId, Precedence
from gateway.wire.head import read_head

REQUEST_COUNT: Final = 256
"""Acts that are asked of the store at a time."""


def notice_loss(
    state: StationState, line: Line, known: Sequence[tuple[int, int]], draft: Draft
) -> None:
    """Compare what a new incarnation holds, (own epoch, highest serial), with its receipts."""
    behind = line.outgoing.lost(known)
    if not behind or state.is_refused:
        return
    name = state.names[line.peer]
    wanted = sorted(_wanted(state, line, behind))
    evidence = ", ".join(f"{epoch:04x} {held}" for epoch, held in behind.items())
    again = (
        f"It still needs {len(wanted)}, which go" if wanted else "It needs none of them: none goes"
    )
    is_new = state.watch.raise_alarm(
        AlarmCode.FAR_ROLLBACK,
        f"{name} has lost notices and answers of ours that it had receipted: a new card or an old"
        f" backup there. {again} again; tell them, and compare the log books",
        station=line.peer,
        evidence=evidence,
    )
    if is_new:
        draft.observe(Level.ERROR, "far_rollback", station=name, held=evidence, again=len(wanted))
        log_station(draft, "far_rollback", ("station", name), ("held", evidence))
        draft.status_changed = True
    for start in range(0, len(wanted), REQUEST_COUNT):
        draft.effect(RequestActs(tuple(wanted[start : start + REQUEST_COUNT])))


def say_again(state: StationState, acts: Sequence[StoredAct], draft: Draft) -> None:
    """Own acts as the store has them: they count as not receipted, and wait for a link."""
    if state.is_refused:
        return
    waiting: list[tuple[StoredAct, Precedence]] = []
    for stored in acts:
        line = state.lines.get(stored.to)
        if line is None or line.outgoing.get(stored.id) is not None:
            continue
        try:
            head = read_head(stored.octets, stored.id, to=stored.to)
        except DecodeError as error:
            draft.observe(
                Level.WARNING, "act_not_processed", notice_id=str(stored.id), problem=str(error)
            )
            continue
        draft.write(DropReceipt(stored.id))
        line.outgoing.forget_receipt(stored.id)
        if (record := state.ledger.get(stored.id)) is not None:
            state.ledger.note(record, draft, evidence="they have lost it; it goes again")
        waiting.append((stored, head.precedence))
    restore_out_acts(state, waiting, draft)
    for peer in {stored.to for stored, _ in waiting}:
        state.lines[peer].dispatcher.dispatch(draft)


def _wanted(state: StationState, line: Line, behind: Mapping[int, int]) -> Iterator[ActId]:
    def is_lost(act_id: ActId) -> bool:
        held = behind.get(act_id.epoch)
        return held is not None and act_id.serial > held and line.outgoing.get(act_id) is None

    for record in state.ledger.records.values():
        notice = record.notice
        if record.direction is Direction.OUT:
            is_needed = record.is_open or notice.is_change
            if notice.to == line.peer and is_needed and is_lost(notice.id):
                yield notice.id
        elif notice.id.originator == line.peer:
            for answer in record.answers:
                if answer.originator == state.own and is_lost(answer):
                    yield answer
