"""Two real gateways of one station, real servers: who transmits, and what the other one knows."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from gateway.sim.bench.process import GatewayProcess
from tests.integration.live_line import get, until
from tests.integration.nats_cluster import Cluster, nats_cluster, nats_server, needs_nats, program
from tests.integration.two_gateways import (
    Scene,
    say,
    spare_of,
    start,
    submit,
    texts_at,
    two_gateways,
    until_in_step,
    until_role,
)

pytestmark = needs_nats

NOTICE_COUNT = 100
BACK_COUNT = 30
"""From SOUTH meanwhile."""


async def test_promoted_by_hand_and_handed_over(tmp_path: Path) -> None:
    """A person makes a the active one, then b: b knows every notice, and only one transmits.

    Without the server the active one goes on, and says of what it accepts that it is UNREPLICATED.
    """
    async with (
        nats_server(tmp_path) as server,
        two_gateways(((server.url,),) * 2, takeover="hand", replicas=1) as scene,
    ):
        await start(scene.a, scene.b, scene.south)
        status, answer = await say(scene.a, role="active")
        assert status == 202, answer
        await until_role(scene.a, "active")
        names = [f"n-{number}" for number in range(9)]
        for name in names[:3]:
            assert (await submit(scene.a, name))["unreplicated"] is False
        await until_in_step(scene.b)
        notice = {"request_id": "x", "to": "SOUTH", "kind": "CHECK", "operation": "TEST"}
        status, answer = await scene.b.api.request(
            "POST", "/v1/notices", notice | {"text": "HARBOUR SEVEN"}
        )
        assert (status, answer["code"]) == (503, "standby")
        assert scene.sent_s("b") == []
        status, answer = await say(scene.b, role="active")
        assert status == 409, answer
        assert "by hand" in answer["problem"]
        await say(scene.a, role="standby")
        await until_role(scene.a, "standby")
        before = len(scene.sent_s("a"))
        await say(scene.b, role="active")
        await until_role(scene.b, "active")
        for name in names[3:6]:
            await submit(scene.b, name)
        await until_in_step(scene.a)
        await server.kill()
        for name in names[6:]:
            assert (await submit(scene.b, name))["unreplicated"] is True
        alarms = (await get(scene.b, "/v1/status"))["alarms"]
        assert "unreplicated" in [alarm["code"] for alarm in alarms]
        await until_texts(scene.south, names)
        await server.start()

        async def is_replicated() -> bool:
            return (await spare_of(scene.b)).get("problem") == ""

        await until(is_replicated)
        await until_texts(scene.a, names, box="outbox")
        assert len(scene.sent_s("a")) == before


async def test_a_restart_of_the_active_one_changes_no_roles(tmp_path: Path) -> None:
    """Killed, or stopped in order, and started again: it has its lease at once, with what it had
    no time to hand on; the other one stays where it is, and in step.
    """
    async with (
        nats_server(tmp_path) as server,
        two_gateways(((server.url,),) * 2, takeover="lease", lease_s=30, replicas=1) as scene,
    ):
        await start(scene.a, scene.south)
        await until_role(scene.a, "active")
        await start(scene.b)
        await until_in_step(scene.b)
        term = (await spare_of(scene.a))["term"]
        names = [f"n-{number}" for number in range(3)]
        await submit(scene.a, names[0])
        for name, end in zip(names[1:], (scene.a.kill, scene.a.stop), strict=True):
            await end()
            await start(scene.a)
            await until_role(scene.a, "active", deadline_s=20)  # the lease alone takes 37 s
            await submit(scene.a, name)
            await until_in_step(scene.b)
        await until_texts(scene.south, names)

        async def knows_both_starts() -> bool:
            document = await spare_of(scene.b)
            assert document["other"] == {"name": "a", "held_by": "lease"}
            assert document["term"] <= term + 2, "somebody else had it between"
            return bool(document["term"] == term + 2)

        await until(knows_both_starts)
        assert scene.sent_s("b") == []
        await until_texts(scene.b, names, box="outbox")


@pytest.mark.soak
async def test_a_killed_holder_of_the_lease_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """SIGKILL amid 100 notices: the other takes the lease; each is there once, in both directions,
    and at most one limit of the speed of service is broken. The killed one comes back in step.
    """
    async with (
        nats_cluster(tmp_path) as cluster,
        two_gateways((cluster.urls, cluster.urls), takeover="lease") as scene,
    ):
        await start(scene.a, scene.south)
        await until_role(scene.a, "active", deadline_s=30)
        await start(scene.b)
        await until_in_step(scene.b)
        async with program_of(cluster) as (client, ledger):
            async with asyncio.TaskGroup() as group:
                group.create_task(submit_all(client))
                group.create_task(submit_back(scene))
                await until_count(scene.south, NOTICE_COUNT // 3)
                await scene.a.kill()
                await until_role(scene.b, "active", deadline_s=60)
            await check_all(scene, ledger, active="b")
            last_of_a, first_of_b = max(scene.sent_s("a")), min(scene.sent_s("b"))
            assert last_of_a < first_of_b
            print(f"silent for {first_of_b - last_of_a:.1f} s")
            await start(scene.a)
            await until_texts(scene.a, names_of(NOTICE_COUNT), box="outbox")
            await until_in_step(scene.a)


@pytest.mark.soak
async def test_a_holder_cut_from_the_cluster_is_silent_before_the_other_begins(
    tmp_path: Path,
) -> None:
    """Both live, the holder's server frozen amid 100 notices: never two transmit, nothing is lost
    or doubled, and the one that was cut off comes back in step.
    """
    async with (
        nats_cluster(tmp_path) as cluster,
        two_gateways((cluster.urls[:1], cluster.urls[1:]), takeover="lease", lease_s=8) as scene,
    ):
        await start(scene.a, scene.south)
        await until_role(scene.a, "active", deadline_s=30)
        await start(scene.b)
        await until_in_step(scene.b)
        rest = Cluster(cluster.servers[1:])
        async with program_of(rest) as (client, ledger):
            async with asyncio.TaskGroup() as group:
                group.create_task(submit_all(client))
                group.create_task(submit_back(scene))
                await until_count(scene.south, NOTICE_COUNT // 3)
                cluster.servers[0].freeze()
                await until_role(scene.b, "active", deadline_s=120)
                assert (await spare_of(scene.a))["role"] == "standby"
            await check_all(scene, ledger, active="b")
            last_of_a, first_of_b = max(scene.sent_s("a")), min(scene.sent_s("b"))
            assert last_of_a < first_of_b
            print(f"silent for {first_of_b - last_of_a:.1f} s")
            cluster.servers[0].thaw()
            await until_texts(scene.a, names_of(NOTICE_COUNT), box="outbox")
            await until_in_step(scene.a)
            assert max(scene.sent_s("a")) == last_of_a


@pytest.mark.soak
async def test_a_holder_frozen_beyond_its_lease_puts_no_frame_on_its_cable(tmp_path: Path) -> None:
    """Stopped with much to say, since nobody answers it; thawed after the other began."""
    async with (
        nats_server(tmp_path) as server,
        two_gateways(((server.url,),) * 2, takeover="lease", replicas=1) as scene,
    ):
        await start(scene.a)
        await until_role(scene.a, "active", deadline_s=30)
        await start(scene.b)
        await until_in_step(scene.b)
        for name in names_of(20):
            await submit(scene.a, name)
        await until_in_step(scene.b)
        assert scene.a.process_id is not None
        os.kill(scene.a.process_id, signal.SIGSTOP)
        await until_role(scene.b, "active", deadline_s=60)
        before = len(scene.sent_s("a"))
        os.kill(scene.a.process_id, signal.SIGCONT)
        await until_in_step(scene.a)
        assert len(scene.sent_s("a")) == before
        await start(scene.south)
        await until_texts(scene.south, names_of(20))


@asynccontextmanager
async def program_of(cluster: Cluster) -> AsyncIterator[tuple[Client, Counter[str]]]:
    """Headquarters: a client to submit by, and how often each inbound notice was seen by a
    consumer that honours the id.
    """
    ledger: Counter[str] = Counter()
    seen: set[str] = set()

    async def note(message: Msg) -> None:
        headers = message.headers or {}
        if headers["message_id"] not in seen:
            seen.add(headers["message_id"])
            ledger[json.loads(message.data)["text"]] += 1
        await message.ack()

    async def consume(client: Client) -> None:
        # Durable, so that it is on as many servers as its stream.
        pull = await client.jetstream().pull_subscribe(
            "hotline.v1.NORTH.notice.>", durable="hq", stream="HOTLINE_NOTICE"
        )
        while True:
            with suppress(Error, OSError, TimeoutError):
                for message in await pull.fetch(10, timeout=1):
                    await note(message)

    async with program(*cluster.urls) as client, asyncio.TaskGroup() as group:
        consuming = group.create_task(consume(client))
        yield client, ledger
        consuming.cancel()


async def submit_all(client: Client) -> None:
    """One after the other, again until the cluster has it."""
    for name in names_of(NOTICE_COUNT):
        document = {
            "request_id": name,
            "to": "SOUTH",
            "kind": "NOTIFY",
            "precedence": "FLASH",
            "operation": "TEST",
            "text": name,
        }
        while True:
            with suppress(Error, OSError, TimeoutError):
                await client.jetstream().publish(
                    "hotline.v1.NORTH.submit", json.dumps(document).encode(), timeout=2
                )
                break
        await asyncio.sleep(0.03)


async def submit_back(scene: Scene) -> None:
    for number in range(BACK_COUNT):
        await submit(scene.south, f"back-{number:03}", to="NORTH", precedence="IMMEDIATE")
        await asyncio.sleep(0.1)


def names_of(count: int) -> list[str]:
    return [f"n-{number:03}" for number in range(count)]


async def until_texts(process: GatewayProcess, names: list[str], *, box: str = "inbox") -> None:
    async def are_there() -> bool:
        return await texts_at(process, box) == sorted(names)

    await until(are_there)


async def until_count(process: GatewayProcess, count: int) -> None:
    async def are_there() -> bool:
        return len(await texts_at(process, "inbox")) >= count

    await until(are_there)


async def check_all(scene: Scene, ledger: Counter[str], *, active: str) -> None:
    """Nothing lost, nothing doubled, at most one limit broken."""
    process = scene.a if active == "a" else scene.b
    await until_texts(scene.south, names_of(NOTICE_COUNT))
    back = [f"back-{number:03}" for number in range(BACK_COUNT)]
    await until_texts(process, back)
    await until(lambda: _ready(len(ledger) >= BACK_COUNT))
    assert ledger == Counter(back)
    assert await texts_at(process, "outbox") == names_of(NOTICE_COUNT)
    overdue = [
        one["id"]
        for station, box in ((process, "outbox"), (scene.south, "outbox"))
        for one in (await get(station, f"/v1/{box}?limit=1000"))["notices"]
        if one.get("overdue")
    ]
    assert len(overdue) <= 1
    alarms = [alarm["code"] for alarm in (await get(scene.south, "/v1/status"))["alarms"]]
    assert not {"rollback", "same id, other octets", "two incarnations"} & set(alarms)


async def _ready(value: bool) -> bool:
    return value
