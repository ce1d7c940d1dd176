"""The whole store of the active gateway, on its way to one that is out of step.

The one that needs it asks in the stream; the active one answers there with its database in parts.
What the store of the other one held before is kept beside the new one.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.errors import DecodeError, GatewayError
from gateway.spare.cluster import BASES, SpareCluster
from gateway.store.backup import copy_database
from gateway.store.database import FILE_NAME

PART_SIZE: Final = 256 * 1024
SIZE_MAX: Final = 512 * 1024 * 1024
"""Octets of a database that is sent; a larger one is not, and the spare stays out of step."""


class BaseTooLargeError(GatewayError):
    """The database is not sent: the spare stays out of step."""


async def ask(cluster: SpareCluster) -> int:
    """Ask for a base; gives the place in the stream behind which it will be."""
    last = await cluster.connection.stored(BASES, last_by_subj=cluster.base_subject)
    place, asked = (0, False) if last is None else (last[0], _is_ask(last[1]))
    if asked:
        return place
    payload = msgspec.msgpack.encode(["ask"])
    return await cluster.connection.append(BASES, cluster.base_subject, payload, after=place) or 0


async def is_asked(cluster: SpareCluster) -> int | None:
    """The place of a request that nobody has answered; None: there is none."""
    last = await cluster.connection.stored(BASES, last_by_subj=cluster.base_subject)
    return last[0] if last is not None and _is_ask(last[1]) else None


async def send(cluster: SpareCluster, folder: Path, *, after: int) -> bool:
    """Send the database of a state folder as it is now; False: another was faster.

    Raises `QueueUnavailableError`, `OSError`, `sqlite3.Error` or `BaseTooLargeError`.
    """
    size = await asyncio.to_thread(lambda: (folder / FILE_NAME).stat().st_size)
    if size > SIZE_MAX:
        raise BaseTooLargeError(
            f"the database in {folder} has {size} octets, more than the {SIZE_MAX} that are sent to"
            " the other gateway; make it smaller (hotline vacuum, or fewer [store] keep_days)"
        )
    octets = await asyncio.to_thread(_copied, folder)
    digest = hashlib.sha256(octets).digest()
    count = max(1, -(-len(octets) // PART_SIZE))
    for index in range(count):
        part = octets[index * PART_SIZE : (index + 1) * PART_SIZE]
        payload = msgspec.msgpack.encode(["part", index, count, digest, part])
        place = await cluster.connection.append(BASES, cluster.base_subject, payload, after=after)
        if place is None:
            return False
        after = place
    return True


async def receive(cluster: SpareCluster, target: Path, *, after: int) -> bool:
    """Write the base behind `after` to `target`; False: it is not whole yet.

    Raises `QueueUnavailableError`, `OSError`, and `DecodeError` for a base that is damaged.
    """
    parts: list[bytes] = []
    while True:
        found = await cluster.connection.stored(
            BASES, seq=after + 1, next_by_subj=cluster.base_subject
        )
        if found is None:
            return False
        after, payload = found
        fields = _fields(payload)
        if fields[0] != "part":
            parts = []
            continue
        _, index, count, digest, part = fields
        if index == 0:
            parts = []
        if index != len(parts):
            continue
        parts.append(part)
        if len(parts) == count:
            break
    octets = b"".join(parts)
    if hashlib.sha256(octets).digest() != digest:
        raise DecodeError("the base of the active gateway came damaged")
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    with os.fdopen(descriptor, "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(descriptor)
    return True


def _copied(folder: Path) -> bytes:
    path = folder / "spare-base.sending"
    path.unlink(missing_ok=True)
    try:
        copy_database(folder, path)
        return path.read_bytes()
    finally:
        path.unlink(missing_ok=True)


def _is_ask(payload: bytes) -> bool:
    return bool(_fields(payload)[0] == "ask")


def _fields(payload: bytes) -> list[Any]:
    try:
        return msgspec.msgpack.decode(payload, type=list[Any])
    except msgspec.MsgspecError as error:
        raise DecodeError(f"stream {BASES} holds no base of a gateway ({error})") from error
