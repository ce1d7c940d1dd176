"""A process that lives one life of a store and says what it has; for power cuts.

Usage: cut_child.py FOLDER SEED LIFE, life after life. After each commit it prints one line of JSON,
so that the trace of its system calls tells what was promised before each of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from gateway.core.records import (
    AddStateEntry,
    DropAlarm,
    DropOutlived,
    Durability,
    LogHead,
    PutAirtime,
    PutAlarm,
    PutBoot,
    PutDelivery,
    PutEpoch,
    PutKeys,
    PutPeer,
    PutReceipted,
    StateEntry,
    Write,
)
from gateway.logbook.head import encode_head, sign_head
from gateway.model import DeliveryState, Instant, LinkName
from gateway.security.cards import new_station_keys
from gateway.store import database as database_module
from gateway.store import recovery
from gateway.store.changes import PutCursor, StoreWrite
from gateway.store.connection import connect
from gateway.store.database import Database
from tests.integration.store_records import (
    IN,
    OWN,
    PEER,
    act_id,
    alarm,
    delivery,
    publication,
    received,
    retired,
    sent,
    station_entry,
)

LIFE_COUNT = 4
COMMIT_COUNT = 12
"""Transactions of a life; some hold several commits."""
KEYS = new_station_keys(bytes(range(64)), station=OWN)
TABLES = (
    "act",
    "state_entry",
    "seen",
    "submission",
    "epoch",
    "peer",
    "line_keys",
    "publication",
    "queue_cursor",
    "airtime",
    "boot",
    "alarm",
    "set_aside",
    "meta",
)


def sign(head: LogHead) -> bytes:
    return encode_head(sign_head(KEYS, number=head.number, entry_hash=head.hash))


def digest(connection: sqlite3.Connection) -> str:
    """Of everything but the log book."""
    found = hashlib.sha256()
    for table in TABLES:
        found.update(repr(connection.execute(f"SELECT * FROM {table}").fetchall()).encode())
    return found.hexdigest()[:16]


def digest_of_nothing() -> str:
    """Of a database that nothing was committed to."""
    with TemporaryDirectory() as folder, closing(connect(Path(folder) / "empty")) as connection:
        return digest(connection)


class History:
    """Writes as they follow from a seed: notices both ways, and what becomes of them."""

    def __init__(self, seed: int) -> None:
        self._rng = Random(seed)
        self._serial = {"in": 0, "out": 0}
        self._offset = 0
        self._over = self._removed = 0

    def begin(self) -> tuple[Write, ...]:
        number = self._rng.randrange(1 << 16)
        return (
            PutEpoch(PEER, number),
            PutBoot(f"boot {number}", Instant(number), None, None),
            PutPeer(PEER, number.to_bytes(8), ()),
            PutKeys(PEER, number.to_bytes(8)),
            PutAlarm(alarm(number)),
        )

    def commit(self) -> tuple[StoreWrite, ...]:
        choice = self._rng.random()
        if choice < 0.25 and self._over < self._serial["out"]:
            return self._removal()
        if choice < 0.3:
            return sent(self._next("out"), self._next_offset())
        if choice < 0.6:
            return received(self._next("in"), self._next_offset())
        if choice < 0.7:
            return (station_entry(),)
        if choice < 0.75:
            number = self._rng.randint(1, 9)
            return (
                DropAlarm(alarm(number).key),
                PutAlarm(alarm(number, cleared="seen"), Durability.NORMAL),
            )
        return self._progress()

    def _progress(self) -> tuple[Write, ...]:
        """NORMAL: a receipt that came, a state."""
        serial = self._rng.randint(1, max(1, self._serial["out"]))
        state = self._rng.choice((DeliveryState.SENT, DeliveryState.RECEIPTED))
        made = StateEntry(act_id(serial), state, None, None, "frame")
        writes: list[Write] = [AddStateEntry(made)]
        if self._serial["out"]:
            changed = delivery(serial, state=state)
            writes += [PutReceipted(act_id(serial)), PutDelivery(changed, Durability.NORMAL)]
        writes.append(publication(self._next_offset(), act_id(serial)))
        if self._serial["in"]:
            serial = self._rng.randint(1, self._serial["in"])
            taken = delivery(serial, IN, state=DeliveryState.DISPLAYED, taken=True)
            writes.append(PutDelivery(taken, Durability.NORMAL))
        return tuple(writes)

    def _removal(self) -> tuple[StoreWrite, ...]:
        """An own notice is over; the next time it goes, NORMAL, with publications."""
        gone = (act_id(self._over),)
        if self._removed < self._over:
            self._removed += 1
            return (DropOutlived(gone, (2 * self._removed - 1, 2 * self._removed)), retired(gone))
        self._over += 1
        over = delivery(self._over, state=DeliveryState.ROGER, is_open=False)
        return (
            PutReceipted(act_id(self._over)),
            PutDelivery(over, Durability.NORMAL),
            PutCursor("mqtt", self._offset),
            PutAirtime(LinkName("radio"), "boot", self._over, 100),
        )

    def group(self) -> list[Sequence[StoreWrite]]:
        """Commits that waited together."""
        return [self.commit() for _ in range(self._rng.choice((1, 1, 1, 2, 4)))]

    def _next(self, way: str) -> int:
        self._serial[way] += 1
        return self._serial[way]

    def _next_offset(self) -> int:
        self._offset += 1
        return self._offset


def say(database: Database, commits: Sequence[Sequence[StoreWrite]]) -> None:
    """One write call: what is there now, and which acts of these commits are promised."""
    made = [write for writes in commits for write in writes]
    is_full = any(write.durability is Durability.FULL for write in made)
    head = recovery.log_head(database.connection)
    said = {
        "full": is_full,
        "digest": digest(database.connection),
        "head": 0 if head is None else head.number,
        "hash": "" if head is None else head.hash.hex(),
    }
    os.write(1, json.dumps(said).encode() + b"\n")


def main() -> None:
    folder, seed, life = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rng = Random(seed + life)
    # What these few notices free is all there is; it goes in many steps.
    for name, count in (("FREE_COUNT_KEPT", 0), ("GIVE_BACK_COUNT", 2)):
        setattr(database_module, name, count)
    history = History(seed)
    for _ in range(life):
        history.begin()
        for _ in range(COMMIT_COUNT):
            history.group()
    database = Database(folder, station=OWN, sign=sign)
    database.recover()
    begin: list[Sequence[StoreWrite]] = [history.begin()]
    database.commit(begin)
    say(database, begin)
    for _ in range(COMMIT_COUNT):
        group = history.group()
        database.commit(group)
        say(database, group)
        database.tend()
        while database.give_back() and rng.random() < 0.7:
            pass
        if rng.random() < 0.2:
            database.sync_segments()
        if rng.random() < 0.2:
            database.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if life % 2 == 0:
        database.close()
    # Else as by a kill: nothing is flushed, and the next life begins with the WAL.
    os._exit(0)


if __name__ == "__main__":
    main()
