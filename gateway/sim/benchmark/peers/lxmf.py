"""LXMF over the same pty relay in the same run: octets of a message, delivery under loss."""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from gateway.sim.bench.process import BenchError
from gateway.sim.benchmark.bed import Options, text_of
from gateway.sim.benchmark.cables import CablePlan, Cables, Passed
from gateway.sim.benchmark.delivery import TEXT_SIZE, Course, courses
from gateway.sim.benchmark.figures import quantile
from gateway.sim.benchmark.octets import GOALS

PACKAGES: Final = ("rns==1.5.7", "lxmf==1.2.1")
PROGRAM: Final = Path(__file__).with_name("lxmf_end.py")
HDLC_FLAG: Final = 0x7E
CABLE: Final = "cable"
READY_S: Final = 60.0
TAIL_S: Final = 120.0
"""It gives a message up after about 50 s."""


class End:
    """One LXMF process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.public_key = ""
        self.has_path = False
        self.received: Counter[str] = Counter()
        self.proved_s: dict[str, float] = {}
        self.failed: set[str] = set()

    async def read(self) -> None:
        """Follow what it tells until it ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            with suppress(ValueError):
                self._note(json.loads(line))

    def _note(self, told: Mapping[str, Any]) -> None:
        if "public_key" in told:
            self.public_key = told["public_key"]
        elif "path" in told:
            self.has_path = told["path"]
        elif "received" in told:
            self.received[told["received"]] += 1
        elif "proved" in told:
            self.proved_s[told["proved"]] = asyncio.get_running_loop().time()
        elif "failed" in told:
            self.failed.add(told["failed"])

    def order(self, **words: str | bool) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words).encode() + b"\n")


class Pair:
    """Two ends on one cable."""

    def __init__(self, near: End, far: End, cables: Cables) -> None:
        self.near = near
        self.far = far
        self.cables = cables
        self.octet_count = 0

    async def send(self, text: str) -> float:
        """When it was handed over."""
        self.near.order(send=text)
        return asyncio.get_running_loop().time()

    async def until(self, is_true: Callable[[], bool], timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                while not is_true():  # noqa: ASYNC110 (another process acts)
                    await asyncio.sleep(0.02)
        except TimeoutError:
            return False
        return True


async def measure_lxmf(options: Options, say: Callable[[str], None]) -> dict[str, str]:
    """Texts by the names of our figures; what cannot be installed or started is only said."""
    folder = Path(tempfile.mkdtemp(prefix="hotline-peers-"))
    try:
        python = await _install(folder)
        say("lxmf: installed, begins")
        found: dict[str, str] = await _octets(folder, python, options)
        wanted = courses(options)
        tasks = [asyncio.create_task(_deliver(folder, python, options, one)) for one in wanted]
        for course, task in zip(wanted, tasks, strict=True):
            found[f"delivery-{course.name}"] = await task
    except BenchError as error:
        say(f"lxmf: not measured: {error}")
        return {}
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    for name, text in found.items():
        say(f"lxmf: {name}: {text}")
    return found


async def _install(folder: Path) -> Path:
    """Python of a new environment that has the packages. Raises `BenchError`."""
    python = folder / "venv" / "bin" / "python"
    for what, command in (
        ("make an environment", [sys.executable, "-m", "venv", str(folder / "venv")]),
        (
            f"install {' and '.join(PACKAGES)}",
            [str(python), "-m", "pip", "install", "--quiet", *PACKAGES],
        ),
    ):
        process = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        _, errors = await process.communicate()
        if process.returncode != 0:
            reason = errors.decode(errors="replace").strip().splitlines()[-1:]
            raise BenchError(
                f"could not {what} ({' '.join(reason) or 'no reason given'}); that needs Python's"
                " venv and a package index within reach: mend that, or leave --with-peers out"
            )
    return python


@asynccontextmanager
async def _pair(
    folder: Path, python: Path, name: str, bit_rate: int, seed: int
) -> AsyncIterator[Pair]:
    pairs: list[Pair] = []

    def note(passed: Passed) -> None:
        for pair in pairs:
            pair.octet_count += passed.size

    ports = [str(folder / f"{name}-{side}") for side in "ab"]
    plan = CablePlan(
        name=CABLE, a=ports[0], b=ports[1], bit_rate=bit_rate, seed=seed, delimiter=HDLC_FLAG
    )
    async with Cables([plan], note) as cables:
        processes = [
            await asyncio.create_subprocess_exec(
                str(python),
                str(PROGRAM),
                str(folder / f"state-{name}-{side}"),
                port,
                str(bit_rate),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            for side, port in zip("ab", ports, strict=True)
        ]
        ends = [End(process) for process in processes]
        reading = [asyncio.create_task(end.read()) for end in ends]
        try:
            pair = Pair(ends[0], ends[1], cables)
            pairs.append(pair)
            if not await pair.until(lambda: all(end.public_key for end in ends), READY_S):
                raise BenchError("LXMF did not start")
            for end, other in ((ends[0], ends[1]), (ends[1], ends[0])):
                end.order(peer=other.public_key)
            await _warm(pair)
            yield pair
        finally:
            for process in processes:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            await asyncio.gather(*reading)


async def _warm(pair: Pair) -> None:
    """Both know the path and the other; the first message costs more and is not measured."""
    for end in (pair.near, pair.far):
        end.order(announce=True)
        await asyncio.sleep(1.0)
    for _ in range(int(READY_S)):
        pair.near.order(path=True)
        pair.far.order(path=True)
        await asyncio.sleep(1.0)
        if pair.near.has_path and pair.far.has_path:
            break
    else:
        raise BenchError("LXMF found no path on a line without loss")
    await pair.send("warm")
    if not await pair.until(lambda: "warm" in pair.near.proved_s, READY_S):
        raise BenchError("LXMF delivers nothing on a line without loss")
    await asyncio.sleep(1.0)


async def _octets(folder: Path, python: Path, options: Options) -> dict[str, str]:
    found: dict[str, str] = {}
    async with _pair(folder, python, "octets", 9600, options.seed) as pair:
        for size in GOALS:
            octets, seconds = [], []
            for number in range(5):
                before = pair.octet_count
                text = text_of(size, number)
                begun_s = await pair.send(text)
                if not await pair.until(lambda text=text: text in pair.near.proved_s, 60):  # type: ignore[misc]
                    raise BenchError("LXMF lost a message on a line without loss")
                await asyncio.sleep(0.3)
                octets.append(pair.octet_count - before)
                seconds.append(pair.near.proved_s[text] - begun_s)
            found[f"octets-{size}"] = f"{statistics.median(octets):.0f}"
            found[f"time-{size}"] = f"{statistics.median(seconds):.2f} s"
    return found


async def _deliver(folder: Path, python: Path, options: Options, course: Course) -> str:
    """As our own delivery, with its default retries."""
    name = f"delivery-{course.name}"
    async with _pair(folder, python, name, course.bit_rate, options.seed) as pair:
        await pair.cables.order(CABLE, "loss", share=course.loss)
        loop = asyncio.get_running_loop()
        before, start_s = pair.octet_count, loop.time()
        begun_s: dict[str, float] = {}
        for number in range(course.count):
            await asyncio.sleep(max(0.0, start_s + number * course.interval_s - loop.time()))
            text = text_of(TEXT_SIZE, number)
            begun_s[text] = await pair.send(text)
        near = pair.near
        await pair.until(lambda: begun_s.keys() <= near.proved_s.keys() | near.failed, TAIL_S)
        seconds = [
            near.proved_s[text] - at_s for text, at_s in begun_s.items() if text in near.proved_s
        ]
        octets = (pair.octet_count - before) / max(len(seconds), 1)
        doubled = sum(count > 1 for count in pair.far.received.values())
        return (
            f"{len(seconds)}/{course.count}, {quantile(seconds, 0.5):.1f}/"
            f"{quantile(seconds, 0.95):.1f} s, {octets:.0f}"
            + (f", doubled {doubled}" if doubled else "")
        )
