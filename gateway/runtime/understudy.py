"""The gateway that stands by: follows the active one, and takes over when the claim is its own.

It has no engine and opens no device, so nothing of it can transmit. Taking over means: have all
that the cluster has, append to it so that the other can no more, and start the engine anew, with a
new epoch and incarnation, as after any restart.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from gateway.core.claim import Copy, Hold
from gateway.core.copying import Begun, Rebasing
from gateway.core.effects import Alarm, Level
from gateway.core.takeover import Start
from gateway.errors import (
    DecodeError,
    GatewayError,
    QueueUnavailableError,
    StoreRefusedError,
)
from gateway.runtime.keeper import Keeper, Observe
from gateway.runtime.standby_words import refused_alarm, waiting_alarm
from gateway.spare import base
from gateway.spare.batch import Batch, Parcel
from gateway.spare.copying_store import CopyingStore, Place, Told
from gateway.spare.follower import Follower
from gateway.store.backup import newer_copy
from gateway.store.folder import folder_error
from gateway.store.sqlite import SqliteStore

FOLLOW_S: Final = 0.25
"""Between two looks for new commits: what a takeover has to catch up is at most of this long."""
BASE_S: Final = 2.0
BASE_AGAIN_S: Final = 30.0
"""After one that could not be sent: each costs a copy of the database on the disk."""
PROBE_S: Final = 2.0
"""How often a store that refused is asked whether it can write again."""
DRAIN_S: Final = 0.5
MARK_SIZE: Final = 6
CANNOT_WRITE: Final = (
    "the disk of the state folder was full or read-only when it was opened; free some room, or"
    " check the card"
)
OTHER_WRITES: Final = "the other gateway still writes to the cluster"
BASE_NAME: Final = "spare-base.received"
EMPTIED: Final = (
    "the cluster has no commits of this station any more; the active gateway adds one within"
    " seconds. If none is active, promote the one that was the last (hotline promote)"
)


@dataclass(frozen=True, slots=True)
class Turn:
    """This gateway is the active one from now on, as number `number` of its claims."""

    number: int
    place: Place
    """Where the stream ends, and which commit the store holds."""
    mark: int
    next_number: int
    is_behind: bool
    """Promoted by hand without all that the other one may have said."""


class PromotedError(Exception):
    """Ends the time of standing by."""

    def __init__(self, turn: Turn) -> None:
        super().__init__("promoted")
        self.turn = turn


class RebasedError(Exception):
    """The store must be replaced by the active gateway's, which lies at `path`."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path = path


class SteppedDownError(GatewayError):
    """Another gateway of the station is the active one, or none for now."""


class Understudy:
    """Follows with one open store."""

    def __init__(
        self,
        keeper: Keeper,
        store: SqliteStore,
        folder: Path,
        observe: Observe,
        rebasing: Rebasing,
        *,
        is_refused: bool,
    ) -> None:
        """`is_refused`: the disk had no room when the store was opened."""
        self._keeper = keeper
        self._store = store
        self._folder = folder
        self._observe = observe
        self._rebasing = rebasing
        self._follower = Follower(store, Place(), keeper.name)
        self._copy = Copy.UNSEEN
        self._asked_at: int | None = None
        """Where in the stream our request for a base is."""
        self._newer = ("", 0)
        """Why the last base was of no use, and whose that was, by the mark of the commits."""
        self._refusal = CANNOT_WRITE if is_refused else ""
        """Why the store cannot be written; empty: it can."""
        self._probe_at = 0.0
        self._show: Callable[[Alarm | None], None]
        self.problem = "the cluster was not seen yet"
        """Why this store lacks something, or, with the claim, why it is not the active one yet;
        empty: it has all that the cluster has.
        """

    async def run(self, show: Callable[[Alarm | None], None]) -> NoReturn:
        """Follow until promoted. Raises `PromotedError` or `RebasedError`, and `StoreFailedError`;
        a store that refuses is shown, and asked again.
        """
        self._show = show
        self._show(refused_alarm(self._refusal))
        self._follower = Follower(self._store, await Place.of(self._store), self._keeper.name)
        while True:
            if self._keeper.tenure.hold is not Hold.NONE:
                await self._take_over(self._keeper.tenure.number)
            await self._follow()
            await self._keeper.changed(within_s=FOLLOW_S)

    async def _follow(self) -> None:
        cluster, keeper = self._keeper.cluster, self._keeper
        if cluster is None:
            self._set(Copy.UNSEEN, f"no cluster: {keeper.problem}")
            return
        if not await self._can_write():
            return
        try:
            copy = await self._follower.catch_up(cluster)
            reason, mark = self._newer
            if copy is Copy.OTHER and reason and mark == self._follower.newest_mark:
                self._set(copy, reason)  # until that one is started anew, with our version maybe
                return
            self._set(copy, EMPTIED if copy is Copy.EMPTIED else self._follower.problem)
            if copy is Copy.OTHER:
                await self._look_for_base()
            elif copy is Copy.WHOLE:
                self._rebasing.in_step(keeper.now())
        except QueueUnavailableError as error:
            self._set(Copy.UNSEEN, str(error))
        except StoreRefusedError as error:
            self._refuse(error)

    def _refuse(self, error: StoreRefusedError) -> None:
        self._refusal = str(error)
        self._show(refused_alarm(self._refusal))
        self._set(Copy.UNSEEN, self._refusal)

    async def _can_write(self) -> bool:
        """Whether the store takes commits, as far as is known; asks one that refused."""
        if not self._refusal:
            return True
        now = asyncio.get_running_loop().time()
        if now >= self._probe_at:
            self._probe_at = now + PROBE_S
            if await self._store.probe():
                self._refusal = ""
                self._show(None)
                return True
        self._set(Copy.UNSEEN, self._refusal)
        return False

    def _set(self, copy: Copy, problem: str) -> None:
        if copy is not self._copy or problem != self.problem:
            level = Level.WARNING if problem else Level.INFO
            self._observe(level, "standby", copy=copy.value, problem=problem)
        self._copy, self.problem = copy, problem
        self._keeper.set_copy(copy, problem)

    async def _look_for_base(self) -> None:
        cluster = self._keeper.cluster
        assert cluster is not None
        if self._asked_at is None:
            if not self._rebasing.is_due(self._keeper.now()):
                return
            self._asked_at = await base.ask(cluster)
            self._rebasing.asked(self._keeper.now())
        path = self._folder / BASE_NAME
        try:
            is_whole = await base.receive(cluster, path, after=self._asked_at)
        except DecodeError as error:
            self._observe(Level.ERROR, "base_damaged", problem=str(error))
            self._asked_at = None
            return
        except OSError as error:
            raise folder_error(self._folder, error) from error
        if not is_whole:
            return
        if problem := await asyncio.to_thread(newer_copy, path):
            self._newer, self._asked_at = (problem, self._follower.newest_mark), None
            path.unlink(missing_ok=True)
            return
        raise RebasedError(path, self._follower.problem)

    # Taking over.

    async def _take_over(self, number: int) -> None:
        """Raises `PromotedError`; returns when the claim went, or may not be used."""
        keeper = self._keeper
        mark = int.from_bytes(os.urandom(MARK_SIZE), "big")
        turn: Turn | str = ""
        while keeper.tenure.number == number:
            if isinstance(turn, str):
                turn = await self._prepare(number, mark)
            if isinstance(turn, Turn) and keeper.may_transmit(number):
                raise PromotedError(turn)
            if keeper.tenure.number == number:
                self._wait(turn if isinstance(turn, str) else keeper.silence)
            await keeper.changed(within_s=FOLLOW_S)
        self._show(refused_alarm(self._refusal))

    def _wait(self, reason: str) -> None:
        """The station is silent meanwhile: people are told why."""
        if reason != self.problem:
            self._observe(Level.WARNING, "takes_over_later", reason=reason)
        self.problem = reason
        self._show(refused_alarm(self._refusal) or waiting_alarm(reason))

    async def _prepare(self, number: int, mark: int) -> Turn | str:
        """What it is the active one with, or why it is not yet."""
        copy, cluster, keeper = Copy.UNSEEN, self._keeper.cluster, self._keeper
        problem = f"no cluster: {keeper.problem}"
        if not await self._can_write():
            await keeper.give_way()
            return self._refusal
        try:
            if cluster is not None:
                copy = await self._follower.catch_up(cluster)
                problem = OTHER_WRITES
            takeover = await keeper.takeover(copy)
            if takeover.start is Start.APPEND:
                return await self._append(number, mark, is_behind=takeover.is_behind)
        except QueueUnavailableError as error:
            problem = str(error)
            takeover = await keeper.takeover(Copy.UNSEEN)
        except StoreRefusedError as error:
            self._refuse(error)
            await keeper.give_way()
            return self._refusal
        if takeover.start is not Start.ALONE:
            return problem
        place = self._follower.place
        return Turn(number, place, mark, place.number + 1, is_behind=takeover.is_behind)

    async def _append(self, number: int, mark: int, *, is_behind: bool) -> Turn | str:
        """Write a commit without content where the follower saw the stream end: what came there
        since is taken over first, and who has not seen this commit can append nothing more.
        """
        cluster, follower = self._keeper.cluster, self._follower
        if cluster is None:
            return f"no cluster: {self._keeper.problem}"
        place = follower.place
        _, revision = await cluster.begun()
        commit = max(place.number, follower.newest) + 1
        batch = Batch(commit, place.number, place.mark, ())
        here = await cluster.append(Parcel(mark, (batch,)), after=follower.end)
        if here is None:
            return OTHER_WRITES
        place = Place(commit, mark, here)
        await self._store.commit_all(place.cursors())
        if not await cluster.put_begun(Begun(self._keeper.name, commit, mark), revision):
            return OTHER_WRITES
        return Turn(number, place, mark, commit + 1, is_behind=is_behind)


def copying(keeper: Keeper, store: SqliteStore, turn: Turn, told: Told) -> CopyingStore:
    """The store of the active gateway."""
    return CopyingStore(
        store,
        place=turn.place,
        mark=turn.mark,
        next_number=turn.next_number,
        cluster=lambda: keeper.cluster,
        name=keeper.name,
        may_go_alone=lambda: keeper.tenure.hold is Hold.HAND,
        is_holder=lambda: keeper.may_transmit(turn.number),
        told=told,
    )


async def leave_when_fenced(keeper: Keeper, copied: CopyingStore, number: int) -> NoReturn:
    """Raises `SteppedDownError` when this gateway is not the active one any more.

    What is committed and not handed on yet has a moment for that, and spares the other way: a
    whole base. Nothing is transmitted meanwhile.
    """
    while keeper.may_transmit(number):
        await keeper.changed(within_s=1.0)
    if keeper.cluster is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await copied.drained()
    raise SteppedDownError("this gateway is not the active one of its station any more")


async def serve_bases(keeper: Keeper, folder: Path, observe: Observe) -> NoReturn:
    """Send the whole store to the other gateway when it asks for it."""
    problem = ""
    while True:
        cluster = keeper.cluster
        if cluster is not None:
            try:
                asked = await base.is_asked(cluster)
                if asked is not None and await base.send(cluster, folder, after=asked):
                    observe(Level.INFO, "base_sent")
                problem = ""
            except (GatewayError, OSError, sqlite3.Error) as error:
                if str(error) != problem:
                    problem = str(error)
                    observe(Level.WARNING, "base_not_sent", problem=problem)
                if not isinstance(error, QueueUnavailableError):
                    await asyncio.sleep(BASE_AGAIN_S)
        await asyncio.sleep(BASE_S)
