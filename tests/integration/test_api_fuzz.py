"""Octets of any kind on the API's socket: the server answers, hangs up, and goes on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from random import Random

import pytest

from gateway.api.connection import ApiLimits
from gateway.api.server import ApiServer
from tests.integration.desk_double import BOOT_ID, MemoryDesk, clock, status

NOTICE = json.dumps(
    {"request_id": "r", "to": "SOUTH", "kind": "NOTIFY", "operation": "TEST", "text": "x"}
).encode()
SEEDS = (
    b"GET /v1/notices?after=1&limit=5&topic=notice HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/inbox?open_only=1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/events?after=0 HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 4\r\n\r\n",
    b"GET /v1/notices/2-3f2a-1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /v1/notices/2-3f2a-1/taken HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    b"POST /v1/notices HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(NOTICE), NOTICE),
    b"POST /v1/notices HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"%x\r\n%s\r\n0\r\n\r\n" % (len(NOTICE), NOTICE),
)
PIECES = (
    b"\r\n",
    b"\x00",
    b"\xff",
    b" ",
    b":",
    b"%",
    b"/",
    b"?",
    b"&",
    b"9" * 30,
    b"a" * 9000,
    b"{",
)


def mutated(rng: Random) -> bytes:
    """A request with a few octets changed, cut, doubled or put in."""
    octets = bytearray(rng.choice(SEEDS) * rng.choice((1, 1, 2)))
    for _ in range(rng.randint(0, 4)):
        place = rng.randrange(len(octets) + 1)
        match rng.randrange(4):
            case 0:
                octets[place:place] = rng.choice(PIECES)
            case 1:
                del octets[place : place + rng.randint(1, 20)]
            case 2:
                octets[place : place + 1] = rng.randbytes(1)
            case _:
                octets[place:place] = octets[: rng.randint(1, 40)]
    return bytes(octets)


@pytest.mark.parametrize("seed", range(4))
async def test_mutated_requests(tmp_path: Path, seed: int) -> None:
    """400 damaged requests a seed, whole and in pieces: never an end of the server."""
    rng = Random(seed)
    desk = MemoryDesk()
    desk.show(status())
    desk.arrive()
    path = tmp_path / "api.sock"
    limits = ApiLimits(read_s=0.02, idle_s=0.02, write_s=1.0, heartbeat_s=0.01)
    server = ApiServer(desk, desk.store, path, {}, clock=clock, boot_id=BOOT_ID, limits=limits)
    server.open()
    task = asyncio.create_task(server.run())
    codes: dict[bytes, int] = {}

    async def talk(octets: bytes) -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            async with asyncio.timeout(0.5):
                cut = rng.randrange(len(octets) + 1)
                writer.write(octets[:cut])
                await asyncio.sleep(0)
                writer.write(octets[cut:])
                if rng.random() < 0.5:
                    writer.write_eof()
                answer = await reader.read(4096)
        except (TimeoutError, OSError):
            answer = b""
        codes[answer[9:12]] = codes.get(answer[9:12], 0) + 1
        writer.transport.abort()

    for _ in range(25):
        async with asyncio.TaskGroup() as group:
            for _ in range(16):
                group.create_task(talk(mutated(rng)))
        assert not task.done()
    async with asyncio.timeout(20):
        while server._connection_count:
            await asyncio.sleep(0.01)
    assert {b"200", b"400"} <= set(codes)
    assert b"500" not in codes
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
