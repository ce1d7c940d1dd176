"""A real Mosquitto for the measures, on a Unix socket of their own folder."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from gateway.sim.bench.process import BenchError

START_S: Final = 20.0
PROGRAM_FOLDERS: Final = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"


@asynccontextmanager
async def mosquitto(folder: Path) -> AsyncIterator[str]:
    """The broker's URL. Raises `BenchError` if there is no Mosquitto."""
    program = shutil.which("mosquitto", path=PROGRAM_FOLDERS)
    if program is None:
        raise BenchError("the memory measure needs a broker: apt-get install mosquitto")
    socket, config = folder / "broker.sock", folder / "mosquitto.conf"
    # Started by root it would change its user, who may not write here.
    user = pwd.getpwuid(os.getuid()).pw_name
    lines = (f"user {user}", "allow_anonymous true", f"listener 0 {socket}", "")
    config.write_text("\n".join(lines), encoding="utf-8")
    nothing = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        program, "-c", str(config), stdout=nothing, stderr=nothing, start_new_session=True
    )
    try:
        async with asyncio.timeout(START_S):
            while not socket.exists():
                if process.returncode is not None:
                    raise BenchError(f"mosquitto ended with exit code {process.returncode}")
                await asyncio.sleep(0.05)
        yield f"unix://{socket}"
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
