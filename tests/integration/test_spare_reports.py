"""The active gateway hears of the other one through a real server, and says when it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from gateway.core.claim import Copy
from gateway.core.partner import AWAY_MS
from gateway.model import Instant
from gateway.queues.nats_connection import Access
from gateway.runtime.keeper import Engine, Keeper
from gateway.spare.twin import Twin
from tests.integration.live_line import until
from tests.integration.nats_cluster import nats_server, needs_nats

pytestmark = needs_nats


class Side:
    """One keeper without its daemon, on a clock that a test moves."""

    def __init__(self, folder: Path, name: str, url: str) -> None:
        self.ms = 0
        self.told: list[str] = []
        self.keeper = Keeper(
            name=name,
            by_lease=False,
            lease_s=15,
            folder=folder / name,
            access=Access((url,), "NORTH", replicas=1),
            twin=Twin(name, "1.0", "00", {}, "hand", 15),
            instant=lambda: Instant(self.ms),
            observe=lambda *_, **__: None,
        )
        (folder / name).mkdir()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.keeper.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def is_told(self, words: str) -> None:
        async def is_there() -> bool:
            return bool(self.told) and words in self.told[-1]

        await until(is_there, deadline_s=30)


async def test_silent_back_and_out_of_step(tmp_path: Path) -> None:
    """No report for a minute: told; one that is in step: told that all is well."""
    async with nats_server(tmp_path) as server:
        a, b = (Side(tmp_path, name, server.url) for name in "ab")
        a.keeper.watch(Engine(lambda: True, lambda: 0, a.told.append))
        async with a.running():

            async def has_looked() -> bool:
                return a.keeper._partner._revision == 0

            await until(has_looked)
            assert a.told == []
            a.ms += AWAY_MS
            await a.is_told("not heard of")
            b.keeper.set_copy(Copy.WHOLE, "")
            async with b.running():
                await until(lambda: _is(a.told[-1] == ""))
                assert a.told[1:] == [""]
                b.keeper.set_copy(Copy.OTHER, "commit 4 is another one")

                async def is_reported() -> bool:
                    report = a.keeper._partner._report
                    return report is not None and report.copy is Copy.OTHER

                await until(is_reported)
                a.ms += AWAY_MS
                await a.is_told("gateway b is out of step: commit 4 is another one")


async def _is(value: bool) -> bool:
    return value
