"""The top of the command line: overview, exit codes, no traceback, completion, shared options."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from gateway.cli import main as main_module
from gateway.cli.connection import socket_path
from gateway.cli.exits import MEANINGS, CommandError, ExitCode
from gateway.cli.main import COMMANDS, hotline, main
from gateway.cli.options import Common
from gateway.errors import (
    ConfigError,
    DecodeError,
    FieldError,
    StoreFailedError,
    StoreRefusedError,
)

ROOT = Path(__file__).parents[2]
READY = sorted(name for name in COMMANDS if (ROOT / f"gateway/cli/{COMMANDS[name][0]}.py").exists())


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOTLINE_CONFIG", "HOTLINE_SOCKET"):
        monkeypatch.delenv(name, raising=False)


def test_every_exit_code_has_a_meaning_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """One place states them, and --help prints all of it."""
    assert main(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert set(MEANINGS) == set(ExitCode)
    for code, meaning in MEANINGS.items():
        assert f"{code.value} {meaning}" in shown


@pytest.mark.parametrize("name", READY)
def test_the_overview_names_commands_that_exist(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line of the overview is a command of that name, with help and with --json or its own."""
    module = importlib.import_module(f"gateway.cli.{COMMANDS[name][0]}")
    command = module.command
    assert isinstance(command, click.Command)
    assert command.name == name
    assert main([name, "--help"]) == 0
    assert "Usage: hotline" in capsys.readouterr().out


def _leaves(command: click.Command, path: str = "") -> list[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        return [
            leaf
            for name in command.list_commands(context)
            if path or name in READY
            for leaf in _leaves(
                command.get_command(context, name) or click.Command("missing"), f"{path} {name}"
            )
        ]
    return [(path.strip(), command)]


def test_json_and_debug_are_everywhere() -> None:
    """Every command takes --json and --debug."""
    for path, command in _leaves(hotline):
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--json", "--debug"} <= options, path


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (CommandError(ExitCode.CONFLICT, "a; b"), 7, "hotline: a; b\n"),
        (FieldError("text", "is long", "cut it"), 2, "hotline: text: is long; cut it\n"),
        (ConfigError(["one", "two"]), 78, "hotline: one\nhotline: two\n"),
        (StoreRefusedError("disk full; free some"), 75, "hotline: disk full; free some\n"),
        (StoreFailedError("fsync"), 74, "hotline: fsync\n"),
        (DecodeError("not a frame"), 3, "hotline: not a frame\n"),
        (FileNotFoundError(2, "No such file", "/x"), 5, "hotline: /x: No such file"),
        (PermissionError(13, "Permission denied", "/x"), 6, "hotline: /x: Permission denied"),
        (KeyboardInterrupt(), 130, "\n"),
        (ValueError("a bug"), 70, "hotline: this command met a fault of its own (ValueError)"),
        (CommandError(ExitCode.REFUSED, "of\x1b[2J a\npeer"), 3, "of<U+001B>[2J a peer\n"),
    ],
)
def test_every_failure_is_one_sentence(
    error: BaseException,
    code: int,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever a command raises ends in its stated exit code, without a traceback."""

    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr(main_module, "hotline", failing)
    assert main([]) == code
    shown = capsys.readouterr()
    assert sentence in shown.err
    assert shown.out == ""
    assert "Traceback" not in shown.err


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """--debug prints where it came from, before the sentence."""
    assert main(["--debug", "status", "--socket", str(tmp_path / "none")]) == 4
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback")
    assert shown.splitlines()[-1].startswith("hotline: the gateway does not run")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["status", "--nonsense"], "No such option"),
        (["answer", "1-3f2a-1"], "Missing argument 'ANSWER'"),
        (["send", "SOUTH", "x"], "Missing option '-k' / '--kind'"),
        (["key", "nonsense"], "No such command 'nonsense'"),
    ],
)
def test_usage_errors(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong command line is exit code 2 and names the help."""
    assert main(arguments) == 2
    shown = capsys.readouterr().err
    assert words in shown
    assert "--help" in shown


def test_no_command_prints_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    """`hotline` alone is a usage error that shows all commands."""
    assert main([]) == 2
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each shell gets its script, which asks `hotline` for the words."""
    assert main(["completion", shell]) == 0
    assert "_HOTLINE_COMPLETE" in capsys.readouterr().out


def test_a_program_gets_the_completion_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """As from every command with --json."""
    assert main(["completion", "fish"]) == 0
    script = capsys.readouterr().out
    assert main(["completion", "fish", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["shell"], document["script"].strip()) == ("fish", script.strip())


def test_completion_knows_commands_and_words() -> None:
    """The shell gets commands, and the words of an option in any case."""
    assert {"answer"} == _complete("hotline an")
    assert {"PRIORITY"} == _complete("hotline send SOUTH -p prio")


def _complete(line: str) -> set[str]:
    environment = {
        **os.environ,
        "_HOTLINE_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
    }
    code = "import sys; sys.argv[0] = 'hotline'; from gateway.cli.main import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {row.partition(",")[2] for row in ended.stdout.splitlines()}


def test_a_start_imports_no_more_than_it_needs() -> None:
    """The overview and `status` stay fast: no crypto, radio, broker, table or store library."""
    code = (
        "import sys; from gateway.cli.main import main\n"
        "main(['--help']); main(['status', '--socket', '/nonexistent'])\n"
        "heavy = {'cryptography', 'cbor2', 'meshtastic', 'paho', 'rich', 'sqlite3', 'asyncio',\n"
        "         'msgspec', 'gpiozero', 'google'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stderr.splitlines()[-1] == "[]"


def test_a_screen_without_a_letter_gets_its_escape(tmp_path: Path) -> None:
    """A Latin-1 terminal costs the letter, not the listing."""
    environment = {**os.environ, "PYTHONIOENCODING": "iso-8859-1"}
    ended = subprocess.run(
        [sys.executable, "-m", "gateway.cli.main", "frame", "\u0436"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 5
    assert b"\\u0436" in ended.stderr


def test_the_socket_is_chosen_in_order(tmp_path: Path) -> None:
    """--socket, then the configuration's runtime folder, then the default."""
    config = tmp_path / "hotline.toml"
    config.write_text('[station]\nruntime_folder = "/run/other"\n')
    assert socket_path(Common(config=config, socket=Path("/a/b"))) == Path("/a/b")
    assert socket_path(Common(config=config)) == Path("/run/other/api.sock")
    config.write_text("")
    assert socket_path(Common(config=config)) == Path("/run/hotline-gateway/api.sock")
    config.write_text("not toml")
    with pytest.raises(CommandError, match="hotline config check"):
        socket_path(Common(config=config))


def test_a_later_option_wins_over_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """HOTLINE_SOCKET gives way to --socket, before or behind the command's name."""
    monkeypatch.setenv("HOTLINE_SOCKET", str(tmp_path / "variable"))
    for arguments in (
        ["--socket", str(tmp_path / "option"), "status"],
        ["status", "--socket", str(tmp_path / "option")],
    ):
        assert main(arguments) == 4
        assert str(tmp_path / "option") in capsys.readouterr().err
    assert main(["status"]) == 4
    assert str(tmp_path / "variable") in capsys.readouterr().err
