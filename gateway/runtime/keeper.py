"""Keeps this gateway's side of the claim, for as long as the daemon runs.

Owns the connection to the cluster, the memory of a person's word (`spare.json`) and the clock of
`core.tenure`, which decides. What follows from being the active one is the daemon's.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from gateway.core.claim import Copy, Hold, Memory, Obstacle, Put, Wish
from gateway.core.effects import Level
from gateway.core.partner import LOOK_MS, REPORT_MS, Partner, Report
from gateway.core.takeover import Start, Takeover
from gateway.core.tenure import Tenure
from gateway.errors import DecodeError, QueueUnavailableError
from gateway.model import Instant
from gateway.queues.base import first_error
from gateway.queues.nats_connection import Access, NatsConnection, RightDeniedError, ServerRing
from gateway.runtime.apart import apart
from gateway.runtime.role_file import forget, remember, remembered
from gateway.spare.cluster import SpareCluster
from gateway.spare.twin import Twin
from gateway.store.folder import folder_error

TICK_S: Final = 1.0
"""The longest between two looks at the clock; a transmission looks for itself."""
AGAIN_S: Final = 0.5
"""Between two connections."""
TELL_MS: Final = 60_000
FIRST_S: Final = 3.0
"""A person who is faster than the first connection of a start waits for it this long."""
RUN_SIZE: Final = 8
REPORT_SIZE_MAX: Final = 300
"""Letters of the problem that a report tells."""

Observe = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Engine:
    """That of the active one."""

    is_well: Callable[[], bool]
    """Asked before each renewal."""
    refused_ms: Callable[[], int]
    """For how long its store refuses; 0: it does not."""
    told: Callable[[str], None]
    """Gets why the other gateway could not take over, and an empty text when it could again."""


class Keeper:
    """One gateway of a station that has two."""

    def __init__(
        self,
        *,
        name: str,
        by_lease: bool,
        lease_s: int,
        folder: Path,
        access: Access | None,
        twin: Twin,
        instant: Callable[[], Instant],
        observe: Observe,
    ) -> None:
        """`access` None: there is no cluster, and persons alone decide. `folder` is the state's.
        `twin` is what the other one is told.
        """
        self.name = name
        self._folder = folder
        self._access = access
        self._twin = twin
        self._instant = instant
        self._observe = observe
        self._saved = remembered(folder, name)
        self._save_problem = ""
        self._engine: Engine | None = None
        self._partner = Partner(name, instant())
        self._partner_problem = ""
        self._report = Report(name, Copy.UNSEEN)
        self._is_news = asyncio.Event()
        """Of the report."""
        self.tenure = Tenure(
            name=name,
            run=os.urandom(RUN_SIZE).hex(),
            memory=self._saved,
            now=instant(),
            by_lease=by_lease,
            lease_ms=1000 * lease_s,
        )
        self.cluster: SpareCluster | None = None
        """While there is a connection."""
        self.problem = "" if access is not None else "this station has no [nats]"
        """Why there is none."""
        self._told = ("", instant())
        """Why there was none when the log was told last, and when."""
        self._refused = ""
        """Why the cluster did not take the last claim of ours."""
        self._wish: Wish | None = None
        self._saving = asyncio.Lock()
        self._poked = asyncio.Event()
        self._changed = asyncio.Event()
        self._seen = (self.tenure.number, False)

    # What the daemon asks.

    def now(self) -> Instant:
        return self._instant()

    def may_transmit(self, number: int) -> bool:
        """Whether the gateway that became the active one as `number` still is."""
        tenure = self.tenure
        if tenure.number != number or not tenure.may_transmit(self._instant()):
            return False
        return tenure.hold is not Hold.HAND or self._saved.by_hand

    @property
    def silence(self) -> str:
        """Why one that holds the claim may not transmit yet."""
        if self._save_problem:
            return f"that it is the active one cannot be remembered: {self._save_problem}"
        return "the lease of the other gateway may be good still"

    @property
    def doubt(self) -> str:
        """Why the other gateway could not take over from this one now; empty: it could."""
        if self.cluster is None:
            return f"it cannot be seen ({self.problem or 'connecting'})"
        return self._partner.doubt(self._instant())

    @property
    def refusal(self) -> str:
        """Why a person's promotion waits, or is void."""
        other = self.tenure.other
        if other is not None and other.hold is Hold.HAND and self.tenure.promotion.wish is None:
            return f"gateway {other.name} was promoted meanwhile"
        if self.cluster is None and self.problem:
            return self.problem
        return self._refused or "the cluster has not taken it"

    async def changed(self, *, within_s: float) -> None:
        """Return when the role has changed, or after `within_s`."""
        changed = self._changed
        try:
            async with asyncio.timeout(within_s):
                await changed.wait()
        except TimeoutError:
            return

    # What a person says.

    async def promote(self, *, other_is_off: bool) -> Obstacle | None:
        """Look the claim up, where there is a cluster, and then as `Tenure.promote`."""
        if self.cluster is None and not self.problem:
            await self.changed(within_s=FIRST_S)  # the first connection is under way
        if self.cluster is None:
            self.tenure.unanswered()
        else:
            try:
                claim, revision = await self.cluster.claim()
                self.tenure.read(claim, revision, self._instant())
            except QueueUnavailableError:
                self.tenure.unanswered()
        obstacle = await self._refusal()
        if obstacle is None:
            obstacle = self.tenure.promote(other_is_off=other_is_off, now=self._instant())
        await self._settle()
        self._poked.set()
        return obstacle

    async def _refusal(self) -> Obstacle | None:
        """Why a person's word cannot be remembered: one that a restart forgets is none."""
        async with self._saving:
            try:
                await asyncio.to_thread(remember, self._folder, self.name, self._saved)
            except OSError as error:
                text = f"that cannot be remembered: {folder_error(self._folder, error)}"
                return Obstacle(text, "then promote it again, or promote the other gateway")
        return None

    async def stand_by(self) -> None:
        self.tenure.stand_by(self._instant())
        self._wish = None
        await self._settle()
        self._poked.set()

    # What the daemon says.

    def watch(self, engine: Engine | None) -> None:
        """The engine that serves from now on; None: there is none."""
        self._engine = engine
        self._partner = Partner(self.name, self._instant())
        self._partner_problem = ""

    def set_copy(self, copy: Copy, problem: str) -> None:
        """As `Tenure.set_copy`; `problem` is what the other one is told."""
        report = Report(self.name, copy, problem[:REPORT_SIZE_MAX])
        if report.is_in_step != self._report.is_in_step:
            self._is_news.set()
        self._report = report
        deadline = self.tenure.next_deadline(self._instant())
        self.tenure.set_copy(copy, self._instant())
        if self.tenure.next_deadline(self._instant()) != deadline:
            self._poked.set()

    async def takeover(self, copy: Copy) -> Takeover:
        """As `Tenure.takeover`."""
        takeover = self.tenure.takeover(copy, self._instant())
        if takeover.start is Start.LEAVE:
            await self._settle()
            self._poked.set()
        return takeover

    async def give_way(self) -> None:
        """As `Tenure.give_way`."""
        self.tenure.give_way(self._instant())
        await self._settle()
        self._poked.set()

    async def leave(self) -> None:
        """As `Tenure.leave`."""
        self.tenure.leave(self._instant())
        await self._settle()
        self._poked.set()

    # The work.

    async def run(self) -> NoReturn:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_time())
            if self._access is not None:
                group.create_task(self._keep_connected(self._access))
        raise AssertionError("the keeper ended without an error")

    async def _keep_time(self) -> NoReturn:
        while True:
            self.tenure.pass_time(self._instant())
            self._judge_partner()
            await self._settle()
            await asyncio.sleep(self._wait_s())

    def _wait_s(self) -> float:
        now = self._instant()
        wait_s = (self.tenure.next_deadline(now) - now) / 1000
        return min(max(wait_s, 0.05), TICK_S)

    async def _keep_connected(self, access: Access) -> NoReturn:
        ring = ServerRing(access)
        while True:
            connection = NatsConnection(
                access, ring, name=f"hotline-spare-{access.station}-{self.name}"
            )
            outages: list[BaseException] = []
            try:
                await connection.open()
                cluster = SpareCluster(connection, access.station)
                await cluster.prepare()
                self.cluster, self.problem = cluster, ""
                self._tell_changed()
                await apart(self._serve(connection, cluster))
            except* (QueueUnavailableError, DecodeError) as group_of_outages:
                outages += group_of_outages.exceptions
            finally:
                self.cluster = None
                await connection.close()
            self._note_outage(first_error(outages))
            await asyncio.sleep(AGAIN_S)

    async def _serve(self, connection: NatsConnection, cluster: SpareCluster) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(connection.watch())
            group.create_task(self._follow_orders(cluster))
            group.create_task(self._tell_twin(cluster))
            group.create_task(self._keep_informed(cluster))

    def _note_outage(self, error: BaseException) -> None:
        """One that comes again and again is told once in a while."""
        self.problem, now = str(error), self._instant()
        problem = error.problem if isinstance(error, QueueUnavailableError) else self.problem
        if problem != self._told[0] or now >= self._told[1] + TELL_MS:
            self._told = (problem, now)
            self._observe(Level.WARNING, "cluster_away", reason=self.problem)

    async def _tell_twin(self, cluster: SpareCluster) -> None:
        """For `hotline doctor` on both machines; a gateway works without it too."""
        try:
            await cluster.put_twin(self._twin)
        except QueueUnavailableError as error:
            self._observe(Level.WARNING, "twin_not_told", problem=str(error))

    async def _keep_informed(self, cluster: SpareCluster) -> NoReturn:
        """Standing by, report; active, look for the other one's reports."""
        self._partner.lost_sight()
        while True:
            wait_ms = LOOK_MS
            if self._engine is None:
                wait_ms = REPORT_MS
                self._is_news.clear()
                await cluster.put_report(self._report)
            else:
                self._partner.heard(*await cluster.report(), self._instant())
            try:
                async with asyncio.timeout(wait_ms / 1000):
                    await self._is_news.wait()
                await asyncio.sleep(AGAIN_S)
            except TimeoutError:
                pass

    def _judge_partner(self) -> None:
        engine, now = self._engine, self._instant()
        if engine is None or self._access is None:
            return
        problem = self._partner.problem(now)
        if problem != self._partner_problem:
            self._partner_problem = problem
            engine.told(problem)
        if self.tenure.hold is Hold.LEASE and self._partner.gives_way(engine.refused_ms(), now):
            self._observe(Level.ERROR, "gives_way", reason="the store refuses")
            self.tenure.give_way(now)
            self._poked.set()

    async def _follow_orders(self, cluster: SpareCluster) -> NoReturn:
        self.tenure.refused(self._instant())  # whatever was known is old: look first
        while True:
            self.tenure.set_well(self._engine is None or self._engine.is_well())
            order = self.tenure.order(self._instant())
            if order is None:
                self._poked.clear()
                try:
                    async with asyncio.timeout(self._wait_s()):
                        await self._poked.wait()
                except TimeoutError:
                    pass
                continue
            if isinstance(order, Put):
                await self._settle()
                if order.claim.hold is Hold.HAND and not self._saved.is_wanted:
                    continue  # a word that a restart forgets is none; the next order comes soon
                await self._ask(cluster, order)
            else:
                claim, revision = await cluster.claim()
                self.tenure.read(claim, revision, self._instant())
            await self._settle()

    async def _ask(self, cluster: SpareCluster, order: Put) -> None:
        asked_at = self._instant()
        try:
            revision = await cluster.put_claim(order.claim, order.revision)
        except RightDeniedError as error:
            # This connection is good for all else, and another one would be no better.
            self._note_refusal(error)
            self.tenure.unanswered()
            return
        except QueueUnavailableError as error:
            self._note_refusal(error)
            raise
        self._refused = ""
        if revision is None:
            self.tenure.refused(self._instant())
            return
        self.tenure.put(order, revision, asked_at=asked_at, now=self._instant())
        if order.claim.hold is Hold.NONE:
            self._observe(Level.WARNING, "claim_given_back", term=str(order.claim.term))

    def _note_refusal(self, error: QueueUnavailableError) -> None:
        if error.problem != self._refused:
            self._refused = error.problem
            self._observe(Level.WARNING, "claim_not_taken", reason=str(error))

    async def _settle(self) -> None:
        """Keep what must be remembered, then let the daemon look."""
        async with self._saving:
            memory = self.tenure.memory(self._instant())
            if memory != self._saved:
                await self._save(memory)
        wish = self.tenure.promotion.wish
        if self._wish is not None and wish is None and self.tenure.hold is not Hold.HAND:
            self._observe(Level.ERROR, "promotion_void", reason=self.refusal)
        self._wish = wish
        seen = (self.tenure.number, self.may_transmit(self.tenure.number))
        if seen != self._seen:
            self._seen = seen
            self._tell_changed()

    async def _save(self, memory: Memory) -> None:
        """Where the disk does not take it, again at the next look: who holds the lease goes on, and
        one that was promoted by hand transmits nothing before it is kept (`may_transmit`).
        """
        problem = ""
        try:
            await asyncio.to_thread(remember, self._folder, self.name, memory)
            self._saved = memory
        except OSError as error:
            problem = str(folder_error(self._folder, error))
            if self._saved.is_wanted and not memory.is_wanted:
                # Else a restart would make it the active one against a person's word. A file can
                # be deleted on a full disk too.
                with suppress(OSError):
                    await asyncio.to_thread(forget, self._folder)
                    self._saved = Memory()
        if problem and problem != self._save_problem:
            self._observe(Level.ERROR, "role_not_remembered", reason=problem)
        self._save_problem = problem

    def _tell_changed(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
