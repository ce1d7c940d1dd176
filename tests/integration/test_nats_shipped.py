"""The shipped server configuration and definitions on a real cluster: TLS, users, rights."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from nats.js.errors import APIError

from gateway.core.events import QueueUp
from gateway.queues.mqtt_socket import Tls
from gateway.queues.streams import NOTICES, STREAMS, program_consumer, stream_config
from gateway.security.nkey import Nkey, parse_nkey
from tests.integration.adapter_running import until
from tests.integration.certificates import Authority
from tests.integration.desk_double import MemoryDesk
from tests.integration.nats_cluster import (
    PROGRAM,
    Cluster,
    NatsServer,
    free_ports,
    nats_server,
    needs_nats,
    program,
    server_version,
)
from tests.integration.nats_running import Listener, running

pytestmark = needs_nats

SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"


class ShippedServer(NatsServer):
    """A server whose whole configuration is the shipped file, its blanks filled in."""

    def __init__(
        self, folder: Path, number: int, ports: list[int], authority: Authority, nkey: Nkey
    ) -> None:
        super().__init__(folder, f"hq-{number + 1}", ports[number])
        certificate, key = authority.issue(f"server-{number}")
        text = (resources.files("gateway.queues.jetstream") / "nats-server.conf").read_text()
        routes = ", ".join(f"nats://127.0.0.1:{port}" for port in ports[3:])
        for before, after in (
            ("server_name: <hq-1>", f"server_name: {self.name}"),
            ("0.0.0.0:4222", f"127.0.0.1:{self.port}"),
            ("0.0.0.0:6222", f"127.0.0.1:{ports[3 + number]}"),
            ("nats://<hq-1>:6222, nats://<hq-2>:6222, nats://<hq-3>:6222", routes),
            ("/var/lib/nats", str(folder / self.name)),
            ("/etc/nats/server.pem", str(certificate)),
            ("/etc/nats/server.key", str(key)),
            ("/etc/nats/ca.pem", str(authority.ca_file)),
            ("<bcrypt of nats server passwd>", "secret"),
            ("<bcrypt of another>", "secret"),
            ("# or { nkey: <U...>", f"{{ user: admin, password: admin }}, {{ nkey: {nkey.public}"),
        ):
            assert before in text
            text = text.replace(before, after)
        assert "\n  # sync_interval: always\n" in text
        if server_version() >= (2, 10):  # as its comment asks; Debian 12 does not start with it
            text = text.replace("  # sync_interval: always", "  sync_interval: always")
        assert not re.search(r"<\w", text)
        self.config = self._config = text


@asynccontextmanager
async def shipped_cluster(folder: Path, authority: Authority) -> AsyncIterator[Cluster]:
    ports = free_ports(6)
    nkey = parse_nkey(SEED)
    servers = [ShippedServer(folder, number, ports, authority, nkey) for number in range(3)]
    context = ssl.create_default_context(cafile=authority.ca_file)
    cluster = Cluster(servers, tls=context, user="admin", password="admin")
    try:
        await cluster.start()
        yield cluster
    finally:
        for server in servers:
            await server.kill()


async def test_the_shipped_files_make_a_cluster(tmp_path: Path) -> None:
    """Streams from the files, a gateway with its user or nkey over TLS, a program that reads."""
    authority, forger = Authority(tmp_path), Authority(tmp_path / "forger", "another authority")
    async with (
        shipped_cluster(tmp_path, authority) as cluster,
        program(*cluster.urls, **cluster.options) as admin,
    ):

        async def ask(subject: str, document: Any) -> dict[str, Any]:
            payload = json.dumps(document).encode()
            answer = await admin.request(f"$JS.API.{subject}", payload, timeout=10)
            made: dict[str, Any] = json.loads(answer.data)
            return made

        for name in STREAMS:
            made = await ask(f"STREAM.CREATE.{name}", stream_config(name, 3))
            assert "error" not in made, made
        consumer = program_consumer()
        made = await ask(
            f"CONSUMER.DURABLE.CREATE.{NOTICES}.{consumer['durable_name']}",
            {"stream_name": NOTICES, "config": consumer},
        )
        assert "error" not in made, made

        urls = [url.replace("nats:", "tls:") for url in cluster.urls]
        trust = Tls(authority.ca_file)
        north: dict[str, Any] = {"user": "north", "password": "secret", "replicas": 3}
        desk = MemoryDesk()
        async with running(*urls, desk=desk, tls=trust, **north) as adapter:
            assert adapter.events == [QueueUp("nats")]
            listener = await Listener.stored(admin, NOTICES, "hotline.v1.>")
            notice = desk.arrive("by user and password")
            await listener.until("notice")
            await until(lambda: desk.store._live.rows[notice.id].delivery.taken)  # type: ignore[union-attr]
            payload = json.dumps(
                {"request_id": "r", "to": "SOUTH", "kind": "NOTIFY", "operation": "TEST",
                 "text": "x"}
            ).encode()  # fmt: skip
            await admin.jetstream().publish("hotline.v1.NORTH.submit", payload)
            await until(lambda: len(desk.accepted) == 1)
        async with running(
            *urls, desk=desk, tls=trust, nkey=parse_nkey(SEED), replicas=3
        ) as adapter:
            desk.arrive("by nkey")
            await listener.until("notice", count=2)

        for changes, sentence in (
            ({"tls": Tls(forger.ca_file)}, "CERTIFICATE_VERIFY_FAILED"),
            ({"password": "wrong"}, "check user, password_file and nkey_file"),
            ({"user": None, "password": None}, "check user, password_file and nkey_file"),
            ({"station": "WEST"}, "denies us a right"),
        ):
            options: dict[str, Any] = {"tls": trust, **north, **changes}
            async with running(*urls, desk=MemoryDesk(), **options) as adapter:
                assert sentence in str(await adapter.end())


async def test_the_shipped_file_starts_as_it_is(tmp_path: Path) -> None:
    """With its blanks filled in and nothing else, whatever version of the server is here."""
    authority = Authority(tmp_path)
    shipped = ShippedServer(tmp_path, 0, free_ports(6), authority, parse_nkey(SEED))
    path = tmp_path / "as-it-is.conf"
    path.write_text(re.sub(r"\n *sync_interval", "\n  # sync_interval", shipped.config))
    assert PROGRAM is not None
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "-t", "-c", str(path), stdout=PIPE, stderr=STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said
    assert b"is valid" in said


async def test_tls_is_not_dropped_for_a_server_without_it(tmp_path: Path) -> None:
    """A server that greets in clear where TLS is configured gets no password of ours."""
    heard = bytearray()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.10.0","max_payload":1048576}\r\n')
        heard.extend(await reader.read(1000))
        writer.close()

    listening = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with listening:
        url = f"tls://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        tls = Tls(Authority(tmp_path).ca_file)
        async with running(url, desk=MemoryDesk(), tls=tls, user="n", password="p") as adapter:
            assert "greets without TLS" in str(await adapter.end())
    assert bytes(heard) == b""


async def test_the_definitions_are_those_that_are_made(tmp_path: Path) -> None:
    """What a server makes of each file is what the file says: no field is unknown or dropped."""
    async with nats_server(tmp_path) as server, program(server.url) as client:
        for name in STREAMS:
            wanted = stream_config(name, 1)
            payload = json.dumps(wanted).encode()
            answer = await client.request(f"$JS.API.STREAM.CREATE.{name}", payload, timeout=10)
            made = json.loads(answer.data)
            assert {key: made["config"].get(key) for key in wanted} == wanted
        with pytest.raises(APIError):
            await client.jetstream().add_stream(name="OTHER", subjects=["hotline.v1.NORTH.submit"])
