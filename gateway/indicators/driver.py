"""Drives lamps, buzzer and button of one station from the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NoReturn

from gateway.core.effects import Status
from gateway.core.events import ButtonPressed, ButtonReleased, LampsTold
from gateway.errors import IndicatorsFailedError
from gateway.indicators.guard import AliveGuard
from gateway.indicators.lamps import (
    Panel,
    Rhythm,
    level_at,
    next_change,
    next_pattern_change,
    panel_document,
    panel_levels,
    pattern,
)
from gateway.indicators.pins import PinMap
from gateway.indicators.pins_socket import PinsSocket
from gateway.model import Instant, LinkName

if TYPE_CHECKING:
    # gpiozero costs 6 MiB; it is imported only where the configuration names a factory.
    from gateway.indicators.gpio import Board, OpenFactory

PanelEvent = ButtonPressed | ButtonReleased | LampsTold
EmitPanel = Callable[[PanelEvent], None]
Factory = Literal["lgpio", "mock", "none"]

RETRY_S: Final = 5.0
"""Between two attempts to use chip and pins that failed."""
STUCK_CHECK_MS: Final = 1_000
"""How often a station that makes no progress looks whether it does again."""


class Indicators:
    """The panel of a station. `show` hands it a status; `run` drives the pins until cancelled.

    `clock` gives the instant. `is_turning` says whether the engine makes progress: while it does
    not, the alive lamp stays dark. `emit` is called in the loop's thread only. `console` writes a
    line to standard error for each change of a rhythm.
    """

    def __init__(
        self,
        *,
        factory: Factory,
        pins: PinMap,
        links: Sequence[LinkName],
        runtime_folder: Path,
        clock: Callable[[], Instant],
        emit: EmitPanel,
        is_turning: Callable[[], bool] = lambda: True,
        console: bool = False,
    ) -> None:
        self._factory = factory
        self._pins = pins
        self._links = tuple(links)
        self._runtime_folder = runtime_folder
        self._clock = clock
        self._emit = emit
        self._is_turning = is_turning
        self._console = console
        self._status: Status | None = None
        self._panel = Panel(links=tuple((name, Rhythm.OFF) for name in self._links))
        """What `_status` shows, whatever the engine does."""
        self._panel_until: Instant | None = None
        """When `_panel` may be another although the status is not; None: never."""
        self._over: asyncio.Future[NoReturn] | None = None
        """What `run` waits for: a failure."""
        self._next: asyncio.Handle | None = None
        """The next turn, at an edge or for a new status."""
        self._drawn: Panel | None = None
        self._problem = ""
        """Why chip or pins do not work, as last told."""
        self._board: Board | None = None
        self._guard: AliveGuard | None = None
        self._shown: dict[str, bool] = {}
        self._driven: Panel | None = None
        """The panel that the pins have; between two panels only `_blinking` can change them."""
        self._blinking: tuple[tuple[str, Rhythm], ...] = ()

    def show(self, status: Status) -> None:
        """Take the newest status; the pins follow in the next turn of the loop."""
        before = self._panel, self._panel_until
        self._status = status
        self._draw_up(self._clock())
        # Most statuses change nothing here, and a wake-up costs more than the comparison.
        if (self._panel, self._panel_until) != before:
            self._turn_soon()

    def panel(self) -> Panel:
        """Give the panel as it is now; all dark before the first status."""
        return self._panel_at(self._clock())

    def _panel_at(self, now: Instant) -> Panel:
        if self._panel_until is not None and now >= self._panel_until:
            self._draw_up(now)
        if self._is_turning() or self._panel.alive is Rhythm.OFF:
            return self._panel
        return dataclasses.replace(self._panel, alive=Rhythm.OFF)

    def _draw_up(self, now: Instant) -> None:
        """Draw up the panel of the status anew."""
        if self._status is not None:
            self._panel = pattern(self._status, now)
            self._panel_until = next_pattern_change(self._status, now)

    async def run(self) -> NoReturn:
        """Drive until cancelled, then leave all lamps dark.

        Where chip or pins fail, at the start or later, `LampsTold` says so and they are tried
        again: a line with dark lamps is better than none. Nothing else is tried in their place.
        Raises `ConfigError` at once for what a person must change first.
        """
        while True:
            try:
                await self._serve()
            except (IndicatorsFailedError, OSError) as error:
                if self._problem != str(error):
                    self._emit(LampsTold(str(error)))
                self._problem = str(error)
            await asyncio.sleep(RETRY_S)

    async def _serve(self) -> None:
        """Open everything and drive it until it fails."""
        async with contextlib.AsyncExitStack() as stack:
            if self._factory != "none":
                opened = self._open_factory()
                self._board = self._open_board(opened)
                stack.callback(self._close_board)
                self._guard = AliveGuard(self._put_alive_out, clock=self._clock)
                stack.callback(self._close_guard)
                if self._factory == "mock":
                    socket = self._pins_socket(opened)
                    await stack.enter_async_context(socket.serving())
            if self._problem:
                self._problem = ""
                self._emit(LampsTold(""))
            await self._drive()

    def _open_factory(self) -> OpenFactory:
        if self._factory == "mock":
            from gateway.indicators.mock import open_mock

            return open_mock()
        from gateway.indicators.gpio import open_lgpio

        return open_lgpio(self._runtime_folder)

    def _open_board(self, opened: OpenFactory) -> Board:
        from gateway.indicators.gpio import Board

        loop = asyncio.get_running_loop()

        def hand_over(event: PanelEvent) -> None:
            # Called in the factory's thread, whose end by an exception would deafen every button.
            # RuntimeError: the loop is closed already.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._emit, event)

        return Board(
            opened,
            self._pins,
            self._links,
            on_press=lambda: hand_over(ButtonPressed()),
            on_release=lambda: hand_over(ButtonReleased()),
        )

    def _close_board(self) -> None:
        if self._board is not None:
            self._board.close()
            self._board = None
            self._shown.clear()
            self._driven = None

    def _put_alive_out(self) -> None:
        """Called in the guard's thread, while the loop is blocked."""
        board = self._board
        if board is not None:
            # A chip that fails is the loop's to tell, once it turns again.
            with contextlib.suppress(OSError):
                board.set("alive", is_lit=False)
            # The next turn sets it again, if it is to be lit.
            self._shown.pop("alive", None)
            self._driven = None

    def _close_guard(self) -> None:
        if self._guard is not None:
            self._guard.close()
            self._guard = None

    def _pins_socket(self, opened: OpenFactory) -> PinsSocket:
        from gateway.indicators.mock import drive_button

        async def press(press_ms: int) -> None:
            drive_button(opened, self._pins.button, is_pressed=True)
            try:
                await asyncio.sleep(press_ms / 1000)
            finally:
                drive_button(opened, self._pins.button, is_pressed=False)

        return PinsSocket(self._runtime_folder / "pins.sock", press, self._read_lamps)

    def _read_lamps(self) -> dict[str, object]:
        """Give the panel's document with the levels that the pins really have."""
        panel, _ = self._refresh()
        levels = self._board.levels() if self._board else {}
        document = panel_document(panel, self._clock())
        return document | {"lamps": {name: int(is_lit) for name, is_lit in levels.items()}}

    async def _drive(self) -> None:
        self._over = asyncio.get_running_loop().create_future()
        self._turn()
        try:
            await self._over
        finally:
            self._over = None
            self._plan(None)

    def _turn(self) -> None:
        """Drive the pins now, and plan the next edge: a task would cost each as much again."""
        assert self._over is not None
        try:
            panel, wait_ms = self._refresh()
            if self._console and panel != self._drawn:
                self._draw(panel)
        except Exception as error:  # noqa: BLE001 (raised where `run` waits)
            self._over.set_exception(error)
            return
        self._drawn = panel
        loop = asyncio.get_running_loop()
        self._plan(None if wait_ms is None else loop.call_later(wait_ms / 1000, self._turn))

    def _turn_soon(self) -> None:
        if self._over is not None and not self._over.done():
            self._plan(asyncio.get_running_loop().call_soon(self._turn))

    def _plan(self, turn: asyncio.Handle | None) -> None:
        if self._next is not None:
            self._next.cancel()
        self._next = turn

    def _refresh(self) -> tuple[Panel, int | None]:
        """Set the pins to what they shall be now; give the milliseconds until the next change."""
        now = self._clock()
        panel = self._panel_at(now)
        if panel != self._driven:
            self._driven = panel
            self._blinking = tuple(
                (name, rhythm)
                for name, rhythm in panel.rhythms()
                if rhythm not in (Rhythm.OFF, Rhythm.STEADY)
            )
            self._set_all(panel_levels(panel, now).items())
        else:
            self._set_all((name, level_at(rhythm, now)) for name, rhythm in self._blinking)
        changes = [self._panel_until]
        if panel is not self._panel:  # The engine does not turn.
            changes.append(Instant(now + STUCK_CHECK_MS))
        changes += [next_change(rhythm, now) for _, rhythm in self._blinking]
        due = min((change for change in changes if change is not None), default=None)
        if self._guard is not None:
            self._guard.expect(due if self._shown.get("alive") else None)
        return panel, None if due is None else due - now

    def _set_all(self, levels: Iterable[tuple[str, bool]]) -> None:
        """Set the pins whose level is another than it was."""
        if self._board is None:
            return
        for name, is_lit in levels:
            if self._shown.get(name) != is_lit:
                self._board.set(name, is_lit=is_lit)
                self._shown[name] = is_lit

    def _draw(self, panel: Panel) -> None:
        from gateway.indicators.console import panel_views, render_plain

        sys.stderr.write(render_plain(panel_views(panel, self._clock())) + "\n")
        sys.stderr.flush()
