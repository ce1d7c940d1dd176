"""Three real nats-servers as one cluster on loopback, in a folder of their own."""

from __future__ import annotations

import asyncio
import shutil
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.sim.bench.process import BenchError
from gateway.sim.benchmark.broker import PROGRAM_FOLDERS

SERVER_COUNT: Final = 3
START_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Servers:
    """A running cluster."""

    urls: tuple[str, ...]
    processes: tuple[Process, ...]


@asynccontextmanager
async def nats_servers(folder: Path) -> AsyncIterator[Servers]:
    """The cluster, taking connections. Raises `BenchError` if there is no nats-server."""
    program = shutil.which("nats-server", path=PROGRAM_FOLDERS)
    if program is None:
        raise BenchError("many stations need a cluster: apt-get install nats-server")
    ports = _free_ports(2 * SERVER_COUNT)
    routes = ", ".join(f"nats-route://127.0.0.1:{port}" for port in ports[SERVER_COUNT:])
    processes: list[Process] = []
    try:
        for number in range(SERVER_COUNT):
            config = folder / f"hq-{number}.conf"
            config.write_text(
                f"server_name: hq-{number}\n"
                f"listen: 127.0.0.1:{ports[number]}\n"
                f'jetstream {{ store_dir: "{folder}/hq-{number}", max_file_store: 8GiB }}\n'
                f"cluster {{ name: hotline, listen: 127.0.0.1:{ports[SERVER_COUNT + number]}, "
                f"routes: [ {routes} ] }}\n",
                encoding="utf-8",
            )
            processes.append(
                await asyncio.create_subprocess_exec(
                    program, "-c", str(config), stdout=DEVNULL, stderr=DEVNULL
                )
            )
        await _until_open(ports[:SERVER_COUNT])
        urls = tuple(f"nats://127.0.0.1:{port}" for port in ports[:SERVER_COUNT])
        yield Servers(urls, tuple(processes))
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports: list[int] = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


async def _until_open(ports: list[int]) -> None:
    try:
        async with asyncio.timeout(START_S):
            for port in ports:
                while True:
                    try:
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                    except OSError:
                        await asyncio.sleep(0.05)
                        continue
                    writer.close()
                    break
    except TimeoutError as error:
        raise BenchError("a nats-server takes no connection") from error
