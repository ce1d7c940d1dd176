"""A store in memory with the contract of the real one, for simulation and tests of the engine.

Plain synchronous methods do the work (`apply`, `recovered`, `crash`), thin coroutines satisfy
`Store`. It can forget commits as a power cut or a lying card does. Deterministic; keeps no file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.core.records import (
    AddLogEntry,
    AddPublication,
    AddStateEntry,
    Direction,
    DropOutlived,
    DropReceipt,
    Durability,
    LogHead,
    Publication,
    PutAct,
    PutAirtime,
    PutBoot,
    PutDelivery,
    PutEpoch,
    PutKeys,
    PutPeer,
    PutReceipted,
    PutSeen,
    PutSubmission,
    Recovered,
    StateEntry,
    StoredAct,
    StoredDelivery,
    Topic,
    Write,
)
from gateway.errors import StoreRefusedError
from gateway.logbook.entry import decode_entry
from gateway.model import ActId, Precedence, Station, UtcTime
from gateway.store import book, bounds
from gateway.store.base import LogRow, StoredNotice

JOURNAL_COUNT_MAX: Final = 1024
"""Commits that a crash can still take back; older ones are final."""


@dataclass(slots=True)
class _Row:
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
class _Commit:
    writes: tuple[Write, ...]
    rows: tuple[LogRow, ...]
    is_full: bool


@dataclass(slots=True)
class _State:
    """What is kept. Writes are values, so a copy of the containers is a copy of the state."""

    rows: dict[ActId, _Row] = field(default_factory=dict)
    history: dict[ActId, list[StateEntry]] = field(default_factory=dict)
    seen: dict[ActId, bytes] = field(default_factory=dict)
    submissions: dict[tuple[str, str], PutSubmission] = field(default_factory=dict)
    epochs: list[tuple[Station, int]] = field(default_factory=list)
    peers: dict[Station, PutPeer] = field(default_factory=dict)
    keys: dict[Station, PutKeys] = field(default_factory=dict)
    publications: dict[int, Publication] = field(default_factory=dict)
    airtime: dict[tuple[str, str, int], PutAirtime] = field(default_factory=dict)
    boots: dict[str, PutBoot] = field(default_factory=dict)
    dropped: dict[tuple[Station, int], int] = field(default_factory=dict)
    """(peer, own epoch): the highest serial of an act that was removed."""
    feed_floor: int = 0
    log: list[LogRow] = field(default_factory=list)

    def copy(self) -> _State:
        return _State(
            rows={
                key: _Row(row.act, row.is_receipted, row.delivery, row.notice_offset)
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
            dropped=dict(self.dropped),
            feed_floor=self.feed_floor,
            log=list(self.log),
        )

    def apply(self, commit: _Commit) -> None:
        for write in commit.writes:
            _APPLY[type(write)](self, write)
        self.log.extend(commit.rows)

    def row(self, act_id: ActId) -> _Row:
        row = self.rows.get(act_id)
        if row is None:
            row = self.rows[act_id] = _Row()
        return row


def _put_act(state: _State, write: PutAct) -> None:
    state.row(write.act.id).act = write.act


def _put_delivery(state: _State, write: PutDelivery) -> None:
    state.row(write.delivery.notice_id).delivery = write.delivery


def _add_state_entry(state: _State, write: AddStateEntry) -> None:
    state.history.setdefault(write.entry.notice_id, []).append(write.entry)


def _put_seen(state: _State, write: PutSeen) -> None:
    # Removed first, so that the newest put decides what is within the bound.
    state.seen.pop(write.id, None)
    state.seen[write.id] = write.sha256


def _put_receipted(state: _State, write: PutReceipted) -> None:
    row = state.rows.get(write.id)
    if row is not None:
        row.is_receipted = True


def _drop_receipt(state: _State, write: DropReceipt) -> None:
    row = state.rows.get(write.id)
    if row is not None:
        row.is_receipted = False


def _put_epoch(state: _State, write: PutEpoch) -> None:
    state.epochs.append((write.peer, write.epoch))


def _put_submission(state: _State, write: PutSubmission) -> None:
    key = (write.principal, write.request_id)
    state.submissions.pop(key, None)
    state.submissions[key] = write


def _put_peer(state: _State, write: PutPeer) -> None:
    state.peers[write.peer] = write


def _put_keys(state: _State, write: PutKeys) -> None:
    state.keys[write.peer] = write


def _add_publication(state: _State, write: AddPublication) -> None:
    publication = write.publication
    assert publication.offset not in state.publications, "an offset is used twice"
    state.publications[publication.offset] = publication
    if publication.topic is Topic.NOTICE:
        state.row(publication.notice_id).notice_offset = publication.offset


def _drop_outlived(state: _State, write: DropOutlived) -> None:
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


def _add_log_entry(state: _State, write: AddLogEntry) -> None:
    """The chained row is made once, in `MemoryStore.apply`, and comes with the commit."""


def _put_airtime(state: _State, write: PutAirtime) -> None:
    state.airtime[(write.link, write.boot_id, write.minute)] = write
    if len(state.airtime) > bounds.AIRTIME_COUNT_MAX:
        del state.airtime[next(iter(state.airtime))]


def _put_boot(state: _State, write: PutBoot) -> None:
    state.boots[write.boot_id] = write
    if len(state.boots) > bounds.BOOT_COUNT_MAX:
        del state.boots[next(iter(state.boots))]


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
}


class MemoryStore:
    """Satisfies `Store`. `apply` and `recovered` are its synchronous core."""

    def __init__(self) -> None:
        self._live = _State()
        # `_base` is the state before the commits of `_journal`.
        self._base = _State()
        self._journal: list[_Commit] = []
        self._cursors: dict[str, int] = {}
        self.is_refusing = False
        """Set it to make every commit fail as on a full disk; `probe` says False meanwhile."""
        self._was_refused = False

    def apply(self, writes: Sequence[Write]) -> LogHead | None:
        """Keep all the writes or, raising `StoreRefusedError`, none. See `Store.commit`."""
        if not writes:
            return None
        if self.is_refusing:
            self._was_refused = True
            raise StoreRefusedError("the simulated disk is full; free some room")
        is_full = any(write.durability is Durability.FULL for write in writes)
        commit = _Commit(tuple(writes), tuple(book.chain(writes, self._head())), is_full)
        self._live.apply(commit)
        self._journal.append(commit)
        if len(self._journal) >= 2 * JOURNAL_COUNT_MAX:
            for old in self._journal[:JOURNAL_COUNT_MAX]:
                self._base.apply(old)
            del self._journal[:JOURNAL_COUNT_MAX]
        return self._head() if is_full else None

    def crash(self, *, keep_normal: bool, lose_last: int = 0) -> int:
        """Power cut. Forgets commits from the end; returns how many.

        `keep_normal` False forgets the NORMAL ones since the last FULL one. `lose_last` more (FULL
        ones too) model a card that lies about its flushes; `JOURNAL_COUNT_MAX` are in reach.
        """
        kept = len(self._journal)
        if not keep_normal:
            while kept and not self._journal[kept - 1].is_full:
                kept -= 1
        kept = max(0, kept - lose_last)
        lost = len(self._journal) - kept
        if lost:
            del self._journal[kept:]
            self._live = self._base.copy()
            for commit in self._journal:
                self._live.apply(commit)
        return lost

    def copy(self) -> MemoryStore:
        """An image of it as it is now: for restored and copied cards."""
        image = MemoryStore()
        image._live = self._live.copy()
        image._base = self._live.copy()
        return image

    def recovered(self) -> Recovered:
        """What a restart finds now. See `Store.recover`."""
        state = self._live
        rows = self._recovered_rows()
        acts = tuple(row.act for row in rows if row.act is not None)
        return Recovered(
            acts=acts,
            deliveries=tuple(row.delivery for row in rows if row.delivery is not None),
            receipted=frozenset(row.act.id for row in rows if row.act and row.is_receipted),
            seen=tuple(state.seen.items())[-bounds.SEEN_COUNT_MAX :],
            epochs=self._epochs(),
            submissions=tuple(state.submissions.values())[-bounds.SUBMISSION_COUNT_MAX :],
            peers=tuple(state.peers[peer] for peer in sorted(state.peers)),
            keys=tuple(state.keys[peer] for peer in sorted(state.keys)),
            next_offset=max(max(state.publications, default=0), state.feed_floor) + 1,
            log_head=self._head(),
            airtime=tuple(state.airtime.values()),
            boots=tuple(state.boots.values()),
            utc_last=self._utc_last(acts),
            store_refused=self._was_refused,
        )

    def _recovered_rows(self) -> list[_Row]:
        rows = self._live.rows
        closed = [act_id for act_id, row in rows.items() if not row.is_open]
        left_out = dict.fromkeys(closed[: -bounds.CLOSED_COUNT_MAX])
        if left_out:
            for row in rows.values():
                if row.delivery is not None and row.delivery.is_open:
                    for answer in row.delivery.answers:
                        left_out.pop(answer, None)
        return [row for act_id, row in rows.items() if act_id not in left_out]

    def _epochs(self) -> tuple[tuple[Station, int, int], ...]:
        highest = dict(self._live.dropped)
        for act_id, row in self._live.rows.items():
            if row.act is not None and row.act.direction is Direction.OUT:
                key = (row.act.to, act_id.epoch)
                highest[key] = max(highest.get(key, 0), act_id.serial)
        return tuple(
            (peer, epoch, highest.get((peer, epoch), 0))
            for peer, epoch in self._live.epochs[-bounds.EPOCH_COUNT_MAX :]
        )

    def _utc_last(self, acts: Sequence[StoredAct]) -> UtcTime | None:
        for row in reversed(self._live.log[-bounds.HISTORY_COUNT_MAX :]):
            utc = decode_entry(row.octets).utc
            if utc is not None:
                return utc
        return next((act.utc for act in reversed(acts) if act.utc is not None), None)

    def _head(self) -> LogHead | None:
        log = self._live.log
        return LogHead(log[-1].number, log[-1].hash) if log else None

    async def recover(self) -> Recovered:
        return self.recovered()

    async def commit(self, writes: Sequence[Write]) -> LogHead | None:
        return self.apply(writes)

    async def probe(self) -> bool:
        if not self.is_refusing:
            self._was_refused = False
        return not self.is_refusing

    async def acts(self, ids: Sequence[ActId]) -> list[StoredAct]:
        rows = (self._live.rows.get(act_id) for act_id in ids)
        return [row.act for row in rows if row is not None and row.act is not None]

    async def notice(self, notice_id: ActId) -> StoredNotice | None:
        row = self._live.rows.get(notice_id)
        return None if row is None else self._stored_notice(row)

    def _stored_notice(self, row: _Row) -> StoredNotice | None:
        if row.act is None or row.delivery is None:
            return None
        rows = self._live.rows
        answers = (rows[answer].act for answer in row.delivery.answers if answer in rows)
        return StoredNotice(
            act=row.act,
            delivery=row.delivery,
            history=tuple(self._live.history.get(row.act.id, ())[-bounds.HISTORY_COUNT_MAX :]),
            answers=tuple(act for act in answers if act is not None),
        )

    async def notices(
        self, direction: Direction, *, open_only: bool = False, limit: int = 100
    ) -> list[StoredNotice]:
        found: list[StoredNotice] = []
        for row in reversed(self._live.rows.values()):
            if len(found) >= min(limit, bounds.LIST_COUNT_MAX):
                break
            delivery = row.delivery
            if delivery is None or delivery.direction is not direction:
                continue
            notice = self._stored_notice(row)
            if notice is not None and (delivery.is_open or not open_only):
                found.append(notice)
        return found

    async def publications(
        self,
        after: int,
        *,
        limit: int = 100,
        topic: Topic | None = None,
        untaken_only: bool = False,
        precedence: Precedence | None = None,
    ) -> list[Publication]:
        found: list[Publication] = []
        for offset in sorted(offset for offset in self._live.publications if offset > after):
            publication = self._live.publications[offset]
            if topic is not None and publication.topic is not topic:
                continue
            if precedence is not None and publication.precedence is not precedence:
                continue
            if untaken_only and not self._is_untaken(publication):
                continue
            found.append(publication)
            if len(found) >= min(limit, bounds.LIST_COUNT_MAX):
                break
        return found

    def _is_untaken(self, publication: Publication) -> bool:
        row = self._live.rows.get(publication.notice_id)
        if row is None or row.notice_offset != publication.offset:
            return False
        return row.delivery is None or not row.delivery.taken

    async def feed_floor(self) -> int:
        return self._live.feed_floor

    async def cursor(self, queue: str) -> int:
        return self._cursors.get(queue, 0)

    async def put_cursor(self, queue: str, offset: int) -> None:
        self._cursors[queue] = offset

    async def log_entries(self, after: int, *, limit: int = 1000) -> list[LogRow]:
        return self._live.log[after : after + min(limit, bounds.LIST_COUNT_MAX)]

    async def signed_head(self) -> bytes | None:
        """Nobody signs."""
        return None

    async def close(self) -> None:
        """Nothing is open."""
