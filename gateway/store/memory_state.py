"""What the store in memory keeps, and what each write changes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.core.records import (
    AddLogEntry,
    AddPublication,
    AddStateEntry,
    AlarmKey,
    Direction,
    DropAlarm,
    DropOutlived,
    DropReceipt,
    Publication,
    PutAct,
    PutAirtime,
    PutAlarm,
    PutBoot,
    PutDelivery,
    PutEpoch,
    PutKeys,
    PutPeer,
    PutReceipted,
    PutSeen,
    PutSubmission,
    StateEntry,
    StoredAct,
    StoredAlarm,
    StoredDelivery,
    Topic,
    Write,
)
from gateway.model import ActId, Station
from gateway.store import bounds
from gateway.store.base import LogRow


@dataclass(slots=True)
class Row:
    """Everything about one act id, as the table `act` of the real store."""

    act: StoredAct | None = None
    is_receipted: bool = False
    delivery: StoredDelivery | None = None
    notice_offset: int | None = None

    @property
    def is_open(self) -> bool:
        if self.delivery is not None and self.delivery.is_open:
            return True
        return (
            self.act is not None and self.act.direction is Direction.OUT and not self.is_receipted
        )


@dataclass(frozen=True, slots=True)
class Commit:
    writes: tuple[Write, ...]
    rows: tuple[LogRow, ...]
    is_full: bool


@dataclass(slots=True)
class State:
    """What is kept. Writes are values, so a copy of the containers is a copy of the state."""

    rows: dict[ActId, Row] = field(default_factory=dict)
    history: dict[ActId, list[StateEntry]] = field(default_factory=dict)
    seen: dict[ActId, bytes] = field(default_factory=dict)
    submissions: dict[tuple[str, str], PutSubmission] = field(default_factory=dict)
    epochs: list[tuple[Station, int]] = field(default_factory=list)
    peers: dict[Station, PutPeer] = field(default_factory=dict)
    keys: dict[Station, PutKeys] = field(default_factory=dict)
    publications: dict[int, Publication] = field(default_factory=dict)
    airtime: dict[tuple[str, str, int], PutAirtime] = field(default_factory=dict)
    boots: dict[str, PutBoot] = field(default_factory=dict)
    alarms: dict[AlarmKey, StoredAlarm] = field(default_factory=dict)
    dropped: dict[tuple[Station, int], int] = field(default_factory=dict)
    """(peer, own epoch): the highest serial of an act that was removed."""
    feed_floor: int = 0
    log: list[LogRow] = field(default_factory=list)

    def copy(self) -> State:
        return State(
            rows={
                key: Row(row.act, row.is_receipted, row.delivery, row.notice_offset)
                for key, row in self.rows.items()
            },
            history={key: list(entries) for key, entries in self.history.items()},
            seen=dict(self.seen),
            submissions=dict(self.submissions),
            epochs=list(self.epochs),
            peers=dict(self.peers),
            keys=dict(self.keys),
            publications=dict(self.publications),
            airtime=dict(self.airtime),
            boots=dict(self.boots),
            alarms=dict(self.alarms),
            dropped=dict(self.dropped),
            feed_floor=self.feed_floor,
            log=list(self.log),
        )

    def apply(self, commit: Commit) -> None:
        for write in commit.writes:
            _APPLY[type(write)](self, write)
        self.log.extend(commit.rows)

    def row(self, act_id: ActId) -> Row:
        row = self.rows.get(act_id)
        if row is None:
            row = self.rows[act_id] = Row()
        return row


def _put_act(state: State, write: PutAct) -> None:
    state.row(write.act.id).act = write.act


def _put_delivery(state: State, write: PutDelivery) -> None:
    state.row(write.delivery.notice_id).delivery = write.delivery


def _add_state_entry(state: State, write: AddStateEntry) -> None:
    state.history.setdefault(write.entry.notice_id, []).append(write.entry)


def _put_seen(state: State, write: PutSeen) -> None:
    # Removed first, so that the newest put decides what is within the bound.
    state.seen.pop(write.id, None)
    state.seen[write.id] = write.sha256


def _put_receipted(state: State, write: PutReceipted) -> None:
    row = state.rows.get(write.id)
    if row is not None:
        row.is_receipted = True


def _drop_receipt(state: State, write: DropReceipt) -> None:
    row = state.rows.get(write.id)
    if row is not None:
        row.is_receipted = False


def _put_epoch(state: State, write: PutEpoch) -> None:
    state.epochs.append((write.peer, write.epoch))


def _put_submission(state: State, write: PutSubmission) -> None:
    key = (write.principal, write.request_id)
    state.submissions.pop(key, None)
    state.submissions[key] = write


def _put_peer(state: State, write: PutPeer) -> None:
    state.peers[write.peer] = write


def _put_keys(state: State, write: PutKeys) -> None:
    state.keys[write.peer] = write


def _add_publication(state: State, write: AddPublication) -> None:
    publication = write.publication
    assert publication.offset not in state.publications, "an offset is used twice"
    state.publications[publication.offset] = publication
    if publication.topic is Topic.NOTICE:
        state.row(publication.notice_id).notice_offset = publication.offset


def _drop_outlived(state: State, write: DropOutlived) -> None:
    for act_id in write.acts:
        row = state.rows.get(act_id)
        if row is None or row.is_open:
            continue
        del state.rows[act_id]
        state.history.pop(act_id, None)
        if row.act is not None and row.act.direction is Direction.OUT:
            key = (row.act.to, act_id.epoch)
            state.dropped[key] = max(state.dropped.get(key, 0), act_id.serial)
    for offset in write.offsets:
        if state.publications.pop(offset, None) is not None:
            state.feed_floor = max(state.feed_floor, offset)


def _add_log_entry(state: State, write: AddLogEntry) -> None:
    """The chained row is made once, in `MemoryStore.apply`, and comes with the commit."""


def _put_airtime(state: State, write: PutAirtime) -> None:
    state.airtime[(write.link, write.boot_id, write.minute)] = write
    if len(state.airtime) > bounds.AIRTIME_COUNT_MAX:
        del state.airtime[next(iter(state.airtime))]


def _put_boot(state: State, write: PutBoot) -> None:
    state.boots[write.boot_id] = write
    if len(state.boots) > bounds.BOOT_COUNT_MAX:
        del state.boots[next(iter(state.boots))]


def _put_alarm(state: State, write: PutAlarm) -> None:
    state.alarms.pop(write.alarm.key, None)
    state.alarms[write.alarm.key] = write.alarm


def _drop_alarm(state: State, write: DropAlarm) -> None:
    state.alarms.pop(write.key, None)


# A table instead of `match`: this is the innermost loop of the simulation.
_APPLY: Final[dict[type, Callable[..., None]]] = {
    PutAct: _put_act,
    PutDelivery: _put_delivery,
    AddStateEntry: _add_state_entry,
    PutSeen: _put_seen,
    PutReceipted: _put_receipted,
    DropReceipt: _drop_receipt,
    PutEpoch: _put_epoch,
    PutSubmission: _put_submission,
    PutPeer: _put_peer,
    PutKeys: _put_keys,
    AddPublication: _add_publication,
    AddLogEntry: _add_log_entry,
    PutAirtime: _put_airtime,
    PutBoot: _put_boot,
    DropOutlived: _drop_outlived,
    PutAlarm: _put_alarm,
    DropAlarm: _drop_alarm,
}
