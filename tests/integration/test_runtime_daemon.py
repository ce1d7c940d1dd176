"""One daemon as a process: systemd's words, an orderly stop, a full disk, a broker that is away."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.sim.bench.files import CABLE, STATIONS, LineOptions, StationFiles, write_line
from gateway.sim.bench.media import ports_of
from gateway.sim.bench.process import GatewayProcess
from tests.integration.live_line import get, lamp_of, until
from tests.integration.mosquitto import Mosquitto, needs_mosquitto

NOTICE = {
    "to": "SOUTH",
    "kind": "NOTIFY",
    "precedence": "ROUTINE",
    "operation": "TEST",
    "text": "a test",
}


@asynccontextmanager
async def north(
    *, mqtt_url: str | None = None, state_folder: Path | None = None
) -> AsyncIterator[GatewayProcess]:
    """NORTH alone, with a cable that is not there; not yet started."""
    folder = Path(tempfile.mkdtemp(prefix="hotline-test-"))
    options = LineOptions(
        baud=9600, links=(CABLE,), mqtt_urls={} if mqtt_url is None else {"NORTH": mqtt_url}
    )
    line = write_line(folder, {name: ports_of(folder, name) for name in STATIONS}, options)
    files: StationFiles = line.stations["NORTH"]
    if state_folder is not None:
        text = files.config.read_text()
        files.config.write_text(text.replace(str(files.folder / "state"), str(state_folder)))
    process = GatewayProcess(files)
    try:
        yield process
    finally:
        await process.kill()
        shutil.rmtree(folder)


def log_lines(process: GatewayProcess) -> list[dict[str, Any]]:
    path = process.files.folder / "state" / "log" / "gateway.log"
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_systemd_is_told_and_a_stop_is_orderly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More time for the store; READY only with an open API; WATCHDOG while it turns; SIGTERM ends
    it with 0 in 5 s.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "n"))
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        monkeypatch.setenv("WATCHDOG_USEC", "300000")
        loop = asyncio.get_running_loop()

        async def word_until(start: str) -> str:
            async with asyncio.timeout(30):
                while not (word := (await loop.sock_recv(systemd, 1024)).decode()).startswith(
                    start
                ):
                    pass
                return word

        async with north() as process:
            await process.launch()
            assert await word_until("STATUS=") == "STATUS=reading the store"
            assert await word_until("EXTEND") == "EXTEND_TIMEOUT_USEC=120000000"
            assert "SOUTH cable DOWN" in await word_until("STATUS=")
            await word_until("READY=1")
            assert await get(process, "/v1/status")
            for _ in range(3):
                await word_until("WATCHDOG=1")
            assert await lamp_of(process, "alive") != "off"
            async with asyncio.timeout(5):
                assert await process.stop() == 0
            await word_until("STOPPING=1")
            events = [line["event"] for line in log_lines(process)]
            assert events.count("ready") == 1
            assert events[-1] == "stopped"
            assert not process.files.api_socket.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 8 MiB, where we may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


async def test_full_disk_refuses_clearly_and_heals(small_disk: Path) -> None:
    """A submission is refused with what to do; alarm lit; nothing accepted is lost; it heals."""
    async with north(state_folder=small_disk / "state") as process:
        await process.start()
        accepted: list[str] = []

        async def submit() -> tuple[int, Any]:
            document = {**NOTICE, "request_id": f"r{len(accepted) + 1}", "text": "x" * 900}
            return await process.api.request("POST", "/v1/notices", document)

        status, answer = await submit()
        assert status == 201
        accepted.append(answer["id"])
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        # The store gives up its ballast first, which holds some thousand commits; take it too.
        while status == 201:
            status, answer = await submit()
            if status == 201:
                accepted.append(answer["id"])
            with filler.open("ab", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(bytes(65536))
        assert status in (503, 507), answer
        assert answer["code"] == "store_refused"
        assert answer["remedy"]

        async def is_refusing() -> bool:
            document = await get(process, "/v1/status")
            return bool(document["store_refused"])

        await until(is_refusing)
        assert await lamp_of(process, "alarm") == "fast"
        status, answer = await submit()
        assert (status, answer["code"]) == (503, "store_refused")
        filler.unlink()

        async def is_healed() -> bool:
            return not await is_refusing()

        await until(is_healed)
        status, answer = await submit()
        assert status == 201
        accepted.append(answer["id"])
        outbox = await get(process, "/v1/outbox?limit=1000")
        assert {one["id"] for one in outbox["notices"]} == set(accepted)
        assert await process.stop() == 0


@needs_mosquitto
async def test_broker_may_come_late(tmp_path: Path) -> None:
    """Without its broker the gateway runs with an alarm; submissions are taken once it is there."""
    broker = Mosquitto(tmp_path)
    async with north(mqtt_url=broker.url) as process:
        await process.start()

        async def codes() -> list[str]:
            document = await get(process, "/v1/status")
            return [alarm["code"] for alarm in document["alarms"]]

        async def is_told() -> bool:
            return "queue down" in await codes()

        await until(is_told)
        await broker.start()
        try:

            async def is_over() -> bool:
                return "queue down" not in await codes()

            await until(is_over)
            async with broker.listen("hotline/v1/NORTH/state/#") as states:
                await broker.submit("NORTH", {**NOTICE, "request_id": "late-1"})
                (state,) = await states.on("/state/")
            assert state.json["state"] == "QUEUED"
        finally:
            await broker.kill()
        await until(is_told)
        assert await process.stop() == 0


async def test_a_missing_chip_ends_no_line() -> None:
    """No lamp can be lit here: the alarm says why and what to do, and the gateway goes on."""
    async with north() as process:
        text = process.files.config.read_text()
        process.files.config.write_text(text.replace('"mock"', '"lgpio"'))
        await process.start()

        async def alarm() -> dict[str, str] | None:
            found = (await get(process, "/v1/status"))["alarms"]
            return next((one for one in found if "lamps" in one["text"]), None)

        told = await until(alarm)
        assert told["code"] == "device does not work"
        assert "no chip has the label of a Pi's header" in told["text"]


@needs_mosquitto
async def test_openssl_is_loaded_for_mqtts_alone(tmp_path: Path) -> None:
    """5 MB that a gateway without TLS does not spend; one with a mqtts broker finds it."""
    broker = Mosquitto(tmp_path)
    await broker.start()
    try:
        for url, is_there in ((broker.url, False), ("mqtts://127.0.0.1:1", True)):
            async with north(mqtt_url=url) as process:
                await process.start()
                maps = Path(f"/proc/{process.process_id}/maps").read_text()
                assert ("libssl" in maps or "_ssl.c" in maps) is is_there
                assert await process.stop() == 0
    finally:
        await broker.kill()
