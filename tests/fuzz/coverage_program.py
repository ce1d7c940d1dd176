"""Fuzzing by coverage: atheris in a process of its own, which instruments all of the gateway.

atheris is not in the lock file, since it has wheels for few machines; `coverage_environment.sh`
puts it into `.venv-fuzz`. New inputs that reach more are kept there too, between runs.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.fuzz.finding import Progress, tell_finding, tell_repeat
from tests.fuzz.target import Target

LIBRARIES: Final = Path(".venv-fuzz")


def fuzz_by_coverage(
    target: Target, seed: int, executions: int | None, seconds: float | None
) -> bool:
    """Try inputs until the executions or seconds are spent; False at the first finding."""
    found = LIBRARIES / "corpus" / target.name
    found.mkdir(parents=True, exist_ok=True)
    for number, octets in enumerate(target.inputs()):
        (found / f"seed-{number}").write_bytes(octets)
    limit = f"-runs={executions}" if seconds is None else f"-max_total_time={max(seconds, 1):.0f}"
    command = [
        sys.executable, "-m", "tests.fuzz.coverage_program", target.name, str(found), limit,
        f"-seed={seed % 2**31 or 1}", f"-max_len={target.size_max}", "-len_control=0",
        "-verbosity=0", "-timeout=60", "-rss_limit_mb=4096", f"-artifact_prefix={found}/",
    ]  # fmt: skip
    log = LIBRARIES / f"{target.name}.log"
    # libFuzzer ends the process at once, so what it leaves in a folder is removed here.
    with log.open("w") as stream, tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"TMPDIR": folder}
        ended = subprocess.run(command, check=False, stderr=stream, env=environment).returncode
    if ended == 0:
        print(f"{target.name}: no finding", flush=True)
        return True
    # An exception was told by the process itself; what ended all of it (memory, time) is told here.
    for artifact in sorted([*found.glob("oom-*"), *found.glob("timeout-*")]):
        tell_repeat(target, artifact.read_bytes())
        artifact.unlink()
    print(f"{target.name}: ended with {ended}; what libFuzzer said is in {log}")
    return False


def _run(name: str, arguments: list[str]) -> None:
    sys.path.append(str(LIBRARIES.resolve()))
    import atheris

    with atheris.instrument_imports(include=["gateway"]):
        from tests.fuzz.targets import TARGETS
    target, progress = TARGETS[name], Progress(TARGETS[name])
    stack = contextlib.ExitStack()  # never left: libFuzzer ends the process
    take = stack.enter_context(target.prepare())

    def run_one(octets: bytes) -> None:
        try:
            take(octets)
        except Exception:
            tell_finding(target, octets)
            raise
        progress.step()

    atheris.Setup([sys.argv[0], *arguments], run_one)
    atheris.Fuzz()


if __name__ == "__main__":
    _run(sys.argv[1], sys.argv[2:])
