"""Whether the streams and consumers that a connection serves on are still those it began with.

Who removes one on a live server tells us nothing: a pull of a consumer that is gone looks like one
without messages, and so would all that follow it. One that is made anew under its name is pulled
from as before. Its time of making says nothing: before nats-server 2.10 each server has its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NoReturn

from nats.js.errors import APIError

from gateway.errors import QueueUnavailableError
from gateway.queues.nats_connection import NOT_FOUND, NatsConnection, RightDeniedError
from gateway.queues.streams import REQUESTS, consumer_settings, stream_settings

LOOK_S: Final = 10.0
"""Between two looks: six requests to the cluster, which answers them without a write."""


class Standing:
    """`find` what was prepared, then `watch` it."""

    def __init__(self, connection: NatsConnection, look_s: float = LOOK_S) -> None:
        self._connection = connection
        self._look_s = look_s
        self._found: dict[str, tuple[str, object]] = {}
        """By what to ask for it: what it is called, and how it was."""

    async def find(self, streams: Sequence[str], durables: Sequence[str]) -> None:
        """Remember how they are now. Raises `QueueUnavailableError`."""
        names = {f"STREAM.INFO.{it}": f"stream {it}" for it in streams}
        names |= {f"CONSUMER.INFO.{REQUESTS}.{it}": f"consumer {it}" for it in durables}
        for subject, name in names.items():
            with suppress(RightDeniedError):  # rights of somebody's own, which sufficed until now
                self._found[subject] = (name, await self._ask(subject, name))

    async def watch(self) -> NoReturn:
        """Raises `QueueUnavailableError` when one of them is gone or another one."""
        was_seen = dict.fromkeys(self._found, True)
        while True:
            await asyncio.sleep(self._look_s)
            for subject, (name, before) in self._found.items():
                try:
                    now = await self._ask(subject, name)
                except QueueUnavailableError:
                    if not was_seen[subject]:
                        raise
                    was_seen[subject] = False  # an election takes as long as one answer
                    continue
                was_seen[subject] = True
                if now is None:
                    raise self._unavailable(f"has no {name} any more; it is made anew")
                if now != before:
                    raise self._unavailable(f"has another {name} or other settings of it now")

    async def _ask(self, subject: str, name: str) -> object:
        """Its settings, and when a stream was made; None: it is not there."""
        try:
            answer = await self._connection.ask(subject)
        except APIError as error:
            if error.code == NOT_FOUND:
                return None
            said = str(error.description)[:120]
            raise self._unavailable(f"says nothing of {name} ({said})") from error
        config = answer.get("config") or {}
        if subject.startswith("CONSUMER."):
            return consumer_settings(config)
        return answer.get("created"), stream_settings(config)

    def _unavailable(self, problem: str) -> QueueUnavailableError:
        server = self._connection.server
        return QueueUnavailableError(f"the NATS server {server} {problem}", problem=problem)
