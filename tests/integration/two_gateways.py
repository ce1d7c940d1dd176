"""NORTH with two real gateways, a and b, each on a cable of its own to SOUTH; and a cluster."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.sim.bench.files import (
    CABLE,
    SPARE,
    STATIONS,
    BenchLine,
    LineOptions,
    Ports,
    StationFiles,
    write_line,
)
from gateway.sim.bench.http_client import ApiUnreachableError
from gateway.sim.bench.process import GatewayProcess
from gateway.sim.cable import Cable
from tests.integration.live_line import until

BAUD = 115_200


@dataclass(frozen=True, slots=True)
class Scene:
    """What a test drives. `cables` by the name of NORTH's gateway."""

    folder: Path
    a: GatewayProcess
    b: GatewayProcess
    south: GatewayProcess
    cables: dict[str, Cable]
    line: BenchLine

    def sent_s(self, name: str) -> list[float]:
        """When gateway `name` put frames on its cable, seconds of the loop's clock."""
        return [it.line.at_ms / 1000 for it in self.cables[name].records if it.sender == "a"]


@asynccontextmanager
async def two_gateways(
    urls: Sequence[Sequence[str]],
    *,
    takeover: str,
    lease_s: int = 5,
    replicas: int = 3,
    nats: str = "",
) -> AsyncIterator[Scene]:
    """Nothing runs yet. `urls`: the servers that a and b know; none for a station without. `nats`:
    further lines of that table.
    """
    folder = Path(tempfile.mkdtemp(prefix="hotline-test-"))
    if sys.dont_write_bytecode:
        os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
        os.environ["PYTHONDONTWRITEBYTECODE"] = ""
    ports = {
        name: Ports(
            radio="",
            far_node="",
            cable=str(folder / f"{name}-cable"),
            spare=str(folder / f"{name}-spare"),
        )
        for name in STATIONS
    }
    line = write_line(folder, ports, LineOptions(baud=BAUD, links=(CABLE, SPARE)))
    files = {"a": line.stations["NORTH"], "b": StationFiles("NORTH", folder / "north-b")}
    shutil.copytree(files["a"].folder, files["b"].folder)
    for (name, own), link, servers in zip(files.items(), (CABLE, SPARE), urls, strict=True):
        text = own.config.read_text().replace(str(files["a"].folder) + "/", f"{own.folder}/")
        own.config.write_text(
            _only(text, link)
            + _spare(name, servers, takeover, lease_s, replicas)
            + (nats if servers else "")
        )
    processes = {name: GatewayProcess(own) for name, own in files.items()}
    south = GatewayProcess(line.stations["SOUTH"])
    cables = {
        name: Cable(getattr(ports["NORTH"], link), getattr(ports["SOUTH"], link), BAUD)
        for name, link in (("a", CABLE), ("b", SPARE))
    }
    try:
        async with cables["a"], cables["b"]:
            yield Scene(folder, processes["a"], processes["b"], south, cables, line)
    finally:
        for process in (*processes.values(), south):
            await process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _only(text: str, link: str) -> str:
    """The configuration with one of its links."""
    head, *rest = text.split("[[line.link]]")
    *links, last = rest
    last, mark, tail = last.partition("[indicators]")
    kept = [it for it in (*links, last) if f'name = "{link}"' in it]
    return f"{head}[[line.link]]{kept[0]}{mark}{tail}"


def _spare(name: str, servers: Sequence[str], takeover: str, lease_s: int, replicas: int) -> str:
    text = f'[spare]\nname = "{name}"\ntakeover = "{takeover}"\nlease_s = {lease_s}\n'
    if not servers:
        return text
    listed = ", ".join(f'"{url}"' for url in servers)
    return (
        f'{text}[nats]\nservers = [{listed}]\nrole = "duty_officer"\n'
        f"replicas = {replicas}\n"
        'submit = ["operation", "exercise", "simulation", "test"]\nprecedence = "flash"\n'
    )


async def start(*processes: GatewayProcess) -> None:
    """Launch them, and wait until each is ready."""
    for process in processes:
        await process.launch()
    for process in processes:
        await process.wait_ready(60)


async def spare_of(process: GatewayProcess) -> dict[str, Any]:
    """`GET /v1/spare`; empty while the gateway cannot be asked."""
    with suppress(ApiUnreachableError, TimeoutError, OSError):
        status, document = await process.api.request("GET", "/v1/spare")
        if status == 200:
            return dict(document)
    return {}


async def until_role(process: GatewayProcess, role: str, *, deadline_s: float = 60) -> None:
    async def has_role() -> bool:
        return (await spare_of(process)).get("role") == role

    await until(has_role, deadline_s=deadline_s)


async def until_in_step(process: GatewayProcess) -> None:
    """Until one that stands by has all that the cluster has."""

    async def is_in_step() -> bool:
        document = await spare_of(process)
        return document.get("role") == "standby" and document["problem"] == ""

    await until(is_in_step)


async def say(process: GatewayProcess, **wish: Any) -> tuple[int, Any]:
    return await process.api.request("POST", "/v1/spare", wish)


async def texts_at(process: GatewayProcess, box: str) -> list[str]:
    """The texts of a box, as often as they are there."""
    status, document = await process.api.request("GET", f"/v1/{box}?limit=1000")
    assert status == 200, document
    return sorted(str(one["text"]) for one in document["notices"])


async def submit(process: GatewayProcess, name: str, **changes: Any) -> Any:
    """A notice through the API, again under the same name until it is accepted."""
    document = {
        "request_id": name,
        "to": "SOUTH",
        "kind": "NOTIFY",
        "precedence": "FLASH",
        "operation": "TEST",
        "text": name,
    }
    status, answer = await process.api.request("POST", "/v1/notices", document | changes)
    assert status in (200, 201), answer
    return answer


async def sleep_until(when: float) -> None:
    await asyncio.sleep(max(0.0, when - asyncio.get_running_loop().time()))
