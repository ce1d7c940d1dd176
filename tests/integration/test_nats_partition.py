"""A cluster on three machines whose network parts: 0 lost, 0 doubled at the example consumer."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from nats.aio.client import Client

from gateway.queues.streams import NOTICES, STREAMS
from tests.integration.namespaces import Machines, machines, needs_namespaces
from tests.integration.nats_cluster import Cluster, NatsServer, needs_nats
from tests.integration.queue_load import loaded_desks
from tests.integration.test_queue_kills import nats_under_load

PARTED_S = 60


def cluster_on(network: Machines, folder: Path) -> Cluster:
    routes = [f"nats-route://{network.address('cluster', number)}:6222" for number in (1, 2, 3)]
    return Cluster(
        [
            NatsServer(
                folder,
                f"hq-{number}",
                4222,
                cluster_port=6222,
                routes=routes,
                host=network.address("clients", number),
                cluster_host=network.address("cluster", number),
                prefix=network.prefix(number),
            )
            for number in (1, 2, 3)
        ]
    )


async def leader(client: Client) -> int:
    """The number of the machine that leads the stream of notices."""
    answer = await client.request(f"$JS.API.STREAM.INFO.{NOTICES}", timeout=5)
    return int(json.loads(answer.data)["cluster"]["leader"].removeprefix("hq-"))


@needs_nats
@needs_namespaces
@pytest.mark.soak
@pytest.mark.parametrize("nets", [("cluster",), ("cluster", "clients")], ids="+".join)
async def test_a_cluster_is_parted_for_a_minute(tmp_path: Path, nets: tuple[str, ...]) -> None:
    """The leader is alone for 60 s, reached by its clients or not; the other two go on."""
    with machines(3) as network:
        async with AsyncExitStack() as stack:
            desks = await stack.enter_async_context(loaded_desks(tmp_path, "NORTH", "WEST", "EAST"))
            cluster = cluster_on(network, tmp_path)
            for server in cluster.servers:
                stack.push_async_callback(server.kill)
            await cluster.start()
            client, _ = await stack.enter_async_context(
                nats_under_load(cluster, desks, tmp_path / "ledger")
            )
            for desk in desks:
                await desk.until_more(10)
            alone = await leader(client)
            for net in nets:
                network.cut(net, alone)
            parted = asyncio.create_task(asyncio.sleep(PARTED_S))
            for desk in desks:
                await desk.until_more(10)
            await parted
            for net in nets:
                network.mend(net, alone)
            await cluster.until_current(*STREAMS)
