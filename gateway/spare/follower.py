"""The store of the gateway that stands by: takes over each commit of the active one, in order.

It never guesses. What does not continue its own last commit, or leads to another head of the log
book, leaves it out of step until it has the whole store of the active one (`base`). Where the
cluster lost its commits, no base helps: it waits for the one that the active gateway adds then.
"""

from __future__ import annotations

from gateway.core.claim import Copy
from gateway.core.copying import Stand, compare
from gateway.spare.batch import Batch, Parcel
from gateway.spare.cluster import SpareCluster
from gateway.spare.copying_store import Place
from gateway.store.sqlite import SqliteStore


class Follower:
    """Follows with one store until it is out of step."""

    def __init__(self, store: SqliteStore, place: Place, name: str) -> None:
        """`name` of this gateway."""
        self._store = store
        self._name = name
        self.place = place
        self._scanned = place.place
        """Up to where in the stream parcels were looked at."""
        self.end = 0
        """Where the stream ended when last looked at, out of step too."""
        self.newest = 0
        """The number of the commit there; 0: there is none."""
        self.newest_mark = 0
        """By whom that one was made."""
        self.problem = ""
        """Why this store cannot go on with the active one's commits; empty: it can."""

    async def catch_up(self, cluster: SpareCluster) -> Copy:
        """Take over what there is; how this store compares then.

        Raises `QueueUnavailableError` and the store's errors.
        """
        while not self.problem:
            found = await cluster.next(self._scanned)
            if found is None:
                break
            place, parcel = found
            await self._take(place, parcel)
            self._scanned = place
        last = await cluster.last()
        self.end, self.newest = (0, 0) if last is None else (last[0], last[1].batches[-1].number)
        self.newest_mark = 0 if last is None else last[1].mark
        if self.problem:
            return Copy.OTHER
        own = Stand(self.place.number, self.place.mark)
        if last is None:
            self._scanned = 0
            begun, _ = await cluster.begun()
            return compare(own, None, begun, self._name)
        if self.end < self._scanned:
            self._scanned = 0  # a stream begun anew counts from 1
            return Copy.BEHIND
        if self.end > self._scanned:
            return Copy.BEHIND  # more has come meanwhile
        copy = compare(own, Stand(self.newest, last[1].mark), None, self._name)
        if copy is Copy.OTHER:
            self.problem = "this store holds commits that the cluster does not have"
        return copy

    async def _take(self, place: int, parcel: Parcel) -> None:
        for batch in parcel.batches:
            if batch.number <= self.place.number:
                if batch.number == self.place.number and parcel.mark != self.place.mark:
                    self.problem = f"commit {batch.number} of the active gateway is another one"
                    return
                continue
            if (batch.previous, batch.previous_mark) != (self.place.number, self.place.mark):
                self.problem = (
                    f"commit {batch.number} follows {batch.previous}, and this store has "
                    f"{self.place.number}"
                )
                return
            await self._apply(place, parcel.mark, batch)
            if self.problem:
                return

    async def _apply(self, place: int, mark: int, batch: Batch) -> None:
        here = Place(batch.number, mark, place)
        # Both in one transaction: no cut leaves another log book with the mark of the active one.
        head = await self._store.commit_all((*batch.writes, *here.cursors(batch.head)))
        if head is not None and batch.head is not None and head != batch.head:
            self.problem = f"at commit {batch.number} the log book here is another one"
            here.mark = 0
        self.place = here
