"""A gateway that is out of step is promoted all the same, when a person says so; what it may lack
is told, and the other one goes on from it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.model import Station
from gateway.sim.bench.process import GatewayProcess
from gateway.spare.cluster import COMMITS
from gateway.store.backup import make_backup, restore
from tests.integration.live_line import get, until
from tests.integration.nats_cluster import NatsServer, nats_server, needs_nats, program
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

NORTH = Station(1)
LIES = {"same id, other octets", "two incarnations"}


@asynccontextmanager
async def a_by_hand(folder: Path) -> AsyncIterator[tuple[Scene, NatsServer]]:
    """Gateway a is the active one, and SOUTH answers."""
    async with (
        nats_server(folder) as server,
        two_gateways(((server.url,),) * 2, takeover="hand", replicas=1) as scene,
    ):
        await start(scene.a, scene.b, scene.south)
        await say(scene.a, role="active")
        await until_role(scene.a, "active")
        yield scene, server


def state_of(process: GatewayProcess) -> Path:
    return process.files.folder / "state"


async def until_texts(process: GatewayProcess, box: str, names: Sequence[str]) -> None:
    async def are_there() -> bool:
        return await texts_at(process, box) == sorted(names)

    await until(are_there)


async def alarms_of(process: GatewayProcess) -> set[str]:
    return {alarm["code"] for alarm in (await get(process, "/v1/status"))["alarms"]}


async def until_out_of_step(process: GatewayProcess) -> None:
    """It has seen the cluster, and says what its copy lacks."""

    async def is_so() -> bool:
        problem = (await spare_of(process)).get("problem", "")
        return "another one" in problem or "follows" in problem

    await until(is_so)


async def promoted_out_of_step(scene: Scene, names: Sequence[str]) -> None:
    """The other one is off for good: b goes on, says that it may lack something, and SOUTH gets
    what b accepts, and nothing twice; a is back, and follows.
    """
    await scene.a.kill()
    await start(scene.b)
    await until_out_of_step(scene.b)
    status, answer = await say(scene.b, role="active", other_is_off=True)
    assert status == 202, answer
    await until_role(scene.b, "active")
    assert "rollback" in await alarms_of(scene.b)
    entries = (await get(scene.b, "/v1/log?limit=1000"))["entries"]
    assert [it["event"] for it in entries].count("goes_on_from_copy") == 1
    await submit(scene.b, "after")
    await until_texts(scene.south, "inbox", [*names, "after"])
    assert not LIES & await alarms_of(scene.south)
    await start(scene.a)
    await until_texts(scene.a, "outbox", await texts_at(scene.b, "outbox"))
    await until_in_step(scene.a)
    assert list(state_of(scene.a).glob("*.before-restore-1"))


async def test_with_a_restored_backup(tmp_path: Path) -> None:
    """Of the one that stood by; then the same of the one that is active: it is so again."""
    async with a_by_hand(tmp_path) as (scene, _):
        await submit(scene.a, "early")
        await until_texts(scene.b, "outbox", ["early"])
        path = tmp_path / "backup"
        await asyncio.to_thread(make_backup, state_of(scene.b), path)
        await scene.b.stop()
        await submit(scene.a, "late")
        await until_texts(scene.south, "inbox", ["early", "late"])
        await asyncio.to_thread(restore, path, state_of(scene.b), station=NORTH)
        await promoted_out_of_step(scene, ["early", "late"])
        await scene.b.stop()
        await asyncio.to_thread(restore, path, state_of(scene.b), station=NORTH)
        await start(scene.b)
        await until_role(scene.b, "active")
        assert "rollback" in await alarms_of(scene.b)
        await submit(scene.b, "again")
        await until_texts(scene.south, "inbox", ["early", "late", "after", "again"])
        assert not LIES & await alarms_of(scene.south)


async def test_with_a_new_card(tmp_path: Path) -> None:
    """Its folder is empty, and the cluster has only the last commits."""
    async with a_by_hand(tmp_path) as (scene, server):
        await submit(scene.a, "early")
        await until_texts(scene.south, "inbox", ["early"])
        await scene.b.stop()
        shutil.rmtree(state_of(scene.b))
        async with program(server.url) as client:
            await client.jetstream().purge_stream(COMMITS, keep=2)
        await promoted_out_of_step(scene, ["early"])
