"""The engine: events in, `Step` out. Dispatches; the decisions are in the parts beside it.

Absent on purpose: clocks, files, sockets, logging, global randomness, tasks. Everything that can
differ between two runs came in as an event, as `now`, or from `rng` (jitter only).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import assert_never

from gateway.core.button import HOLD_TIMER
from gateway.core.counter import Counter
from gateway.core.countersign import Witness
from gateway.core.draft import Draft
from gateway.core.duty import Duty
from gateway.core.effects import AlarmCode, Level, ShowStatus, Step
from gateway.core.entropy import EntropyPool
from gateway.core.events import (
    ActsArrived,
    AnswerSubmitted,
    ButtonPressed,
    ButtonReleased,
    ClearAsked,
    ClockStepped,
    CopyTold,
    EntropyArrived,
    Event,
    FrameAcknowledged,
    FrameReceived,
    FrameRefused,
    FrameRelayed,
    FrameSent,
    LampsTold,
    LinkDown,
    LinkTold,
    LinkUp,
    LogHeadCommitted,
    NoticeDisplayed,
    NoticeSubmitted,
    NoticeTaken,
    Outlived,
    QueueDown,
    QueueUp,
    SpareTold,
    Started,
    Stopping,
    StoreHealed,
)
from gateway.core.frames import Frames
from gateway.core.hearing import Hearing
from gateway.core.life import Ledger, log_start, log_station
from gateway.core.line import Line
from gateway.core.orders import Orders
from gateway.core.policy import Policy
from gateway.core.records import Recovered
from gateway.core.recovery import restore
from gateway.core.refusals import Refusals
from gateway.core.requests import Submissions
from gateway.core.resending import say_again
from gateway.core.rotation import Rotation
from gateway.core.session import Session
from gateway.core.speech import Speech
from gateway.core.station import StationState
from gateway.core.tidings import Tidings
from gateway.core.timers import TimerName, Timers
from gateway.core.watch import Watch
from gateway.model import ActId, Instant, LinkName, LinkState, Now, Station
from gateway.security.keys import KeyRing
from gateway.wire.limits import INCARNATION_SIZE


class Engine:
    """One station's gateway without its machine."""

    def __init__(
        self,
        recovered: Recovered,
        policy: Policy,
        keys: KeyRing,
        *,
        links: Mapping[Station, Sequence[LinkName]],
        rng: Random,
    ) -> None:
        """`links` names each far station's links in PACE order."""
        self._recovered: Recovered | None = recovered
        self._links = {station: tuple(names) for station, names in links.items()}
        self._line_of: dict[LinkName, Station] = {
            name: station for station, names in self._links.items() for name in names
        }
        self._rng = rng
        timers = Timers()
        entropy = EntropyPool()
        names = {keys.card.station: keys.card.name}
        names.update((station, line.card.name) for station, line in keys.lines.items())
        lines: dict[Station, Line] = {}
        orders: dict[Station, Orders] = {}
        closed_count = max(policy.closed_notice_count // max(len(keys.lines), 1), 1)
        ledger = Ledger(names=names, timers=timers, closed_count=closed_count)
        speech = Speech(keys, entropy)
        watch = Watch(
            station=keys.card.station,
            names=names,
            ledger=ledger,
            lines=lines,
            orders=orders,
            policy=policy,
            timers=timers,
        )
        self._state = StationState(
            keys=keys,
            names=names,
            policy=policy,
            timers=timers,
            entropy=entropy,
            ledger=ledger,
            speech=speech,
            witness=Witness(policy, timers, speech),
            refusals=Refusals(policy, timers),
            submissions=Submissions(policy.submission_count),
            watch=watch,
            rotation=Rotation(names, watch),
            lines=lines,
            orders=orders,
        )
        self._link_states: dict[LinkName, LinkState] = {}
        """As the log book has them."""
        self._hearing = Hearing(self._state)
        self._tidings = Tidings(self._state, self._line_of)
        self._counter = Counter(self._state)
        self._duty = Duty(self._state, self._counter)
        self._frames = Frames(self._state, self._hearing)

    def next_deadline(self) -> Instant | None:
        """When `handle_timeout` shall be called at the latest; None: nothing is waited for."""
        return self._state.timers.earliest()

    def handle(self, event: Event, *, now: Now) -> Step:
        """What one event leads to."""
        draft = Draft(now)
        self._dispatch(event, draft)
        return self._finish(draft)

    def handle_timeout(self, *, now: Now) -> Step:
        """Run the deadlines that have come, `timeout_count` at most. Harmless when early."""
        draft = Draft(now)
        for _ in range(self._state.policy.timeout_count):
            name = self._state.timers.pop_due(now.instant)
            if name is None:
                break
            self._time(name, draft)
        return self._finish(draft)

    def _finish(self, draft: Draft) -> Step:
        if self._state.lines:
            self._state.watch.judge_links(draft)
            self._hearing.intake.look(draft)
        self._state.watch.keep_alarms(draft)
        if draft.status_changed:
            self._log_links(draft)
            draft.effect(ShowStatus(self._state.watch.status(draft)))
        return draft.step()

    def _dispatch(self, event: Event, draft: Draft) -> None:  # one flat match, 70 lines at most
        match event:
            case Started():
                self._start(event, draft)
            case EntropyArrived(octets):
                self._state.entropy.fill(octets)
            case ActsArrived(acts):
                say_again(self._state, acts, draft)
            case NoticeSubmitted():
                self._counter.submit(event, draft)
            case AnswerSubmitted():
                self._counter.answer(event, draft)
            case ClearAsked():
                self._counter.clear(event, draft)
            case NoticeTaken(notice_id, principal):
                self._duty.taken(notice_id, principal, draft)
            case NoticeDisplayed(notice_id):
                self._duty.displayed(notice_id, draft)
            case Outlived(dialogues, offsets):
                self._duty.outlived(dialogues, offsets, draft)
            case LinkUp() | LinkDown():
                self._link_changed(event, draft)
            case LinkTold():
                self._link_told(event, draft)
            case FrameReceived():
                self._frames.receive(event, self._line(event.link), draft)
            case FrameSent(link, transmission, remaining_ms):
                self._line(link).frame_sent(link, transmission, remaining_ms, draft)
            case FrameAcknowledged(link, transmission):
                self._line(link).frame_acknowledged(link, transmission, draft)
            case FrameRelayed(link, transmission):
                self._line(link).frame_relayed(link, transmission, draft)
            case FrameRefused(link, transmission, reason, retry_after_ms):
                self._line(link).frame_refused(link, transmission, reason, retry_after_ms, draft)
            case ButtonPressed() | ButtonReleased():
                self._duty.button(event, draft)
            case QueueUp() | QueueDown():
                self._duty.queue_changed(event, draft)
            case CopyTold():
                self._duty.copy_told(event, draft)
            case SpareTold():
                self._duty.spare_told(event, draft)
            case LampsTold():
                self._duty.lamps_told(event, draft)
            case StoreHealed():
                self._heal(draft)
            case ClockStepped(step_s):
                self._clock_stepped(step_s, draft)
            case LogHeadCommitted(head):
                self._state.witness.head = head
                for line in self._state.lines.values():
                    line.standing.entry_number = head.number
            case Stopping(reason):
                self._state.watch.is_stopping = True
                if not self._state.is_refused:
                    self._state.refusals.close(draft)
                    log_station(draft, "stop", ("reason", reason))
                draft.status_changed = True
            case _:
                assert_never(event)

    def _time(self, name: TimerName, draft: Draft) -> None:
        match name:
            case ("rtx" | "hedge" as kind, ActId() as act_id, str() as link):
                line = self._line(LinkName(link))
                act = line.outgoing.get(act_id)
                if act is not None:
                    line.rounds.handle_timer(kind, act, LinkName(link), draft)
            case ("probe" | "beat" | "lane" as kind, int() as peer, str() as link):
                self._state.lines[Station(peer)].handle_timer(kind, LinkName(link), draft)
            case ("limit", ActId() as act_id):
                self._duty.limit(act_id, draft)
            case ("hold", int() as peer):
                self._state.lines[Station(peer)].dispatcher.dispatch(draft)
            case ("countersign", int() as peer):
                self._countersign(self._state.lines[Station(peer)], draft)
            case ("orders", int() as peer):
                self._state.apply_orders(self._state.lines[Station(peer)], draft)
            case ("refusals", int() as peer, str() as reason):
                self._state.refusals.end_window(
                    Station(peer), reason, draft, can_write=not self._state.is_refused
                )
            case ("far", int() as peer):
                self._judge_far(self._state.lines[Station(peer)], draft)
            case ("alarm_ends", ActId() as act_id):
                self._state.watch.end_alarms(act_id)
                draft.status_changed = True
            case ("buzzer",):
                draft.status_changed = True
            case ("lamp_test",):
                self._state.watch.end_lamp_test()
                draft.status_changed = True
            case _:
                assert name == HOLD_TIMER, name
                if self._state.watch.button.is_held():
                    self._state.watch.test_lamps(draft.now.instant)
                    draft.status_changed = True

    # Start and store

    def _start(self, event: Started, draft: Draft) -> None:
        recovered, self._recovered = self._recovered, None
        assert recovered is not None, "Started comes once"
        state = self._state
        state.boot_id = event.boot_id
        state.speech.boot_id = event.boot_id
        state.started_at = draft.now.instant
        state.is_refused = recovered.store_refused
        state.boots.start(recovered.boots, event.boot_id, draft.now)
        state.entropy.fill(event.entropy)
        stored = {peer.peer: peer for peer in recovered.peers}
        state.rotation.restore(recovered.keys)
        for station, key_line in state.keys.lines.items():
            known = stored.get(station)
            session = Session(
                key_line,
                own=state.own,
                incarnation=state.entropy.take(INCARNATION_SIZE, draft),
                assumed=known.incarnation if known else None,
                confirmed=state.rotation.confirmed(station),
            )
            line = Line(
                own=state.own,
                session=session,
                links=self._links.get(station, ()),
                policy=state.policy,
                timers=state.timers,
                entropy=state.entropy,
                rng=self._rng,
                listener=self._tidings,
            )
            line.standing.is_refused = state.is_refused
            state.lines[station] = line
            self._frames.restore_peer(station, known)
            if not session.is_revoked:
                self._watch_far(line, draft)
                state.witness.watch(line, draft)
        restore(state, self._hearing, recovered, draft)
        self._tidings.restore_airtime(recovered, draft)
        draft.status_changed = True
        draft.observe(Level.INFO, "started", version=event.version, boot_id=event.boot_id)
        for line in state.lines.values():
            state.speech.open_epoch(line, draft)
        if state.is_refused:
            self._refuse(draft)
        else:
            draft.write(state.boots.current)
            self._keep_epochs(draft)
            log_start(self._state.keys, event, recovered, draft)

    def _log_links(self, draft: Draft) -> None:
        """What a link came to by round trips and misses, not by its device alone."""
        for line in self._state.lines.values():
            for name, lane in line.lanes.items():
                state = lane.health.state
                if state is not self._link_states.get(name, LinkState.DOWN):
                    self._link_states[name] = state
                    self._log("link_state", ("link", name), ("state", state.value), draft=draft)

    def _keep_epochs(self, draft: Draft) -> None:
        for line in self._state.lines.values():
            self._state.speech.keep_epoch(line, draft)

    def _refuse(self, draft: Draft) -> None:
        self._state.watch.is_store_refused = True
        self._state.watch.raise_alarm(
            AlarmCode.STORE_REFUSED,
            "the store cannot write (disk full or read-only): nothing is accepted; free space or"
            " replace the card",
        )
        draft.observe(Level.ERROR, "store_refused")

    def _heal(self, draft: Draft) -> None:
        state = self._state
        if not state.is_refused:
            return
        state.is_refused = False
        state.watch.is_store_refused = False
        state.watch.clear_alarm(AlarmCode.STORE_REFUSED)
        draft.write(state.boots.current)
        self._keep_epochs(draft)
        log_station(draft, "store_healed")
        draft.observe(Level.INFO, "store_healed")
        draft.status_changed = True
        state.watch.begin_all(draft.now.instant)
        for line in state.lines.values():
            line.standing.is_refused = False
            line.pump_all(draft)

    # Links

    def _line(self, link: LinkName) -> Line:
        return self._state.lines[self._line_of[link]]

    def _link_changed(self, event: LinkUp | LinkDown, draft: Draft) -> None:
        line = self._line(event.link)
        draft.status_changed = True
        if isinstance(event, LinkUp):
            draft.observe(Level.INFO, "link_up", link=event.link, detail=event.traits.detail)
            self._log("link_up", ("link", event.link), ("detail", event.traits.detail), draft=draft)
            line.link_up(event.link, event.traits, draft)
            if line.session.is_revoked:
                return
            # A device that came back is no sign of life of the far gateway: long silent, it is so
            # at once, and not only after another limit.
            self._judge_far(line, draft)
        else:
            draft.observe(Level.WARNING, "link_down", link=event.link, reason=event.reason)
            self._log("link_down", ("link", event.link), ("reason", event.reason), draft=draft)
            line.link_down(event.link, draft)
        self._state.watch.judge_devices(line, draft)

    def _link_told(self, event: LinkTold, draft: Draft) -> None:
        level = Level.ERROR if event.needs_person else Level.WARNING
        draft.observe(level, "link_told", link=event.link, detail=event.detail)
        self._log("link_told", ("link", event.link), ("detail", event.detail), draft=draft)
        line = self._line(event.link)
        line.lanes[event.link].health.told(
            event.detail, needs_person=event.needs_person, is_mute=event.is_mute
        )
        self._state.watch.judge_devices(line, draft)
        draft.status_changed = True

    def _watch_far(self, line: Line, draft: Draft) -> None:
        until = Instant(draft.now.instant + self._far_limit_ms(line))
        self._state.timers.set_earlier(("far", line.peer), until)

    def _far_limit_ms(self, line: Line) -> int:
        has_cable = any(
            lane.health.traits is not None and not lane.health.traits.is_radio
            for lane in line.lanes.values()
        )
        policy = self._state.policy
        return policy.far_silent_serial_ms if has_cable else policy.far_silent_radio_ms

    def _judge_far(self, line: Line, draft: Draft) -> None:
        """Alarm when the far gateway was silent on every link for its limit."""
        now = draft.now.instant
        heard_at = line.standing.heard_at
        last = self._state.started_at if heard_at is None else heard_at
        limit = self._far_limit_ms(line)
        if now - last < limit:
            self._state.timers.set(("far", line.peer), Instant(last + limit))
            return
        name = self._state.names[line.peer]
        if self._state.watch.raise_alarm(
            AlarmCode.FAR_GATEWAY_SILENT,
            f"nothing was heard of {name} for {(now - last) // 1000} s; use another way to reach"
            " them",
            station=line.peer,
        ):
            draft.observe(Level.ERROR, "far_gateway_silent", station=name)
            self._log("far_gateway_silent", ("station", name), draft=draft)
            draft.status_changed = True

    def _countersign(self, line: Line, draft: Draft) -> None:
        if self._state.is_refused or self._state.watch.is_stopping:
            self._state.witness.watch(line, draft)
        else:
            self._state.witness.say(line, draft)

    # Clock

    def _clock_stepped(self, step_s: int, draft: Draft) -> None:
        """Timers do not care; ages that were unknown may be bounded by the clock now."""
        draft.observe(Level.WARNING, "clock_stepped", step_s=step_s)
        self._log("clock", ("step_s", step_s), draft=draft)
        draft.status_changed = True
        state = self._state
        bounded = state.boots.look(draft.now)
        if draft.now.utc is not None and not state.is_refused:
            draft.write(state.boots.current)
        for act_id, (born, age_known) in bounded.items():
            record, found = state.ledger.get(act_id), state.find_out_act(act_id)
            if record is not None:
                record.born, record.age_known = born, age_known
                state.watch.begin(record, draft.now.instant)
            if found is not None:
                found[1].born, found[1].age_known = born, age_known
        if bounded:
            for line in state.lines.values():
                state.apply_orders(line, draft)

    def _log(self, event: str, *fields: tuple[str, str | int | bytes | None], draft: Draft) -> None:
        if not self._state.is_refused:
            log_station(draft, event, *fields)
