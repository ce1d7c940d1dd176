"""SIGKILL of either gateway at random moments of the whole path: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from pathlib import Path
from random import Random

import pytest

from gateway.sim.bench.files import CABLE, LineOptions
from tests.integration.live_line import LiveLine, live_line
from tests.integration.mosquitto import Listener, Mosquitto, mosquitto, needs_mosquitto

pytestmark = needs_mosquitto

KILL_COUNT = 50
SEED = 20261122
LIFE_S_MAX = 1.4
"""A gateway is ready after about half of it: kills hit its start as well as its work."""
SUBMIT_INTERVAL_S = 0.5


async def submit(broker: Mosquitto, stop: asyncio.Event) -> list[str]:
    """A program at headquarters: one notice after the other, each under a name of its own."""
    names: list[str] = []
    while not stop.is_set():
        name = f"notice-{len(names) + 1}"
        document = {
            "request_id": name,
            "to": "SOUTH",
            "kind": "NOTIFY",
            "precedence": "IMMEDIATE",
            "operation": "OPERATION",
            "text": name,
        }
        await broker.submit("NORTH", document)
        names.append(name)
        await asyncio.sleep(SUBMIT_INTERVAL_S)
    return names


async def answer(broker: Mosquitto, came: Listener) -> None:
    """A consumer that honours ids: takes each notice and rogers it, again when it comes again."""
    done = 0
    while True:
        await came.until(lambda heard, done=done: len(heard) > done)  # type: ignore[misc]
        for message in came.heard[done:]:
            notice_id = message.json["id"]
            await broker.publish("hotline/v1/SOUTH/taken", json.dumps({"id": notice_id}))
            roger = {"id": notice_id, "answer": "ROGER", "request_id": f"roger-{notice_id}"}
            await broker.publish("hotline/v1/SOUTH/answer", json.dumps(roger))
            done += 1


async def kill(line: LiveLine, rng: Random) -> None:
    """Either gateway, at a moment that only the seed knows; it is started again at once."""
    for _ in range(KILL_COUNT):
        await asyncio.sleep(rng.uniform(0, LIFE_S_MAX))
        victim = rng.choice((line.north, line.south))
        victim.check()
        await victim.kill()
        await victim.launch()


@pytest.mark.timeout(300)
async def test_fifty_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    """Each notice comes in under one id only, and each ends as ROGER at its originator."""
    (near_folder := tmp_path / "near").mkdir()
    (far_folder := tmp_path / "far").mkdir()
    async with mosquitto(near_folder) as near, mosquitto(far_folder) as far:
        options = LineOptions(
            baud=460_800, links=(CABLE,), mqtt_urls={"NORTH": near.url, "SOUTH": far.url}
        )
        async with (
            live_line(options) as line,
            near.listen("hotline/v1/NORTH/state/#", "hotline/v1/NORTH/error/#") as states,
            far.listen("hotline/v1/SOUTH/notice/#", "hotline/v1/SOUTH/error/#") as came,
            asyncio.TaskGroup() as group,
        ):
            stop = asyncio.Event()
            submitting = group.create_task(submit(near, stop))
            answering = group.create_task(answer(far, came))
            await kill(line, Random(SEED))
            stop.set()
            names = await submitting
            await states.until(
                lambda heard: sum(one.json.get("state") == "ROGER" for one in heard) >= len(names)
            )
            answering.cancel()
            errors = [one for one in (*states.heard, *came.heard) if "/error/" in one.topic]
            assert not errors, errors[0].json
            ids = defaultdict(set)
            for message in came.heard:
                ids[message.json["text"]].add(message.json["id"])
            assert sorted(ids) == sorted(names), "lost"
            assert all(len(one) == 1 for one in ids.values()), "doubled"
            rogered = {one.json["id"] for one in states.heard if one.json["state"] == "ROGER"}
            assert rogered == set.union(*ids.values())
