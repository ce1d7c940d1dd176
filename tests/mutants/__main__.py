"""Mutation score of the rooms whose faults nobody would see: security, wire, logbook.

mutmut changes one thing in a function at a time; the quick tests that reach the function should
notice. `packages.toml` names the tests and the seed, `equivalent.toml` the changes that no test can
tell from the original, each with its reason. A package is sampled (drawn from the seed, so that a
longer sample holds the shorter one), or tried as a whole with `--all`. What is killed is remembered
in `.venv-mutants/work` until its function changes, so a run that was stopped goes on where it was.
Ends non-zero below `SCORE_MIN`. Run by `make mutants`, in an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
WORK: Final = ROOT / ".venv-mutants/work"
SCORE_MIN: Final = 0.90
KILLED: Final = (1, 3, -24, 24, 152, 255, 36, -9, -11)
"""Exit codes of mutmut's children: a test failed, pytest broke, or it ran out of time or memory."""
SURVIVED: Final = (0, 5, 33)
"""All tests passed, or none reaches the function."""


@dataclass
class Verdicts:
    """Of the mutants of one package that were tried."""

    killed: list[str] = field(default_factory=list)
    survived: dict[str, str] = field(default_factory=dict)
    """Each with its diff."""
    population: int = 0

    @property
    def tried(self) -> int:
        return len(self.killed) + len(self.survived)

    @property
    def score(self) -> float:
        return len(self.killed) / self.tried if self.tried else 0.0

    def interval(self) -> tuple[float, float]:
        """Wilson's, 95 %, for a sample of a finite population."""
        if self.tried in (0, self.population):
            return self.score, self.score
        count, z = self.tried, 1.96 * math.sqrt(1 - self.tried / self.population)
        middle = (self.score + z * z / (2 * count)) / (1 + z * z / count)
        half = math.sqrt(self.score * (1 - self.score) / count + z * z / (4 * count * count))
        half *= z / (1 + z * z / count)
        return middle - half, middle + half


def prepare(package: str, settings: Mapping[str, Any]) -> Path:
    """A folder with a copy of this tree, which nobody edits while mutmut reads it, and mutmut set
    to one package and its tests.
    """
    work = WORK / package
    for name in ("gateway", "tests"):
        shutil.rmtree(work / name, ignore_errors=True)
        ignore = shutil.ignore_patterns("__pycache__")
        # With new times: mutmut takes for unchanged what is older than its mutants.
        shutil.copytree(ROOT / name, work / name, ignore=ignore, copy_function=shutil.copy)
    lists = {
        "source_paths": ["gateway"],
        "only_mutate": [f"gateway/{package}/*"],
        "pytest_add_cli_args": settings["pytest"],
        "pytest_add_cli_args_test_selection": settings[package],
    }
    chosen = "\n".join([f"{name} = {json.dumps(value)}" for name, value in lists.items()])
    whole = (ROOT / "pyproject.toml").read_text()
    (work / "pyproject.toml").write_text(
        f"{whole}\n[tool.mutmut]\n{chosen}\ntrack_dependencies = false\n"
    )
    return work


def mutmut(work: Path, *arguments: str) -> None:
    """Run it; what it prints is the operator's to see, and it fails where the tests fail alone."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    environment = os.environ | {"HYPOTHESIS_PROFILE": "same"}
    subprocess.run(command, cwd=work, env=environment, check=True)


def exit_codes(work: Path) -> dict[str, int | None]:
    """Of every mutant of the package, by its name; None: not tried."""
    codes: dict[str, int | None] = {}
    for path in sorted((work / "mutants/gateway").rglob("*.meta")):
        codes |= json.loads(path.read_text())["exit_code_by_key"]
    return codes


def generate(work: Path) -> None:
    """Write the mutants without trying any."""
    code = (
        "from mutmut import __main__ as m; from pathlib import Path; "
        "Path('mutants').mkdir(exist_ok=True); "
        "m.set_mutant_under_test('mutant_generation'); m.copy_src_dir(); "
        "m.copy_also_copy_files(); m.setup_source_paths(); m.create_mutants(1)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=work, check=True, stdout=subprocess.DEVNULL)


def differences(work: Path, names: Sequence[str]) -> dict[str, str]:
    """The lines that each mutant takes away and puts there."""
    code = (
        "import json, sys; from mutmut.mutation.diff_apply import get_diff_for_mutant as show; "
        "print(json.dumps({name: show(name) for name in json.load(sys.stdin)}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=work, input=json.dumps(names), stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    shown: dict[str, str] = json.loads(done.stdout)
    return {name: changed_lines(text) for name, text in shown.items()}


def changed_lines(difference: str) -> str:
    return "\n".join([line for line in difference.splitlines()[2:] if line[:1] in ("-", "+")])


def drawn(names: Sequence[str], seed: int, count: int | None) -> list[str]:
    order = sorted(names)
    random.Random(seed).shuffle(order)
    return order[:count]


def examine(package: str, settings: Mapping[str, Any], options: argparse.Namespace) -> Verdicts:
    work = prepare(package, settings)
    generate(work)
    before = exit_codes(work)
    chosen = drawn(list(before), options.seed, None if options.all else options.sample)
    # In parts: mutmut tries quick mutants first, and a run that is stopped should be a fair sample.
    open_names = [name for name in chosen if before[name] not in KILLED]
    for start in range(0, len(open_names), options.part):
        if not options.report:
            mutmut(work, "run", "--max-children", "1", *open_names[start : start + options.part])
    after = exit_codes(work)
    verdicts = Verdicts(population=len(after))
    verdicts.killed = [name for name in chosen if after[name] in KILLED]
    survived = [name for name in chosen if after[name] in SURVIVED]
    verdicts.survived = differences(work, survived)
    return verdicts


def reason_for(name: str, changed: str, known: Sequence[Mapping[str, str]]) -> str | None:
    """Why a change cannot be seen, if `equivalent.toml` says so."""
    function = name.partition("__mutmut_")[0].replace(".xǁ", ".").replace("ǁ", ".")
    function = function.replace(".x_", ".")
    put = "\n".join([line[1:].strip() for line in changed.splitlines() if line[0] == "+"])
    for entry in known:
        if entry["function"] == function and entry["mutant"].strip() == put:
            return entry["reason"]
    return None


def report(package: str, verdicts: Verdicts, known: Sequence[Mapping[str, str]]) -> None:
    low, high = verdicts.interval()
    sampled = "" if verdicts.tried == verdicts.population else f", {low:.1%} to {high:.1%} (95 %)"
    print(
        f"\n{package}: {len(verdicts.killed)} of {verdicts.tried} mutants killed, "
        f"{verdicts.score:.1%}{sampled}; the package has {verdicts.population}"
    )
    for name, changed in sorted(verdicts.survived.items()):
        why = reason_for(name, changed, known)
        print(f"\n{name}: {why or 'SURVIVED, and nobody has said why it may'}\n{changed}")


def main() -> int:
    settings = tomllib.loads((Path(__file__).parent / "packages.toml").read_text())
    known = tomllib.loads((Path(__file__).parent / "equivalent.toml").read_text())["equivalent"]
    packages = [name for name in settings if name != "pytest"]
    parser = argparse.ArgumentParser(prog="make mutants ARGS=...", description=__doc__)
    parser.add_argument("package", nargs="*", default=packages, help=f"of {', '.join(packages)}")
    parser.add_argument("--sample", type=int, default=400, help="mutants a package (400)")
    parser.add_argument("--seed", type=int, default=1, help="draws them (1)")
    parser.add_argument("--all", action="store_true", help="every mutant")
    parser.add_argument("--part", type=int, default=100, help="mutants in one run of mutmut (100)")
    parser.add_argument("--report", action="store_true", help="try none, print what is known")
    options = parser.parse_args()
    found = {}
    for package in options.package:
        found[package] = examine(package, settings, options)
        report(package, found[package], known)
    low = [name for name, verdicts in found.items() if verdicts.score < SCORE_MIN]
    if low:
        print(f"\nbelow {SCORE_MIN:.0%}: {', '.join(low)}", file=sys.stderr)
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
