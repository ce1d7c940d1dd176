"""Our own watch at work: what it was shown and took, its button and queues, what is over."""

from __future__ import annotations

from typing import Final, assert_never

from gateway.core.button import Press, Refusal
from gateway.core.counter import Counter
from gateway.core.delivery import DeliveryInput
from gateway.core.draft import Draft
from gateway.core.effects import AlarmCode, Level
from gateway.core.events import (
    AnswerSubmitted,
    ButtonPressed,
    ButtonReleased,
    CopyTold,
    LampsTold,
    Principal,
    QueueDown,
    QueueUp,
    Rights,
    SpareTold,
)
from gateway.core.life import Record, log_station
from gateway.core.records import Direction, DropOutlived, Durability
from gateway.core.station import StationState
from gateway.model import ActId, AnswerCode, Role
from gateway.packing import pack_ids

_BUTTON: Final = Principal(
    adapter="button",
    user="button",
    role=Role.DUTY_OFFICER,
    rights=Rights(submit=frozenset(), answer=True),
)
_LAMPS: Final = "lamps"
"""What the alarm DEVICE names, of a chip or pin."""
_NO_TOKEN: Final = 0
"""Token of requests that nobody waits for."""


class Duty:
    """Applies what people here do, and limits in time, to the records."""

    def __init__(self, state: StationState, counter: Counter) -> None:
        self._state = state
        self._counter = counter

    def taken(self, notice_id: ActId, principal: Principal, draft: Draft) -> None:
        record = self._state.ledger.get(notice_id)
        if record is None or record.direction is not Direction.IN or record.taken:
            return
        if self._state.is_refused:
            return
        record.taken = True
        self._state.ledger.keep(record, draft, durability=Durability.NORMAL)
        log_station(
            draft,
            "taken",
            ("notice", str(notice_id)),
            ("user", principal.user),
            ("adapter", principal.adapter),
        )
        draft.observe(Level.INFO, "notice_taken", notice_id=str(notice_id), user=principal.user)

    def outlived(
        self, dialogues: tuple[tuple[ActId, ...], ...], offsets: tuple[int, ...], draft: Draft
    ) -> None:
        """Forget what was kept long enough, and have the store remove it; never what is open, may
        still be in force or waits for a receipt. The log book says which acts went.
        """
        if self._state.is_refused:
            return
        gone = tuple(
            act_id
            for dialogue in dialogues
            if all(self._may_go(act_id, draft) for act_id in dialogue)
            for act_id in dialogue
        )
        if not gone and not offsets:
            return
        for act_id in gone:
            self._state.ledger.drop(act_id)
        draft.write(DropOutlived(gone, offsets))
        if gone:
            log_station(draft, "retired", ("acts", pack_ids(gone)))

    def _may_go(self, act_id: ActId, draft: Draft) -> bool:
        record = self._state.ledger.get(act_id)
        if record is not None and (record.is_open or record.expires_at() > draft.now.instant):
            return False
        return all(line.outgoing.get(act_id) is None for line in self._state.lines.values())

    def displayed(self, notice_id: ActId, draft: Draft) -> None:
        record = self._state.ledger.get(notice_id)
        if record is None or record.direction is not Direction.IN or self._state.is_refused:
            return
        if record.displayed:
            return
        record.displayed = True
        moved = self._state.ledger.move(
            record,
            DeliveryInput.DISPLAYED,
            draft,
            evidence="shown here",
            durability=Durability.NORMAL,
        )
        if not moved:
            self._state.ledger.keep(record, draft, durability=Durability.NORMAL)
        line = self._state.lines.get(notice_id.originator)
        # None: the notice came by a line that the configuration no longer has.
        if line is not None:
            line.owe_displayed(notice_id.epoch, notice_id.serial, draft)

    def limit(self, act_id: ActId, draft: Draft) -> None:
        """The next limit of a notice came, unless it binds no more: then the one after it is set.

        Nothing while the store refuses: all limits are set anew when it heals.
        """
        record = self._state.ledger.get(act_id)
        if record is None or not record.is_open or self._state.is_refused:
            return
        watch = self._state.watch
        kind = watch.limit_at(record, draft.now.instant)
        if kind == "expire":
            self.expire(record, draft)
            return
        if kind is not None:
            watch.limit_passed(kind, record, draft)
            found = self._state.find_out_act(act_id)
            if found is not None:
                line, act = found
                line.dispatcher.widen(act, draft)
        watch.look_again(record, draft.now.instant)

    def expire(self, record: Record, draft: Draft) -> None:
        """Its time is over, answered or not."""
        act_id = record.notice.id
        evidence = "its time is over without the answer that it expects"
        self._counter.end(record, DeliveryInput.EXPIRED, evidence, draft)
        found = self._state.find_out_act(act_id)
        if found is None:
            return
        line, act = found
        if act.has_left or record.notice.is_change:
            # It may be there already: only itself may fill its hole, and it arrives EXPIRED.
            line.dispatcher.demote(act)
        else:
            self._counter.void(record, line, draft)
            line.dispatcher.dispatch(draft)

    def queue_changed(self, event: QueueUp | QueueDown, draft: Draft) -> None:
        """A broker came or went: nothing of ours depends on it, but people must know."""
        draft.status_changed = True
        if isinstance(event, QueueUp):
            self._state.watch.clear_alarm(AlarmCode.QUEUE_DOWN, part=event.queue)
            draft.observe(Level.INFO, "queue_up", queue=event.queue)
            self._log(draft, "queue_up", ("queue", event.queue))
            return
        self._state.watch.raise_alarm(
            AlarmCode.QUEUE_DOWN,
            f"the queue {event.queue} is away ({event.reason}); nothing is lost, check the broker",
            part=event.queue,
        )
        draft.observe(Level.WARNING, "queue_down", queue=event.queue, reason=event.reason)
        self._log(draft, "queue_down", ("queue", event.queue), ("reason", event.reason))

    def copy_told(self, event: CopyTold, draft: Draft) -> None:
        """The cluster lacks something that the other gateway would need, or has all of it again."""
        problem, ledger = event.problem, self._state.ledger
        for act_id in event.alone:
            if (record := ledger.get(act_id)) is not None and not self._state.is_refused:
                ledger.note(record, draft, evidence="UNREPLICATED")
        self._state.watch.is_unreplicated = bool(problem)
        text = (
            f"the station's other gateway does not have what is accepted here now ({problem}); if"
            " this one is lost, that is lost with it: see to the cluster"
        )
        names = ("replicated", "unreplicated")
        self._part_told(AlarmCode.UNREPLICATED, problem, text, names, draft)

    def lamps_told(self, event: LampsTold, draft: Draft) -> None:
        """Lamps and button failed or work again: the line goes on, and people must know."""
        text = (
            f"lamps and button do not work ({event.problem}); the line goes on without them and"
            " they are tried again: see `hotline doctor`"
        )
        names = ("lamps_up", "lamps_down")
        self._part_told(AlarmCode.DEVICE, event.problem, text, names, draft, part=_LAMPS)

    def spare_told(self, event: SpareTold, draft: Draft) -> None:
        """The other gateway could not take over, or could again: nothing else would tell that."""
        text = (
            f"the station's other gateway could not take over ({event.problem}): see to it;"
            " `hotline doctor` on both says more"
        )
        names = ("spare_back", "spare_away")
        self._part_told(AlarmCode.NO_SPARE, event.problem, text, names, draft)

    def _part_told(
        self,
        code: AlarmCode,
        problem: str,
        text: str,
        names: tuple[str, str],
        draft: Draft,
        *,
        part: str = "",
    ) -> None:
        """A part of the station fails (`problem`) or works again: alarm, log and log book, with
        the names of its coming back and its failing.
        """
        draft.status_changed = True
        works, fails = names
        if not problem:
            self._state.watch.clear_alarm(code, part=part)
            draft.observe(Level.INFO, works)
            self._log(draft, works)
            return
        self._state.watch.raise_alarm(code, text, part=part)
        draft.observe(Level.ERROR, fails, reason=problem)
        self._log(draft, fails, ("reason", problem))

    def _log(self, draft: Draft, event: str, *fields: tuple[str, str]) -> None:
        if not self._state.is_refused:
            log_station(draft, event, *fields)

    def button(self, event: ButtonPressed | ButtonReleased, draft: Draft) -> None:
        watch = self._state.watch
        now = draft.now.instant
        press: Press | Refusal
        if isinstance(event, ButtonPressed):
            press = watch.button.press(now, is_sounding=watch.is_sounding(now))
        else:
            press = watch.button.release(now, watch.candidate())
        reason = ""
        match press:
            case Press.NOTHING:
                return
            case Press.SILENCED:
                watch.silence()
            case Refusal():
                reason = press.value
            case Press.ONCE_MORE:
                pass
            case Press.ROGER:
                reason = self._roger(draft)
            case _:
                assert_never(press)
        draft.status_changed = True
        watch.pressed(now, reason)
        if reason:
            draft.observe(Level.WARNING, "button", meaning="refused", reason=reason)
        else:
            draft.observe(Level.INFO, "button", meaning=press.value)

    def _roger(self, draft: Draft) -> str:
        """Why it is not said; empty if it is."""
        candidate = self._state.watch.candidate()
        assert candidate is not None
        act_id = candidate.notice_id
        rejection = self._counter.answer(
            AnswerSubmitted(
                token=_NO_TOKEN,
                principal=_BUTTON,
                request_id=f"button-{act_id}-{draft.now.instant}",
                notice_id=act_id,
                code=AnswerCode.ROGER,
            ),
            draft,
        )
        return "" if rejection is None else f"{rejection.problem}; {rejection.remedy}"
