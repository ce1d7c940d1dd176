"""No gateway of a station is active: both say so, and what pends stays to be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.cli.spare_text import spare_text
from gateway.sim.bench.process import GatewayProcess
from gateway.spare.cluster import COMMITS
from tests.integration.live_line import get, lamp_of, until
from tests.integration.nats_cluster import nats_cluster, nats_server, needs_nats, program
from tests.integration.radio_at_port import hotline
from tests.integration.two_gateways import (
    say,
    spare_of,
    start,
    submit,
    two_gateways,
    until_in_step,
    until_role,
)

pytestmark = needs_nats

LEASE_S = 5
TOLD_S = LEASE_S + 10
"""The lease, five seconds and one, and as much again as a loaded machine takes."""


async def vacancy_of(process: GatewayProcess) -> str:
    """The alarm, if it is lit."""
    for alarm in (await get(process, "/v1/status"))["alarms"]:
        if alarm["code"] == "not active yet":
            return str(alarm["text"])
    return ""


async def told(process: GatewayProcess, words: str = "", *, deadline_s: float = 60) -> str:
    async def is_told() -> str:
        text = await vacancy_of(process)
        return text if words in text else ""

    return str(await until(is_told, deadline_s=deadline_s))


async def test_a_lost_cluster_by_lease(tmp_path: Path) -> None:
    """Two of three servers die: both boxes say that nobody is active and what to do; the FLASH
    that pends is seen and heard where it was, until the cluster is back.
    """
    async with (
        nats_cluster(tmp_path) as cluster,
        two_gateways((cluster.urls,) * 2, takeover="lease", lease_s=LEASE_S) as scene,
    ):
        await start(scene.a)
        await until_role(scene.a, "active")
        await start(scene.b, scene.south)
        await until_in_step(scene.b)
        notice = await submit(scene.south, "fire", to="NORTH", operation="OPERATION")

        async def is_heard() -> bool:
            return await lamp_of(scene.a, "buzzer") == "very fast"

        await until(is_heard)
        for server in cluster.servers[1:]:
            await server.kill()
        for process in (scene.a, scene.b):
            await told(process, deadline_s=TOLD_S)
            assert await lamp_of(process, "alarm") == "fast"
            assert "; no gateway of this station is active" in spare_text(await spare_of(process))
            text = await told(process, "which does not answer here ")  # the last server reads on
            assert "hotline promote --other-is-off" in text
        status: dict[str, Any] = await get(scene.a, "/v1/status")
        assert [it["id"] for it in status["pending_in"]] == [notice["id"]]
        assert status["patterns"]["pending_in"] == status["patterns"]["buzzer"] == "very fast"
        await scene.a.press_button()

        async def is_silent() -> bool:
            return await lamp_of(scene.a, "buzzer") == "off"

        await until(is_silent)
        assert await lamp_of(scene.a, "pending_in") == "very fast"
        assert await lamp_of(scene.b, "pending_in") == "off"
        found = await hotline("doctor", "--json", config=scene.b.files.config)
        assert found.code == 1
        assert "no gateway of this station is active" in found.out
        assert "of them serve" in found.out
        for server in cluster.servers[1:]:
            await server.start()

        async def is_over() -> bool:
            roles = [(await spare_of(it)).get("role") for it in (scene.a, scene.b)]
            texts = [await vacancy_of(it) for it in (scene.a, scene.b)]
            return sorted(map(str, roles)) == ["active", "standby"] and not any(texts)

        await until(is_over)


async def test_the_active_one_dies_and_the_copy_is_not_whole(tmp_path: Path) -> None:
    """By lease the other takes nothing then; it says whose lease is over, why and what to do."""
    async with (
        nats_server(tmp_path) as server,
        two_gateways(((server.url,),) * 2, takeover="lease", lease_s=LEASE_S, replicas=1) as scene,
    ):
        await start(scene.a)
        await until_role(scene.a, "active")
        await submit(scene.a, "lost")
        await scene.a.kill()
        async with program(server.url) as client:
            await client.jetstream().purge_stream(COMMITS)
        await start(scene.b)
        text = await told(scene.b)
        assert "the lease of gateway a is over, and this one takes nothing by itself" in text
        assert "no commits of this station any more" in text
        said = spare_text(await spare_of(scene.b))
        assert "is the active one" not in said
        assert text in said
        assert await lamp_of(scene.b, "alarm") == "fast"
        found = await hotline("promote", config=scene.b.files.config)
        assert (found.code, found.out) == (0, "GATEWAY b is the active one by hand\n")
        assert not await vacancy_of(scene.b)


async def test_the_last_active_one_is_made_to_stand_by(tmp_path: Path) -> None:
    """It is done, with a warning; then both say that nobody is active, until one is promoted."""
    async with (
        nats_server(tmp_path) as server,
        two_gateways(((server.url,),) * 2, takeover="hand", replicas=1) as scene,
    ):
        await start(scene.a)
        await say(scene.a, role="active")
        await until_role(scene.a, "active")
        config = scene.a.files.config
        found = await hotline("standby", config=config)
        assert found.code == 0
        assert "the other gateway is not heard of" in found.err

        async def is_said() -> bool:  # between two roles nobody listens for a moment
            return (await say(scene.a, role="active"))[0] == 202

        await until(is_said)
        await until_role(scene.a, "active")
        await start(scene.b)
        await until_in_step(scene.b)

        async def is_followed() -> bool:
            return not (await spare_of(scene.a))["follower"]

        await until(is_followed)
        found = await hotline("standby", config=config)
        assert (found.code, found.err) == (0, "")
        for process in (scene.a, scene.b):
            assert "none holds the claim" in await told(process)
            found = await hotline("doctor", "--json", config=process.files.config)
            assert found.code == 1
            assert "no gateway of this station holds the claim: none of them" in found.out
        await say(scene.b, role="active")
        await until_role(scene.b, "active")

        async def is_over() -> bool:
            return not await vacancy_of(scene.a)

        await until(is_over)
