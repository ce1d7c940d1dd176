"""A consumer that is away or slow: everything is there when it is back, each once."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.model import Precedence
from tests.integration.consumer_process import Consumer, consuming, until_all_taken
from tests.integration.mosquitto import needs_mosquitto, shipped_mosquitto
from tests.integration.mqtt_running import running as mqtt_running
from tests.integration.nats_cluster import nats_server, needs_nats, program
from tests.integration.nats_running import running as nats_running
from tests.integration.queue_load import LoadedDesk, loaded_desk
from tests.integration.test_queue_consumers import consumer_info, make_program_consumer

BROKER_KEEPS = 100
"""`max_queued_messages` of the shipped settings."""
DAY_COUNT = 100_000
ACK_WAIT_S = 30


def judge(consumer: Consumer, desk: LoadedDesk) -> None:
    assert consumer.work() == Counter(desk.came)


async def absent_over_mqtt(folder: Path, count: int, *, deadline_s: float) -> tuple[int, int]:
    """The consumer has its session and goes; so many come; it is started again.

    Gives as which one it got the FLASH that came last, and how many the broker dropped meanwhile.
    """
    async with (
        loaded_desk(folder) as desk,
        shipped_mosquitto(folder) as broker,
        consuming(
            folder / "ledger", "mqtt_consumer.py", "127.0.0.1", str(broker.port), "NORTH"
        ) as consumer,
        mqtt_running(broker.url, desk, republish_s=8),
    ):
        await desk.come(1)
        await until_all_taken(desk)
        await consumer.kill()
        await desk.come(count)
        await desk.come(precedence=Precedence.FLASH)
        async with asyncio.timeout(deadline_s):
            while await desk.store.cursor("mqtt") < desk._offset:
                await asyncio.sleep(0.05)
        dropped_count = await broker.dropped_count()
        await consumer.start()
        await until_all_taken(desk, deadline_s=deadline_s)
        judge(consumer, desk)
        place = consumer.order().index(desk.came[-1][1])
        return place, await broker.dropped_count() - dropped_count


async def absent_over_nats(folder: Path, count: int, *, deadline_s: float) -> None:
    """The stream takes them all at once, and the consumer when it comes."""
    async with (
        loaded_desk(folder) as desk,
        nats_server(folder) as server,
        AsyncExitStack() as stack,
    ):
        await stack.enter_async_context(nats_running(server.url, desk=desk))
        client = await stack.enter_async_context(program(server.url))
        await make_program_consumer(client)
        await desk.come(count)
        await until_all_taken(desk, deadline_s=deadline_s)
        consumer = await stack.enter_async_context(
            consuming(folder / "ledger", "nats_consumer.py", server.url)
        )
        async with asyncio.timeout(deadline_s):
            while await consumer_info(client) != (0, 0):
                await asyncio.sleep(0.1)
        judge(consumer, desk)


@needs_mosquitto
async def test_more_than_the_broker_keeps(memory_folder: Path) -> None:
    """What Mosquitto dropped at its bound comes from the outbox, one batch after another.

    In which order depends on how fast this machine takes them: test_mqtt_again has the rule.
    """
    await absent_over_mqtt(memory_folder, 4 * BROKER_KEEPS, deadline_s=100)


@needs_mosquitto
@pytest.mark.soak
async def test_a_day_away_from_mosquitto(memory_folder: Path) -> None:
    """100 000 notices wait in the outbox."""
    place, dropped_count = await absent_over_mqtt(memory_folder, DAY_COUNT, deadline_s=3000)
    # It waits behind what the broker had and what was under way, not behind all the others.
    assert place <= 2 * BROKER_KEEPS
    # Since then it got them as it took them; a round may have gone before it was there.
    assert dropped_count <= BROKER_KEEPS


@needs_nats
@pytest.mark.soak
async def test_a_day_away_from_the_stream(memory_folder: Path) -> None:
    """100 000 notices wait in the stream."""
    await absent_over_nats(memory_folder, DAY_COUNT, deadline_s=1200)


@needs_nats
@pytest.mark.soak
async def test_a_consumer_that_stops_half_way(memory_folder: Path) -> None:
    """Frozen for longer than the stream waits: what it held comes again, and is known."""
    async with (
        loaded_desk(memory_folder) as desk,
        nats_server(memory_folder) as server,
        AsyncExitStack() as stack,
    ):
        await stack.enter_async_context(nats_running(server.url, desk=desk))
        client = await stack.enter_async_context(program(server.url))
        await make_program_consumer(client)
        consumer = await stack.enter_async_context(
            consuming(memory_folder / "ledger", "nats_consumer.py", server.url)
        )
        await desk.come(3_000)
        while (await consumer_info(client))[1] == 0:
            await asyncio.sleep(0.001)
        consumer.signal(signal.SIGSTOP)
        await asyncio.sleep(ACK_WAIT_S + 5)
        consumer.signal(signal.SIGCONT)
        async with asyncio.timeout(120):
            while await consumer_info(client) != (0, 0) or desk.waiting_count:
                await asyncio.sleep(0.1)
        judge(consumer, desk)
