"""Is the tree tidy? Sizes, docstrings of tests, words that do not belong in it, links."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import gateway

ROOT = Path(__file__).parents[2]
MODULE_LINE_COUNT_MAX = 450
FUNCTION_LINE_COUNT_MAX = 70
TOP = {
    ".ci", ".githooks", ".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "README.md",
    "gateway", "hw", "pyproject.toml", "requirements.lock", "systemd", "tests",
}  # fmt: skip
BINARY = {".cbor", ".bin", ".db", ".sqlite", ".sqlite3", ".png"}


def tracked() -> list[Path]:
    """Every file that git keeps, or would keep."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def sources(*folders: str) -> list[Path]:
    roots = [ROOT / folder for folder in folders]
    files = [path for path in tracked() if path.suffix == ".py"]
    return [path for path in files if any(path.is_relative_to(root) for root in roots)]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_modules_and_functions_stay_small() -> None:
    """A module past 450 lines or a function past 70 has a seam that nobody has cut."""
    long: list[str] = []
    for path in sources("gateway"):
        if (count := len(path.read_text().splitlines())) > MODULE_LINE_COUNT_MAX:
            long.append(f"{name(path)}: {count} lines")
        for function in functions(path):
            assert function.end_lineno is not None
            if (count := function.end_lineno - function.lineno + 1) > FUNCTION_LINE_COUNT_MAX:
                long.append(f"{name(path)}:{function.lineno} {function.name}: {count} lines")
    assert long == []


def test_every_test_says_what_it_pins() -> None:
    """Each test has a docstring."""
    silent = [
        f"{name(path)}:{function.lineno} {function.name}"
        for path in sources("tests")
        for function in functions(path)
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert silent == []


def test_test_files_have_unique_names() -> None:
    """Two files of one name confuse people who read a failure."""
    names = [path.name for path in sources("tests") if path.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))


def test_nothing_is_left_to_do_later() -> None:
    """A note to self is an issue, not a comment."""
    marks = re.compile(rf"\b({'|'.join(('TO' + 'DO', 'FIX' + 'ME', 'HA' + 'CK'))})\b")
    found = [
        f"{name(path)}:{number}"
        for path in tracked()
        if path.suffix in {".py", ".md", ".toml", ".cddl", ".sql", ".yaml", ".service", ".rules"}
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if marks.search(line)
    ]
    assert found == []


def test_names_say_what_a_module_holds() -> None:
    """No module is a drawer."""
    drawers = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
    assert [name(path) for path in sources("gateway", "tests") if path.stem in drawers] == []


def test_the_tree_does_not_know_the_machine_it_was_written_on() -> None:
    """No host of a registry or mirror, no path of a working folder."""
    words = re.compile(
        r"index[-_]url|extra-index|pypi\.|/simple/|artifactory|mirror\.|proxy\.|"
        + "|".join((r"\.\./sha" + "red", "/work/" + "main", "/work/" + "shared"))
    )
    found = []
    for path in tracked():
        if path.suffix in BINARY or path == Path(__file__) or path.name == "LICENSE":
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if words.search(line.replace("--no-emit-index-url", "")):
                found.append(f"{name(path)}:{number}: {line.strip()[:80]}")
    assert found == []


def test_the_top_level_stays() -> None:
    """Nothing but what the design names."""
    assert {path.relative_to(ROOT).parts[0] for path in tracked()} <= TOP


def test_versions_are_equal() -> None:
    """The package, its metadata and the newest heading of the changes say the same."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == gateway.__version__
    heading = re.search(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading is not None
    assert heading[1] in {gateway.__version__, "Unreleased"}


def test_every_pin_of_the_lock_file_has_hashes() -> None:
    """What is installed is what was locked, octet for octet."""
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    pins = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    assert len(pins) > 30
    for pin in pins:
        assert re.match(r"^[a-z0-9._-]+==[^ ]+ ", pin), pin
        assert "--hash=sha256:" in pin, pin


def test_the_lock_file_holds_every_dependency() -> None:
    """A dependency added to pyproject.toml was locked too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    lock = (ROOT / "requirements.lock").read_text()
    for requirement in wanted:
        package = re.split(r"[<>=;~! ]", requirement, maxsplit=1)[0].lower()
        assert re.search(rf"^{re.escape(package)}==", lock, re.MULTILINE), package


def test_links_in_documents_lead_somewhere() -> None:
    """A relative link names a file, and a fragment a heading of it."""
    broken: list[str] = []
    for path in tracked():
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, fragment = target.partition("#")
            page = (path.parent / file).resolve() if file else path
            if not page.exists() or (fragment and fragment not in anchors(page)):
                broken.append(f"{name(path)}: {target}")
    assert broken == []


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    kept = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in kept}


def test_schema_files_are_numbered_without_holes() -> None:
    """Migrations run in the order of their numbers, forward only."""
    numbers = sorted(path.stem for path in (ROOT / "gateway/store/schema").glob("*.sql"))
    assert numbers
    assert numbers == [f"{number:04d}" for number in range(1, len(numbers) + 1)]


def test_the_architecture_page_stays_readable() -> None:
    """Under 300 lines."""
    page = ROOT / "gateway/ARCHITECTURE.md"
    if page.exists():
        assert len(page.read_text().splitlines()) < 300
