"""`hotline promote` and `hotline standby` at real gateways, as people and programs read them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.live_line import until
from tests.integration.nats_cluster import nats_server, needs_nats
from tests.integration.radio_at_port import Ended, hotline
from tests.integration.two_gateways import (
    start,
    submit,
    texts_at,
    two_gateways,
    until_in_step,
    until_role,
)

pytestmark = needs_nats


def sentence(found: Ended, code: int, *words: str) -> None:
    """An error is one line on stderr, and nothing else anywhere."""
    assert found.code == code, found
    assert found.out == ""
    assert found.err.count("\n") == 1, found.err
    for word in words:
        assert word in found.err


async def test_two_boxes_and_a_cluster(tmp_path: Path) -> None:
    """Who is active, told and changed by commands; UNREPLICATED on each screen and lamp."""
    async with (
        nats_server(tmp_path) as server,
        two_gateways(((server.url,),) * 2, takeover="hand", replicas=1) as scene,
    ):

        async def at(name: str, *arguments: str) -> Ended:
            process = scene.a if name == "a" else scene.b
            return await hotline(*arguments, config=process.files.config)

        sentence(await at("a", "standby", "--show"), 4, "does not run")
        await start(scene.a, scene.b, scene.south)
        sentence(await hotline("promote", config=scene.south.files.config), 5, "one gateway")
        found = await at("a", "standby", "--show")
        assert found.code == 0
        assert found.out == (
            "GATEWAY a stands by; no gateway of this station holds the claim, as far as this one "
            "knows\n"
        )
        found = await at("a", "promote", "--json")
        assert found.code == 0, found
        document = json.loads(found.out)
        assert (document["role"], document["held_by"]) == ("active", "hand")
        await until_in_step(scene.b)

        async def is_known() -> bool:
            text = (await at("b", "standby", "--show")).out
            return text == "GATEWAY b stands by; a is the active one by hand\n"

        await until(is_known)
        sentence(await at("b", "promote"), 7, "gateway a was promoted by hand", "--other-is-off")
        found = await at("b", "send", "SOUTH", "x", "-k", "NOTIFY", "-p", "R", "-o", "TEST")
        sentence(found, 75, "stands by")

        found = await at("a", "standby", "--json")
        assert json.loads(found.out)["role"] == "standby"
        found = await at("b", "promote")
        assert (found.code, found.out) == (0, "GATEWAY b is the active one by hand\n")
        theirs = (await submit(scene.south, "s-1", to="NORTH"))["id"]

        async def is_here() -> bool:
            return await texts_at(scene.b, "inbox") == ["s-1"]

        await until(is_here)

        await server.kill()
        await submit(scene.b, "n-1")

        async def is_told() -> bool:
            return "UNREPLICATED: 1 act here alone" in (await at("b", "standby", "--show")).out

        await until(is_told)
        found = await at("b", "status")
        assert "UNREPLICATED" in found.out.upper()
        status = json.loads((await at("b", "status", "--json")).out)
        assert status["spare"]["unreplicated_count"] == 1
        assert "unreplicated" in [it["code"] for it in status["alarms"]]
        assert status["patterns"]["alarm"] == "fast"
        found = await at("b", "send", "SOUTH", "x", "-k", "CHECK", "-p", "R", "-o", "TEST")
        assert found.code == 0
        assert found.err.startswith("UNREPLICATED: the station's other gateway does not have it")
        found = await at("b", "answer", theirs, "ROGER")
        assert found.code == 0, found
        assert found.err.startswith("UNREPLICATED: the station's other gateway does not have it")
        notice = json.loads((await at("b", "outbox", "--json")).out)["notices"][0]["id"]
        assert "UNREPLICATED" in (await at("b", "show", notice)).out
        sentence(await at("a", "promote"), 7, "cannot be asked", "--other-is-off")
        await server.start()

        async def is_over() -> bool:
            return (await at("b", "standby", "--show")).out.endswith("the active one by hand\n")

        await until(is_over)
        status = json.loads((await at("b", "status", "--json")).out)
        assert "unreplicated" not in [it["code"] for it in status["alarms"]]
        await until_in_step(scene.a)


async def test_two_boxes_without_a_cluster() -> None:
    """A person's word is everything; what it means is said each time."""
    async with two_gateways(((), ()), takeover="hand") as scene:
        await start(scene.a)
        config = scene.a.files.config
        sentence(await hotline("promote", config=config), 7, "--other-is-off")
        found = await hotline("promote", "--other-is-off", config=config)
        assert found.code == 0, found
        assert "is the active one by hand; UNREPLICATED is what it accepts from now" in found.out
        await until_role(scene.a, "active")
        await submit(scene.a, "n-1")
        found = await hotline("standby", "--show", config=config)
        assert "is the active one by hand; UNREPLICATED: " in found.out
        found = await hotline("standby", config=config)
        assert found.code == 0, found
        assert "stands by" in found.out
