"""What a notice costs the card on either side, and what beats do: the system calls of the store."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.sim.bench.process import BenchError, GatewayProcess
from gateway.sim.bench.submit import post
from gateway.sim.benchmark.bed import Bed, Options, make_bed, text_of
from gateway.sim.benchmark.figures import Figure
from gateway.store.database import FILE_NAME

SIZE_MAX_KB: Final = 40
FLUSH_COUNT_MAX: Final = 3
SEGMENT: Final = "logbook/0001.cborseq"
QUIET_S: Final = 5.0
"""After the last notice: what follows it is written."""
BEAT_S: Final = 60.0
"""Seven beats of a cable, and the minute in which the log book is flushed at the latest."""
ATTACH_S: Final = 10.0

# Another thread's call may stand between the two halves of one.
_WRITE: Final = re.compile(r"\b(?:pwrite64|write)(?:\(.*| resumed>)\) += (\d+)$")
_FLUSH: Final = re.compile(r"\bf(?:data)?sync(?:\(.*| resumed>)\) += 0$")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of the state folder in some stretch of time."""

    size: int
    """Octets handed to the kernel; what a start makes once is not among them."""
    flush_count: int


@dataclass(slots=True)
class Meter:
    """The calls of a process so far, in a file that `strace` writes."""

    path: Path

    def read(self) -> Cost:
        lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        sizes = [int(found[1]) for line in lines if (found := _WRITE.search(line))]
        return Cost(sum(sizes), sum(_FLUSH.search(line) is not None for line in lines))


async def measure_writing(options: Options) -> list[Figure]:
    """Notices one after the other, so that no commit shares a flush; then beats alone."""
    count = 10 if options.quick else 100
    async with make_bed(options) as bed:
        await _life(bed, 0)
        async with _metered(bed, "NORTH") as own, _metered(bed, "SOUTH") as far:
            meters = {"originator": own, "addressee": far}
            await bed.until(lambda: False, QUIET_S)
            before = {side: meter.read() for side, meter in meters.items()}
            for number in range(1, count + 1):
                await _life(bed, number)
            await bed.until(lambda: False, QUIET_S)
            after = {side: meter.read() for side, meter in meters.items()}
            # The flush of the last entries is due within a minute, and is theirs.
            await bed.until(lambda: False, BEAT_S + QUIET_S)
            quiet = {side: meter.read() for side, meter in meters.items()}
            await bed.until(lambda: False, 15.0 if options.quick else BEAT_S)
            end = {side: meter.read() for side, meter in meters.items()}
    figures = [_cost(side, before[side], after[side], count) for side in meters]
    size = sum(end[side].size - quiet[side].size for side in meters)
    flush_count = sum(end[side].flush_count - quiet[side].flush_count for side in meters)
    figures.append(
        Figure(
            name="beat-writes",
            measure="written by both sides in a minute of beats on a cable: octets, flushes",
            ours=f"{size}, {flush_count}",
            goal="0, 0",
            is_met=size == flush_count == 0,
            values={"octets": size, "flushes": flush_count},
        )
    )
    return figures


def _cost(side: str, before: Cost, after: Cost, count: int) -> Figure:
    size_kb = (after.size - before.size) / count / 1000
    flush_count = (after.flush_count - before.flush_count) / count
    return Figure(
        name=f"card-{side}",
        measure=f"a notice's life at the {side}: kB written, flushes",
        ours=f"{size_kb:.1f} kB, {flush_count:.1f}",
        goal=f"<= {SIZE_MAX_KB} kB, <= {FLUSH_COUNT_MAX}",
        is_met=size_kb <= SIZE_MAX_KB and flush_count <= FLUSH_COUNT_MAX,
        values={"written_kb": size_kb, "flushes": flush_count},
    )


async def _life(bed: Bed, number: int) -> None:
    """Accepted, sent, receipted, taken by a program, answered with ROGER."""
    sent = await bed.submit(text_of(100, number))
    if not await bed.receipted(sent):
        raise BenchError(f"no machine receipt on a line without loss; see {bed.folder}")
    await bed.queue.taken("SOUTH", sent.notice_id)
    answer = {"answer": "ROGER", "request_id": f"roger-{number}"}
    await post(bed.processes["SOUTH"], f"/v1/notices/{sent.notice_id}/answers", answer)
    states = bed.feeds["NORTH"].states
    if not await bed.until(
        lambda: any(seen.state == "ROGER" for seen in states.get(sent.notice_id, ())), 30.0
    ):
        raise BenchError(f"no ROGER on a line without loss; see {bed.folder}")


@asynccontextmanager
async def _metered(bed: Bed, name: str) -> AsyncIterator[Meter]:
    """Watch the calls of a gateway on the files of its store. Raises `BenchError`."""
    program = shutil.which("strace")
    if program is None:
        raise BenchError("what a notice writes is read from system calls: apt-get install strace")
    process, path = bed.processes[name], bed.folder / f"{name}.calls"
    files = ("", f"/{FILE_NAME}", f"/{FILE_NAME}-wal", "/logbook", f"/{SEGMENT}")
    state = process.files.folder / "state"
    tracer = await asyncio.create_subprocess_exec(
        program,
        *("-f", "-qq", "-s", "0", "-o", str(path), "-p", str(process.process_id)),
        *("-e", "trace=pwrite64,write,fsync,fdatasync", "-e", "signal=none"),
        *(part for file in files for part in ("-P", f"{state}{file}")),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        await _until_traced(tracer, process)
        yield Meter(path)
    finally:
        if tracer.returncode is None:
            tracer.terminate()
            await tracer.wait()


async def _until_traced(tracer: asyncio.subprocess.Process, process: GatewayProcess) -> None:
    try:
        async with asyncio.timeout(ATTACH_S):
            while _tracer_of(process) != tracer.pid:
                if tracer.returncode is not None:
                    assert tracer.stderr is not None
                    said = (await tracer.stderr.read()).decode(errors="replace").strip()
                    raise BenchError(f"strace may not watch {process.name}, be root: {said}")
                await asyncio.sleep(0.02)
    except (TimeoutError, OSError) as error:
        raise BenchError(f"strace does not watch {process.name}") from error


def _tracer_of(process: GatewayProcess) -> int:
    """0: nobody."""
    status = Path(f"/proc/{process.process_id}/status").read_text(encoding="ascii")
    found = re.search(r"^TracerPid:\s+(\d+)$", status, re.MULTILINE)
    return 0 if found is None else int(found[1])
