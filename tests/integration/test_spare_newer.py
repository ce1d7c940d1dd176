"""The whole store of a gateway that is newer is of no use to one that is not upgraded yet."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.sim.bench.process import GatewayProcess
from gateway.spare.cluster import COMMITS
from gateway.store.connection import SCHEMA_VERSION
from gateway.store.database import FILE_NAME
from tests.integration.live_line import until
from tests.integration.nats_cluster import nats_server, needs_nats, program
from tests.integration.two_gateways import (
    spare_of,
    start,
    submit,
    texts_at,
    two_gateways,
    until_in_step,
    until_role,
)

pytestmark = needs_nats

NEWER = SCHEMA_VERSION + 1


def set_schema(state: Path, version: int) -> None:
    with closing(sqlite3.connect(state / FILE_NAME, timeout=10)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")


async def until_texts(process: GatewayProcess, *names: str) -> None:
    async def are_there() -> bool:
        return await texts_at(process, "outbox") == list(names)

    await until(are_there)


async def test_it_stands_by_with_its_own_store_until_it_is_upgraded(tmp_path: Path) -> None:
    """It says that it must be, and takes the store after it was."""
    async with (
        nats_server(tmp_path) as server,
        program(server.url) as admin,
        two_gateways([[server.url]] * 2, takeover="lease", replicas=1) as scene,
    ):
        await start(scene.a)
        await until_role(scene.a, "active")
        await start(scene.b)
        await submit(scene.a, "one")
        await until_texts(scene.b, "one")
        await scene.b.kill()
        await submit(scene.a, "two")
        await submit(scene.a, "three")  # the first of them will be missing
        purge = json.dumps({"keep": 1}).encode()
        answer = await admin.request(f"$JS.API.STREAM.PURGE.{COMMITS}", purge)
        assert "error" not in json.loads(answer.data)
        set_schema(scene.a.files.folder / "state", NEWER)
        await start(scene.b)

        async def is_to_be_upgraded() -> bool:
            return "upgrade this one too" in str((await spare_of(scene.b)).get("problem"))

        await until(is_to_be_upgraded, deadline_s=30)
        state = scene.b.files.folder / "state"
        assert await texts_at(scene.b, "outbox") == ["one"]
        assert not list(state.glob(f"{FILE_NAME}.before-restore*"))
        assert not list(state.glob("spare-base*"))
        assert await is_to_be_upgraded()
        await scene.b.kill()
        set_schema(scene.a.files.folder / "state", SCHEMA_VERSION)  # as an upgraded one sees it
        await start(scene.b)
        await until_texts(scene.b, "one", "three", "two")
        await until_in_step(scene.b)
