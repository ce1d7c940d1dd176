"""A program that takes the notices of all stations from NATS JetStream, each once.

    python nats_consumer.py SERVER,SERVER,SERVER FILE

It needs `nats-py`, the stream and the durable consumer `headquarters` (consumer-program.json), and
nothing of the gateway; README.md beside it has the rules that it keeps.
"""

import asyncio
import json
import sqlite3
import sys
from contextlib import suppress
from typing import Any

import nats
from nats.errors import Error
from nats.js.errors import NotFoundError

OPTIONS: dict[str, Any] = {
    "max_reconnect_attempts": -1,
    "ping_interval": 5,
    "inbox_prefix": "_INBOX_HQ",  # of this user alone: there its answers come
}
TABLES = """PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS ledger (station TEXT, id TEXT, PRIMARY KEY (station, id));
CREATE TABLE IF NOT EXISTS work (station TEXT, notice TEXT);"""


def take(database: sqlite3.Connection, subject: str, text: str) -> None:
    try:
        key = (subject.split(".")[2], str(json.loads(text)["id"].encode(), "ascii"))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        sys.stderr.write(f"not a notice, on {subject}\n")  # rule 5: it is acknowledged too
        return
    if database.execute("INSERT OR IGNORE INTO ledger VALUES (?, ?)", key).rowcount:
        database.execute("INSERT INTO work VALUES (?, ?)", (key[0], text))


async def main(servers: str, file: str) -> None:
    database = sqlite3.connect(file)
    database.executescript(TABLES)
    client = await nats.connect(servers.split(","), **OPTIONS)
    pull = await client.jetstream().pull_subscribe_bind("headquarters", "HOTLINE_NOTICE")
    while True:
        try:
            messages = await pull.fetch(100, timeout=5)
            with database:  # rules 1 and 2: the ids and the work about them in one transaction
                for message in messages:
                    take(database, message.subject, message.data.decode(errors="replace"))
            for message in messages:
                await message.ack()  # rule 3
        except (Error, OSError, TimeoutError):
            await asyncio.sleep(0.2)  # nothing is there, or no server: nats-py finds another
            with suppress(Error, OSError, TimeoutError):
                try:  # without its durable consumer a program waits for ever, as if nothing came
                    await client.jetstream().consumer_info("HOTLINE_NOTICE", "headquarters")
                except NotFoundError:
                    sys.stderr.write("make the consumer: consumer-program.json\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
