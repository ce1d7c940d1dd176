"""What one gateway accepted alone and the other went on without: named until a person saw it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.model import Station
from gateway.sim.bench.process import GatewayProcess
from gateway.store.backup import copy_database
from gateway.store.database import FILE_NAME
from gateway.store.left_behind import acts_left
from gateway.store.sqlite import SqliteStore
from tests.integration.live_line import get, until
from tests.integration.nats_cluster import nats_server, needs_nats
from tests.integration.radio_at_port import hotline
from tests.integration.store_records import IN, act_id, received
from tests.integration.two_gateways import (
    say,
    spare_of,
    start,
    submit,
    texts_at,
    two_gateways,
    until_in_step,
    until_role,
)

STATION = Station(1)


async def test_only_what_the_copy_lacks_is_found(tmp_path: Path) -> None:
    """Common acts, one that came to the copy by another way, and one that is here alone."""
    ours, theirs = tmp_path / "a", tmp_path / "b"
    store = SqliteStore(ours, station=STATION)
    await store.recover()
    await store.commit(received(1, 1))
    theirs.mkdir()
    copy_database(ours, theirs / FILE_NAME)
    for number in (2, 3):
        await store.commit(received(number, number))
    await store.close()
    assert acts_left(ours / FILE_NAME, theirs / FILE_NAME) == (act_id(2, IN), act_id(3, IN))
    other = SqliteStore(theirs, station=STATION)
    await other.recover()
    await other.commit(received(7, 7))
    await other.commit(received(3, 3))
    await other.close()
    assert acts_left(ours / FILE_NAME, theirs / FILE_NAME) == (act_id(2, IN),)
    assert acts_left(theirs / FILE_NAME, theirs / FILE_NAME) == ()


async def left_behind_of(process: GatewayProcess) -> dict[str, Any]:
    for alarm in (await get(process, "/v1/status"))["alarms"]:
        if alarm["code"] == "left behind":
            return dict(alarm)
    return {}


@needs_nats
async def test_a_notice_that_was_accepted_alone(tmp_path: Path) -> None:
    """The cluster is away and SOUTH is off; a accepts, and dies; b is promoted; a is back."""
    async with (
        nats_server(tmp_path) as server,
        two_gateways(((server.url,),) * 2, takeover="hand", replicas=1) as scene,
    ):
        await start(scene.a, scene.b)
        await say(scene.a, role="active")
        await until_role(scene.a, "active")
        await submit(scene.a, "copied")

        async def is_copied() -> bool:
            return await texts_at(scene.b, "outbox") == ["copied"]

        await until(is_copied)
        await until_in_step(scene.b)

        async def is_known() -> bool:
            return bool((await spare_of(scene.b)).get("other"))

        await until(is_known)  # else b's word is no later one than a's
        await server.kill()
        answer = await submit(scene.a, "alone")
        assert answer["unreplicated"]
        await scene.a.kill()
        await server.start()
        assert (await say(scene.b, role="active", other_is_off=True))[0] == 202
        await until_role(scene.b, "active")
        assert await texts_at(scene.b, "outbox") == ["copied"]

        async def is_claimed() -> bool:
            found = await hotline("doctor", "--json", config=scene.b.files.config)
            return "gateway b holds the claim by a person" in found.out

        await until(is_claimed)
        await start(scene.a)

        async def is_told() -> dict[str, Any]:
            return await left_behind_of(scene.a)

        alarm = await until(is_told)
        assert alarm["text"].startswith("1 act that this gateway had accepted alone is not in")
        assert answer["id"] in alarm["text"]
        assert alarm["clearable"]
        book = alarm["text"].rpartition("hotline log export ")[2]
        config = scene.a.files.config
        found = await hotline("log", "export", book, config=config)
        assert found.code == 0, found
        assert answer["id"] in found.out
        assert "alone" in found.out
        await scene.a.stop()
        await start(scene.a)
        assert await until(is_told) == alarm
        found = await hotline("alarm", "clear", alarm["name"], config=config)
        assert found.code == 0, found
        assert not await left_behind_of(scene.a)
        await scene.a.stop()
        await start(scene.a)
        await until_in_step(scene.a)
        assert not await left_behind_of(scene.a)
        found = await hotline("alarm", "clear", alarm["name"], config=config)
        assert found.code == 5, found
