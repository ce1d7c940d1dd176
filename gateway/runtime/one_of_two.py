"""A daemon that is one of the two gateways of its station: stands by, is the active one, and back.

Each role has a store opened anew, and the active one an engine of its own: to become it is a start.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from gateway.config.settings import Settings
from gateway.core.claim import Copy, Hold
from gateway.core.copying import Rebasing
from gateway.core.effects import Level
from gateway.core.events import CopyTold, SpareTold
from gateway.core.records import Recovered
from gateway.errors import DecodeError, StoreRefusedError
from gateway.model import ActId
from gateway.runtime.apart import apart
from gateway.runtime.beside import Beside
from gateway.runtime.clock import Clock
from gateway.runtime.daemon import StopRequestedError, cause_of
from gateway.runtime.inbox import Inbox
from gateway.runtime.keeper import Engine
from gateway.runtime.left_behind import LeftBehind, Loss
from gateway.runtime.spare_control import SpareControl, make_board, make_keeper
from gateway.runtime.standby_words import refused_alarm
from gateway.runtime.understudy import (
    PROBE_S,
    PromotedError,
    RebasedError,
    SteppedDownError,
    Turn,
    Understudy,
    copying,
    leave_when_fenced,
    serve_bases,
)
from gateway.security.keys import KeyRing
from gateway.spare.copying_store import OvertakenError
from gateway.store.backup import Displaced, install_copy
from gateway.store.database import FILE_NAME as DATABASE_NAME
from gateway.store.folder import folder_error
from gateway.store.left_behind import acts_left
from gateway.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from gateway.runtime.daemon import Daemon

HAND_OVER_S: Final = 1.5
"""For the word at the cluster that a lease is paused; else the other waits for its end."""


class RoomError(Exception):
    """The store can be opened again."""


class OneOfTwo:
    """Runs `daemon` by turns."""

    def __init__(self, daemon: Daemon, settings: Settings, keys: KeyRing, clock: Clock) -> None:
        self._daemon = daemon
        self._folder = settings.station.state_folder
        self._keeper = make_keeper(settings, keys, clock.instant, daemon.observe)
        self._left = LeftBehind(self._folder)
        self._board = make_board(
            settings, keys, self._keeper, self._left, clock.now, daemon.observe
        )
        self._is_owner = asyncio.Event()
        self._rebasing = Rebasing()

    async def run(self) -> NoReturn:
        """Until something raises."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep())
            group.create_task(self._take_turns())
        raise AssertionError("a task of the daemon ended without an error")

    async def _keep(self) -> NoReturn:
        """Only who has the state folder may go on with what an earlier run held."""
        await self._is_owner.wait()
        await self._keeper.run()

    async def _take_turns(self) -> NoReturn:
        while True:
            try:
                await self._daemon.with_store(self._serve)
            except Exception as error:
                match cause_of(error):
                    case SteppedDownError() | OvertakenError() as cause:
                        self._daemon.observe(Level.WARNING, "stepped_down", reason=str(cause))
                    case RebasedError() as cause:
                        await self._replace_store(cause)
                    case StoreRefusedError() as cause:
                        await self._step_back(str(cause))
                        await asyncio.sleep(PROBE_S)
                    case StopRequestedError():
                        await self._give_back()
                        raise
                    case _:
                        raise

    async def _serve(self, store: SqliteStore) -> NoReturn:
        recovered = await self._opened(store)
        self._is_owner.set()
        keeper = self._keeper
        observe = self._daemon.observe
        understudy = Understudy(
            keeper,
            store,
            self._folder,
            observe,
            self._rebasing,
            is_refused=recovered.store_refused,
        )
        board = self._board
        board.problem = lambda: understudy.problem
        try:
            await apart(
                self._daemon.stand_by(
                    store, lambda: understudy.run(board.tell), self._standing_by(), board
                )
            )
        except Exception as error:
            cause = cause_of(error)
            if not isinstance(cause, PromotedError):
                raise
        else:
            raise AssertionError("a gateway that stands by ended without an error")
        turn = cause.turn
        self._daemon.observe(
            Level.WARNING, "promoted", by=keeper.tenure.hold.value, term=str(keeper.tenure.term)
        )
        try:
            await apart(self._daemon.serve(store, lambda inbox: self._beside(store, turn, inbox)))
        finally:
            keeper.watch(None)
            board.keep(self._daemon.shown)
        raise AssertionError("the active gateway ended without an error")

    def _standing_by(self) -> SpareControl:
        board = self._board
        return SpareControl(
            self._keeper,
            serves=False,
            problem=board.explain,
            vacancy=lambda: board.vacancy,
        )

    async def _opened(self, store: SqliteStore) -> Recovered:
        """Where a full disk does not even let it be opened: alarm and API without it, until it can
        be.
        """
        while True:
            try:
                return await store.recover()
            except StoreRefusedError as error:
                problem = str(error)
            await self._wait_for_room(store, problem)

    async def _wait_for_room(self, store: SqliteStore, problem: str) -> None:
        board = self._board

        async def ask() -> NoReturn:
            board.tell(refused_alarm(problem))
            while True:
                await asyncio.sleep(PROBE_S)
                with suppress(StoreRefusedError):
                    await store.recover()
                    raise RoomError

        await self._step_back(problem)
        board.problem = lambda: problem
        try:
            await apart(self._daemon.stand_by(store, ask, self._standing_by(), board))
        except Exception as error:
            if not isinstance(cause_of(error), RoomError):
                raise

    async def _step_back(self, problem: str) -> None:
        """This store cannot be written: the other one may have what this one holds by lease."""
        self._daemon.observe(Level.ERROR, "store_refused", reason=problem)
        await self._keeper.give_way()
        self._keeper.set_copy(Copy.UNSEEN, problem)

    def _beside(self, store: SqliteStore, turn: Turn, inbox: Inbox) -> Beside:
        keeper = self._keeper
        copied = copying(keeper, store, turn, lambda *told: inbox.put(CopyTold(*told)))
        return Beside(
            store=copied,
            may_transmit=lambda: keeper.may_transmit(turn.number),
            control=SpareControl(
                keeper,
                serves=True,
                problem=lambda: copied.problem,
                waiting=lambda: copied.waiting_count,
            ),
            tasks=(
                copied.run(),
                copied.tend(),
                leave_when_fenced(keeper, copied, turn.number),
                serve_bases(keeper, self._folder, self._daemon.observe),
            ),
            watch=lambda is_well, refused_ms: keeper.watch(
                Engine(is_well, refused_ms, lambda problem: inbox.put(SpareTold(problem)))
            ),
            is_behind=turn.is_behind,
        )

    async def _replace_store(self, cause: RebasedError) -> None:
        try:
            acts = await self._left_acts(cause.path)
            displaced = await asyncio.to_thread(self._install, cause.path)
        except StoreRefusedError as error:
            await self._step_back(str(error))
            return
        finally:
            with suppress(OSError):
                cause.path.unlink(missing_ok=True)
        kept, observe = str(displaced.database or "nothing"), self._daemon.observe
        observe(Level.WARNING, "store_replaced", reason=str(cause), kept=kept)
        if not acts:
            return
        for act in acts:
            observe(Level.ERROR, "act_left_behind", act=str(act), kept=kept)
        loss = Loss(tuple(map(str, acts)), kept, str(displaced.book or ""))
        try:
            await asyncio.to_thread(self._left.add, loss)
        except OSError as error:
            observe(Level.ERROR, "loss_not_remembered", problem=str(error))

    async def _left_acts(self, copy: Path) -> tuple[ActId, ...]:
        """What this store holds and the other one's does not."""
        database = self._folder / DATABASE_NAME
        if not database.exists():
            return ()
        try:
            return await asyncio.to_thread(acts_left, database, copy)
        except (sqlite3.Error, DecodeError) as error:
            self._daemon.observe(Level.ERROR, "stores_not_compared", problem=str(error))
            return ()

    def _install(self, path: Path) -> Displaced:
        try:
            return install_copy(path, self._folder)
        except OSError as error:
            raise folder_error(self._folder, error) from error

    async def _give_back(self) -> None:
        """A lease is kept for a moment, for the next start; a person's word stays."""
        keeper = self._keeper
        if keeper.tenure.hold is not Hold.LEASE:
            return
        await keeper.leave()
        with suppress(TimeoutError):
            async with asyncio.timeout(HAND_OVER_S):
                while keeper.tenure.owes_word:
                    await keeper.changed(within_s=0.05)
