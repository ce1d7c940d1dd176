"""The watch: what is pending, what is overdue, which alarms are lit, and their status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, islice
from typing import Final

from gateway.core.alarms import Alarms
from gateway.core.button import Button, Candidate
from gateway.core.delivery import NOT_RECEIPTED
from gateway.core.draft import Draft
from gateway.core.effects import (
    AlarmCode,
    Declared,
    Level,
    LinkStatus,
    PeerStatus,
    PendingNotice,
    ShowHeard,
    Status,
)
from gateway.core.forecast import forecasts
from gateway.core.life import Ledger, Record, log_station
from gateway.core.line import Line
from gateway.core.orders import Orders
from gateway.core.policy import Policy
from gateway.core.records import Direction, StoredAlarm
from gateway.core.timers import Timers
from gateway.model import (
    ActId,
    DeliveryState,
    Instant,
    Kind,
    Operation,
    Precedence,
    Response,
    Station,
)

PENDING_COUNT_MAX: Final = 32
HEARD_SHOWN_MS: Final = 1_000
"""Least time between two looks at a line for who asks how it is."""


class Watch(Alarms):
    """Limits in time, alarms, the pending lists and the button's candidate."""

    def __init__(
        self,
        *,
        station: Station,
        names: Mapping[Station, str],
        ledger: Ledger,
        lines: Mapping[Station, Line],
        orders: Mapping[Station, Orders],
        policy: Policy,
        timers: Timers,
    ) -> None:
        super().__init__()
        self.button = Button(policy, timers)
        self.is_store_refused = False
        self.is_unreplicated = False
        self.is_stopping = False
        self._station = station
        self._names = names
        self._ledger = ledger
        self._lines = lines
        self._orders = orders
        self._policy = policy
        self._receipt_limits_ms = tuple(map(policy.receipt_limit_ms, Precedence))
        self._answer_limits_ms = tuple(map(policy.answer_limit_ms, Precedence))
        self._timers = timers
        self._candidate: tuple[ActId, Instant] | None = None
        self._buzzer_until: Instant | None = None
        self._is_silenced = False
        self._button_refused_at: Instant | None = None
        self._button_refusal = ""
        self._lamp_test_until: Instant | None = None
        self._shown_at: dict[Station, Instant] = {}

    # Limits in time

    def begin(self, record: Record, now: Instant) -> None:
        """Set the limits of an open notice, from its making; they survive a restart so."""
        if not record.is_open:
            return
        if record.overdue:
            self._raise_overdue(record)
        self.look_again(record, now)

    def look_again(self, record: Record, now: Instant) -> None:
        """Set the one timer of an open notice for the next limit that binds it still.

        One, not one a limit: a start sets those of 100 000 notices before anything else.
        """
        due, _ = min(self._limits(record))
        self._timers.set(("limit", record.notice.id), max(due, now))

    def limit_at(self, record: Record, now: Instant) -> str | None:
        """The limit of an open notice that has come, its expiry before all others; None: none."""
        limits = self._limits(record)
        expiry, expire = limits[0]
        if expiry <= now:
            return expire
        due, kind = min(limits)
        return kind if due <= now else None

    def _limits(self, record: Record) -> list[tuple[Instant, str]]:
        """What binds an open notice still, its expiry first."""
        limits = [(record.expires_at(), "expire")]
        if record.overdue:
            return limits
        notice, born = record.notice, record.born
        if record.direction is Direction.OUT and record.state in NOT_RECEIPTED:
            due = born + self._receipt_limits_ms[notice.precedence]
            limits.append((Instant(due), "receipt_due"))
        if record.response is not Response.NONE:
            due = born + self._answer_limits_ms[notice.precedence]
            limits.append((Instant(due), "answer_due"))
            if notice.reply_by_min is not None:
                limits.append((Instant(born + notice.reply_by_min * 60_000), "reply_due"))
        return limits

    def begin_all(self, now: Instant) -> None:
        """Set all limits anew: those that passed while the store refused were not applied."""
        for direction in Direction:
            for level in self._ledger.open_records(direction):
                for record in level.values():
                    self.begin(record, now)

    def limit_passed(self, kind: str, record: Record, draft: Draft) -> None:
        """An open notice broke the limit `kind` of its service: it is newly OVERDUE."""
        record.overdue = True
        self._ledger.keep(record, draft)
        self._ledger.publish_state(
            record, draft, evidence=self._lapse(kind, record), link=record.link
        )
        draft.observe(
            Level.WARNING,
            "overdue",
            notice_id=str(record.notice.id),
            limit=kind,
            state=record.state.value,
        )
        log_station(draft, "overdue", ("notice", str(record.notice.id)), ("limit", kind))
        self._raise_overdue(record)

    def _lapse(self, kind: str, record: Record) -> str:
        """Which limit was broken, in plain words."""
        precedence = record.notice.precedence
        if kind == "receipt_due":
            return f"no machine receipt within {self._receipt_limits_ms[precedence] // 1000} s"
        if kind == "reply_due":
            return f"the reply-by of {record.notice.reply_by_min} min passed"
        return f"no answer within {self._answer_limits_ms[precedence] // 1000} s"

    def _raise_overdue(self, record: Record) -> None:
        # A TEST or EXERCISE must never raise the alarm of an OPERATION.
        if record.notice.operation is not Operation.OPERATION:
            return
        notice = record.notice
        if record.direction is Direction.OUT:
            text = (
                f"{notice.kind.name} {notice.id} to {self._name(notice.to)} is not answered in"
                " time; use another way to reach them"
            )
        else:
            text = (
                f"{notice.kind.name} {notice.id} of {self._name(notice.id.originator)} waits for"
                " this watch beyond its limit; answer it"
            )
        self.raise_alarm(AlarmCode.OVERDUE, text, notice_id=notice.id)

    def settle(self, record: Record, now: Instant) -> None:
        """The record moved: its overdue alarm ends with it, later if it ended unanswered."""
        if record.is_open:
            return
        self.clear_alarm(AlarmCode.CROSSED, notice_id=record.notice.id)
        key = (AlarmCode.OVERDUE, None, record.notice.id, "")
        if key not in self._alarms:
            return
        if record.state in (DeliveryState.EXPIRED, DeliveryState.EXPIRED_RECEIPTED):
            self.end_alarms_later(record.notice.id, now)
        else:
            self.clear_alarm(AlarmCode.OVERDUE, notice_id=record.notice.id)

    def end_alarms_later(self, notice_id: ActId, now: Instant) -> None:
        """Nothing more will come that could end them."""
        until = Instant(now + self._policy.ended_alarm_ms)
        self._timers.set(("alarm_ends", notice_id), until)

    def begin_alarms(self, kept: Iterable[StoredAlarm], now: Instant) -> None:
        """Light those of the runs before. The notice that ends a CROSSED may have ended already."""
        self.restore_alarms(kept)
        for alarm in self._alarms.values():
            if alarm.code is AlarmCode.CROSSED and alarm.notice_id is not None:
                record = self._ledger.get(alarm.notice_id)
                if record is None or not record.is_open:
                    self.end_alarms_later(alarm.notice_id, now)

    def keep_alarms(self, draft: Draft) -> None:
        """In STORE REFUSED they wait until it is over."""
        if not self.is_store_refused:
            super().keep_alarms(draft)

    # Buzzer, button, lamp test

    def arrived(self, record: Record, now: Instant) -> None:
        """A notice came in for the watch: the buzzer starts anew."""
        self._is_silenced = False
        self._buzzer_until = Instant(now + self._policy.buzzer_ms)
        self._timers.set(("buzzer",), self._buzzer_until)

    def is_sounding(self, now: Instant) -> bool:
        if self._buzzer_until is None or now >= self._buzzer_until or self._is_silenced:
            return False
        return self._ledger.first_for_watch() is not None

    def silence(self) -> None:
        self._is_silenced = True

    def pressed(self, now: Instant, refusal: str) -> None:
        """A press came to something: `refusal` says why it said nothing, or is empty."""
        self._button_refusal = refusal
        if refusal:
            self._button_refused_at = now

    def test_lamps(self, now: Instant) -> None:
        self._lamp_test_until = Instant(now + self._policy.lamp_test_ms)
        self._timers.set(("lamp_test",), self._lamp_test_until)

    def end_lamp_test(self) -> None:
        self._lamp_test_until = None

    def candidate(self) -> Candidate | None:
        """The notice a press may mean: OPERATION only, highest precedence, then oldest."""
        record = self._ledger.first_for_watch()
        if record is None or self._candidate is None:
            return None
        return Candidate(
            notice_id=record.notice.id,
            precedence=record.notice.precedence,
            indicated_since=self._candidate[1],
            is_displayed=record.displayed,
        )

    def _track_candidate(self, now: Instant) -> None:
        record = self._ledger.first_for_watch()
        if record is None:
            self._candidate = None
        elif self._candidate is None or self._candidate[0] != record.notice.id:
            self._candidate = (record.notice.id, now)

    # Status

    def status(self, draft: Draft) -> Status:
        """Everything that is shown. Its cost does not grow with how many notices are open."""
        now = draft.now.instant
        self._track_candidate(now)
        self._shown_at = dict.fromkeys(self._lines, now)
        return Status(
            station=self._station,
            links=tuple(chain.from_iterable(self._links(line) for line in self._lines.values())),
            peers=tuple(self._peer(line, now) for line in self._lines.values()),
            pending_in=self._pending(Direction.IN, now),
            pending_in_count=self._ledger.open_count(Direction.IN),
            pending_out=self._pending(Direction.OUT, now),
            pending_out_count=self._ledger.open_count(Direction.OUT),
            alarms=tuple(self._alarms.values()),
            store_refused=self.is_store_refused,
            stopping=self.is_stopping,
            buzzer_silenced=self._is_silenced,
            button_refused_at=self._button_refused_at,
            button_refusal="" if self._candidate is None else self._button_refusal,
            lamp_test_until=self._lamp_test_until,
            utc=draft.now.utc,
            buzzer_until=self._buzzer_until,
        )

    def _peer(self, line: Line, now: Instant) -> PeerStatus:
        return PeerStatus(
            station=line.peer,
            confirmed=line.session.is_settled,
            heard_at=line.standing.heard_at,
            busy=line.is_peer_busy,
            fresh=not line.session.needs_challenge,
            generation=line.session.generation,
            rotating=line.session.takes_former,
            has_former=line.session.has_former,
            declared=self._declared(line.peer, now),
            is_full=line.standing.is_full,
            is_revoked=line.session.is_revoked,
            open_count=self._ledger.open_to(line.peer),
            there_count=self._ledger.waiting_there(line.peer),
        )

    def _declared(self, peer: Station, now: Instant) -> tuple[Declared, ...]:
        orders = self._orders.get(peer)
        return () if orders is None else orders.shown(now)

    def show_heard(self, line: Line, draft: Draft) -> None:
        """A frame came in: who asks for the status learns of it, once a second at most.

        Lamps and topics show nothing of it, and whoever is woken by each beat of a quiet line keeps
        the processor awake.
        """
        now = draft.now.instant
        shown_at = self._shown_at.get(line.peer)
        if draft.status_changed or (shown_at is not None and now - shown_at < HEARD_SHOWN_MS):
            return
        self._shown_at[line.peer] = now
        draft.effect(ShowHeard(self._peer(line, now), tuple(self._links(line)), draft.now.utc))

    def _pending(self, direction: Direction, now: Instant) -> tuple[PendingNotice, ...]:
        levels = self._ledger.open_records(direction)
        records: Iterable[Record] = islice(
            chain.from_iterable(level.values() for level in levels), PENDING_COUNT_MAX
        )
        if not self._ledger.open_count(direction):
            return ()
        first = self._ledger.first_for_watch() if direction is Direction.IN else None
        if first is not None:
            records = chain([first], (r for r in list(records) if r is not first))
        shown = list(islice(records, PENDING_COUNT_MAX))
        goes_at = forecasts(shown, self._lines, self._orders, now)
        return tuple(
            PendingNotice(
                notice_id=record.notice.id,
                precedence=record.notice.precedence,
                operation=record.notice.operation,
                state=record.state,
                since=record.since,
                displayed=record.displayed,
                overdue=record.overdue,
                born=record.born if record.age_known else None,
                is_check=record.notice.kind is Kind.CHECK,
                far=record.notice.to if direction is Direction.OUT else record.notice.id.originator,
                late=record.late,
                unproven=record.unproven,
                goes_at=goes_at.get(record.notice.id),
            )
            for record in shown
        )

    def _links(self, line: Line) -> list[LinkStatus]:
        links = []
        for lane in line.lanes.values():
            health = lane.health
            links.append(
                LinkStatus(
                    name=lane.name,
                    station=line.peer,
                    state=health.state,
                    device_up=health.device_works,
                    detail=health.traits.detail if health.traits else "",
                    round_trip_ms=health.round_trip_ms,
                    heard_at=health.heard_at,
                    loss=health.loss,
                    queued=len(lane.acts),
                    acknowledged_at=health.acknowledged_at,
                    failed_opens=lane.failed_opens,
                    turned_away=lane.turned_away,
                )
            )
        return links

    def judge_links(self, draft: Draft) -> None:
        """NO LINK: no link of a line has proven itself and none can be hoped for."""
        for line in self._lines.values():
            if line.session.is_revoked:
                changed = self.raise_alarm(
                    AlarmCode.REVOKED,
                    f"the card of {self._name(line.peer)} is revoked: nothing is taken from it and"
                    " nothing goes to it; bring the card of their new station",
                    station=line.peer,
                )
            elif line.is_usable:
                changed = self.clear_alarm(AlarmCode.NO_LINK, station=line.peer)
            else:
                changed = self.raise_alarm(
                    AlarmCode.NO_LINK,
                    f"no link to {self._name(line.peer)} works; check radio, cable and power",
                    station=line.peer,
                )
            draft.status_changed = draft.status_changed or changed

    def judge_devices(self, line: Line, draft: Draft) -> None:
        """DEVICE: all that a driver can do for its device was done in vain."""
        names = [lane.name for lane in line.lanes.values() if lane.health.needs_person]
        if names:
            text = f"link {', '.join(names)} to {self._name(line.peer)}: its device does not work"
            remedy = "see `hotline status`, then check its power, plug and port"
            changed = self.raise_alarm(AlarmCode.DEVICE, f"{text}; {remedy}", station=line.peer)
        else:
            changed = self.clear_alarm(AlarmCode.DEVICE, station=line.peer)
        draft.status_changed = draft.status_changed or changed

    def _name(self, station: Station) -> str:
        return self._names.get(station, f"STATION {station}")
