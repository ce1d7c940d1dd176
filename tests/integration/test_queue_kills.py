"""Brokers killed under load: at the example consumer none is lost and none is doubled."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random

import pytest
from nats.aio.client import Client
from nats.errors import Error
from nats.js.errors import ServiceUnavailableError

from gateway.queues.mqtt import MqttAdapter, MqttOptions
from gateway.queues.nats import NatsAdapter
from gateway.queues.nats_connection import ServerRing
from gateway.queues.streams import STREAMS
from tests.integration.consumer_process import Consumer, consuming, until_all_taken
from tests.integration.mosquitto import Mosquitto, needs_mosquitto, shipped_mosquitto
from tests.integration.mqtt_running import principal
from tests.integration.nats_cluster import Cluster, nats_cluster, needs_nats, program
from tests.integration.nats_running import options_of
from tests.integration.queue_load import (
    LoadedDesk,
    Submit,
    load,
    loaded_desk,
    loaded_desks,
    supervised,
)
from tests.integration.test_queue_consumers import consumer_info, make_program_consumer

NOTICE = {"to": "SOUTH", "kind": "NOTIFY", "operation": "TEST", "text": "hello"}
CONSUMER_KILL_EACH = 7
TRY_S = 2.0


async def kill_mosquitto(folder: Path, kills: int) -> None:
    """Kill it again and again, each time once it works again; the consumer now and then too."""
    rng = Random(kills)
    async with (
        loaded_desk(folder) as desk,
        shipped_mosquitto(folder) as broker,
        consuming(
            folder / "ledger", "mqtt_consumer.py", "127.0.0.1", str(broker.port), "NORTH"
        ) as consumer,
        supervised(
            "mqtt",
            lambda: MqttAdapter(
                MqttOptions(broker.url, "NORTH", principal(), republish_s=2), desk, desk.store
            ),
        ),
    ):
        async with load(desk, lambda request_id: try_to_submit(broker, request_id)):
            for number in range(1, kills + 1):
                await desk.until_more(rng.randint(1, 20))
                await broker.kill()
                if number % CONSUMER_KILL_EACH == 0:
                    await consumer.kill()
                    await consumer.start()
                await broker.start()
        await until_all_taken(desk)
        judge(consumer, desk)


async def try_to_submit(broker: Mosquitto, request_id: str) -> None:
    """mosquitto_pub once: with or without success."""
    process = await asyncio.create_subprocess_exec(
        *("mosquitto_pub", "-p", str(broker.port), "-V", "5", "-q", "1", "-s"),
        *("-t", "hotline/v1/NORTH/submit"),
        stdin=PIPE,
        stderr=DEVNULL,
    )
    try:
        async with asyncio.timeout(TRY_S):
            await process.communicate(json.dumps(NOTICE | {"request_id": request_id}).encode())
    except TimeoutError:
        process.kill()
        await process.wait()


def judge(consumer: Consumer, *desks: LoadedDesk) -> None:
    """Each notice that came in was worked on once, each request accepted once."""
    came = [one for desk in desks for one in desk.came]
    assert len(came) > 20
    assert consumer.work() == Counter(came)
    for desk in desks:
        assert desk.accepted_ids() == desk.asked


def nats_adapters(cluster: Cluster, desk: LoadedDesk) -> Callable[[], NatsAdapter]:
    """Of one station, three copies of everything."""
    options = options_of(*cluster.urls, station=desk.station, replicas=3)
    ring = ServerRing(options.access)
    return lambda: NatsAdapter(options, ring, desk, desk.store)


def nats_submit(client: Client, station: str) -> Submit:
    """A program's publication, with the stream's acknowledgement or without."""

    async def submit(request_id: str) -> None:
        payload = json.dumps(NOTICE | {"request_id": request_id}).encode()
        with suppress(Error, OSError, TimeoutError):
            subject = f"hotline.v1.{station}.submit"
            await client.jetstream().publish(subject, payload, timeout=TRY_S)

    return submit


@asynccontextmanager
async def nats_under_load(
    cluster: Cluster, desks: Sequence[LoadedDesk], ledger: Path
) -> AsyncIterator[tuple[Client, Consumer]]:
    """A program that submits to each station, and the example consumer of what comes in. At the
    end all that was submitted has come, and it is judged.
    """
    async with AsyncExitStack() as stack:
        for desk in desks:
            await stack.enter_async_context(supervised("nats", nats_adapters(cluster, desk)))
        client = await stack.enter_async_context(program(*cluster.urls))
        await cluster.until_current(*STREAMS)
        await make_program_consumer(client)
        consumer = await stack.enter_async_context(
            consuming(ledger, "nats_consumer.py", ",".join(cluster.urls))
        )
        async with AsyncExitStack() as loads:
            for desk in desks:
                await loads.enter_async_context(load(desk, nats_submit(client, desk.station)))
            yield client, consumer
        for desk in desks:
            await until_all_taken(desk)
        async with asyncio.timeout(120):
            while not await has_nothing_left(client):
                await asyncio.sleep(0.1)
        judge(consumer, *desks)


async def has_nothing_left(client: Client) -> bool:
    """Nothing waits for the consumer; False too while its servers elect who leads it."""
    try:
        return await consumer_info(client) == (0, 0)
    except ServiceUnavailableError:
        return False


async def kill_servers(folder: Path, kills: int, *names: str) -> None:
    """Kill one of three, any; the next one when all have what the others have."""
    rng = Random(kills)
    async with (
        loaded_desks(folder, *names) as desks,
        nats_cluster(folder) as cluster,
        nats_under_load(cluster, desks, folder / "ledger") as (_, consumer),
    ):
        for number in range(1, kills + 1):
            for desk in desks:
                await desk.until_more(rng.randint(1, 20))
            server = rng.choice(cluster.servers)
            await server.kill()
            if number % CONSUMER_KILL_EACH == 0:
                await consumer.kill()
                await consumer.start()
            for desk in desks:
                await desk.until_more(1)  # two of three go on
            await server.start()
            await cluster.until_current(*STREAMS)


@needs_mosquitto
async def test_mosquitto_is_killed_under_load(memory_folder: Path) -> None:
    """Three kills with the shipped settings."""
    await kill_mosquitto(memory_folder, 3)


@needs_mosquitto
@pytest.mark.soak
async def test_mosquitto_is_killed_a_hundred_times(memory_folder: Path) -> None:
    """The same a hundred times, the consumer with it each seventh time."""
    await kill_mosquitto(memory_folder, 100)


@needs_nats
async def test_a_server_of_the_cluster_is_killed_under_load(memory_folder: Path) -> None:
    """One kill of one of three."""
    await kill_servers(memory_folder, 1, "NORTH")


@needs_nats
@pytest.mark.soak
async def test_a_server_of_the_cluster_is_killed_a_hundred_times(memory_folder: Path) -> None:
    """The same a hundred times, with three stations."""
    await kill_servers(memory_folder, 100, "NORTH", "WEST", "EAST")
