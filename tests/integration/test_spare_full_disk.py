"""A full disk ends neither of a station's two gateways, nor makes one of them active on no word."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.core.claim import Hold
from gateway.model import Instant
from gateway.runtime.keeper import Keeper
from gateway.sim.bench.process import GatewayProcess
from gateway.spare.twin import Twin
from gateway.store.folder import BALLAST_SIZE
from tests.integration.live_line import get, lamp_of, until
from tests.integration.nats_cluster import nats_server, needs_nats
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

DISK_SIZE = BALLAST_SIZE + 3 * 1024 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small one of its own, in memory."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE}", "none", str(path)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def fill(disk: Path) -> None:
    """To the last block."""
    with (disk / "full").open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def is_full(disk: Path) -> bool:
    """And stays so: nothing is there that a gateway lets go of by itself."""
    is_held = any((disk / "state" / name).exists() for name in ("ballast", "trial"))
    return not is_held and os.statvfs(disk).f_bavail == 0


def put_on(process: GatewayProcess, disk: Path) -> None:
    """Its state folder."""
    config = process.files.config
    old, new = str(process.files.folder / "state"), str(disk / "state")
    config.write_text(config.read_text().replace(old, new))


async def until_refused(process: GatewayProcess) -> None:
    async def is_refused() -> bool:
        return "full" in str((await spare_of(process)).get("problem"))

    await until(is_refused)
    status = await get(process, "/v1/status")
    assert [alarm["code"] for alarm in status["alarms"]] == ["store refused"]
    assert status["store_refused"]
    assert await lamp_of(process, "alarm") == "fast"


async def promoted(process: GatewayProcess) -> tuple[int, Any]:
    return await say(process, role="active", other_is_off=True)


async def test_the_one_that_stands_by(tmp_path: Path, disk: Path) -> None:
    """Alarm, and no promotion; a start without room for the database itself likewise. With room it
    is in step again.
    """
    async with (
        nats_server(tmp_path) as server,
        two_gateways(((server.url,),) * 2, takeover="hand", replicas=1) as scene,
    ):
        put_on(scene.b, disk)
        await start(scene.a, scene.b)
        assert (await say(scene.a, role="active"))[0] == 202
        await until_role(scene.a, "active")
        await until_in_step(scene.b)
        fill(disk)
        await submit_until_refused(scene, disk)
        status, answer = await promoted(scene.b)
        assert status == 409
        assert "cannot be remembered" in answer["problem"]
        assert (await spare_of(scene.b))["role"] == "standby"
        await scene.b.stop()
        (disk / "state" / "ballast").unlink(missing_ok=True)
        fill(disk)
        await start(scene.b)
        await until_refused(scene.b)
        status, answer = await scene.b.api.request("GET", "/v1/outbox")
        assert (status, answer["code"]) == (503, "store_refused")
        assert (await promoted(scene.b))[0] == 409
        (disk / "full").unlink()
        await until_in_step(scene.b)
        assert (await get(scene.b, "/v1/status"))["alarms"] == []
        assert (await promoted(scene.b))[0] == 202


async def test_the_active_one_gives_way_to_the_other(tmp_path: Path, disk: Path) -> None:
    """Which is in step, and accepts again; nothing that was accepted before is lost."""
    async with (
        nats_server(tmp_path) as server,
        two_gateways(((server.url,),) * 2, takeover="lease", lease_s=40, replicas=1) as scene,
    ):
        put_on(scene.a, disk)
        await start(scene.a)
        await until_role(scene.a, "active")
        await start(scene.b)
        await until_in_step(scene.b)
        fill(disk)
        (disk / "state" / "ballast").unlink(missing_ok=True)
        accepted: list[str] = []
        with suppress(AssertionError):  # a refusal
            while len(accepted) < 200:
                fill(disk)
                await submit(scene.a, f"n-{len(accepted)}")
                accepted.append(f"n-{len(accepted)}")
        await until_role(scene.b, "active", deadline_s=20)  # its lease alone takes 50 s
        await until_refused(scene.a)
        await submit(scene.b, "after")
        assert await texts_at(scene.b, "outbox") == sorted(["after", *accepted])
        (disk / "full").unlink()
        await until_in_step(scene.a)
        assert (await spare_of(scene.b))["role"] == "active"


async def submit_until_refused(scene: Scene, disk: Path) -> None:
    """The active one accepts all of it. The other one's ballast is gone then, and its room too."""
    for number in range(200):
        fill(disk)
        if "full" in str((await spare_of(scene.b)).get("problem")) and is_full(disk):
            break
        await submit(scene.a, f"n-{number}")
    else:
        raise AssertionError("200 notices found room on a full disk")
    await until_refused(scene.b)


async def test_a_persons_word_on_a_full_disk(disk: Path) -> None:
    """A promotion does not happen; one that was taken back is forgotten, a restart included."""
    time = [Instant(0)]

    def start_keeper() -> Keeper:
        return Keeper(
            name="a",
            by_lease=False,
            lease_s=15,
            folder=disk,
            access=None,
            twin=Twin("a", "1.0", "00", {}, "hand", 15),
            instant=lambda: time[0],
            observe=lambda *_, **__: None,
        )

    keeper = start_keeper()
    fill(disk)
    obstacle = await keeper.promote(other_is_off=True)
    assert obstacle is not None
    assert "cannot be remembered: the disk of the state folder" in obstacle.problem
    assert keeper.tenure.hold is Hold.NONE
    (disk / "full").unlink()
    assert await keeper.promote(other_is_off=True) is None
    assert keeper.may_transmit(keeper.tenure.number)
    assert start_keeper().tenure.memory(time[0]).by_hand
    fill(disk)
    await keeper.stand_by()
    assert not start_keeper().tenure.memory(time[0]).by_hand
    (disk / "full").unlink()
