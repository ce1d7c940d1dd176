"""A line with NORTH in the machine, as the package installs it, and SOUTH on the host.

What joins them is simulated on the host: cables and radios on ptys, which QEMU gives to the guest
as USB serial adapters. Taps see each frame, and tell when.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from gateway.model import ActId
from gateway.sim.bench.files import (
    CABLE,
    RADIO,
    SPARE,
    STATIONS,
    BenchLine,
    LineOptions,
    write_line,
)
from gateway.sim.bench.ledger import Ledger
from gateway.sim.bench.media import Media, ports_of
from gateway.sim.bench.process import GatewayProcess
from gateway.sim.cable import Cable
from tests.hardware.machine.installation import Installed
from tests.hardware.machine.machine import Machine

CONFIG: Final = "/etc/hotline-gateway"
BAUD: Final = 115_200
UP_S: Final = 180.0
START_S: Final = 600
"""Instead of the unit's 60 s: an emulated start on a busy host takes longer."""
PATIENCE: Final = "/run/systemd/system/hotline-gateway.service.d"
SERIAL_NUMBER: Final = {RADIO: "R1", CABLE: "A1", SPARE: "B2"}
"""Of the adapters; the package's udev rules name them /dev/hotline/cable-NUMBER."""
TAP_INTERVAL_S: Final = 0.005
POLL_INTERVAL_S: Final = 0.25
"""What asks the machine more often takes the time from what it asks for."""


@dataclass
class Line:
    """What a test drives."""

    machine: Machine
    folder: Path
    files: BenchLine
    south: GatewayProcess
    media: Media
    spare: Cable
    ledger: Ledger
    links: tuple[str, ...]
    sent: list[tuple[float, str, ActId]] = field(default_factory=list)
    """When a frame with a notice itself was on a link (s, the host's monotonic clock)."""

    async def resume(self) -> None:
        """The machine as it was installed, after `machine.kill`: only its disks remember."""
        await self.machine.start()
        await self.furnish()

    async def furnish(self) -> None:
        """Give NORTH its files and devices."""
        await furnish(self.machine, self.files, self.folder)
        for link in self.links:
            await self.plug(link)

    async def plug(self, link: str) -> None:
        await self.machine.plug(SERIAL_NUMBER[link])

    async def unplug(self, link: str) -> None:
        await self.machine.unplug(SERIAL_NUMBER[link])

    async def north(self, method: str, target: str, document: object = None) -> Any:
        """The document of a request to NORTH that must succeed."""
        status, answer = await self.machine.request(method, target, document)
        assert status in (200, 201), answer
        return answer

    async def link_states(self) -> dict[str, str]:
        """As NORTH sees them; empty while it does not answer."""
        status, document = await self.machine.request("GET", "/v1/status")
        if status != 200:
            return {}
        (line,) = document["lines"]
        answers = (line["far_gateway"] or {}).get("answers")
        return {link["name"]: link["state"] for link in line["links"]} if answers else {}

    async def until_up(self, *links: str, deadline_s: float = UP_S) -> None:
        async def are_up() -> bool:
            states = await self.link_states()
            return all(states.get(link) == "UP" for link in links or self.links)

        await until(are_up, deadline_s=deadline_s)

    def first_on(self, link: str, notice_id: str, *, after_s: float = 0.0) -> float | None:
        """When the notice was on a link first, after a moment."""
        act_id = ActId.parse(notice_id)
        moments = (
            moment for moment, name, act in self.sent
            if (name, act) == (link, act_id) and moment >= after_s
        )  # fmt: skip
        return next(moments, None)


def notice(text: str, **fields: object) -> dict[str, object]:
    """A notice for SOUTH as a program hands it in; its first word is its request's name."""
    return {
        "to": "SOUTH",
        "kind": "NOTIFY",
        "precedence": "IMMEDIATE",
        "operation": "EXERCISE",
        "text": text,
        "request_id": text.split(maxsplit=1)[0],
        **fields,
    }


async def until(
    condition: Any, *, deadline_s: float = UP_S, interval_s: float = POLL_INTERVAL_S
) -> Any:
    """Ask again until the awaited condition is true; gives what it was."""
    async with asyncio.timeout(deadline_s):
        while not (found := await condition()):
            await asyncio.sleep(interval_s)
        return found


async def furnish(machine: Machine, files: BenchLine, folder: Path, *, extra: str = "") -> None:
    """Put NORTH's keys, cards and configuration where the package has its own."""
    north = files.stations["NORTH"].folder
    text = (north / "hotline.toml").read_text()
    for mine, theirs in (
        (north / "state", "/var/lib/hotline-gateway"),
        (north / "run", "/run/hotline-gateway"),
        (north, CONFIG),
        *((folder / f"{link}-north", device(link)) for link in SERIAL_NUMBER),
    ):
        text = text.replace(str(mine), str(theirs))
    text = text.replace('factory = "mock"', 'factory = "lgpio"')
    user = '[[api.user]]\nname = "root"\nrole = "duty_officer"\nsubmit = ["operation", "exercise", '
    user += '"simulation", "test"]\nprecedence = "flash"\nanswer = true\n'
    for path in north.glob("*.*"):
        if path.suffix in (".key", ".secret", ".card"):
            await machine.put(path, f"{CONFIG}/{path.name}")
    await machine.write(f"{CONFIG}/hotline.toml", text + user + extra)
    await machine.must(f"chown hotline: {CONFIG}/* && chmod 600 {CONFIG}/*.key {CONFIG}/*.secret")
    await allow_a_slow_start(machine)


async def allow_a_slow_start(machine: Machine) -> None:
    await machine.must(
        f"mkdir -p {PATIENCE} && printf '[Service]\\nTimeoutStartSec={START_S}\\n' "
        f">{PATIENCE}/patience.conf && systemctl daemon-reload"
    )


def device(link: str) -> str:
    return f"/dev/hotline/cable-{SERIAL_NUMBER[link]}"


@asynccontextmanager
async def line_with(
    installed: Installed | None,
    tmp_path: Path,
    links: tuple[str, ...],
    *,
    mqtt_url: str | None = None,
    policy: Mapping[str, int] | None = None,
    preset: str = "SHORT_TURBO",
    **machine_options: Any,
) -> AsyncIterator[Line]:
    """SOUTH runs, NORTH is furnished, its devices are plugged in; its service is to be started.

    Without `installed` the machine boots from the `card` among its options, which has the package.
    """
    folder = Path(tempfile.mkdtemp(prefix="vm-line-"))
    options = LineOptions(
        baud=BAUD,
        links=links,
        mqtt_urls={} if mqtt_url is None else {"NORTH": mqtt_url},
        policy=policy or {},
        log_level="info",
    )
    try:
        files = write_line(folder, {name: ports_of(folder, name) for name in STATIONS}, options)
        ledger = Ledger(files.keys)
        sent: list[tuple[float, str, ActId]] = []

        def tap(link: str, frame: bytes, size: int) -> None:
            before = {act: dict(one.frames) for act, one in ledger.traffic.items()}
            ledger.feed(link, frame, size)
            for act, one in ledger.traffic.items():
                if one.frames.get(link, 0) != before.get(act, {}).get(link, 0):
                    sent.append((time.monotonic(), link, act))

        media = Media(folder, Random(1), preset=preset, baud=BAUD, loss=0.0, tap=tap)
        spare = Cable(folder / "spare-north", folder / "spare-south", BAUD, Random(2))
        serial = {SERIAL_NUMBER[link]: str(folder / f"{link}-north") for link in links}
        south = GatewayProcess(files.stations["SOUTH"])
        async with media, spare, asyncio.TaskGroup() as group:
            taps = group.create_task(run_taps(media, spare, tap))
            try:
                saved = None if installed is None else installed.saved
                machine = Machine(tmp_path, saved=saved, serial=serial, **machine_options)
                async with machine:
                    await south.launch()
                    line = Line(machine, folder, files, south, media, spare, ledger, links, sent)
                    await line.furnish()
                    yield line
            finally:
                await south.stop()
                taps.cancel()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def run_taps(media: Media, spare: Cable, tap: Any) -> None:
    while True:
        media.drain()
        with suppress(IndexError):
            while True:
                record = spare.records.popleft().line
                if record.frame:
                    tap(SPARE, record.frame, record.size)
        await asyncio.sleep(TAP_INTERVAL_S)
