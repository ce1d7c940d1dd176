"""The fuzzer: `make fuzz MINUTES=n`, or a target with its number of executions or one input.

    python -m tests.fuzz.program --minutes 10
    python -m tests.fuzz.program decoder --executions 5000000 --seed 1
    python -m tests.fuzz.program decoder --input FILE

Inputs are drawn by `mutation` from a seed. With `--coverage`, atheris draws them by what they
reach (`coverage_program`); `make fuzz` does so where atheris could be installed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.fuzz.finding import MODULE, Progress, tell_finding
from tests.fuzz.mutation import Mutator
from tests.fuzz.target import Take, Target
from tests.fuzz.targets import TARGETS


def try_one(target: Target, take: Take, octets: bytes) -> bool:
    """Whether the input ended well; if not, it is told and kept."""
    try:
        take(octets)
    except Exception:  # noqa: BLE001 - any exception is a finding
        tell_finding(target, octets)
        return False
    return True


def fuzz(target: Target, *, seed: int, goes_on: Callable[[int, float], bool]) -> bool:
    """Try inputs while `goes_on(executions, seconds)`; False at the first finding."""
    inputs = target.inputs()
    mutator = Mutator(inputs, pieces=target.pieces, size_max=target.size_max, seed=seed)
    progress = Progress(target)
    spent_s = 0.0
    with target.prepare() as take:
        while goes_on(progress.count, spent_s):
            octets = inputs[progress.count] if progress.count < len(inputs) else mutator.draw()
            if not try_one(target, take, octets):
                return False
            spent_s = progress.step()
    progress.tell(is_end=True)
    return True


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("targets", nargs="*", help=", ".join(TARGETS))
    how_long = parser.add_mutually_exclusive_group(required=True)
    how_long.add_argument("--minutes", type=float, help="in all, shared by the targets")
    how_long.add_argument("--executions", type=int, help="for each target")
    how_long.add_argument("--input", type=Path, help="this one alone")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the default is new")
    parser.add_argument("--coverage", action="store_true", help="let atheris draw")
    arguments = parser.parse_args(words)
    if unknown := [name for name in arguments.targets if name not in TARGETS]:
        parser.error(f"there is no target {unknown[0]}: choose from {', '.join(TARGETS)}")
    if arguments.input is not None and len(arguments.targets) != 1:
        parser.error("name the one target of the input")
    return arguments


def main(words: Sequence[str] | None = None) -> int:
    """0, or 1 at the first finding."""
    arguments = _arguments(words)
    targets = [TARGETS[name] for name in arguments.targets or TARGETS]
    if arguments.input is not None:
        with targets[0].prepare() as take:
            ends_well = try_one(targets[0], take, arguments.input.read_bytes())
        print("no finding" if ends_well else "it is a finding still")
        return 0 if ends_well else 1
    share_s = None if arguments.minutes is None else arguments.minutes * 60 / len(targets)
    print(f"seed {arguments.seed}", flush=True)
    for target in targets:
        if arguments.coverage:
            from tests.fuzz.coverage_program import fuzz_by_coverage

            is_clean = fuzz_by_coverage(target, arguments.seed, arguments.executions, share_s)
        else:
            is_clean = fuzz(
                target,
                seed=arguments.seed,
                goes_on=lambda count, spent_s: (
                    count < arguments.executions if share_s is None else spent_s < share_s
                ),
            )
        if not is_clean:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
