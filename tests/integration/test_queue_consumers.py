"""The example consumers with real brokers: each notice is worked on once, whatever comes again."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from contextlib import suppress
from importlib import resources
from pathlib import Path

from nats.aio.client import Client

from gateway.core.records import Topic
from gateway.queues.streams import NOTICES, program_consumer
from tests.integration.adapter_running import until
from tests.integration.consumer_process import consuming, until_all_taken
from tests.integration.desk_double import MemoryDesk
from tests.integration.mosquitto import mosquitto, needs_mosquitto
from tests.integration.mqtt_running import running as mqtt_running
from tests.integration.nats_cluster import nats_server, needs_nats, program
from tests.integration.nats_running import running as nats_running

LINE_COUNT_MAX = 40
NO_NOTICES = ("garbage", "[]", "7", '{"id": 7}', '{"id": "\\ud800"}', "{}", "[" * 5_000)
"""What anyone may publish who may write there: each would else stop the consumer for good."""


async def make_program_consumer(client: Client) -> None:
    """As `nats consumer add --config consumer-program.json` does."""
    config = program_consumer()
    subject = f"$JS.API.CONSUMER.DURABLE.CREATE.{NOTICES}.{config['durable_name']}"
    payload = json.dumps({"stream_name": NOTICES, "config": config}).encode()
    made = json.loads((await client.request(subject, payload, timeout=10)).data)
    assert "error" not in made, made


async def documents(desk: MemoryDesk) -> list[str]:
    """Notices as they were handed on."""
    rows = await desk.store.publications(0, limit=100, topic=Topic.NOTICE)
    return [row.document for row in rows]


@needs_mosquitto
async def test_over_mqtt_each_notice_is_worked_on_once(tmp_path: Path) -> None:
    """Repeats, a consumer that is killed and one that was away: all notices, each once."""
    desk = MemoryDesk()
    async with (
        mosquitto(tmp_path) as broker,
        consuming(
            tmp_path / "ledger", "mqtt_consumer.py", "127.0.0.1", str(broker.port), "NORTH"
        ) as consumer,
        mqtt_running(broker.url, desk, republish_s=0.4),
    ):
        ids = [("NORTH", str(desk.arrive().id)) for _ in range(20)]
        await until_all_taken(desk)
        for text in await documents(desk):
            await broker.publish("hotline/v1/NORTH/notice/test/routine", text)
        for text in NO_NOTICES:
            await broker.publish("hotline/v1/NORTH/notice/test/routine", text)
        ids.append(("NORTH", str(desk.arrive("behind them").id)))
        await until_all_taken(desk)
        await consumer.kill()
        ids += [("NORTH", str(desk.arrive().id)) for _ in range(20)]
        await consumer.start()
        await until_all_taken(desk)
        # It works in order: what is last here was behind every repeat above.
        ids.append(("NORTH", str(desk.arrive("the last").id)))
        await until_all_taken(desk)
        assert consumer.work() == Counter(ids)


@needs_nats
async def test_over_nats_each_notice_is_worked_on_once(tmp_path: Path) -> None:
    """The same on a stream; a repeat that its window does not know, and two stations of one id."""
    north, west = MemoryDesk(), MemoryDesk()
    async with (
        nats_server(tmp_path) as server,
        program(server.url) as client,
        nats_running(server.url, desk=north),
        nats_running(server.url, desk=west, station="WEST"),
    ):
        await make_program_consumer(client)
        ids = [(name, str(desk.arrive().id)) for name, desk in (("NORTH", north), ("WEST", west))]
        assert ids[0][1] == ids[1][1]
        async with consuming(tmp_path / "ledger", "nats_consumer.py", server.url) as consumer:
            await until((tmp_path / "ledger").exists)
            await until_all_taken(north)
            for text in [*await documents(north), *NO_NOTICES]:
                await client.jetstream().publish(
                    "hotline.v1.NORTH.notice.test.routine", text.encode()
                )
            while (await consumer_info(client)) != (0, 0):
                await asyncio.sleep(0.05)
            await consumer.kill()
            ids += [("NORTH", str(north.arrive().id)) for _ in range(20)]
            await until_all_taken(north)
            await consumer.start()
            while (await consumer_info(client)) != (0, 0):
                await asyncio.sleep(0.05)
            assert consumer.work() == Counter(ids)


async def consumer_info(client: Client) -> tuple[int, int]:
    """What waits for the consumer, and what it has not acknowledged."""
    info = await client.jetstream().consumer_info(NOTICES, "headquarters")
    return info.num_pending or 0, info.num_ack_pending or 0


@needs_nats
async def test_the_example_says_that_its_consumer_is_missing(tmp_path: Path) -> None:
    """JetStream leaves such a pull without an answer, as if no notice came."""
    async with nats_server(tmp_path) as server, nats_running(server.url, desk=MemoryDesk()):
        example = resources.files("gateway.queues.consumer") / "nats_consumer.py"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(example), server.url, str(tmp_path / "ledger")), stderr=PIPE
        )
        try:
            assert process.stderr is not None
            async with asyncio.timeout(60):
                line = await process.stderr.readline()
        finally:
            process.kill()
            await process.wait()
    assert line == b"make the consumer: consumer-program.json\n"


async def said_by_the_mqtt_example(folder: Path, port: int, station: str) -> tuple[str, bytes]:
    """Its first line, and whether it ended: `exit 1`, or `goes on`."""
    example = resources.files("gateway.queues.consumer") / "mqtt_consumer.py"
    arguments = ("127.0.0.1", str(port), station, str(folder / "ledger"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(example), *arguments), stderr=PIPE
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(60):
            line = await process.stderr.readline()
            if b"refuses" in line:
                return f"exit {await process.wait()}", line
            return "goes on", line
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@needs_mosquitto
async def test_the_example_says_that_its_broker_refuses_it(tmp_path: Path) -> None:
    """A connection without a user; then nobody at the port."""
    async with mosquitto(tmp_path, "allow_anonymous false") as broker:
        ended, line = await said_by_the_mqtt_example(tmp_path, broker.port, "NORTH")
        port = broker.port
    assert ended == "exit 1"
    assert line == b"the broker refuses the connection: Not authorized; see its users and rights\n"
    ended, line = await said_by_the_mqtt_example(tmp_path, port, "NORTH")
    assert (ended, line) == ("goes on", f"127.0.0.1:{port} is not reached\n".encode())


async def test_the_example_says_that_it_gets_no_notices(tmp_path: Path) -> None:
    """Mosquitto 2.0 grants what it will not send; others deny the subscription."""

    async def deny(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)  # CONNECT
        writer.write(bytes.fromhex("20 03 00 00 00"))
        subscribe = await reader.read(4096)
        writer.write(bytes.fromhex("90 04") + subscribe[2:4] + bytes.fromhex("00 87"))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(deny, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        ended, line = await said_by_the_mqtt_example(tmp_path, port, "NORTH")
    assert ended == "exit 1"
    assert line.startswith(b"the broker refuses the notices of NORTH: Not authorized; ")


def test_an_example_is_short() -> None:
    """Some thirty lines of code, imports and tables aside, so that it is read and copied."""
    for name in ("mqtt_consumer.py", "nats_consumer.py"):
        text = (resources.files("gateway.queues.consumer") / name).read_text()
        code = text.split('"""', 4)[4].splitlines()
        assert len([line for line in code if line.strip()]) <= LINE_COUNT_MAX
