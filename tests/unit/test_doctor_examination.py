"""An examination goes on whatever a subject does: hang, fail, or find nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from random import Random

import pytest

from gateway.doctor.daemon import Daemon
from gateway.doctor.examination import Request, Step, _beside, _take, examine
from gateway.doctor.finding import Finding, Mark, ok
from gateway.doctor.machine import UNSEEN, Holder, Machine
from gateway.errors import LinkLostError

ROOT = Path(__file__).parents[2]


async def taken(run: Callable[[], Awaitable[Iterable[Finding]]]) -> list[Finding]:
    told: list[Step] = []
    step = Step("disk", "the disk", 0.01, run)
    findings = [finding async for finding in _take(step, told.append)]
    assert told == [step], "told before it is examined"
    return findings


async def test_a_subject_that_hangs_is_a_fault() -> None:
    """Its deadline ends it, and says so."""

    async def hang() -> list[Finding]:
        await asyncio.Event().wait()
        return []

    (found,) = await taken(hang)
    assert (found.mark, "gave no answer" in found.text) == (Mark.FAULT, True)


async def test_a_subject_that_fails_is_a_finding() -> None:
    """What the system or the gateway's own code says goes to the operator as a sentence."""

    async def refused() -> list[Finding]:
        raise PermissionError(13, "Permission denied", "/x")

    async def lost() -> list[Finding]:
        raise LinkLostError("it is gone")

    async def good() -> list[Finding]:
        return [ok("disk", "fine")]

    (found,) = await taken(refused)
    assert (found.mark, found.text) == (
        Mark.LOOK,
        "the disk could not be examined: /x Permission denied",
    )
    (found,) = await taken(lost)
    assert found.text == "the disk: it is gone"
    assert await taken(good) == [ok("disk", "fine")]


def test_a_thread_that_hangs_does_not_hold_the_command() -> None:
    """A disk that never answers: the process ends all the same."""
    code = (
        "import asyncio, threading\n"
        "from gateway.doctor.waiting import in_thread\n"
        "async def go():\n"
        "    try:\n"
        "        async with asyncio.timeout(0.05):\n"
        "            await in_thread(threading.Event().wait)\n"
        "    except TimeoutError:\n"
        "        print('went on')\n"
        "asyncio.run(go())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "went on\n")


async def test_an_empty_machine_is_examined_to_the_end(tmp_path: Path) -> None:
    """No file of a machine is needed: each subject says what it misses."""
    request = Request(tmp_path / "none.toml", tmp_path / "api.sock")
    topics = [
        finding.topic
        async for finding in examine(
            Machine(tmp_path), request, rng=Random(1), tell=lambda _step: None
        )
    ]
    assert list(dict.fromkeys(topics)) == [
        *("configuration", "gateway", "port", "disturbance", "clock", "service", "version"),
    ]


@pytest.mark.parametrize(
    ("process", "named"),
    [(None, ["screen"]), (7, ["python3", "screen"]), (8, ["hotline", "screen"])],
)
def test_who_uses_a_port_beside_the_gateway(process: int | None, named: list[str]) -> None:
    """Not the gateway, by its lock or else by its command; nor whoever nobody may see."""
    holders = [
        Holder(7, "hotline", is_gateway=True),
        Holder(8, "python3", is_gateway=True),
        Holder(9, "screen"),
        UNSEEN,
    ]
    assert [it.name for it in _beside(Daemon(None, process), holders)] == named


def test_what_runs_is_known_by_its_lock_or_its_word() -> None:
    """A gateway that holds the lock and says nothing keeps its ports too."""
    assert not Daemon(None, None).is_running
    assert Daemon(None, 7).is_running
    status = {"lines": [{"links": [{"name": "radio", "detail": "it works"}]}]}
    assert Daemon(status, None).is_running
    assert Daemon(status, None).detail("radio") == "it works"
    assert Daemon(None, 7).detail("radio") == "it did not say more"
