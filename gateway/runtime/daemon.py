"""The composition root: makes every part from the settings, runs them together, stops in order.

Decides nothing. Every object arrives through a constructor; nothing lives at module level.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, Final, NoReturn

from gateway import __version__
from gateway.api.peer import refuse_unmapped_users
from gateway.api.server import ApiServer
from gateway.api.spare import Spare
from gateway.config.load import load_keyring, load_policy, settings_digest
from gateway.config.settings import Settings
from gateway.core.effects import Level, Observe, RejectCode, Status
from gateway.core.engine import Engine
from gateway.core.events import Principal, Stopping
from gateway.core.policy import Policy
from gateway.core.records import LogHead, Recovered
from gateway.errors import ConfigError, GatewayError, StoreFailedError
from gateway.indicators.driver import Indicators
from gateway.indicators.lamps import panel_levels
from gateway.links.supervisor import Supervisor
from gateway.logbook.head import encode_head, sign_head
from gateway.model import LinkName, Station
from gateway.observe.log import LocalLog, stderr_journal
from gateway.runtime.adapters import make_adapters
from gateway.runtime.beside import Beside
from gateway.runtime.clock import Clock, KernelSources
from gateway.runtime.desk import RuntimeDesk
from gateway.runtime.drivers import served
from gateway.runtime.inbox import Inbox
from gateway.runtime.link_news import LinkNews
from gateway.runtime.loop import EngineLoop, Outlets
from gateway.runtime.patience import ask_for_time, lasting
from gateway.runtime.pulse import Pulse
from gateway.runtime.queue_supervisor import QueueSupervisor
from gateway.runtime.retention import Retention
from gateway.runtime.sd_notify import SystemdNotifier
from gateway.runtime.secrecy import keep_memory_private
from gateway.runtime.status_line import status_line
from gateway.security.keys import KeyRing
from gateway.store.base import Store
from gateway.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from gateway.runtime.board import Board

STOPPING_S: Final = 1.5
"""For the last entry and dark lamps; then everything is closed."""


class StopRequestedError(Exception):
    """Ends the task group in order."""


def run_daemon(settings: Settings, *, notifier: SystemdNotifier | None = None) -> int:
    """Run until SIGTERM or SIGINT and give the exit code. Raises `ConfigError` and, for a store
    that cannot even be opened, `StoreRefusedError`.

    Another `notifier` than systemd's is told too when the gateway is ready, and how links are.
    """
    keep_memory_private()
    keys = load_keyring(settings)
    policy = load_policy(settings)
    notifier = notifier or SystemdNotifier(os.environ)
    return asyncio.run(Daemon(settings, keys, policy, notifier=notifier).run())


class Daemon:
    """One station's gateway on this machine."""

    def __init__(
        self, settings: Settings, keys: KeyRing, policy: Policy, *, notifier: SystemdNotifier
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._policy = policy
        self._notifier = notifier
        self._seed = int.from_bytes(os.urandom(8), "big")
        """Of all jitter; in the log, so that a run can be told again."""
        self._rng = Random(self._seed)  # noqa: S311 (jitter only)
        self._clock = Clock(KernelSources(), is_manual=settings.station.clock_is_manual)
        self._log = _open_log(settings, self._clock)
        if self._log.problem:
            self._notifier.news(self._log.problem)
        self._links = _links_by_station(settings, keys)
        self._names = {keys.card.station: keys.card.name} | {
            station: line.card.name for station, line in keys.lines.items()
        }
        self.shown: Status | None = None
        """What the engine showed last."""
        self._status_line = ""
        self._news = LinkNews(self._name_of)
        self._asked: asyncio.Future[str]

    async def run(self) -> int:
        """Everything from the lock of the state folder to the last close; gives the exit code."""
        self._catch_signals()
        try:
            if self._settings.spare is None:
                await self.with_store(self.serve)
            else:
                # Imported for a station of two gateways only: it brings nats-py and OpenSSL.
                from gateway.runtime.one_of_two import OneOfTwo

                await OneOfTwo(self, self._settings, self._keys, self._clock).run()
        except Exception as error:  # noqa: BLE001 (the top of the daemon)
            return self._ended(cause_of(error))
        finally:
            self._log.close()
        raise AssertionError("the daemon ended without a reason")

    async def with_store(self, serve: Callable[[SqliteStore], Awaitable[NoReturn]]) -> NoReturn:
        """Serve with the store of the state folder, which is opened by its first `recover`."""
        station = self._settings.station
        store = SqliteStore(
            station.state_folder, station=self._keys.card.station, sign=self._sign_head
        )
        try:
            await serve(store)
        finally:
            with suppress(StoreFailedError):
                await store.close()

    async def stand_by(
        self,
        store: SqliteStore,
        follow: Callable[[], Coroutine[Any, Any, NoReturn]],
        control: Spare,
        board: Board,
    ) -> NoReturn:
        """No engine, no device, no queue: `follow` the active one, and serve the API."""
        self._make_runtime_folder()
        inbox = Inbox()
        desk = RuntimeDesk(inbox, self._names)
        desk.close(
            RejectCode.STANDBY,
            "this gateway stands by; the active one takes requests",
            clear=board.clear,
        )
        indicators = self._make_indicators(inbox, lambda: True)

        def show(status: Status) -> None:
            desk.show(status)
            desk.announce()
            indicators.show(status)
            self._status_line = ""
            line = status_line(status, self._name_of)
            self._notifier.status(f"gateway {board.name} stands by; {line}")

        board.open(show)
        api = self._make_api(desk, store, indicators, control)
        async with asyncio.TaskGroup() as group:
            group.create_task(follow())
            group.create_task(board.run(inbox))
            api.open()
            group.create_task(api.run())
            group.create_task(indicators.run())
            group.create_task(self._stop_when_asked(inbox, desk, is_active=False))
            group.create_task(self._show_life())
            self._notifier.ready()
        raise AssertionError("a task of the daemon ended without an error")

    async def _show_life(self) -> NoReturn:
        while True:
            self._notifier.watchdog()
            await asyncio.sleep(min(3.0, (self._notifier.watchdog_s or 9.0) / 3))

    async def serve(
        self, sqlite: SqliteStore, make_beside: Callable[[Inbox], Beside] | None = None
    ) -> NoReturn:
        """Compose and run until something raises; a stop is `StopRequestedError`."""
        self._make_runtime_folder()
        inbox = Inbox()
        desk = RuntimeDesk(inbox, self._names)
        beside = None if make_beside is None else make_beside(inbox)
        store: Store = sqlite if beside is None else beside.store
        supervisors = self._make_supervisors(
            inbox, (lambda: True) if beside is None else beside.may_transmit
        )
        pulse = Pulse(
            inbox=inbox,
            clock=self._clock,
            notifier=self._notifier,
            observe=self._log.observe,
            stuck=lambda: [name for name, one in supervisors.items() if one.is_stuck],
        )
        indicators = self._make_indicators(inbox, pulse.is_turning)
        loop = EngineLoop(
            store=store,
            make_engine=lambda recovered: self._make_engine(
                replace(recovered, was_restored=True)
                if beside is not None and beside.is_behind
                else recovered
            ),
            clock=self._clock,
            inbox=inbox,
            desk=desk,
            outlets=Outlets(
                transmit={name: supervisor.submit for name, supervisor in supervisors.items()},
                show=lambda status: self._show(status, indicators),
                observe=self._log.observe,
                entropy=os.urandom,
                discard=lambda: _discard(supervisors.values()),
            ),
            version=__version__,
            configuration=settings_digest(self._settings),
        )
        if beside is not None:
            beside.watch(pulse.is_well, loop.refused_ms)
        async with asyncio.TaskGroup() as group:
            # The first commit of a start waits for the cluster already.
            for task in beside.tasks if beside else ():
                group.create_task(task)
            patience = group.create_task(ask_for_time(self._notifier))
            with lasting():
                await loop.start()
            patience.cancel()
            for note in sqlite.notes:
                self.observe(Level.WARNING, "store_note", note=note)
            api = self._make_api(desk, store, indicators, beside.control if beside else None)
            api.open()
            tasks: list[Coroutine[Any, Any, Any]] = [loop.run(), pulse.run(), api.run()]
            tasks += [supervisor.run() for supervisor in supervisors.values()]
            tasks += [indicators.run(), self._stop_when_asked(inbox, desk)]
            tasks.append(self._make_retention(sqlite, store, inbox).run())
            tasks += [queue.run() for queue in self._make_queues(desk, store, inbox)]
            for task in tasks:
                group.create_task(task)
            await inbox.deliver(None)  # the first whole turn, with everything in place
            self._notifier.ready()
            self.observe(Level.INFO, "ready", version=__version__, jitter_seed=str(self._seed))
        raise AssertionError("a task of the daemon ended without an error")

    def _catch_signals(self) -> None:
        """Once, so that a signal between two roles is not lost."""
        asked = self._asked = asyncio.get_running_loop().create_future()

        def ask(name: str) -> None:
            if not asked.done():
                asked.set_result(name)

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ask, number.name)

    async def _stop_when_asked(
        self, inbox: Inbox, desk: RuntimeDesk, *, is_active: bool = True
    ) -> NoReturn:
        """SIGTERM or SIGINT: refuse what comes, last entry, lamps dark, then end everything."""
        reason = await asyncio.shield(self._asked)
        self._notifier.stopping()
        desk.close()
        if is_active:
            with suppress(TimeoutError):
                async with asyncio.timeout(STOPPING_S):
                    await inbox.deliver(Stopping(reason))
        raise StopRequestedError(reason)

    def _sign_head(self, head: LogHead) -> bytes:
        return encode_head(sign_head(self._keys.own, number=head.number, entry_hash=head.hash))

    def _ended(self, cause: Exception) -> int:
        """Say why, and give the exit code. Raises what the command line explains to people."""
        if isinstance(cause, StopRequestedError):
            self.observe(Level.INFO, "stopped", reason=str(cause))
            return 0
        if isinstance(cause, StoreFailedError):
            self.observe(Level.ERROR, "store_failed", reason=str(cause))
        elif not isinstance(cause, GatewayError):
            self._log.crash(cause)
        raise cause

    # The parts

    def _make_runtime_folder(self) -> None:
        folder = self._settings.station.runtime_folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        except OSError as error:
            what = f"{folder} cannot be made ({error.strerror})"
            raise ConfigError(
                [f"[station] runtime_folder: {what}; name one that this user may make"]
            ) from error

    def _make_engine(self, recovered: Recovered) -> Engine:
        # One before it, dropped when the store refused, is garbage from here on.
        gc.unfreeze()
        return Engine(recovered, self._policy, self._keys, links=self._links, rng=self._rng)

    def _make_supervisors(
        self, inbox: Inbox, may_transmit: Callable[[], bool]
    ) -> dict[LinkName, Supervisor]:
        supervisors: dict[LinkName, Supervisor] = {}
        for link in self._settings.links:
            name = LinkName(link.name)
            make_driver, remedies = served(link, self._rng)
            supervisors[name] = Supervisor(
                name,
                make_driver,
                inbox.put,
                rng=self._rng,
                remedies=remedies,
                may_transmit=may_transmit,
            )
        return supervisors

    def _make_indicators(self, inbox: Inbox, is_turning: Callable[[], bool]) -> Indicators:
        settings = self._settings.indicators
        return Indicators(
            factory=settings.factory,
            pins=settings.pins,
            links=[LinkName(link.name) for link in self._settings.links],
            runtime_folder=self._settings.station.runtime_folder,
            clock=self._clock.instant,
            emit=inbox.put,
            is_turning=is_turning,
            console=settings.console,
        )

    def _make_queues(self, desk: RuntimeDesk, store: Store, inbox: Inbox) -> list[QueueSupervisor]:
        """MQTT or NATS where configured; the embedded queue is the API itself."""
        adapters = make_adapters(self._settings, desk, store)
        return [
            QueueSupervisor(queue, make_adapter, inbox.put, rng=self._rng)
            for queue, make_adapter in adapters.items()
        ]

    def _make_retention(self, sqlite: SqliteStore, store: Store, inbox: Inbox) -> Retention:
        settings = self._settings
        queue = "mqtt" if settings.mqtt is not None else None
        queue = "nats" if settings.nats is not None else queue
        return Retention(
            sqlite,
            keep_days=settings.store.keep_days,
            queue=queue,
            now=self._clock.now,
            put_cursor=store.put_cursor,
            deliver=inbox.deliver,
        )

    def _make_api(
        self,
        desk: RuntimeDesk,
        store: Store,
        indicators: Indicators,
        control: Spare | None,
    ) -> ApiServer:
        refuse_unmapped_users([user.name for user in self._settings.api.user])
        users = {
            user.name: Principal("api", user.name, user.role_code, user.rights)
            for user in self._settings.api.user
        }
        return ApiServer(
            desk,
            store,
            self._settings.api_socket,
            users,
            clock=self._clock.now,
            boot_id=self._clock.boot_id(),
            group=self._settings.api.group,
            panel=lambda _status: self._panel(indicators),
            spare=control,
        )

    def _panel(self, indicators: Indicators) -> dict[str, object]:
        """What the lamps show, as pins.sock tells it; here without the colours of a screen."""
        panel = indicators.panel()
        levels = panel_levels(panel, self._clock.now().instant)
        return {
            "lamps": {name: int(is_lit) for name, is_lit in levels.items()},
            "patterns": {name: rhythm.value for name, rhythm in panel.rhythms()},
        }

    def _show(self, status: Status, indicators: Indicators) -> None:
        self.shown = status
        indicators.show(status)
        line = status_line(status, self._name_of)
        if line != self._status_line:
            self._status_line = line
            self._notifier.status(line)
        for sentence in self._news.of(status):
            self._notifier.news(sentence)

    def _name_of(self, station: Station) -> str:
        return self._names.get(station, str(station))

    def observe(self, level: Level, event: str, **fields: str) -> None:
        self._log.observe(Observe(level, event, fields))


def cause_of(error: Exception) -> Exception:
    """The one error of a group that says why: the operator's before ours, a stop last."""
    if not isinstance(error, ExceptionGroup):
        return error
    leaves = [cause_of(one) for one in error.exceptions]
    order = (ConfigError, StoreFailedError, GatewayError)
    for kind in order:
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    faults = [leaf for leaf in leaves if not isinstance(leaf, StopRequestedError)]
    return (faults or leaves)[0]


def _links_by_station(settings: Settings, keys: KeyRing) -> dict[Station, tuple[LinkName, ...]]:
    """Each far station's links in PACE order; the key ring has the lines in the file's order."""
    return {
        station: tuple(LinkName(link.name) for link in line.link)
        for station, line in zip(keys.lines, settings.line, strict=True)
    }


def _discard(supervisors: Iterable[Supervisor]) -> None:
    for supervisor in supervisors:
        supervisor.discard()


def _open_log(settings: Settings, clock: Clock) -> LocalLog:
    """Under systemd the journal keeps the lines; files only where the settings name a folder."""
    journal = stderr_journal(os.environ)
    folder = settings.log_folder if journal is None else settings.log.folder
    log = LocalLog(
        clock=clock.now,
        wall=clock.wall,
        level=settings.log.level,
        folder=folder,
        file_size_max=settings.log.file_size_max,
        file_count=settings.log.file_count,
        journal=journal,
    )
    log.capture_libraries()
    return log
