"""The composition root: makes every part from the settings, runs them together, stops in order.

Decides nothing. Every object arrives through a constructor; nothing lives at module level.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from base64 import b64decode
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from random import Random
from typing import Any, Final, NoReturn, assert_never

from gateway import __version__
from gateway.api.peer import refuse_unmapped_users
from gateway.api.server import ApiServer
from gateway.config.load import load_keyring, load_policy, settings_digest
from gateway.config.settings import (
    LinkSettings,
    MeshtasticLinkSettings,
    SerialLinkSettings,
    Settings,
)
from gateway.core.effects import Level, Observe, Status
from gateway.core.engine import Engine
from gateway.core.events import Principal, Stopping
from gateway.core.policy import Policy
from gateway.core.records import LogHead, Recovered
from gateway.errors import ConfigError, GatewayError, StoreFailedError
from gateway.indicators.driver import Indicators
from gateway.indicators.lamps import panel_levels
from gateway.links.base import LinkDriver
from gateway.links.ladder import Rung
from gateway.links.supervisor import Supervisor
from gateway.links.usb import reauthorise
from gateway.logbook.head import encode_head, sign_head
from gateway.model import LinkName, Station
from gateway.observe.log import LocalLog, stderr_journal
from gateway.runtime.adapters import make_adapters
from gateway.runtime.clock import Clock, KernelSources
from gateway.runtime.desk import RuntimeDesk
from gateway.runtime.inbox import Inbox
from gateway.runtime.link_news import LinkNews
from gateway.runtime.loop import EngineLoop, Outlets
from gateway.runtime.pulse import Pulse
from gateway.runtime.queue_supervisor import QueueSupervisor
from gateway.runtime.sd_notify import SystemdNotifier
from gateway.runtime.secrecy import keep_memory_private
from gateway.runtime.status_line import status_line
from gateway.security.keys import KeyRing
from gateway.store.sqlite import SqliteStore

STOPPING_S: Final = 1.5
"""For the last entry and dark lamps; then everything is closed."""
EXIT_STORE_FAILED: Final = 74
"""EX_IOERR of sysexits.h: systemd starts us again from the last commit."""


@contextmanager
def _lasting() -> Iterator[None]:
    """What is made inside stays, so the collector of cycles passes over it now and later.

    With 100 000 open notices it would take a third of the start, and stop every link for half a
    second at each full collection after it.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class _StopRequestedError(Exception):
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
        self._links = _links_by_station(settings, keys)
        self._names = {keys.card.station: keys.card.name} | {
            station: line.card.name for station, line in keys.lines.items()
        }
        self._status_line = ""
        self._news = LinkNews(self._name_of)

    async def run(self) -> int:
        """Everything from the lock of the state folder to the last close; gives the exit code."""
        station = self._settings.station
        store = SqliteStore(
            station.state_folder, station=self._keys.card.station, sign=self._sign_head
        )
        try:
            await self._serve(store)
        except Exception as error:  # noqa: BLE001 (the top of the daemon)
            return self._ended(_cause(error))
        finally:
            with suppress(StoreFailedError):
                await store.close()
            self._log.close()
        raise AssertionError("the daemon ended without a reason")

    async def _serve(self, store: SqliteStore) -> NoReturn:
        """Compose and run until something raises; a stop is `_StopRequestedError`."""
        self._make_runtime_folder()
        inbox = Inbox()
        desk = RuntimeDesk(inbox, self._names)
        supervisors = self._make_supervisors(inbox)
        pulse = Pulse(
            inbox=inbox,
            clock=self._clock,
            notifier=self._notifier,
            observe=self._log.observe,
            stuck=lambda: [name for name, one in supervisors.items() if one.is_stuck],
        )
        indicators = self._make_indicators(inbox, pulse)
        loop = EngineLoop(
            store=store,
            make_engine=self._make_engine,
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
        with _lasting():
            await loop.start()
        for note in store.notes:
            self._observe(Level.WARNING, "store_note", note=note)
        api = self._make_api(desk, store, indicators)
        api.open()
        tasks: list[Coroutine[Any, Any, Any]] = [loop.run(), pulse.run(), api.run()]
        tasks += [supervisor.run() for supervisor in supervisors.values()]
        tasks += [indicators.run(), self._stop_when_asked(inbox, desk)]
        tasks += [queue.run() for queue in self._make_queues(desk, store, inbox)]
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(task)
            await inbox.deliver(None)  # the first whole turn, with everything in place
            self._notifier.ready()
            self._observe(Level.INFO, "ready", version=__version__, jitter_seed=str(self._seed))
        raise AssertionError("a task of the daemon ended without an error")

    async def _stop_when_asked(self, inbox: Inbox, desk: RuntimeDesk) -> NoReturn:
        """SIGTERM or SIGINT: refuse what comes, last entry, lamps dark, then end everything."""
        asked: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def ask(name: str) -> None:
            if not asked.done():
                asked.set_result(name)

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ask, number.name)
        reason = await asked
        self._notifier.stopping()
        desk.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOPPING_S):
                await inbox.deliver(Stopping(reason))
        raise _StopRequestedError(reason)

    def _sign_head(self, head: LogHead) -> bytes:
        return encode_head(sign_head(self._keys.own, number=head.number, entry_hash=head.hash))

    def _ended(self, cause: Exception) -> int:
        """Say why, and give the exit code. Raises what the command line explains to people."""
        if isinstance(cause, _StopRequestedError):
            self._observe(Level.INFO, "stopped", reason=str(cause))
            return 0
        if isinstance(cause, StoreFailedError):
            self._observe(Level.ERROR, "store_failed", reason=str(cause))
            return EXIT_STORE_FAILED
        if not isinstance(cause, GatewayError):
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

    def _make_supervisors(self, inbox: Inbox) -> dict[LinkName, Supervisor]:
        supervisors: dict[LinkName, Supervisor] = {}
        for link in self._settings.links:
            name = LinkName(link.name)
            make_driver, remedies = _served(link, self._rng)
            supervisors[name] = Supervisor(
                name, make_driver, inbox.put, rng=self._rng, remedies=remedies
            )
        return supervisors

    def _make_indicators(self, inbox: Inbox, pulse: Pulse) -> Indicators:
        settings = self._settings.indicators
        return Indicators(
            factory=settings.factory,
            pins=settings.pins,
            links=[LinkName(link.name) for link in self._settings.links],
            runtime_folder=self._settings.station.runtime_folder,
            clock=self._clock.instant,
            emit=inbox.put,
            is_turning=pulse.is_turning,
            console=settings.console,
        )

    def _make_queues(
        self, desk: RuntimeDesk, store: SqliteStore, inbox: Inbox
    ) -> list[QueueSupervisor]:
        """MQTT or NATS where configured; the embedded queue is the API itself."""
        adapters = make_adapters(self._settings, desk, store)
        return [
            QueueSupervisor(queue, make_adapter, inbox.put, rng=self._rng)
            for queue, make_adapter in adapters.items()
        ]

    def _make_api(self, desk: RuntimeDesk, store: SqliteStore, indicators: Indicators) -> ApiServer:
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
        indicators.show(status)
        line = status_line(status, self._name_of)
        if line != self._status_line:
            self._status_line = line
            self._notifier.status(line)
        for sentence in self._news.of(status):
            self._notifier.news(sentence)

    def _name_of(self, station: Station) -> str:
        return self._names.get(station, str(station))

    def _observe(self, level: Level, event: str, **fields: str) -> None:
        self._log.observe(Observe(level, event, fields))


def _cause(error: Exception) -> Exception:
    """The one error of a group that says why: the operator's before ours, a stop last."""
    if not isinstance(error, ExceptionGroup):
        return error
    leaves = [_cause(one) for one in error.exceptions]
    order = (ConfigError, StoreFailedError, GatewayError)
    for kind in order:
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    faults = [leaf for leaf in leaves if not isinstance(leaf, _StopRequestedError)]
    return (faults or leaves)[0]


def _links_by_station(settings: Settings, keys: KeyRing) -> dict[Station, tuple[LinkName, ...]]:
    """Each far station's links in PACE order; the key ring has the lines in the file's order."""
    return {
        station: tuple(LinkName(link.name) for link in line.link)
        for station, line in zip(keys.lines, settings.line, strict=True)
    }


def _served(
    link: LinkSettings, rng: Random
) -> tuple[Callable[[], LinkDriver], Mapping[Rung, Callable[[], Awaitable[None]]]]:
    """How a link's drivers are made, and what can be done for a device that does not answer.

    Only the drivers that the configuration names are imported: `meshtastic` costs 16 MB.
    """
    name = LinkName(link.name)
    match link:
        case SerialLinkSettings():
            from gateway.links.serial import SerialDriver

            remedies = {Rung.REAUTHORISE: lambda: reauthorise(link.port)}
            return lambda: SerialDriver(name, link.port, link.bit_rate), remedies
        case MeshtasticLinkSettings():
            from gateway.links.meshtastic.identity import ExpectedRadio
            from gateway.links.meshtastic.radio import MeshtasticRadio

            expected = ExpectedRadio(
                None if link.own_node is None else int(link.own_node[1:], 16),
                None if link.own_key is None else b64decode(link.own_key),
            )
            far_node = int(link.node[1:], 16)
            radio = MeshtasticRadio(name, link.port, far_node, expected=expected, rng=rng)
            return radio.make_driver, radio.remedies
        case _:
            assert_never(link)


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
