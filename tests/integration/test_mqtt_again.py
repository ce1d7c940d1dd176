"""Which notices the MQTT adapter hands on again, without a broker: who takes what, and when."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from gateway.core.records import Publication, Topic
from gateway.model import ActId, Epoch, Operation, Precedence, Serial, Station
from gateway.queues.messages import Message, Outgoing
from gateway.queues.mqtt import (
    PUBLISHED_COUNT_MAX,
    REFILL_COUNT,
    REPUBLISH_BATCH,
    MqttAdapter,
    MqttOptions,
    Taking,
)
from gateway.store.memory import MemoryStore
from tests.integration.adapter_running import until
from tests.integration.desk_double import MemoryDesk
from tests.integration.mqtt_running import principal


class Broker:
    """A connection that acknowledges everything at once, and on which a consumer takes."""

    def __init__(self) -> None:
        self.message_ids: list[str] = []
        self._taken: asyncio.Queue[Message] = asyncio.Queue()

    def take(self, message_id: str) -> None:
        topic, payload = "hotline/v1/NORTH/taken", json.dumps({"id": message_id}).encode()
        self._taken.put_nowait(Message(topic, payload, 1, False, 1, None, None, None, ()))

    async def next_message(self) -> Message:
        return await self._taken.get()

    def acknowledge(self, message: Message) -> None:
        """Nobody looks."""

    async def publish(self, outgoing: Outgoing) -> int:
        raise AssertionError(f"{outgoing} is no refusal that was meant")

    async def publish_or_fail(self, outgoing: Outgoing) -> None:
        self.message_ids.append(dict(outgoing.user_properties)["message_id"])


class AskedStore(MemoryStore):
    """Counts the rounds."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds: list[Precedence | None] = []

    async def publications(self, after: int, **options: Any) -> list[Publication]:
        self.rounds.append(options.get("precedence"))
        return await super().publications(after, **options)


def adapter_of(desk: MemoryDesk, **options: Any) -> MqttAdapter:
    return MqttAdapter(
        MqttOptions("mqtt://127.0.0.1:9", "NORTH", principal(), **options), desk, desk.store
    )


def notices(count: int) -> Sequence[Publication]:
    return [
        Publication(
            offset,
            Topic.NOTICE,
            ActId(Station(2), Epoch(1), Serial(offset)),
            Precedence.ROUTINE,
            Operation.TEST,
            "{}",
        )
        for offset in range(1, count + 1)
    ]


async def test_what_the_feed_has_not_published_is_not_published_again() -> None:
    """A notice behind the feed's place is the feed's: else it went twice, and before older ones."""
    store = AskedStore()
    desk = MemoryDesk(store)
    first = desk.arrive("the broker has it", precedence=Precedence.FLASH)
    adapter, broker = adapter_of(desk), Broker()
    adapter._offset = max(store._live.publications)
    desk.arrive("the feed is at it", precedence=Precedence.FLASH)
    again = asyncio.create_task(adapter._publish_again(broker))  # type: ignore[arg-type]
    try:
        await until(lambda: Precedence.ROUTINE in store.rounds)  # the pass is over
        assert broker.message_ids == [str(first.id)]
    finally:
        again.cancel()
        await asyncio.wait([again])


async def test_a_consumer_that_comes_back_gets_the_most_urgent_next() -> None:
    """Once it has taken most of what was under way, whatever else waits."""
    desk = MemoryDesk(AskedStore())
    routine = [str(desk.arrive(f"number {number}").id) for number in range(3 * REPUBLISH_BATCH)]
    adapter, broker = adapter_of(desk, republish_s=3600), Broker()
    adapter._offset = desk._offset
    tasks = [
        asyncio.create_task(adapter._serve_requests(broker)),  # type: ignore[arg-type]
        asyncio.create_task(adapter._publish_again(broker)),  # type: ignore[arg-type]
    ]
    try:
        await until(lambda: len(broker.message_ids) == REPUBLISH_BATCH)
        flash = str(desk.arrive("came last", precedence=Precedence.FLASH).id)
        adapter._offset = desk._offset
        for message_id in routine[: REPUBLISH_BATCH - REFILL_COUNT - 1]:
            broker.take(message_id)
        await until(broker._taken.empty)
        assert len(broker.message_ids) == REPUBLISH_BATCH, "a round too early"
        for message_id in routine[REPUBLISH_BATCH - REFILL_COUNT - 1 : REPUBLISH_BATCH]:
            broker.take(message_id)
        await until(lambda: len(broker.message_ids) > REPUBLISH_BATCH)
        assert broker.message_ids[REPUBLISH_BATCH] == flash
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_what_nobody_took_for_a_while_is_not_counted_as_under_way() -> None:
    """Else a consumer that comes back would have to take all of it before the next round goes."""
    adapter, broker = adapter_of(MemoryDesk(), republish_s=0.04), Broker()
    await adapter._publish(broker, notices(3 * REFILL_COUNT))  # type: ignore[arg-type]
    assert await adapter._pause(until_refill=True) is Taking.NOTHING
    await adapter._publish(broker, notices(REFILL_COUNT))  # type: ignore[arg-type]
    assert await adapter._pause(until_refill=True) is Taking.WELL


async def test_a_slow_consumer_is_one_that_takes() -> None:
    """What it took in the last interval is a sign of it, in bursts or not: the next round waits,
    and overruns no broker that would drop a part of it.
    """
    desk = MemoryDesk()
    ids = [str(desk.arrive(f"number {number}").id) for number in range(3 * REFILL_COUNT)]
    adapter, broker = adapter_of(desk, republish_s=0.4), Broker()
    rows = await desk.store.publications(0, topic=Topic.NOTICE)
    await adapter._publish(broker, rows)  # type: ignore[arg-type]
    serving = asyncio.create_task(adapter._serve_requests(broker))  # type: ignore[arg-type]
    try:
        loop = asyncio.get_running_loop()
        broker.take(ids[0])
        begun = loop.time()
        await until(lambda: len(adapter._under_way) == 3 * REFILL_COUNT - 1)
        pauses: list[Taking] = []
        while not pauses or pauses[-1] is Taking.SLOWLY:
            pauses.append(await adapter._pause(until_refill=True))
        assert pauses[-1] is Taking.NOTHING
        assert loop.time() - begun >= 0.4
        assert len(adapter._under_way) == 0
    finally:
        serving.cancel()
        await asyncio.wait([serving])


async def test_a_flash_that_a_full_broker_dropped_does_not_wait_for_a_slow_consumer() -> None:
    """What came after it was taken, so it is lost: it goes again, and nothing of the others does
    before the consumer has taken most of what it has.
    """
    desk = MemoryDesk()
    routine = [str(desk.arrive(f"number {number}").id) for number in range(2 * REPUBLISH_BATCH)]
    flash = str(desk.arrive("dropped", precedence=Precedence.FLASH).id)
    adapter, broker = adapter_of(desk, republish_s=2), Broker()
    adapter._offset = desk._offset
    tasks = [
        asyncio.create_task(adapter._serve_requests(broker)),  # type: ignore[arg-type]
        asyncio.create_task(adapter._publish_again(broker)),  # type: ignore[arg-type]
    ]
    try:
        first = [flash, *routine[:REPUBLISH_BATCH]]
        await until(lambda: broker.message_ids == first)
        for message_id in routine[: REPUBLISH_BATCH - REFILL_COUNT - 1]:
            broker.take(message_id)
            await asyncio.sleep(0.1)  # far shorter than the interval
        assert broker.message_ids == [*first, flash]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_of_more_than_are_remembered_the_oldest_are_forgotten() -> None:
    """They go again a little earlier; the newest, forgotten, would go in each round."""
    adapter, broker = adapter_of(MemoryDesk(), republish_s=3600), Broker()
    rows = notices(PUBLISHED_COUNT_MAX + 1)
    adapter._offset = len(rows)
    await adapter._publish(broker, rows)  # type: ignore[arg-type]
    assert [row.offset for row in rows if adapter._is_due(row)] == [1]
    await adapter._publish(broker, rows[:2])  # type: ignore[arg-type]
    assert [row.offset for row in rows if adapter._is_due(row)] == [3]
