"""The Debian package: what it is locked to, its manual page and its completion."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from gateway.cli.main import COMMANDS, hotline

ROOT = Path(__file__).parents[2]
DEB = ROOT / "systemd/deb"


def pins(path: Path) -> dict[str, str]:
    """Each pin with its version, marker and hashes in one text, by its name."""
    text = path.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and line[0].isalpha()]
    return {line.split("==")[0]: " ".join(line.split()) for line in lines}


def test_the_package_holds_what_the_tests_ran_with() -> None:
    """Every pin of the package is one of requirements.lock, in version and hashes."""
    tested, packed = pins(ROOT / "requirements.lock"), pins(DEB / "requirements.lock")
    assert {"cbor2", "cryptography", "lgpio", "adafruit-lgpio"} <= packed.keys()
    for name, pin in packed.items():
        assert pin.split()[0] == tested[name].split()[0]
        assert set(re.findall("sha256:[0-9a-f]{64}", pin)) == set(
            re.findall("sha256:[0-9a-f]{64}", tested[name])
        )


def test_tools_of_the_build_are_locked() -> None:
    """Nothing that makes the package comes without a hash."""
    for pin in pins(DEB / "tools.lock").values():
        assert "--hash=sha256:" in pin


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sources without git, in a clone of something else."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    subprocess.run(["git", "init", "-q", tmp_path], check=True, timeout=20)
    root = tmp_path / "archive"
    names = ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "systemd/deb/sources.py")
    for name in (*names, "gateway/a.py", "gateway/b/c.sql", "gateway/b/__pycache__/c.pyc"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((DEB / "sources.py").read_text() if path.stem == "sources" else "")
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return root


def test_an_archive_without_git_can_be_built(archive: Path) -> None:
    """Its files and their moment are found; what Python compiled is none of them."""
    sources = runpy.run_path(str(archive / "systemd/deb/sources.py"))
    wanted = ["README.md", "gateway/a.py", "gateway/b/c.sql"]
    assert sources["files"]("gateway", "README.md") == wanted
    assert sources["epoch"]() == 1_700_000_000
    assert sources["changes"]() == b""
    os.utime(archive / "gateway/a.py", (1_800_000_000, 1_800_000_000))
    assert sources["epoch"]() == 1_800_000_000


def test_a_clone_is_asked_for_its_files(archive: Path) -> None:
    """Git's list counts; where git refuses the clone, its own words end the build."""
    sources = runpy.run_path(str(archive / "systemd/deb/sources.py"))
    subprocess.run(["git", "init", "-q", archive], check=True, timeout=20)
    subprocess.run(["git", "add", "gateway/a.py"], cwd=archive, check=True, timeout=20)
    assert sources["files"]("gateway", "README.md") == ["gateway/a.py"]
    assert b"?? README.md" in sources["git"]("status", "--porcelain")
    (archive / ".git/HEAD").write_text("damaged")
    (archive.parent / ".git/HEAD").write_text("damaged")
    with pytest.raises(SystemExit, match="git cannot read this clone"):
        sources["files"]("gateway")


@pytest.fixture(scope="module")
def page() -> str:
    """hotline(1) in roff."""
    return subprocess.run(
        [sys.executable, DEB / "man.py"],
        env={**os.environ, "SOURCE_DATE_EPOCH": "0", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_the_manual_page_has_every_command(page: str) -> None:
    """It is made from the help; each command of the overview has its section, and roff is sound."""
    sections = set(re.findall(r'^\.SS "hotline ([a-z]+)"$', page, re.MULTILINE))
    assert sections == COMMANDS.keys()
    assert "\b" not in page
    assert page.startswith('.TH HOTLINE 1 "1970-01-01"')


def every_command(context: click.Context | None = None) -> Iterator[click.Context]:
    """`hotline` and all below it, each as the program itself makes it."""
    context = context or hotline.make_context("hotline", [], resilient_parsing=True)
    yield context
    if isinstance(group := context.command, click.Group):
        for name in group.list_commands(context):
            below = group.get_command(context, name)
            assert below is not None
            yield from every_command(
                below.make_context(name, [], parent=context, resilient_parsing=True)
            )


def option_names(text: str) -> set[str]:
    """`-h` and `--help` of lines such as `-h, --help  Show this message`."""
    heads = [line.strip().partition("  ")[0] for line in text.splitlines()]
    return {
        name
        for head in heads
        if head.startswith("-")
        for name in re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", head)
    }


def test_page_and_completion_have_the_options_of_the_help(page: str) -> None:
    """Of every command, short ones too: neither knows more or less than `--help` tells."""
    plain = page.replace(r"\-", "-")
    completer = ShellComplete(hotline, {}, "hotline", "_HOTLINE_COMPLETE")
    contexts = list(every_command())
    assert len(contexts) > 40
    for context in contexts:
        path = context.command_path
        told = context.command.get_help(context).partition("\nOptions:\n")[2].split("\n\n")[0]
        helped = option_names(told)
        assert {"-h", "--help"} <= helped, path
        head = ".SH OPTIONS" if path == "hotline" else f'.SS "{path}"'
        section = re.split(r"^\.S[SH] ", plain.split(f"{head}\n")[1], flags=re.MULTILINE)[0]
        heads = re.findall(r"^\.TP\n\\fB(.*?)\\fR$", section, re.MULTILINE)
        assert option_names("\n".join(heads)) == helped, path
        words = completer.get_completions(path.split()[1:], "-")
        assert {it.value for it in words} == helped, path
