"""The shipped rights at a real server: a station hears, reads and says nothing of another."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js.errors import APIError

from gateway.config.settings import NatsSettings
from gateway.core.events import QueueUp
from gateway.doctor.finding import Mark
from gateway.doctor.nats import examine_nats
from gateway.errors import QueueUnavailableError
from gateway.queues.nats_connection import Access, NatsConnection, ServerRing
from gateway.queues.streams import (
    LINES,
    NOTICES,
    REQUESTS,
    SPARE_STREAMS,
    STREAMS,
    own_stream,
    own_stream_config,
    program_consumer,
    stream_config,
)
from gateway.spare.cluster import BASES, COMMITS, SpareCluster
from tests.integration.adapter_running import until
from tests.integration.desk_double import MemoryDesk
from tests.integration.nats_cluster import nats_server, needs_nats, program
from tests.integration.nats_running import running

pytestmark = needs_nats

SUBMISSION = {"request_id": "r", "to": "SOUTH", "kind": "NOTIFY", "operation": "TEST", "text": "x"}


def shipped_users() -> str:
    """The shipped authorization with a second station, and an administrator."""
    text = (resources.files("gateway.queues.jetstream") / "nats-server.conf").read_text()
    block = text[text.index("authorization {") :]
    north = re.search(r"  GATEWAY_NORTH = \{.*?\n  \}\n", block, re.DOTALL)
    assert north is not None
    west = north[0].replace("NORTH", "WEST")
    assert "_INBOX_WEST.>" in west
    others = "{ user: west, password: secret, permissions: $GATEWAY_WEST }\n"
    others += "{ user: admin, password: admin }\n"
    block = block.replace(north[0], north[0] + west).replace("users: [\n", f"users: [\n{others}")
    return re.sub(r'"<bcrypt[^"]*"', "secret", block)


async def ask(client: Client, subject: str, document: object) -> dict[str, Any]:
    payload = json.dumps(document).encode()
    answer = await client.request(f"$JS.API.{subject}", payload, timeout=10)
    made: dict[str, Any] = json.loads(answer.data)
    return made


async def make_all(url: str, *stations: str) -> None:
    """What the administrator makes by hand."""
    configs = [stream_config(name, 1) for name in STREAMS]
    configs += [own_stream_config(name, it, 1) for name in SPARE_STREAMS for it in stations]
    async with program(url, user="admin", password="admin") as admin:
        for config in configs:
            made = await ask(admin, f"STREAM.CREATE.{config['name']}", config)
            assert {key: made["config"].get(key) for key in config} == config, made
        consumer = program_consumer()
        subject = f"CONSUMER.DURABLE.CREATE.{NOTICES}.{consumer['durable_name']}"
        made = await ask(admin, subject, {"stream_name": NOTICES, "config": consumer})
        assert "error" not in made, made


@asynccontextmanager
async def spare_cluster(
    url: str, station: str, user: str | None = None
) -> AsyncIterator[SpareCluster]:
    """As a gateway of the station with `[spare]` has it."""
    access = Access((url,), station, user=user, password=user and "secret", replicas=1)
    connection = NatsConnection(access, ServerRing(access), name="test")
    try:
        await connection.open()
        yield SpareCluster(connection, station)
    finally:
        await connection.close()


class Intruder:
    """Station NORTH's user in the hands of somebody who tries everything."""

    def __init__(self) -> None:
        self.denied: list[str] = []
        self.heard: list[str] = []

    async def on_error(self, error: Exception) -> None:
        self.denied.append(str(error))

    async def on_message(self, message: Any) -> None:
        self.heard.append(message.subject)

    async def is_denied(self, subject: str) -> None:
        await until(lambda: any(f'"{subject.lower()}"' in it.lower() for it in self.denied))


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    async with nats_server(tmp_path, shipped_users()) as server:
        await make_all(server.url, "NORTH", "WEST")
        yield server.url


async def test_everything_of_a_station_works(url: str) -> None:
    """Notices, requests, replies and what two gateways share, for two stations at once; and the
    program at headquarters.
    """
    north, west = MemoryDesk(), MemoryDesk()
    hq = {"user": "headquarters", "password": "secret", "inbox_prefix": "_INBOX_HQ"}
    async with (
        running(url, desk=north, user="north", password="secret") as one,
        running(url, desk=west, station="WEST", user="west", password="secret") as two,
        program(url, **hq) as client,
    ):
        assert one.events == two.events == [QueueUp("nats")]
        replies: list[Any] = []

        async def keep(message: Any) -> None:
            replies.append(message)

        await client.subscribe("reply.hq", cb=keep)
        await client.flush()
        north.arrive("of north")
        west.arrive("of west")
        pull = await client.jetstream().pull_subscribe_bind("headquarters", NOTICES)
        stations: set[str] = set()
        while stations != {"NORTH", "WEST"}:
            for message in await pull.fetch(10, timeout=10):
                stations.add(message.subject.split(".")[2])
                await message.ack_sync()
        headers = {"Hotline-Reply-To": "reply.hq"}
        payload = json.dumps(SUBMISSION).encode()
        for station in ("NORTH", "WEST"):
            await client.jetstream().publish(
                f"hotline.v1.{station}.submit", payload, headers=headers
            )
        await until(lambda: len(north.accepted) == len(west.accepted) == 1 and len(replies) == 2)

    async with spare_cluster(url, "NORTH", "north") as own:
        await own.prepare()
        assert [it async for it in own.denied()] == []
        for stream in SPARE_STREAMS:
            assert await own.connection.place(stream) == own_stream(stream, "NORTH")
        place = await own.connection.append(BASES, own.base_subject, b"whole", after=0)
        found = await own.connection.stored(BASES, last_by_subj=own.base_subject)
        assert found == (place, b"whole")
        assert await own.claim() == (None, 0)


async def test_nothing_of_another_station_is_heard_read_or_said(url: str) -> None:
    """NORTH's user tries inboxes, streams, consumers and subjects of WEST, and those of all."""
    async with spare_cluster(url, "WEST", "west") as west:
        await west.connection.append(BASES, west.base_subject, b"secret of west", after=0)
    intruder = Intruder()
    options: dict[str, Any] = {
        "user": "north",
        "password": "secret",
        "inbox_prefix": "_INBOX_NORTH",
        "error_cb": intruder.on_error,
    }
    hq = {"user": "headquarters", "password": "secret", "inbox_prefix": "_INBOX_HQ"}
    desk = MemoryDesk()
    async with (
        program(url, **options) as client,
        program(url, **hq) as consumer,
        running(url, desk=desk, station="WEST", user="west", password="secret"),
    ):
        for subject in (
            *("_INBOX.>", "_INBOX_HQ.>", "_INBOX_WEST.>", "_INBOX_NORTHWEST.>", "*.*", ">"),
            *("hotline.>", "hotline.v1.WEST.>", "reply.hq", "reply.>", "$JS.>", "$KV.>"),
        ):
            await client.subscribe(subject, cb=intruder.on_message)
            await intruder.is_denied(subject)
        desk.arrive("a notice of west")
        pull = await consumer.jetstream().pull_subscribe_bind("headquarters", NOTICES)
        [message] = await pull.fetch(1, timeout=10)
        assert b"a notice of west" in message.data
        await message.ack_sync()

        of_west = [own_stream(name, "WEST") for name in SPARE_STREAMS]
        for stream in (*STREAMS, *SPARE_STREAMS, *of_west):
            for subject in (
                *(f"STREAM.MSG.GET.{stream}", f"DIRECT.GET.{stream}", f"DIRECT.GET.{stream}.x"),
                *(f"CONSUMER.CREATE.{stream}", f"CONSUMER.CREATE.{stream}.c.>"),
                *(f"CONSUMER.DURABLE.CREATE.{stream}.c", f"STREAM.SNAPSHOT.{stream}"),
                *(f"STREAM.UPDATE.{stream}", f"STREAM.PURGE.{stream}", f"STREAM.DELETE.{stream}"),
            ):
                await client.publish(f"$JS.API.{subject}", b"{}", reply="_INBOX_NORTH.x")
                await intruder.is_denied(f"$JS.API.{subject}")
        for subject in (
            *("hotline.v1.WEST.notice.test.flash", "hotline.v1.WEST.spare", "hotline.v1.WEST.x"),
            *("$KV.HOTLINE_SPARE.WEST", "$KV.HOTLINE_SPARE.WEST.a", "_INBOX_WEST.x"),
            "$JS.API.CONSUMER.MSG.NEXT.HOTLINE_NOTICE.headquarters",
            "$JS.API.CONSUMER.MSG.NEXT.HOTLINE_REQUEST.gateway-WEST-submit",
            "$JS.API.CONSUMER.DURABLE.CREATE.HOTLINE_REQUEST.gateway-NORTH-submit",
            "$JS.ACK.HOTLINE_REQUEST.gateway-WEST-submit.1.1.1.1.1",
        ):
            await client.publish(subject, b"{}")
            await intruder.is_denied(subject)

        # What it may make is a consumer of its own requests only, whatever the request says.
        durable = "gateway-NORTH-submit"
        subject = f"CONSUMER.CREATE.{REQUESTS}.{durable}.hotline.v1.NORTH.submit"
        plain = {"durable_name": durable, "ack_policy": "explicit"}
        for stolen in ("hotline.v1.WEST.submit", "hotline.v1.*.submit", ""):
            config = plain | {"filter_subject": stolen}
            refused = await ask(client, subject, {"stream_name": REQUESTS, "config": config})
            assert "did not match" in refused["error"]["description"]

        # A server checks no reply subject: its own answers may land among another's notices, which
        # rule 5 of the consumers sets aside. What the intruder wrote does not land there.
        config = plain | {"filter_subject": "hotline.v1.NORTH.submit"}
        made = await ask(client, subject, {"stream_name": REQUESTS, "config": config})
        assert "error" not in made
        forged = json.dumps({"id": "1-aaaa-1"}).encode()
        await consumer.jetstream().publish("hotline.v1.NORTH.submit", forged)
        target = "hotline.v1.WEST.notice.operation.flash"
        following = f"$JS.API.CONSUMER.MSG.NEXT.{REQUESTS}.{durable}"
        await client.publish(following, b"1", reply=target)
        await client.publish("$JS.API.STREAM.INFO.HOTLINE_NOTICE", b"", reply=target)
        [message] = await pull.fetch(1, timeout=10)
        assert message.subject == target
        assert "id" not in json.loads(message.data)
    assert intruder.heard == []


async def test_a_station_of_which_the_streams_were_forgotten(tmp_path: Path) -> None:
    """Without them, or with inboxes of the old kind, it is told what to make or to allow."""
    async with nats_server(tmp_path, shipped_users()) as server:
        await make_all(server.url, "WEST")
        async with spare_cluster(server.url, "NORTH", "north") as own:
            with pytest.raises(QueueUnavailableError) as caught:
                await own.prepare()
        said = "has no stream KV_HOTLINE_SPARE_NORTH; make it there from KV_HOTLINE_SPARE_station"
        assert said in str(caught.value)
    users = shipped_users().replace("_INBOX_NORTH.>", "_INBOX.>")
    folder = tmp_path / "other"
    folder.mkdir()
    async with nats_server(folder, users) as server:
        options: dict[str, Any] = {"user": "north", "password": "secret"}
        async with running(server.url, desk=MemoryDesk(), **options) as adapter:
            assert 'allow it to subscribe to "_INBOX_NORTH.>"' in str(await adapter.end())


async def test_a_right_that_is_not_needed_is_no_reason_later(tmp_path: Path) -> None:
    """Who may not read a consumer is served; a look in the doctor, with all that it found else;
    and an outage after it has its own reason.
    """
    denied = 'deny: ["$JS.API.CONSUMER.INFO.>"]'
    rights = f'publish: {{ allow: ">", {denied} }}, subscribe: ">"'
    user = f"{{ user: north, password: secret, permissions: {{ {rights} }} }}"
    file = tmp_path / "password"
    file.write_text("secret")
    file.chmod(0o600)
    async with (
        nats_server(tmp_path, f"authorization {{ users: [ {user} ] }}") as server,
        running(server.url, desk=MemoryDesk(), user="north", password="secret") as adapter,
    ):
        settings = NatsSettings(servers=(server.url,), replicas=1, user="north", password_file=file)
        found = await examine_nats(settings, "NORTH")
        await server.kill()
        assert "denies us a right" not in str(await adapter.end())
    texts = {it.text: it.mark for it in found}
    for name in STREAMS:
        assert (
            texts[f"stream {name} is as shipped, 1 copy, {int(name == LINES)} messages"] is Mark.OK
        )
    looks = [it for it in found if "who removes the consumer is not noticed" in it.text]
    assert [it.mark for it in looks] == [Mark.LOOK] * 2


async def test_streams_for_all_stations_stay_in_use(tmp_path: Path) -> None:
    """Without rights a gateway makes what it made before and stays with it; own streams are taken
    where they are, and the server lets nobody have both.
    """
    async with nats_server(tmp_path) as server, program(server.url) as admin:
        async with spare_cluster(server.url, "NORTH") as shared:
            await shared.prepare()
            assert await shared.connection.place(COMMITS) == COMMITS
            place = await shared.connection.append(COMMITS, "hotline.v1.NORTH.spare", b"x", after=0)
        config = own_stream_config(COMMITS, "NORTH", 1)
        made = await ask(admin, f"STREAM.CREATE.{config['name']}", config)
        assert "overlap" in made["error"]["description"]
        async with spare_cluster(server.url, "NORTH") as again:
            await again.prepare()
            assert await again.connection.stored(COMMITS, seq=place) == (place, b"x")
        for name in SPARE_STREAMS:
            await admin.jetstream().delete_stream(name)
            config = own_stream_config(name, "NORTH", 1)
            assert "error" not in await ask(admin, f"STREAM.CREATE.{config['name']}", config)
        async with spare_cluster(server.url, "NORTH") as own:
            await own.prepare()
            for name in SPARE_STREAMS:
                assert await own.connection.place(name) == f"{name}_NORTH"
        with pytest.raises(APIError):
            await admin.jetstream().stream_info(COMMITS)


def test_own_streams_are_the_shared_ones_for_one_station() -> None:
    """But for name, subjects and room they are defined alike."""
    for name in SPARE_STREAMS:
        shared, own = stream_config(name, 3), own_stream_config(name, "NORTH", 3)
        assert own["name"] == f"{name}_NORTH"
        assert all("NORTH" in it for it in own["subjects"])
        for key in shared.keys() - {"name", "description", "subjects", "max_bytes"}:
            assert own[key] == shared[key], key
