"""`hotline bench` as a person starts it: table, JSON, exit codes, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from tests.integration.mosquitto import mosquitto, needs_mosquitto

ROOT = Path(__file__).parents[2]
DEADLINE_S = 150
START = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("gateway.cli.main", run_name="__main__", alter_sys=True)
"""
"""As from a terminal: in a background job of a shell without job control SIGINT is ignored."""

pytestmark = pytest.mark.timeout(DEADLINE_S + 60)

SCENARIO = """
preset = "SHORT_FAST"
baud = 115200
limit_s = 60
links = []
policy = { restore_ms = 100 }
[[step]]
do = "send"
name = "first"
notice = { kind = "NOTIFY", precedence = "IMMEDIATE", operation = "OPERATION", text = "one" }
[[step]]
do = "cut"
link = "radio"
how = "unplug"
[[step]]
do = "kill"
station = "SOUTH"
[[step]]
do = "send"
name = "second"
from = "SOUTH"
link = "cable"
answers = ["STANDBY", "WILCO"]
notice = { kind = "REQUEST", precedence = "FLASH", operation = "EXERCISE", text = "two" }
[[step]]
do = "restore"
link = "radio"
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO)
    return path


async def bench(
    folder: Path, *arguments: str, interrupt_after: bytes | None = None
) -> tuple[int, str, str]:
    """Exit code, standard output and error of one bench; its folders are made in `folder`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", START, "bench", *arguments),
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_S):
            before = b""
            if interrupt_after is not None:
                while interrupt_after not in before:
                    line = await process.stdout.readline()
                    assert line, f"it ended before: {await process.communicate()}"
                    before += line
                process.send_signal(signal.SIGINT)
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    assert b"Traceback" not in errors
    return process.returncode, (before + output).decode(), errors.decode()


async def frames_opened(*arguments: str) -> list[dict[str, Any]]:
    """What `hotline frame` tells of captured frames, opened with the keys of one station."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli.main", *arguments, "--json"), cwd=ROOT, stdout=PIPE
    )
    async with asyncio.timeout(DEADLINE_S):
        output, _ = await process.communicate()
    assert process.returncode == 0
    return json_documents(output.decode())


def json_documents(text: str) -> list[dict[str, Any]]:
    """JSON documents one after the other."""
    documents, decoder = [], json.JSONDecoder()
    while text := text.lstrip():
        document, end = decoder.raw_decode(text)
        documents.append(document)
        text = text[end:]
    return documents


@pytest.fixture
def short_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short enough for the path of a Unix socket in it."""
    return tmp_path_factory.mktemp("b")


async def test_json_tells_what_became_of_each_notice(scenario: Path, short_folder: Path) -> None:
    """One JSON object with links, times, octets; lost 0, doubled 0, lamps dark; nothing is left."""
    code, output, _ = await bench(
        short_folder, "--scenario", str(scenario), "--seed", "7", "--json"
    )
    document = json.loads(output)
    assert document["problems"] == []
    assert code == 0
    assert (document["lost"], document["doubled"], document["seed"]) == (0, 0, 7)
    first, second = document["notices"]
    assert first["answers"] == ["ROGER"]
    assert second["answers"] == ["STANDBY", "WILCO"]
    assert second["links"] == ["cable"]
    for notice in (first, second):
        assert 0 < notice["receipt_s"] <= notice["roger_s"]
        assert notice["octets"] > 100
    assert "pending_out" in document["lamps"]["NORTH"]["seen"]
    assert document["lamps"]["SOUTH"]["at_end"]["pending_in"] == "off"
    assert list(short_folder.iterdir()) == []


async def test_an_expectation_that_fails_is_named(scenario: Path, short_folder: Path) -> None:
    """Exit code 1, a line that says what failed, and the logs are left to be read."""
    # Without the radio's return: a FLASH that waits still may go by it too.
    steps, _, _ = SCENARIO.rpartition("[[step]]")
    scenario.write_text(steps.replace('"cable"\nanswers', '"radio"\nanswers'))
    code, output, errors = await bench(short_folder, "--scenario", str(scenario))
    assert code == 1
    assert "FAILED: second: went by cable instead of radio" in output
    assert "2 notices, lost 0, doubled 0" in output
    (left,) = short_folder.iterdir()
    assert f"stores and logs are in {left}" in errors
    assert (left / "north" / "state" / "log" / "gateway.log").exists()
    (command,) = [line for line in errors.splitlines() if line.startswith("captured frames: ")]
    program, *arguments = command.removeprefix("captured frames: ").split()
    assert program == "hotline"
    frames = await frames_opened(*arguments)
    assert all(frame["opened"] for frame in frames)
    assert {act["signature"].split(", ")[0] for frame in frames for act in frame["acts"]} == {
        "good"
    }
    assert len([frame for frame in frames if frame["acts"]]) >= 3, "both notices and an answer"


@needs_mosquitto
async def test_over_a_broker(scenario: Path, short_folder: Path, tmp_path: Path) -> None:
    """With --mqtt notices are submitted, published and taken through a real Mosquitto."""
    async with mosquitto(tmp_path) as broker:
        code, output, _ = await bench(
            short_folder, "--scenario", str(scenario), "--json", "--mqtt", broker.url
        )
    assert (json.loads(output)["problems"], code) == ([], 0)


async def test_interrupt_stops_everything(short_folder: Path) -> None:
    """Ctrl-C ends both gateways and removes the folder."""
    code, output, _ = await bench(short_folder, interrupt_after=b"NORTH sends 'comm check'")
    assert code == 130
    assert list(short_folder.iterdir()) == []
    (line,) = [line for line in output.splitlines() if "are ready" in line]
    numbers = [int(word.strip(",)")) for word in line.split() if word.strip(",)").isdecimal()]
    assert len(numbers) == 2
    assert not any(Path(f"/proc/{number}").exists() for number in numbers)


async def test_wrong_use_is_one_sentence(short_folder: Path, tmp_path: Path) -> None:
    """A broken scenario, an unknown preset and a broker that is away say what to do."""
    path = tmp_path / "broken.toml"
    path.write_text("step = [")
    for arguments, wanted, sentence in (
        (("--scenario", str(path)), 78, "is not TOML"),
        (("--preset", "PIGEON"), 2, "'PIGEON' is unknown; use LONG_FAST"),
        (("--mqtt", "mqtt://127.0.0.1:1"), 4, "does not answer"),
    ):
        code, _, errors = await bench(short_folder, *arguments)
        assert code == wanted, errors
        assert sentence in errors
