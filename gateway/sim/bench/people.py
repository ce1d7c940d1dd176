"""The people of the bench: a watch that reads what comes in, presses the button and answers."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Final

from gateway.sim.bench.http_client import ApiUnreachableError
from gateway.sim.bench.process import BenchError, GatewayProcess
from gateway.sim.bench.scenario import BUTTON
from gateway.sim.bench.submit import Queue, post
from gateway.sim.bench.watch import FeedWatch

READING_S: Final = 2.1
"""The pending lamp must show a notice for 2 s before a press can mean it."""
PRESS_INTERVAL_S: Final = 0.8
PRESS_COUNT_MAX: Final = 12
RETRY_S: Final = 0.2


class Watchkeeper:
    """Who is on duty at one station."""

    def __init__(
        self,
        process: GatewayProcess,
        feed: FeedWatch,
        queue: Queue,
        say: Callable[[str], None],
    ) -> None:
        self._process = process
        self._queue = queue
        self._feed = feed
        self._say = say
        self._button = asyncio.Lock()

    async def read(self, notice_id: str) -> None:
        """Take a notice from the queue and show it on a screen."""
        await self._queue.taken(self._process.name, notice_id)
        await post(self._process, f"/v1/notices/{notice_id}/displayed", None)

    async def answer(self, notice_id: str, answer: str) -> None:
        """Give one answer: by the button, or a code through the API. Raises `BenchError`."""
        if answer == BUTTON:
            await self._press_until_roger(notice_id)
            return
        document = {"answer": answer, "request_id": str(uuid.uuid4())}
        await post(self._process, f"/v1/notices/{notice_id}/answers", document)
        self._say(f"{self._process.name} answers {answer}")

    async def _press_until_roger(self, notice_id: str) -> None:
        """Silence the buzzer, wait until the lamp has shown it long enough, press.

        FLASH needs a second press. Presses stop as soon as the own gateway says ROGER.
        """
        async with self._button:
            await asyncio.sleep(READING_S)
            for count in range(1, PRESS_COUNT_MAX + 1):
                await self._press()
                await asyncio.sleep(PRESS_INTERVAL_S)
                if self._has_rogered(notice_id):
                    self._say(f"{self._process.name} presses the button ({count} times): ROGER")
                    return
        raise BenchError(
            f"{self._process.name}: {PRESS_COUNT_MAX} presses of the button gave no ROGER for "
            f"{notice_id}; read {self._process.files.output}"
        )

    def _has_rogered(self, notice_id: str) -> bool:
        return any(seen.state == "ROGER" for seen in self._feed.states[notice_id])

    async def _press(self) -> None:
        while True:
            try:
                await self._process.press_button()
            except ApiUnreachableError:
                await asyncio.sleep(RETRY_S)
                continue
            return
