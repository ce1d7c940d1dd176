"""Real nats-server processes: one, or a cluster of three; and nats-py as the foreign program."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import socket
import subprocess
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.errors import Error

DEADLINE_S = 60

PROGRAM = shutil.which("nats-server", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
needs_nats = pytest.mark.skipif(PROGRAM is None, reason="apt-get install nats-server")


def server_version() -> tuple[int, int]:
    """Major and minor of the program."""
    assert PROGRAM is not None
    said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"v(\d+)\.(\d+)", said.stdout + said.stderr)
    assert found is not None
    return int(found[1]), int(found[2])


def free_ports(count: int) -> list[int]:
    """Of loopback, all different."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports: list[int] = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class NatsServer:
    """One process. `lines` go into its configuration; `prefix` is what starts it elsewhere."""

    def __init__(  # its place in a cluster
        self,
        folder: Path,
        name: str,
        port: int,
        *lines: str,
        cluster_port: int | None = None,
        routes: Sequence[str] = (),
        host: str = "127.0.0.1",
        cluster_host: str = "127.0.0.1",
        prefix: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.name = name
        self.port = port
        self.host = host
        self.url = f"nats://{host}:{port}"
        self._prefix = prefix
        self._process: Process | None = None
        sync = ["  sync_interval: always"] if server_version() >= (2, 10) else []
        self._lines = lines
        config = [
            f"server_name: {name}",
            f"listen: {host}:{port}",
            "jetstream {",
            f'  store_dir: "{folder / name}"',
            "  max_file_store: 32GiB",
            *sync,
            "}",
            *lines,
        ]
        if cluster_port is not None:
            config += [
                "cluster {",
                "  name: hotline",
                f"  listen: {cluster_host}:{cluster_port}",
                f"  routes: [ {', '.join(routes)} ]",
                "}",
            ]
        self._config = "\n".join(config) + "\n"

    def reconfigure(self, *lines: str) -> None:
        """Other lines instead, from the next start."""
        before, after = "\n".join(self._lines), "\n".join(lines)
        assert before in self._config
        self._config = self._config.replace(before, after)
        self._lines = lines

    async def start(self) -> None:
        """Start; return when it takes connections."""
        assert PROGRAM is not None
        path = self.folder / f"{self.name}.conf"
        path.write_text(self._config)
        self._process = await asyncio.create_subprocess_exec(
            *self._prefix,
            *(PROGRAM, "-c", str(path), "-l", str(self.folder / f"{self.name}.log")),
            stdout=DEVNULL,
        )
        async with asyncio.timeout(DEADLINE_S):
            while True:
                assert self._process.returncode is None, "nats-server ended at its start"
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(self.host, self.port)
                    writer.close()
                    await writer.wait_closed()
                    return
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        self._process = None

    def freeze(self) -> None:
        """SIGSTOP: to all others it is as if the network to it were cut."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


class Cluster:
    """Servers that serve together."""

    def __init__(self, servers: Sequence[NatsServer], **options: Any) -> None:
        self.servers = list(servers)
        self.options = options
        """By which a program of the test connects."""

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(server.url for server in self.servers)

    async def start(self) -> None:
        for server in self.servers:
            await server.start()
        await self.until_leader()

    async def until_leader(self) -> None:
        """JetStream places a stream on every server: each has heard of all others."""
        count = len(self.servers)
        async with asyncio.timeout(DEADLINE_S):
            while True:
                with suppress(Error, OSError, TimeoutError):
                    async with program(*self.urls, **self.options) as client:
                        manager = client.jetstream()
                        await manager.add_stream(
                            name="READY", subjects=["ready"], storage="memory", num_replicas=count
                        )
                        await manager.delete_stream("READY")
                        return
                await asyncio.sleep(0.1)

    async def until_current(self, *streams: str) -> None:
        """Every replica of the streams has what its leader has."""
        async with asyncio.timeout(DEADLINE_S):
            while not all([await self._is_current(stream) for stream in streams]):
                await asyncio.sleep(0.1)

    async def _is_current(self, stream: str) -> bool:
        with suppress(Error, OSError, TimeoutError):
            async with program(*self.urls, **self.options) as client:
                answer = await client.request(f"$JS.API.STREAM.INFO.{stream}", timeout=2)
                cluster = json.loads(answer.data).get("cluster", {})
                replicas = cluster.get("replicas") or []
                return (
                    bool(cluster.get("leader"))
                    and len(replicas) == len(self.servers) - 1
                    and all(it["current"] and not it.get("offline") for it in replicas)
                )
        return False


@asynccontextmanager
async def program(*urls: str, **options: Any) -> AsyncIterator[Client]:
    """A connection as a program at headquarters has it: it reconnects to any server."""
    client = Client()

    async def quiet(_error: Exception) -> None:
        """What goes wrong meanwhile shows in what the test expects."""

    settings: dict[str, Any] = {
        "servers": list(urls),
        "error_cb": quiet,
        "connect_timeout": 2,
        "reconnect_time_wait": 0.1,
        "max_reconnect_attempts": -1,
        "ping_interval": 1,
    }
    await client.connect(**settings | options)
    try:
        yield client
    finally:
        with suppress(Error, OSError, TimeoutError):
            async with asyncio.timeout(2):
                await client.close()


@asynccontextmanager
async def nats_server(folder: Path, *lines: str) -> AsyncIterator[NatsServer]:
    """One server with JetStream."""
    server = NatsServer(folder, "alone", free_ports(1)[0], *lines)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


@asynccontextmanager
async def nats_cluster(folder: Path, *lines: str, count: int = 3) -> AsyncIterator[Cluster]:
    """A cluster with JetStream, ready."""
    ports = free_ports(2 * count)
    routes = [f"nats-route://127.0.0.1:{port}" for port in ports[count:]]
    cluster = Cluster(
        [
            NatsServer(
                folder,
                f"hq-{number + 1}",
                ports[number],
                *lines,
                cluster_port=ports[count + number],
                routes=routes,
            )
            for number in range(count)
        ]
    )
    try:
        await cluster.start()
        yield cluster
    finally:
        for server in cluster.servers:
            await server.kill()
