"""The contract of a store: commit writes in one transaction, recover, and answer queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.core.records import (
    Direction,
    LogHead,
    Publication,
    Recovered,
    StateEntry,
    StoredAct,
    StoredDelivery,
    Topic,
    Write,
)
from gateway.model import ActId, Precedence


@dataclass(frozen=True, slots=True)
class StoredNotice:
    """A notice with its delivery, its history and the acts of its dialogue."""

    act: StoredAct
    delivery: StoredDelivery
    history: tuple[StateEntry, ...]
    answers: tuple[StoredAct, ...]


@dataclass(frozen=True, slots=True)
class LogRow:
    number: int
    octets: bytes
    hash: bytes


class Store(Protocol):
    """All methods may be awaited from the loop; none blocks it."""

    async def recover(self) -> Recovered:
        """Read the last committed state. Called once, before anything else."""
        ...

    async def commit(self, writes: Sequence[Write]) -> LogHead | None:
        """One transaction; FULL if any write is. Calls that wait together may share a flush.

        `AddLogEntry` writes are numbered and chained here. Returns the head of the log book after
        it, if a FULL commit covers that head, else None.

        Raises `StoreRefusedError` (disk full, read-only; nothing was kept) or `StoreFailedError`.
        """
        ...

    async def probe(self) -> bool:
        """Whether the store can write again after `StoreRefusedError`."""
        ...

    async def notice(self, notice_id: ActId) -> StoredNotice | None: ...

    async def acts(self, ids: Sequence[ActId]) -> list[StoredAct]:
        """Those of them that are there, in this order."""
        ...

    async def notices(
        self, direction: Direction, *, open_only: bool = False, limit: int = 100
    ) -> list[StoredNotice]:
        """Newest first; 1 to 1000."""
        ...

    async def publications(
        self,
        after: int,
        *,
        limit: int = 100,
        topic: Topic | None = None,
        untaken_only: bool = False,
        precedence: Precedence | None = None,
    ) -> list[Publication]:
        """Ascending offsets greater than `after`, of one topic and precedence or of all;
        `untaken_only`: notices no consumer has taken.
        """
        ...

    async def feed_floor(self) -> int:
        """The highest offset that was removed from the feed; 0: none. Who has read up to a lower
        one has missed something that is not to be had any more.
        """
        ...

    async def cursor(self, queue: str) -> int:
        """The last offset that an adapter has handed on for good; 0 for a new one."""
        ...

    async def put_cursor(self, queue: str, offset: int) -> None:
        """Keep the cursor (NORMAL: losing it only repeats publications)."""
        ...

    async def log_entries(self, after: int, *, limit: int = 1000) -> list[LogRow]: ...

    async def signed_head(self) -> bytes | None:
        """The head of what is on the medium now, as `log verify` takes it; None where nobody signs.

        Raises `StoreFailedError`.
        """
        ...

    async def close(self) -> None:
        """Finish waiting commits and close; within 5 s."""
        ...
