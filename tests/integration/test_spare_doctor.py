"""`hotline doctor` at the two gateways of a station, beside real servers."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

from gateway.queues.streams import SPARE_STREAMS, STREAMS, own_stream_config, stream_config
from gateway.security.cards import secret_text
from gateway.spare import cluster
from tests.integration.live_line import get, until
from tests.integration.nats_cluster import nats_server, needs_nats, program
from tests.integration.radio_at_port import hotline
from tests.integration.two_gateways import (
    Scene,
    say,
    spare_of,
    start,
    submit,
    two_gateways,
    until_in_step,
    until_role,
)

pytestmark = needs_nats

RIGHTS = re.search(
    r"GATEWAY_NORTH = (\{.*?\n  \})",
    (resources.files("gateway.queues.jetstream") / "nats-server.conf").read_text(),
    re.DOTALL,
)


def users(*without: str) -> str:
    """The shipped rights of a gateway, without these subjects; and an administrator."""
    assert RIGHTS is not None
    rights = RIGHTS[1]
    for subject in without:
        assert f'"{subject}"' in rights
        rights = rights.replace(f'"{subject}"', '"none"')
    return (
        f"authorization {{ users: [ {{ user: north, password: secret, permissions: {rights} }}, "
        "{ user: admin, password: admin } ] }"
    )


async def make_streams(url: str) -> None:
    """As the administrator does, since the gateways may not."""
    async with program(url, user="admin", password="admin") as admin:
        for config in (
            *(stream_config(name, 1) for name in STREAMS),
            *(own_stream_config(name, "NORTH", 1) for name in SPARE_STREAMS),
        ):
            subject = f"$JS.API.STREAM.CREATE.{config['name']}"
            answer = await admin.request(subject, json.dumps(config).encode(), timeout=10)
            assert "error" not in json.loads(answer.data), answer.data


async def doctor(scene: Scene, name: str = "a") -> Any:
    process = scene.a if name == "a" else scene.b
    return await hotline("doctor", "--json", config=process.files.config)


async def test_a_pair_that_is_well_and_one_that_differs(tmp_path: Path) -> None:
    """Streams, rights, holder, copies and settings; then without a server, another lease_s and
    another secret.
    """
    async with (
        nats_server(tmp_path) as server,
        two_gateways(((server.url,),) * 2, takeover="hand", lease_s=20, replicas=1) as scene,
    ):
        found = await doctor(scene)
        found.has("look", "gateway a cannot be asked which of the two it is")
        found.has("look", "stream HOTLINE_SPARE is not there yet")
        found.has("look", "no gateway of this station holds the claim")
        found.has("look", "no other gateway of this station was ever at the cluster")
        await start(scene.a, scene.b)
        assert (await say(scene.a, role="active"))[0] == 202
        await until_role(scene.a, "active")
        await until_in_step(scene.b)
        found = await doctor(scene)
        for stream in cluster.STREAMS:
            found.has("ok", f"stream {stream} is as shipped, 1 copy")
        for words in (
            "our user has every right that a spare needs",
            "gateway a is the active one, by hand",
            "the cluster has all of it: 0 acts UNREPLICATED",
            "gateway a holds the claim by a person's word, term 1",
            "gateway b has the same station key, lines (SOUTH) and settings",
        ):
            found.has("ok", words)
        (await doctor(scene, "b")).has("ok", "gateway b stands by, and its copy is whole")

        await scene.b.stop()
        own = scene.b.files.config
        own.write_text(own.read_text().replace("lease_s = 20", "lease_s = 30"))
        secret = next(own.parent.glob("*.secret"))
        secret.write_text(secret_text(bytes(range(32))))
        (await doctor(scene, "b")).has("look", "gateway b runs with another configuration")
        await start(scene.b)
        await until_in_step(scene.b)
        found = await doctor(scene)
        assert found.code == 1
        found.has("fault", "gateway b has another card or another secret of SOUTH: a take-over")
        found.has("look", "lease_s is 20 here and 30 on gateway b")

        await server.kill()
        for number in range(3):
            await submit(scene.a, f"n-{number}")

        async def is_counted() -> bool:
            return bool((await spare_of(scene.a)).get("unreplicated_count") == 3)

        await until(is_counted)
        found = await doctor(scene)
        found.has("fault", "UNREPLICATED: 3 acts are on this machine alone")
        found.has("fault", "cannot be reached")
        found.has("fault", "alarm unreplicated")
        assert (await get(scene.a, "/v1/status"))["patterns"]["alarm"] != "off"


async def test_the_shipped_rights_suffice_and_each_is_missed(tmp_path: Path) -> None:
    """One user for both with what the shipped file gives him; then less than that."""
    password = tmp_path / "password"
    password.write_text("secret\n")
    password.chmod(0o600)
    nats = f'user = "north"\npassword_file = "{password}"\n'
    async with nats_server(tmp_path, users()) as server:
        await make_streams(server.url)
        async with two_gateways(
            ((server.url,),) * 2, takeover="lease", lease_s=20, replicas=1, nats=nats
        ) as scene:
            await start(scene.a)
            await until_role(scene.a, "active")
            await start(scene.b)
            await until_in_step(scene.b)
            found = await doctor(scene)
            for stream in cluster.STREAMS:
                found.has("ok", f"stream {stream}_NORTH is as shipped, 1 copy")
            found.has("ok", "our user has every right that a spare needs")
            found.has("ok", "gateway b has the same station key")
            found.has("ok", "gateway a holds the claim by lease")
            missing = (
                "$KV.HOTLINE_SPARE.NORTH",
                "hotline.v1.NORTH.spare",
                "$JS.API.STREAM.MSG.GET.HOTLINE_SPARE_BASE_NORTH",
                "$JS.API.STREAM.INFO.HOTLINE_SPARE_NORTH",
            )
            await server.kill()
            server.reconfigure(users(*missing))
            await server.start()
            found = await doctor(scene)
            assert found.code == 1
            for subject in missing:
                found.has("fault", f"our user may not publish {subject}")
