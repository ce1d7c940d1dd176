"""The store of the active gateway: each commit goes to the other one too, in order.

By lease a FULL commit is done when the cluster has it, so that a notice is accepted, and receipted,
only then; should the lease end before, nothing of it ever left. Promoted by hand, it waits
`PATIENCE_S` once, and then goes on UNREPLICATED until the cluster has everything again.

Where the cluster lost its commits (`core.copying`), it adds one, so that the other can go on. The
place in the stream fences nobody then; by lease the lease alone does, asked before and after.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final, NoReturn

from gateway.core.copying import Begun
from gateway.core.records import (
    Direction,
    Durability,
    LogHead,
    Publication,
    PutAct,
    Recovered,
    StoredAct,
    Topic,
    Write,
)
from gateway.errors import GatewayError, QueueUnavailableError, StoreRefusedError
from gateway.model import ActId, Precedence
from gateway.spare.batch import (
    LEFT_OUT,
    MARK_NAME,
    PLACE_NAME,
    PUBLIC_NAME,
    Batch,
    Parcel,
    encode_parcel,
    kept,
)
from gateway.spare.cluster import SpareCluster
from gateway.store.base import LogRow, StoredNotice
from gateway.store.changes import PutCursor, PutCursorAt, StoreWrite
from gateway.store.sqlite import SqliteStore

PATIENCE_S: Final = 2.0
BACKLOG_COUNT_MAX: Final = 20_000
"""Commits kept for the other gateway; beyond it the oldest are left out, and it needs a base."""
PARCEL_SIZE_MAX: Final = 512 * 1024
PARCEL_COUNT_MAX: Final = 256
AGAIN_S: Final = 0.5
TEND_S: Final = 2.0
"""Between two looks whether the cluster still has commits of ours."""
ALONE_COUNT_MAX: Final = 256
"""Acts that are told of when the cluster goes away; `PATIENCE_S` lets no more than a few in."""

Told = Callable[[str, tuple[ActId, ...]], None]


class OvertakenError(GatewayError):
    """The other gateway has begun to write: this one must not go on."""


class Place:
    """Where a store stands in the row of commits."""

    def __init__(self, number: int = 0, mark: int = 0, place: int = 0) -> None:
        self.number = number
        self.mark = mark
        self.place = place
        """In the stream: a message at or before the one that has `number`."""

    def cursors(self, head: LogHead | None = None) -> tuple[StoreWrite, ...]:
        """With a log book that has another head, no commit goes on from here: none has mark 0."""
        mark = PutCursor(MARK_NAME, self.mark)
        return (
            PutCursor(PUBLIC_NAME, self.number),
            mark if head is None else PutCursorAt(mark.queue, mark.offset, head),
            PutCursor(PLACE_NAME, self.place),
        )

    @classmethod
    async def of(cls, store: SqliteStore) -> Place:
        return cls(
            await store.cursor(PUBLIC_NAME),
            await store.cursor(MARK_NAME),
            await store.cursor(PLACE_NAME),
        )


class CopyingStore:
    """Satisfies `Store` over the `SqliteStore` of this gateway."""

    def __init__(
        self,
        store: SqliteStore,
        *,
        place: Place,
        mark: int,
        next_number: int,
        cluster: Callable[[], SpareCluster | None],
        name: str,
        may_go_alone: Callable[[], bool],
        is_holder: Callable[[], bool],
        told: Told,
    ) -> None:
        """`place.place` is where the stream ends; `told` gets why the cluster lacks something,
        with the acts that it lacks so far, and an empty text when it has everything. `is_holder`:
        the claim is this gateway's, `name`, at this instant.
        """
        self._name = name
        self._is_holder = is_holder
        self._store = store
        self._place = place
        self._mark = mark
        self._next_number = next_number
        self._cluster = cluster
        self._may_go_alone = may_go_alone
        self._told = told
        self._backlog: deque[Batch] = deque()
        self._filled = asyncio.Event()
        self._sent_number = next_number - 1
        self._sent = asyncio.Event()
        self.problem = ""
        """Why the cluster lacks something that was accepted here; empty: it has everything."""
        self.waiting_count = 0
        """Acts, ours and the far side's, that the cluster does not have."""

    @property
    def place(self) -> Place:
        return self._place

    async def commit(self, writes: Sequence[Write]) -> LogHead | None:
        handed_on = kept(writes)
        if not handed_on:
            return await self._store.commit(writes)
        left_out = tuple(write for write in writes if isinstance(write, LEFT_OUT))
        return await self._commit(handed_on, left_out)

    async def put_cursor(self, queue: str, offset: int) -> None:
        await self._commit((PutCursor(queue, offset),), ())

    async def _commit(
        self, writes: Sequence[StoreWrite], left_out: Sequence[StoreWrite]
    ) -> LogHead | None:
        number = self._next_number
        self._next_number += 1
        here = Place(number, self._mark, self._place.place)
        head = await self._store.commit_all((*writes, *left_out, *here.cursors()))
        batch = Batch(number, self._place.number, self._place.mark, tuple(writes), head)
        self._place.number, self._place.mark = number, self._mark
        if len(self._backlog) >= BACKLOG_COUNT_MAX:
            self._backlog.popleft()
        self._backlog.append(batch)
        self.waiting_count += _act_count(batch)
        self._filled.set()
        if any(write.durability is Durability.FULL for write in writes):
            await self._until_sent(number)
        return head

    async def _until_sent(self, number: int) -> None:
        waited_s = 0.0
        while self._sent_number < number:
            if self._may_go_alone():
                if self.problem:
                    return
                if waited_s >= PATIENCE_S:
                    self._tell("the cluster did not take it in time")
                    return
            sent = self._sent
            try:
                async with asyncio.timeout(AGAIN_S):
                    await sent.wait()
            except TimeoutError:
                waited_s += AGAIN_S

    async def drained(self) -> None:
        """Return when the cluster has everything that was committed."""
        while self._backlog:
            await self._sent.wait()

    async def run(self) -> NoReturn:
        """Hand on what is committed. By lease, raises `OvertakenError`; by hand it goes on."""
        while True:
            while not self._backlog:
                self._filled.clear()
                await self._filled.wait()
            cluster = self._cluster()
            if cluster is None:
                await asyncio.sleep(AGAIN_S / 5)
                continue
            try:
                await self._send(cluster)
            except QueueUnavailableError as error:
                if self.problem:
                    self._tell(str(error))
                await asyncio.sleep(AGAIN_S / 5)

    async def _send(self, cluster: SpareCluster) -> None:
        batches: list[Batch] = []
        size = 0
        for batch in self._backlog:
            size += len(encode_parcel(Parcel(self._mark, (batch,))))
            if batches and (size > PARCEL_SIZE_MAX or len(batches) >= PARCEL_COUNT_MAX):
                break
            batches.append(batch)
        place = await cluster.append(Parcel(self._mark, tuple(batches)), after=self._place.place)
        if place is None:
            await self._look(cluster)
            return
        if self._place.place == 0:
            self._demand_claim()
        self._place.place = place
        self._have_sent(batches[-1].number)

    async def _look(self, cluster: SpareCluster) -> None:
        """Something is there that we did not count on: an own parcel whose acknowledgement was
        lost, or the other gateway's.
        """
        last = await cluster.last()
        if last is None:
            self._demand_claim()
            self._place.place = 0
            return
        place, parcel = last
        if parcel.mark == self._mark:
            self._have_sent(parcel.batches[-1].number)
        elif not self._may_go_alone():
            raise OvertakenError("the other gateway of this station is the active one")
        self._place.place = place

    def _demand_claim(self) -> None:
        """By lease: nobody else has begun until now."""
        if not self._may_go_alone() and not self._is_holder():
            raise OvertakenError("the lease ended while the cluster had no commits of this station")

    async def tend(self) -> NoReturn:
        """See that the cluster has a commit of ours, and knows who began. Raises as `run`."""
        while True:
            await asyncio.sleep(TEND_S)
            cluster = self._cluster()
            if cluster is None:
                continue
            # The place of the last commit stays until the next one, however long that takes.
            with suppress(QueueUnavailableError, StoreRefusedError):
                await self._say_begun(cluster)
                if await cluster.last() is None:
                    await cluster.prepare()
                    if not self._backlog:
                        await self._commit((), ())

    async def _say_begun(self, cluster: SpareCluster) -> None:
        begun, revision = await cluster.begun()
        if begun is not None and begun.mark == self._mark:
            return
        if begun is not None and not self._may_go_alone():
            if begun.name == self._name:  # an earlier time of ours: this one began alone
                raise OvertakenError("this gateway holds the claim no more")
            raise OvertakenError(f"gateway {begun.name} has begun after this one")
        await cluster.put_begun(Begun(self._name, self._place.number, self._mark), revision)

    def _have_sent(self, number: int) -> None:
        while self._backlog and self._backlog[0].number <= number:
            self.waiting_count -= _act_count(self._backlog.popleft())
        # Lower than it was where the cluster lost what it had acknowledged; who waited for that has
        # gone on.
        self._sent_number = number
        self._sent.set()
        self._sent = asyncio.Event()
        if not self._backlog:
            self.waiting_count = 0  # what the bound left out goes with the base
            self._tell("")

    def _tell(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            self._told(problem, self._alone() if problem else ())

    def _alone(self) -> tuple[ActId, ...]:
        """The acts of the backlog, oldest first, `ALONE_COUNT_MAX` at most."""
        found = (
            write.act.id
            for batch in self._backlog
            for write in batch.writes
            if isinstance(write, PutAct)
        )
        return tuple(islice(found, ALONE_COUNT_MAX))

    # The rest is the store's.

    async def recover(self) -> Recovered:
        return await self._store.recover()

    async def probe(self) -> bool:
        return await self._store.probe()

    async def notice(self, notice_id: ActId) -> StoredNotice | None:
        return await self._store.notice(notice_id)

    async def acts(self, ids: Sequence[ActId]) -> list[StoredAct]:
        return await self._store.acts(ids)

    async def notices(
        self, direction: Direction, *, open_only: bool = False, limit: int = 100
    ) -> list[StoredNotice]:
        return await self._store.notices(direction, open_only=open_only, limit=limit)

    async def publications(
        self,
        after: int,
        *,
        limit: int = 100,
        topic: Topic | None = None,
        untaken_only: bool = False,
        precedence: Precedence | None = None,
    ) -> list[Publication]:
        return await self._store.publications(
            after, limit=limit, topic=topic, untaken_only=untaken_only, precedence=precedence
        )

    async def feed_floor(self) -> int:
        return await self._store.feed_floor()

    async def cursor(self, queue: str) -> int:
        return await self._store.cursor(queue)

    async def log_entries(self, after: int, *, limit: int = 1000) -> list[LogRow]:
        return await self._store.log_entries(after, limit=limit)

    async def signed_head(self) -> bytes | None:
        return await self._store.signed_head()

    async def close(self) -> None:
        await self._store.close()


def _act_count(batch: Batch) -> int:
    return sum(isinstance(write, PutAct) for write in batch.writes)
