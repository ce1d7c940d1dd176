"""Two gateways of a station move from the streams of all stations to streams of their own."""

from __future__ import annotations

import json
from pathlib import Path

from gateway.queues.streams import SPARE_STREAMS, own_stream_config
from tests.integration.live_line import until
from tests.integration.nats_cluster import nats_server, needs_nats, program
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


async def test_the_change_to_own_streams(tmp_path: Path) -> None:
    """Promoted by hand the active one works on; what stands by gets the whole store anew."""
    async with (
        nats_server(tmp_path) as server,
        two_gateways(((server.url,),) * 2, takeover="lease", lease_s=20, replicas=1) as scene,
        program(server.url) as admin,
    ):
        await start(scene.a)
        await until_role(scene.a, "active")
        await start(scene.b)
        await until_in_step(scene.b)
        await submit(scene.a, "before")
        assert (await say(scene.a, role="active"))[0] == 202

        async def is_by_hand() -> bool:
            return bool((await spare_of(scene.a)).get("held_by") == "hand")

        await until(is_by_hand)
        await scene.b.stop()
        for name in SPARE_STREAMS:
            await admin.jetstream().delete_stream(name)
            config = own_stream_config(name, "NORTH", 1)
            payload = json.dumps(config).encode()
            answer = await admin.request(
                f"$JS.API.STREAM.CREATE.{config['name']}", payload, timeout=10
            )
            assert "error" not in json.loads(answer.data)
        await submit(scene.a, "between")
        await start(scene.b)
        await until_in_step(scene.b)
        await submit(scene.a, "after")

        async def is_copied() -> bool:
            found = await spare_of(scene.a)
            return found.get("role") == "active" and found.get("unreplicated_count") == 0

        await until(is_copied)
        await until_in_step(scene.b)
        state = (await admin.jetstream().stream_info("HOTLINE_SPARE_NORTH")).state
        assert state.messages > 0
