"""A promotion that the cluster does not take: told, kept, void after a time, and never in the way
of a newer word.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.core.takeover import ALONE_MS
from gateway.spare.cluster import CLAIMS
from tests.integration.live_line import get, until
from tests.integration.nats_cluster import (
    Cluster,
    nats_cluster,
    nats_server,
    needs_nats,
    program,
)
from tests.integration.radio_at_port import hotline
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

TRY_COUNT = 5
"""A leader that is alone finds that out within some seconds, now and then before we ask."""
DENIED = """authorization { users: [ { user: north, password: secret
  permissions: { publish: { allow: ">", deny: "$KV.HOTLINE_SPARE.NORTH" } } } ] }"""


async def test_our_user_may_not_claim(tmp_path: Path) -> None:
    """That is said on each screen, and once in the journal; a person who says that the other one is
    off is obeyed, and who stands by cancels it.
    """
    secret = tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    nats = f'user = "north"\npassword_file = "{secret}"\n'
    async with (
        nats_server(tmp_path, DENIED) as server,
        two_gateways(((server.url,),) * 2, takeover="hand", replicas=1, nats=nats) as scene,
    ):
        await start(scene.a)
        config = scene.a.files.config
        found = await hotline("promote", "--timeout", "7", config=config)
        assert found.code == 75
        assert "not the active one after 7 s; its promotion is pending for" in found.err
        assert "`hotline standby` cancels it: denies us a right" in found.err
        assert "GATEWAY a stands by; " in found.out
        document = await spare_of(scene.a)
        assert document["held_by"] == "none"
        assert 0 < document["pending"]["for_s"] < 60
        alarms = (await get(scene.a, "/v1/status"))["alarms"]
        told = [it["text"] for it in alarms if it["code"] == "not active yet"]
        assert any("pending" in it and "denies us a right" in it for it in told), alarms
        await hotline("standby", config=config)
        assert (await spare_of(scene.a))["pending"] is None

        async def is_quiet() -> bool:
            alarms = (await get(scene.a, "/v1/status"))["alarms"]
            return not [it for it in alarms if "pending" in it["text"]]

        await until(is_quiet)
        found = await hotline("promote", "--other-is-off", config=config)
        assert found.code == 0, found
        journal = (scene.a.files.folder / "state/log/gateway.log").read_text()
        assert journal.count("claim_not_taken") == 1


@asynccontextmanager
async def without_majority(folder: Path) -> AsyncIterator[tuple[Cluster, Scene]]:
    """Gateway a was the active one, by hand, and stands by; b is in step and reaches the leader of
    the claims alone, which has just lost the other two servers.
    """
    async with nats_cluster(folder) as cluster:
        first, *others = cluster.servers
        urls = (cluster.urls, (first.url,))
        async with two_gateways(urls, takeover="hand") as scene:
            await start(scene.a, scene.b, scene.south)
            await say(scene.a, role="active")
            await until_role(scene.a, "active")
            await until_in_step(scene.b)
            await say(scene.a, role="standby")
            await until_role(scene.a, "standby")
            await until_in_step(scene.b)
            await until_leads(cluster, first.name)
            for server in others:
                server.freeze()
            yield cluster, scene


async def until_leads(cluster: Cluster, name: str) -> None:
    """Make this server the leader of the claims."""
    await cluster.until_current(CLAIMS)
    async with program(cluster.urls[0]) as client:

        async def leads() -> bool:
            answer = await client.request(f"$JS.API.STREAM.INFO.{CLAIMS}", timeout=10)
            leader = json.loads(answer.data).get("cluster", {}).get("leader")
            if leader and leader != name:
                await client.request(f"$JS.API.STREAM.LEADER.STEPDOWN.{CLAIMS}", timeout=10)
                await cluster.until_current(CLAIMS)
            return bool(leader == name)

        await until(leads)


async def test_who_says_that_the_other_is_off_needs_no_majority(tmp_path: Path) -> None:
    """The leader answers and takes nothing. Killed before it counts, the gateway goes on with that
    word; and there it is the active one when the servers are back.
    """
    async with without_majority(tmp_path) as (cluster, scene):
        await scene.a.kill()
        status, document = await say(scene.b, role="active", other_is_off=True)
        assert status == 202, document
        if document["held_by"] == "none":  # else the leader has found out, and gave no answer
            assert 0 < document["pending"]["for_s"] <= ALONE_MS / 1000
        await scene.b.kill()
        await start(scene.b)
        await until_role(scene.b, "active")
        await submit(scene.b, "n-1")
        for server in cluster.servers[1:]:
            server.thaw()
        await start(scene.a)
        await until_in_step(scene.a)
        assert (await spare_of(scene.b))["role"] == "active"


@pytest.mark.soak
async def test_a_void_promotion_moves_nobody(tmp_path: Path) -> None:
    """Nobody took it in its time; then the other one was promoted alone, and has accepted. The
    servers are back, and may have kept what was asked of them.
    """
    for number in range(TRY_COUNT):
        (folder := tmp_path / str(number)).mkdir()
        if await moves_nobody(folder):
            return
    pytest.fail("the leader found out at once that it has no majority, each time")


async def moves_nobody(folder: Path) -> bool:
    """False: the leader had found out already, and nothing was promoted."""
    async with without_majority(folder) as (cluster, scene):
        status, document = await say(scene.b, role="active")
        if status == 409 and "cannot be asked" in str(document):
            return False
        assert status == 202, document
        assert document["pending"] is not None

        async def is_void() -> bool:
            document = await spare_of(scene.b)
            return "pending" in document and document["pending"] is None

        await until(is_void, deadline_s=90)
        await say(scene.a, role="active", other_is_off=True)
        await until_role(scene.a, "active")
        await submit(scene.a, "n-1")
        for server in cluster.servers[1:]:
            server.thaw()
        await until_in_step(scene.b)
        deadline = asyncio.get_running_loop().time() + 20
        while asyncio.get_running_loop().time() < deadline:
            assert (await spare_of(scene.a))["role"] == "active"
            await asyncio.sleep(0.2)
        assert await texts_at(scene.a, "outbox") == ["n-1"]
    return True
