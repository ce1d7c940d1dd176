"""A broker that connects and does not let notices through is one outage, and it ends at once."""

from __future__ import annotations

import json
from pathlib import Path

from gateway.core.events import QueueDown, QueueUp
from gateway.queues.mqtt import MqttAdapter, MqttOptions
from gateway.queues.nats import NatsAdapter
from gateway.queues.nats_connection import ServerRing
from gateway.queues.streams import stream_config
from tests.integration.adapter_running import until
from tests.integration.desk_double import MemoryDesk
from tests.integration.mosquitto import mosquitto, needs_mosquitto
from tests.integration.mqtt_running import principal
from tests.integration.nats_cluster import nats_server, needs_nats, program
from tests.integration.nats_running import options_of
from tests.integration.queue_load import supervised

ROUNDS = 4


@needs_nats
async def test_a_full_stream(tmp_path: Path) -> None:
    """Told once over four connections; up again when the second notice is in the stream."""
    desk, made = MemoryDesk(), []
    desk.arrive("first")
    second = desk.arrive("second")
    async with nats_server(tmp_path) as server, program(server.url) as client:
        config = stream_config("HOTLINE_NOTICE", 1) | {"max_msgs": 1}
        await client.request("$JS.API.STREAM.CREATE.HOTLINE_NOTICE", json.dumps(config).encode())
        options = options_of(server.url)
        ring = ServerRing(options.access)

        def make() -> NatsAdapter:
            made.append(ring)
            return NatsAdapter(options, ring, desk, desk.store)

        async with supervised("nats", make) as events:
            await until(lambda: len(made) > ROUNDS)
            up, down = events
            assert up == QueueUp("nats")
            assert isinstance(down, QueueDown)
            assert "maximum messages exceeded" in down.reason
            info = await client.jetstream().stream_info("HOTLINE_NOTICE")
            await client.jetstream().update_stream(info.config, max_msgs=-1)
            await until(lambda: len(events) > 2)
            assert events[2:] == [up]
            stored = await desk.store.notice(second.id)
            assert stored is not None
            assert stored.delivery is not None
            assert stored.delivery.taken


@needs_mosquitto
async def test_an_access_list_without_the_notices(tmp_path: Path) -> None:
    """Told once; up again when the broker lets the notice through."""
    access = tmp_path / "access"
    topic = "hotline/v1/NORTH"
    mine = f"topic read {topic}/#\ntopic write {topic}/availability\ntopic write {topic}/line/#\n"
    access.write_text(mine)
    desk, made = MemoryDesk(), []

    async with mosquitto(tmp_path, f"acl_file {access}") as broker:
        options = MqttOptions(broker.url, "NORTH", principal())

        def make() -> MqttAdapter:
            made.append(options)
            return MqttAdapter(options, desk, desk.store)

        desk.arrive()
        async with supervised("mqtt", make) as events:
            await until(lambda: len(made) > ROUNDS)
            up, down = events
            assert up == QueueUp("mqtt")
            assert isinstance(down, QueueDown)
            assert "refuses to publish" in down.reason
            await broker.kill()
            access.write_text(f"topic readwrite {topic}/#\n")
            await broker.start()
            await until(lambda: QueueUp("mqtt") in events[2:])
            assert [it for it in events[2:] if it == up] == [up]
