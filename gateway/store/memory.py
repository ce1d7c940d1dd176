"""A store in memory with the contract of the real one, for simulation and tests of the engine.

Plain synchronous methods do the work (`apply`, `recovered`, `crash`), thin coroutines satisfy
`Store`. It can forget commits as a power cut or a lying card does. Deterministic; keeps no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.core.records import (
    Direction,
    Durability,
    LogHead,
    Publication,
    Recovered,
    StoredAct,
    Topic,
    Write,
)
from gateway.errors import StoreRefusedError
from gateway.logbook.entry import decode_entry
from gateway.model import ActId, Precedence, Station, UtcTime
from gateway.store import book, bounds
from gateway.store.base import LogRow, StoredNotice
from gateway.store.memory_state import Commit, Row, State

JOURNAL_COUNT_MAX: Final = 1024
"""Commits that a crash can still take back; older ones are final."""


class MemoryStore:
    """Satisfies `Store`. `apply` and `recovered` are its synchronous core."""

    def __init__(self) -> None:
        self._live = State()
        # `_base` is the state before the commits of `_journal`.
        self._base = State()
        self._journal: list[Commit] = []
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
        commit = Commit(tuple(writes), tuple(book.chain(writes, self._head())), is_full)
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
            alarms=tuple(state.alarms.values()),
            utc_last=self._utc_last(acts),
            store_refused=self._was_refused,
        )

    def _recovered_rows(self) -> list[Row]:
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
        return self.acts_now(ids)

    def acts_now(self, ids: Sequence[ActId]) -> list[StoredAct]:
        """`acts` for the simulation, which has no loop."""
        rows = (self._live.rows.get(act_id) for act_id in ids)
        return [row.act for row in rows if row is not None and row.act is not None]

    async def notice(self, notice_id: ActId) -> StoredNotice | None:
        row = self._live.rows.get(notice_id)
        return None if row is None else self._stored_notice(row)

    def _stored_notice(self, row: Row) -> StoredNotice | None:
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
