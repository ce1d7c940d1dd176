"""The streams of a spare gateway in memory, for what a real server shows too seldom: that something
comes to the cluster between two of our requests.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from gateway.queues.nats_connection import NatsConnection
from gateway.spare.cluster import SpareCluster


class MemoryConnection:
    """Satisfies what `SpareCluster` and `base` need of `NatsConnection`."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, bytes]] = []
        """Stream, subject and payload; a place is the index and one."""
        self.meanwhile: dict[tuple[str, str], Callable[[], Awaitable[None]]] = {}
        """Done once, before the next request by that verb and stream."""

    async def append(self, stream: str, subject: str, payload: bytes, *, after: int) -> int | None:
        await self._come("append", stream)
        last = await self.stored(stream, last_by_subj=subject)
        if after != (0 if last is None else last[0]):
            return None
        self.rows.append((stream, subject, payload))
        return len(self.rows)

    async def publish(
        self, stream: str, subject: str, payload: bytes, _headers: dict[str, str]
    ) -> None:
        self.rows.append((stream, subject, payload))

    async def stored(
        self, stream: str, *, seq: int = 1, next_by_subj: str = "", last_by_subj: str = ""
    ) -> tuple[int, bytes] | None:
        await self._come("stored", stream)
        wanted = (stream, next_by_subj or last_by_subj)
        found = [
            (place, payload)
            for place, (*where, payload) in enumerate(self.rows, start=1)
            if place >= seq and tuple(where) == wanted
        ]
        if not found:
            return None
        return found[-1] if last_by_subj else found[0]

    async def _come(self, verb: str, stream: str) -> None:
        if meanwhile := self.meanwhile.pop((verb, stream), None):
            await meanwhile()

    def purge(self, stream: str) -> None:
        """What is there is no more; places go on."""
        self.rows = [row if row[0] != stream else ("", "", b"") for row in self.rows]


def memory_cluster() -> tuple[SpareCluster, MemoryConnection]:
    """Of station NORTH."""
    connection = MemoryConnection()
    return SpareCluster(cast("NatsConnection", connection), "NORTH"), connection
