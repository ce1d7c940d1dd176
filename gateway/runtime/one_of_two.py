"""A daemon that is one of the two gateways of its station: stands by, is the active one, and back.

Each role has a store opened anew, and the active one an engine of its own: to become it is a start.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn

from gateway.config.settings import Settings
from gateway.core.claim import Hold
from gateway.core.copying import Rebasing
from gateway.core.effects import Level
from gateway.core.events import CopyTold
from gateway.runtime.clock import Clock
from gateway.runtime.daemon import Beside, StopRequestedError, cause_of
from gateway.runtime.inbox import Inbox
from gateway.runtime.spare_control import SpareControl, make_keeper
from gateway.runtime.understudy import (
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
from gateway.store.backup import install_copy
from gateway.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from gateway.runtime.daemon import Daemon

HAND_OVER_S: Final = 1.5
"""For the word at the cluster that a lease is paused; else the other waits for its end."""


class OneOfTwo:
    """Runs `daemon` by turns."""

    def __init__(self, daemon: Daemon, settings: Settings, keys: KeyRing, clock: Clock) -> None:
        self._daemon = daemon
        self._folder = settings.station.state_folder
        self._keeper = make_keeper(settings, keys, clock.instant, daemon.observe)
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
                    case StopRequestedError():
                        await self._give_back()
                        raise
                    case _:
                        raise

    async def _serve(self, store: SqliteStore) -> NoReturn:
        await store.recover()
        self._is_owner.set()
        keeper = self._keeper
        observe = self._daemon.observe
        understudy = Understudy(keeper, store, self._folder, observe, self._rebasing)
        control = SpareControl(keeper, serves=False, problem=lambda: understudy.problem)
        try:
            await self._daemon.stand_by(store, understudy.run(), control, keeper.name)
        except Exception as error:
            cause = cause_of(error)
            if not isinstance(cause, PromotedError):
                raise
        turn = cause.turn
        self._daemon.observe(
            Level.WARNING, "promoted", by=keeper.tenure.hold.value, term=str(keeper.tenure.term)
        )
        try:
            await self._daemon.serve(store, lambda inbox: self._beside(store, turn, inbox))
        finally:
            keeper.watch(None)

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
            watch=keeper.watch,
            is_behind=turn.is_behind,
        )

    async def _replace_store(self, cause: RebasedError) -> None:
        kept = await asyncio.to_thread(install_copy, cause.path, self._folder)
        cause.path.unlink(missing_ok=True)
        self._daemon.observe(
            Level.WARNING, "store_replaced", reason=str(cause), kept=str(kept or "nothing")
        )

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
