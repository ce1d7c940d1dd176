"""What the kernel says of a process: memory and CPU. Linux only, as the gateway itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.sim.bench.process import BenchError


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes (10^6 octets)."""

    resident_mb: float
    peak_mb: float
    private_mb: float
    """What no other process shares: what the machine gets back when it ends."""


def memory_of(process_id: int | None) -> Memory:
    """Raises `BenchError` if the process is gone."""
    status = _fields(_read(process_id, "status"))
    try:
        shares = _fields(_read(process_id, "smaps_rollup"))
        private = shares.get("Private_Clean", 0) + shares.get("Private_Dirty", 0)
    except BenchError:
        # The gateway is not dumpable, so only root reads its maps; this is less by clean pages.
        private = status["RssAnon"]
    return Memory(status["VmRSS"], status["VmHWM"], private)


def cpu_s_of(process_id: int | None) -> float:
    """CPU seconds of all threads so far. Raises `BenchError` if the process is gone."""
    tasks = Path(f"/proc/{process_id}/task")
    try:
        spent_ns = [
            int((task / "schedstat").read_text(encoding="ascii").split()[0])
            for task in tasks.iterdir()
        ]
    except (OSError, IndexError) as error:
        raise BenchError(f"process {process_id} cannot be measured ({error})") from error
    return sum(spent_ns) / 1e9


def _read(process_id: int | None, name: str) -> str:
    try:
        return Path(f"/proc/{process_id}/{name}").read_text(encoding="ascii")
    except OSError as error:
        raise BenchError(f"process {process_id} cannot be measured ({error})") from error


def _fields(text: str) -> dict[str, float]:
    """`Name:  N kB` lines in megabytes of 10^6 octets."""
    fields: dict[str, float] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            fields[name] = int(value.split()[0]) * 1024 / 1e6
    return fields
