"""A process that takes notices through their life in a store whose disk fails now and then.

Usage: fault_child.py FOLDER COUNT. Prints one line a step: `committed N` after each commit that is
promised, `refused SENTENCE` and `healed` around a refusal, `failed SENTENCE` (and exit code 1)
where a gateway would end and be started again, `closed` at the end.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from gateway.core.records import Durability, PutDelivery, PutReceipted, Write
from gateway.errors import ConfigError, StoreFailedError, StoreRefusedError
from gateway.model import DeliveryState
from gateway.store.sqlite import SqliteStore
from tests.integration.cut_child import sign
from tests.integration.store_records import (
    IN,
    OWN,
    act_id,
    delivery,
    entry,
    publication,
    received,
    sent,
    station_entry,
)

T = TypeVar("T")

OFFSETS = 4
"""Publications of each notice: its commits are told apart by the offsets that are there."""
PROBE_S = 0.02
HEAL_S = 5.0


def steps(number: int) -> list[tuple[Write, ...]]:
    """The commits of an own notice and one of the peer's; each has a publication of its own."""
    first = OFFSETS * (number - 1) + 1
    taken = delivery(number, IN, state=DeliveryState.DISPLAYED, displayed=True, taken=True)
    return [
        sent(number, first),
        (
            PutDelivery(delivery(number, state=DeliveryState.SENT), Durability.NORMAL),
            entry(number, DeliveryState.SENT),
            publication(first + 1, act_id(number)),
        ),
        received(number, first + 2),
        (
            PutReceipted(act_id(number)),
            PutDelivery(taken),
            station_entry(),
            publication(first + 3, act_id(number)),
        ),
    ]


def say(*words: object) -> None:
    print(*words, flush=True)


async def patiently(store: SqliteStore, act: Callable[[], Awaitable[T]], *, is_open: bool) -> T:
    """As the daemon: after a refusal ask until the store can write again, read it, and go on."""
    loop = asyncio.get_running_loop()
    until = loop.time() + HEAL_S
    while True:
        try:
            return await act()
        except StoreRefusedError as error:
            say("refused", error)
        while is_open and not await store.probe():
            if loop.time() > until:
                raise StoreFailedError("the store did not heal")
            await asyncio.sleep(PROBE_S)
        if is_open:
            await store.recover()
        elif loop.time() > until:
            raise StoreFailedError("the store did not open")
        else:
            await asyncio.sleep(PROBE_S)
        say("healed")


async def live(folder: Path, count: int) -> None:
    store = SqliteStore(folder, station=OWN, sign=sign)
    recovered = await patiently(store, store.recover, is_open=False)
    say("opened", recovered.next_offset - 1)
    for number in range(1, count + 1):
        for at, writes in enumerate(steps(number)):
            offset = OFFSETS * (number - 1) + at + 1
            if offset >= recovered.next_offset:
                await patiently(store, lambda w=writes: store.commit(w), is_open=True)  # type: ignore[misc]
                say("committed", offset)
        database = store._opened()
        await store._in_writer(database.sync_segments)
        if number % 2 == 0:
            database._writes_since_checkpoint = 1_000
            await store._in_writer(database.tend)
    await store.close()
    say("closed")


def main() -> int:
    try:
        asyncio.run(live(Path(sys.argv[1]), int(sys.argv[2])))
    except (StoreFailedError, StoreRefusedError, ConfigError) as error:
        say("failed", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
