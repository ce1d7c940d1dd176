"""What a gateway with serial, radio, MQTT and API costs: memory, time to ready, idle CPU."""

from __future__ import annotations

import asyncio
import compileall
import shutil
import statistics
import tempfile
from pathlib import Path
from random import Random
from typing import Final

import gateway
from gateway.sim.bench.files import LINKS, STATIONS, LineOptions, write_line
from gateway.sim.bench.http_client import ApiUnreachableError
from gateway.sim.bench.media import Media, ports_of
from gateway.sim.bench.process import BenchError, GatewayProcess
from gateway.sim.benchmark.bed import Options, are_up
from gateway.sim.benchmark.broker import mosquitto
from gateway.sim.benchmark.figures import Figure
from gateway.sim.benchmark.processes import cpu_s_of, memory_of

RSS_MAX_MB: Final = 55
READY_MAX_S: Final = 0.9
IDLE_CPU_MAX_S: Final = 2.0
POLL_S: Final = 0.005
LIMIT_S: Final = 60.0
SETTLE_S: Final = 15.0


async def measure_footprint(options: Options) -> list[Figure]:
    # As an installation has it; a work tree may have no compiled modules, which costs 0.3 s.
    package = Path(gateway.__file__).parent
    await asyncio.to_thread(compileall.compile_dir, package, quiet=2)
    folder = Path(tempfile.mkdtemp(prefix="hotline-bm-"))
    try:
        async with mosquitto(folder) as url:
            ports = {name: ports_of(folder, name) for name in STATIONS}
            urls = dict.fromkeys(STATIONS, url)
            line = write_line(
                folder, ports, LineOptions(baud=9600, mqtt_urls=urls, log_level="info")
            )
            rng = Random(options.seed)
            media = Media(folder, rng, preset="LONG_FAST", baud=9600, loss=0.0, tap=lambda *_: None)
            async with media:
                north, south = (GatewayProcess(files) for files in line.stations.values())
                try:
                    return await _measure(options, north, south)
                finally:
                    await asyncio.gather(north.stop(), south.stop())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(options: Options, north: GatewayProcess, south: GatewayProcess) -> list[Figure]:
    starts = []
    for _ in range(3 if options.quick else 7):
        await north.stop()
        starts.append(await _start(north))
    await _start(south)
    await _until_all_up(north)
    await asyncio.sleep(5.0 if options.quick else SETTLE_S)
    idle_s = 15.0 if options.quick else 60.0
    before_s = cpu_s_of(north.process_id)
    await asyncio.sleep(idle_s)
    idle_cpu_s = (cpu_s_of(north.process_id) - before_s) * 3600 / idle_s
    memory = memory_of(north.process_id)
    ready_s = statistics.median(seconds for seconds, _ in starts)
    shortest_s = min(seconds for seconds, _ in starts)
    ready_cpu_s = statistics.median(cpu_s for _, cpu_s in starts)
    return [
        Figure(
            name="rss",
            measure="RSS with serial + radio + MQTT + API, mock pins",
            ours=f"{memory.resident_mb:.1f} MB (own {memory.private_mb:.1f})",
            goal=f"<= {RSS_MAX_MB} MB",
            is_met=memory.resident_mb <= RSS_MAX_MB,
            values={
                "resident_mb": memory.resident_mb,
                "peak_mb": memory.peak_mb,
                "private_mb": memory.private_mb,
            },
        ),
        Figure(
            name="ready",
            measure=f"start to ready (API answers), median of {len(starts)}",
            ours=f"{ready_s:.2f} s (shortest {shortest_s:.2f}, CPU {ready_cpu_s:.2f})",
            goal=f"<= {READY_MAX_S} s",
            is_met=ready_s <= READY_MAX_S,
            values={
                "seconds": ready_s,
                "cpu_s": ready_cpu_s,
                "shortest_s": shortest_s,
            },
        ),
        Figure(
            name="idle-cpu",
            measure=f"idle CPU an hour, from {idle_s:.0f} s with all links up",
            ours=f"{idle_cpu_s:.2f} CPU-s",
            goal=f"<= {IDLE_CPU_MAX_S:g} CPU-s",
            is_met=idle_cpu_s <= IDLE_CPU_MAX_S,
            values={"cpu_s": idle_cpu_s},
        ),
    ]


async def _start(process: GatewayProcess) -> tuple[float, float]:
    """Wall and CPU seconds until the API gives a status. Raises `BenchError`."""
    time = asyncio.get_running_loop().time
    begun_s = time()
    await process.launch()
    async with asyncio.timeout(LIMIT_S):
        while not await _answers(process):
            process.check()
            await asyncio.sleep(POLL_S)
    return time() - begun_s, cpu_s_of(process.process_id)


async def _answers(process: GatewayProcess) -> bool:
    if not process.files.api_socket.exists():
        return False
    try:
        status, _ = await process.api.request("GET", "/v1/status")
    except ApiUnreachableError:
        return False
    return status == 200


async def _until_all_up(process: GatewayProcess) -> None:
    """Links UP and the broker reached. Raises `BenchError`."""
    try:
        async with asyncio.timeout(LIMIT_S):
            while not await are_up(process, LINKS):  # noqa: ASYNC110 (remote)
                await asyncio.sleep(0.2)
    except TimeoutError as error:
        raise BenchError(f"{process.name}: the links did not get UP") from error
    _, document = await process.api.request("GET", "/v1/status")
    if any(not queue["up"] for queue in document.get("queues", ())):
        raise BenchError(f"{process.name}: the broker is not reached")
