"""A bench without a scenario: it keeps the line up, shows what comes in, and obeys a few keys."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from gateway.sim.bench.files import CABLE, RADIO
from gateway.sim.bench.http_client import ApiUnreachableError
from gateway.sim.bench.rig import Rig
from gateway.sim.bench.submit import post
from gateway.sim.bench.watch import FeedWatch

KEYS: Final = "n, s: press the button of NORTH, SOUTH; r, c: cut or give back radio, cable; q: end"


async def hold(rig: Rig, say: Callable[[str], None]) -> None:
    """Keep everything running until q, SIGINT or SIGTERM."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    for name, process in rig.processes.items():
        say(f"{name}: hotline --config {process.files.config} ...")
    try:
        async with asyncio.TaskGroup() as group:
            hands = _Hands(rig, say, group)
            for name, feed in rig.feeds.items():
                feed.on_change = lambda name=name, feed=feed: hands.show(name, feed)  # type: ignore[misc]
            with _keyboard(lambda key: ended.set() if key == "q" else hands.obey(key)) as is_there:
                say(KEYS if is_there else "ends with SIGINT or SIGTERM")
                await ended.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


class _Hands:
    """Shows notices on a screen (this one) and does what the keys say."""

    def __init__(self, rig: Rig, say: Callable[[str], None], group: asyncio.TaskGroup) -> None:
        self._rig = rig
        self._say = say
        self._group = group
        self._shown: set[str] = set()
        self._state_counts: dict[tuple[str, str], int] = {}
        self._cut: set[str] = set()

    def show(self, station: str, feed: FeedWatch) -> None:
        """Print what is new in a feed; a notice that came in was displayed by that."""
        for text, notice_id in feed.id_of_text.items():
            if notice_id not in self._shown:
                self._shown.add(notice_id)
                self._say(f"{station} received {notice_id}: {text}")
                self._group.create_task(self._displayed(station, notice_id))
        for notice_id, states in feed.states.items():
            known = self._state_counts.get((station, notice_id), 0)
            for seen in states[known:]:
                by = f" by {seen.link}" if seen.link else ""
                self._say(f"{station}: {notice_id} {seen.state}{by} ({seen.evidence})")
            self._state_counts[station, notice_id] = len(states)

    def obey(self, key: str) -> None:
        """Do what a key says; unknown ones do nothing."""
        if key in ("n", "s"):
            self._group.create_task(self._press("NORTH" if key == "n" else "SOUTH"))
        elif key in ("r", "c"):
            link = RADIO if key == "r" else CABLE
            if link in self._cut:
                self._cut.discard(link)
                self._rig.media.restore(link)
                self._say(f"the {link} is given back")
            else:
                self._cut.add(link)
                self._rig.media.cut(link)
                self._say(f"the {link} is cut")

    async def _press(self, station: str) -> None:
        with suppress(ApiUnreachableError):
            await self._rig.processes[station].press_button()
            self._say(f"the button of {station} was pressed")

    async def _displayed(self, station: str, notice_id: str) -> None:
        await post(self._rig.processes[station], f"/v1/notices/{notice_id}/displayed", None)


@contextmanager
def _keyboard(press: Callable[[str], None]) -> Iterator[bool]:
    """Hand over each key of a terminal at once; False where standard input is none."""
    if not sys.stdin.isatty():
        yield False
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    loop = asyncio.get_running_loop()
    tty.setcbreak(number)

    def read() -> None:
        for key in os.read(number, 16).decode("ascii", "ignore"):
            press(key)

    loop.add_reader(number, read)
    try:
        yield True
    finally:
        loop.remove_reader(number)
        termios.tcsetattr(number, termios.TCSADRAIN, before)
