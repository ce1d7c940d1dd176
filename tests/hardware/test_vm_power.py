"""Power cuts: the machine is killed in the middle of traffic; what it had not flushed is lost."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gateway.sim.bench.files import CABLE
from tests.hardware.machine.installation import Installed
from tests.hardware.machine.line import CONFIG, Line, line_with, notice, until
from tests.hardware.machine.machine import MachineError
from tests.hardware.machine.state import STATE, mount_state, state_disk
from tests.integration.live_line import get, post

pytestmark = [pytest.mark.hardware, pytest.mark.timeout(5400)]

CUT_COUNT = int(os.environ.get("VM_CUTS", "30"))
"""Half a minute each on two cores."""
SEED = 20261127
START_SHARE = 0.25
"""Of the cuts: they hit the start, its recovery and the hellos; the others hit the work."""
START_S_MAX = 6.0
WORK_S_MAX = 4.0
INTERVAL_S = 0.2
PAGE_COUNT = 1000


class Hand:
    """Hands notices in at one station, each until it was accepted, under one name."""

    def __init__(self, name: str, to: str) -> None:
        self._name = name
        self._to = to
        self._numbers = count(1)
        self._unanswered: str | None = None
        self.accepted: dict[str, str] = {}
        """Ids by text: the station has confirmed that it has them for good."""

    async def next(self, request: Any) -> None:
        """One more; `request` may fail, then the same one goes again."""
        text = self._unanswered or f"{self._name}-{next(self._numbers)}"
        self._unanswered = text
        document = await request(notice(text, to=self._to))
        assert self.accepted.setdefault(text, document["id"]) == document["id"]
        self._unanswered = None

    async def finish(self, request: Any) -> None:
        if self._unanswered is not None:
            await self.next(request)


async def test_power_cuts_in_the_middle_of_traffic(installed: Installed, tmp_path: Path) -> None:
    """Notices go both ways while the power fails time and again, in the start and in the work: what
    was accepted is there once on the other side, and the disk and the log book are sound.
    """
    disk = state_disk(tmp_path)
    rng = Random(SEED)
    north, south = Hand("north", "SOUTH"), Hand("south", "NORTH")
    begun_s = time.monotonic()
    async with line_with(installed, tmp_path, (CABLE,), disks={"state": disk}) as line:
        in_work = 0
        for cut in range(CUT_COUNT):
            if cut:
                await line.resume()
            await start(line)
            if rng.random() < START_SHARE:
                await asyncio.sleep(rng.uniform(0, START_S_MAX))
            else:
                in_work += 1
                await work(line, north, south, rng.uniform(0, WORK_S_MAX))
            await line.machine.kill()
        await line.resume()
        await start(line)
        await line.until_up()
        await north.finish(lambda document: line.north("POST", "/v1/notices", document))
        await south.finish(lambda document: post(line.south, "/v1/notices", document))
        await settle(line, north, south)
        seconds = time.monotonic() - begun_s
        print(
            f"{CUT_COUNT} power cuts, {in_work} of them in the work, {len(north.accepted)} notices "
            f"out and {len(south.accepted)} in, {seconds:.0f} s"
        )
        assert len(north.accepted) >= in_work
        assert len(south.accepted) >= in_work
        await is_sound(line)


async def start(line: Line) -> None:
    """Mount what the last power cut left, and start the service without waiting for it."""
    await mount_state(line.machine)
    await line.machine.must("systemctl start --no-block hotline-gateway")


async def work(line: Line, north: Hand, south: Hand, seconds: float) -> None:
    """Both stations hand in, from NORTH's first answer for some seconds."""

    async def answers() -> bool:
        return (await line.machine.request("GET", "/v1/status"))[0] == 200

    await until(answers)

    async def hand_in() -> None:
        while True:
            await asyncio.gather(
                north.next(lambda document: line.north("POST", "/v1/notices", document)),
                south.next(lambda document: post(line.south, "/v1/notices", document)),
            )
            await asyncio.sleep(INTERVAL_S)

    with suppress(TimeoutError, MachineError):
        async with asyncio.timeout(seconds):
            await hand_in()


async def settle(line: Line, north: Hand, south: Hand) -> None:
    """Wait until each side has what the other accepted, once and under the same id."""

    async def are_there() -> bool:
        return len(await at_south(line)) >= len(north.accepted) and len(
            await at_north(line)
        ) >= len(south.accepted)

    await until(are_there, deadline_s=180)
    for hand, came in ((north, await at_south(line)), (south, await at_north(line))):
        texts = Counter(text for text, _ in came)
        assert sorted(texts) == sorted(hand.accepted), "lost, or never handed in"
        assert set(texts.values()) == {1}, "doubled"
        assert dict(came) == hand.accepted, "under another id"
    for text, notice_id in north.accepted.items():
        document = await line.north("GET", f"/v1/notices/{notice_id}")
        assert document["state"] in ("MACHINE RECEIPT", "DISPLAYED"), (text, document["state"])


async def at_south(line: Line) -> list[tuple[str, str]]:
    return await came(lambda target: get(line.south, target))


async def at_north(line: Line) -> list[tuple[str, str]]:
    return await came(lambda target: line.north("GET", target))


async def came(ask: Any) -> list[tuple[str, str]]:
    """Text and id of each notice of the feed, in order."""
    found: list[tuple[str, str]] = []
    after = 0
    while True:
        page = await ask(f"/v1/notices?after={after}&topic=notice&limit={PAGE_COUNT}")
        found += [(one["document"]["text"], one["document"]["id"]) for one in page["publications"]]
        if not page["publications"]:
            return found
        after = page["next"]


async def is_sound(line: Line) -> None:
    """Neither the file system nor the log book shows a scar."""
    errors = await line.machine.run("dmesg | grep 'EXT4-fs error'")
    assert errors.output == ""
    await line.machine.put(line.files.stations["SOUTH"].folder / "NORTH.card", f"{CONFIG}/own.card")
    cards = f"--card {CONFIG}/SOUTH.card --card {CONFIG}/own.card"
    said = await line.machine.must(f"hotline log verify {STATE} {cards}")
    print(said)
