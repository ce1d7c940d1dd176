"""SIGKILL of either gateway at random moments of the whole path: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from gateway.cli.main import main
from gateway.sim.bench.files import CABLE, RADIO, LineOptions
from gateway.sim.bench.http_client import ApiUnreachableError
from tests.integration.live_line import LiveLine, live_line
from tests.integration.mosquitto import Heard, Listener, Mosquitto, mosquitto, needs_mosquitto

pytestmark = needs_mosquitto

KILL_COUNT = 50
SEED = 20261122
START_S_MAX = 1.0
"""A kill within this of a start: most of them hit the start, its recovery or the hellos."""
WORK_S_MAX = 1.5
"""A kill within this of both gateways' readiness, in which the radio comes up: hits the work."""
WORK_SHARE = 0.6
"""Of the kills; the others hit a start."""
QUIET_S = 3.5
"""After every tenth kill, so that a person has the time that the button needs."""
SUBMIT_INTERVAL_S = 0.3
NOTICES_A_KILL = 2
BUTTON_EVERY = 10
PRESS_INTERVAL_S = 0.5
END_S = 120


async def submit(broker: Mosquitto, line: LiveLine, stop: asyncio.Event) -> list[str]:
    """A program at headquarters: one notice after the other, each under a name of its own.

    Two after each kill, so that a slow machine has no more to do. Every tenth is an OPERATION, for
    the button only; the others a program at the far end rogers.
    """
    names: list[str] = []
    while not stop.is_set():
        if len(names) >= NOTICES_A_KILL * (line.north.start_count + line.south.start_count):
            await asyncio.sleep(0.05)
            continue
        name = f"notice-{len(names) + 1}"
        is_for_button = len(names) % BUTTON_EVERY == 0
        document = {
            "request_id": name,
            "to": "SOUTH",
            "kind": "NOTIFY",
            "precedence": "IMMEDIATE",
            "operation": "OPERATION" if is_for_button else "EXERCISE",
            "text": name,
        }
        await broker.submit("NORTH", document)
        names.append(name)
        await asyncio.sleep(SUBMIT_INTERVAL_S)
    return names


async def answer(
    broker: Mosquitto, came: Listener, line: LiveLine, group: asyncio.TaskGroup
) -> None:
    """A consumer that honours ids: takes each notice, again when it comes again.

    An EXERCISE it rogers through the broker; an OPERATION it only shows, since the watch has seen
    it then and may press.
    """
    done = 0
    shown: set[str] = set()
    while True:
        with suppress(TimeoutError):  # of one wait; the test has its own
            await came.until(lambda heard, done=done: len(heard) > done)  # type: ignore[misc]
        for message in came.heard[done:]:
            notice_id = message.json["id"]
            await broker.publish("hotline/v1/SOUTH/taken", json.dumps({"id": notice_id}))
            if message.json["operation"] == "EXERCISE":
                roger = {"id": notice_id, "answer": "ROGER", "request_id": f"roger-{notice_id}"}
                await broker.publish("hotline/v1/SOUTH/answer", json.dumps(roger))
            elif notice_id not in shown:
                shown.add(notice_id)
                group.create_task(show(line, notice_id))
            done += 1


async def show(line: LiveLine, notice_id: str) -> None:
    """Tell the far gateway that a screen shows a notice, until it has heard it."""
    while True:
        with suppress(ApiUnreachableError):
            status, document = await line.south.api.request(
                "POST", f"/v1/notices/{notice_id}/displayed"
            )
            assert status == 200, document
            return
        await asyncio.sleep(0.1)


async def press(line: LiveLine) -> None:
    """A hand at the far station: presses while the pending lamp asks for it, as people do.

    The first press silences the buzzer; one counts when the lamp has shown a notice for 2 s.
    """
    while True:
        with suppress(ApiUnreachableError):
            if (await line.south.lamps())["patterns"]["pending_in"] != "off":
                await line.south.press_button()
        await asyncio.sleep(PRESS_INTERVAL_S)


async def kill(line: LiveLine, rng: Random) -> None:
    """Either gateway, at a moment that only the seed knows; it is started again at once."""
    for count in range(KILL_COUNT):
        if rng.random() < WORK_SHARE:
            # From readiness, so that there is work to hit on a slow machine too.
            await asyncio.gather(line.north.wait_ready(), line.south.wait_ready())
            await asyncio.sleep(QUIET_S if count % 10 == 9 else 0)
            await asyncio.sleep(rng.uniform(0, WORK_S_MAX))
        else:
            await asyncio.sleep(rng.uniform(0, START_S_MAX))
        victim = rng.choice((line.north, line.south))
        victim.check()
        await victim.kill()
        await victim.launch()


async def until_rogered(states: Listener, names: list[str]) -> set[str]:
    """Wait until as many notices as there are names ended as ROGER; give their ids."""
    rogered: set[str] = set()

    def are_rogered(heard: list[Heard]) -> bool:
        rogered.update(one.json["id"] for one in states.heard if one.json.get("state") == "ROGER")
        return len(rogered) >= len(names)

    async with asyncio.timeout(END_S):
        while len(rogered) < len(names):
            with suppress(TimeoutError):  # of one wait
                await states.until(are_rogered)
    return rogered


@pytest.mark.timeout(300)
async def test_fifty_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    """Broker, radio (cable as alternate), broker, button: each notice comes in under one id only,
    and each ends as ROGER at its originator; the log books of both sides agree. 100 s on two busy
    cores: the lives between 50 kills, then 2 s and more for each notice that waits for the button.
    """
    (near_folder := tmp_path / "near").mkdir()
    (far_folder := tmp_path / "far").mkdir()
    async with mosquitto(near_folder) as near, mosquitto(far_folder) as far:
        options = LineOptions(
            baud=460_800,
            links=(RADIO, CABLE),
            mqtt_urls={"NORTH": near.url, "SOUTH": far.url},
            policy={"restore_ms": 100, "beat_retry_radio_ms": 2_000},
        )
        async with (
            live_line(options, preset="SHORT_TURBO") as line,
            near.listen("hotline/v1/NORTH/state/#", "hotline/v1/NORTH/error/#") as states,
            far.listen("hotline/v1/SOUTH/notice/#", "hotline/v1/SOUTH/error/#") as came,
            asyncio.TaskGroup() as group,
        ):
            stop = asyncio.Event()
            submitting = group.create_task(submit(near, line, stop))
            serving = [
                group.create_task(answer(far, came, line, group)),
                group.create_task(press(line)),
            ]
            await kill(line, Random(SEED))
            stop.set()
            names = await submitting
            rogered = await until_rogered(states, names)
            for task in serving:
                task.cancel()
            errors = [one for one in (*states.heard, *came.heard) if "/error/" in one.topic]
            assert not errors, errors[0].json
            ids = defaultdict(set)
            for message in came.heard:
                ids[message.json["text"]].add(message.json["id"])
            assert sorted(ids) == sorted(names), "lost"
            assert all(len(one) == 1 for one in ids.values()), "doubled"
            assert rogered == set.union(*ids.values())
            radio_count = sum(RADIO in one.frames for one in line.ledger.traffic.values())
            assert radio_count >= len(names) // 10, "the radio took part"
            north, south = line.folder / "north", line.folder / "south"
            words = ["log", "verify", north / "state", south / "state"]
            words += ["--card", north / "SOUTH.card", "--card", south / "NORTH.card"]
            assert await asyncio.to_thread(main, [str(word) for word in words]) == 0
