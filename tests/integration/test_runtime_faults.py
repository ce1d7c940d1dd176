"""The disk under a running gateway fails for a while: refused, told within seconds, and over."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.sim.bench.http_client import ApiUnreachableError
from gateway.sim.bench.process import BenchError, GatewayProcess
from gateway.store.database import FILE_NAME
from tests.integration.live_line import get, lamp_of, until
from tests.integration.test_runtime_daemon import NOTICE, north

ALARM_S = 5.0
WRITING = "pwrite64,write,ftruncate,fallocate,openat,rename,unlink"
FLUSHING = "fsync,fdatasync"

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="a gateway hides its memory, so only root may trace it"
)


@asynccontextmanager
async def failing(process: GatewayProcess, calls: str, error: str) -> AsyncIterator[None]:
    """Every one of these calls on the files of the store fails, until this is left."""
    state = process.files.folder / "state"
    files = (f"/{FILE_NAME}", f"/{FILE_NAME}-wal", "/trial", "/ballast", "/logbook")
    tracer = await asyncio.create_subprocess_exec(
        *("strace", "-f", "-qq", "-o", str(process.files.folder / "calls"), "-e", "signal=none"),
        *("-e", f"trace={calls}", "-e", f"inject={calls}:error={error}"),
        *(part for file in files for part in ("-P", f"{state}{file}")),
        *("-p", str(process.process_id)),
    )
    try:
        assert process.process_id is not None
        status = Path(f"/proc/{process.process_id}/task")
        async with asyncio.timeout(20):
            while not all(tracer_of(task) == tracer.pid for task in status.iterdir()):
                await asyncio.sleep(0.01)
        yield
    finally:
        if tracer.returncode is None:
            tracer.send_signal(signal.SIGTERM)
            await tracer.wait()


def tracer_of(task: Path) -> int:
    """Who traces a thread; 0: nobody."""
    found = re.search(r"^TracerPid:\s+(\d+)$", (task / "status").read_text(), re.MULTILINE)
    return 0 if found is None else int(found[1])


async def submit(process: GatewayProcess, name: str) -> tuple[int, Any]:
    return await process.api.request("POST", "/v1/notices", {**NOTICE, "request_id": name})


async def ids(process: GatewayProcess) -> set[str]:
    return {one["id"] for one in (await get(process, "/v1/outbox?limit=1000"))["notices"]}


async def running(process: GatewayProcess) -> bool:
    """Raises `BenchError` once it is not."""
    process.check()
    return False


@needs_root
@pytest.mark.parametrize(
    ("error", "words"),
    [
        pytest.param("ENOSPC", "free some room", marks=pytest.mark.soak),
        ("EROFS", "is read-only"),
    ],
)
async def test_a_disk_that_refuses(error: str, words: str) -> None:
    """503 with what to do, the alarm within 5 s, nothing accepted lost, and over when it is."""
    async with north() as process:
        await process.start()
        status, first = await submit(process, "before")
        assert status == 201
        async with failing(process, WRITING, error):
            begun = asyncio.get_running_loop().time()
            status, refused = await submit(process, "refused")
            assert (status, refused["code"]) == (503, "store_refused"), refused
            assert words in refused["detail"]

            async def is_lit() -> bool:
                document = await get(process, "/v1/status")
                return document["store_refused"] and await lamp_of(process, "alarm") != "off"

            await until(is_lit)
            assert asyncio.get_running_loop().time() - begun < ALARM_S
            assert await ids(process) == {first["id"]}

        async def is_healed() -> bool:
            return not (await get(process, "/v1/status"))["store_refused"]

        await until(is_healed)
        status, second = await submit(process, "refused")
        assert status == 201
        assert await ids(process) == {first["id"], second["id"]}
        assert await process.stop() == 0


@needs_root
@pytest.mark.parametrize("calls", [pytest.param("pwrite64", marks=pytest.mark.soak), FLUSHING])
async def test_a_disk_that_fails(calls: str) -> None:
    """The gateway confirms nothing more and ends at once with a sentence; a start has it all."""
    async with north() as process:
        await process.start()
        status, first = await submit(process, "before")
        assert status == 201
        async with failing(process, calls, "EIO"):
            with suppress(ApiUnreachableError):
                status, answer = await submit(process, "lost")
                assert status != 201, answer
            async with asyncio.timeout(ALARM_S):
                with pytest.raises(BenchError, match="ended by itself with exit code 74"):
                    await until(lambda: running(process))
        said = process.files.output.read_text()
        assert "Traceback" not in said
        assert re.search(r"the (database|state folder) .* fails", said), said
        await process.kill()
        await process.start()
        assert first["id"] in await ids(process)
        status, second = await submit(process, "lost")
        assert status in (200, 201)
        assert await ids(process) == {first["id"], second["id"]}
        assert await process.stop() == 0
