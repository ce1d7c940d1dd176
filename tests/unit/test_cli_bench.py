"""`hotline bench` with what cannot be used: an exit code of the table, and no folder is made."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.main import main


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of loopback that is bound and listens to nobody."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield one.getsockname()[1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--scenario", "/nonexistent.toml"), 5, "/nonexistent.toml does not exist"),
        (("--mqtt", "http://localhost"), 2, "write mqtt://host:port"),
        (("--mqtt", "mqtt://localhost:x"), 2, "write mqtt://host:port"),
        (("--mqtt", "mqtt://127.0.0.1:CLOSED"), 4, "does not answer"),
    ],
)
def test_a_bench_that_cannot_start_leaves_nothing(
    arguments: tuple[str, str],
    code: int,
    words: str,
    closed_port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A missing scenario is 5, a wrong URL 2, a broker that is away 4; before any folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    given = [argument.replace("CLOSED", str(closed_port)) for argument in arguments]
    assert main(["bench", *given]) == code
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
