"""A process that commits numbered notices and prints each number after its commit; for killing.

Usage: store_child.py FOLDER MODE. `run`: for ever. `fill`: until the disk refuses, then what the
store says about it, then waits for a line on standard input before it asks again.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gateway.core.records import PutAct, PutDelivery, Write
from gateway.errors import StoreFailedError, StoreRefusedError
from gateway.model import DeliveryState
from gateway.store.sqlite import SqliteStore
from tests.integration.store_records import (
    OWN,
    act,
    delivery,
    entry,
    line_entry,
    publication,
)

GROUP = 12


def writes(number: int) -> tuple[Write, ...]:
    epoch, serial = 1 + number // 60_000, 1 + number % 60_000
    made = act(serial, epoch=epoch)
    return (
        PutAct(made),
        PutDelivery(delivery(serial, epoch=epoch)),
        publication(number, made.id),
        line_entry(made),
    )


def say(*words: object) -> None:
    print(*words, flush=True)


async def run(store: SqliteStore, number: int) -> None:
    """Commits of three kinds wait together, so that kills also hit shared transactions."""
    while True:
        numbers = range(number, number + 3)
        heads = await asyncio.gather(
            *(store.commit(writes(each)) for each in numbers),
            store.commit([entry(1, DeliveryState.SENT)]),
        )
        assert all(head is not None for head in heads[:3])
        say("committed", numbers[-1])
        number += 3


async def fill(store: SqliteStore, number: int) -> None:
    """Until it refuses; then once more after each line of standard input."""
    loop = asyncio.get_running_loop()
    while True:
        pending = [store.commit(writes(number + each)) for each in range(GROUP)]
        results = await asyncio.gather(*pending, return_exceptions=True)
        if all(isinstance(result, StoreRefusedError) for result in results):
            say("refused", results[0])
            recovered = await store.recover()
            say("recovered", len(recovered.acts), recovered.store_refused)
            say("state kept", await try_small(store))
            say("probe", await store.probe())
            await loop.run_in_executor(None, sys.stdin.readline)
            say("probe", await store.probe())
            recovered = await store.recover()
            say("recovered", len(recovered.acts), recovered.store_refused)
            continue
        if any(isinstance(result, BaseException) for result in results):
            say("failed", results)
            return
        number += GROUP
        say("committed", number - 1)


async def try_small(store: SqliteStore) -> bool:
    """Whether a change of state still fits, in the room of the ballast."""
    try:
        await store.commit([entry(1, DeliveryState.EXPIRED)])
    except (StoreRefusedError, StoreFailedError):
        return False
    return True


async def main() -> None:
    store = SqliteStore(Path(sys.argv[1]), station=OWN)
    recovered = await store.recover()
    say("recovered", recovered.next_offset - 1, recovered.was_rebuilt)
    mode = {"run": run, "fill": fill}[sys.argv[2]]
    await mode(store, recovered.next_offset)


if __name__ == "__main__":
    asyncio.run(main())
