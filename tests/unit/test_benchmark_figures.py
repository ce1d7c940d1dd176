"""The benchmark's own arithmetic, its table of peers, and the parts of the cable made for it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gateway.cli import benchmark as command_module
from gateway.cli.main import main
from gateway.sim.bench.process import BenchError
from gateway.sim.benchmark import benchmark
from gateway.sim.benchmark.bed import Options, text_of
from gateway.sim.benchmark.benchmark import NAMES, PARTS, Part, load_text
from gateway.sim.benchmark.figures import Figure, document, load_peers, quantile
from gateway.sim.benchmark.peers.lxmf import measure_lxmf
from gateway.sim.benchmark.writing import Cost, Meter
from gateway.sim.line import Line, LineRecord

HDLC = 0x7E


def test_quantile_is_a_value_that_was_seen() -> None:
    """p95 of 20 is the 19th; of none it is infinite, so that it never meets a goal."""
    assert quantile([float(number) for number in range(20, 0, -1)], 0.95) == 19
    assert quantile([3.0], 0.5) == 3.0
    assert quantile([], 0.95) == math.inf


def test_writes_and_flushes_are_read_from_system_calls(tmp_path: Path) -> None:
    """What failed or was interrupted counts once, where it ended well."""
    calls = tmp_path / "calls"
    calls.write_text(
        '12 pwrite64(8, ""..., 1024, 0) = 1024\n'
        '12 pwrite64(8, ""..., 1024, 0 <unfinished ...>\n'
        "13 fdatasync(8) = 0\n"
        "12 <... pwrite64 resumed>) = 1024\n"
        '12 write(9, ""..., 265) = 265\n'
        '12 write(9, ""..., 265) = -1 ENOSPC (No space left on device)\n'
        "12 fsync(3 <unfinished ...>\n"
        "12 <... fsync resumed>) = 0\n"
        "12 fdatasync(8) = -1 EIO (Input/output error)\n"
    )
    assert Meter(calls).read() == Cost(size=1024 + 1024 + 265, flush_count=2)


def test_a_document_is_json_whatever_was_measured() -> None:
    """Infinity is no JSON: it goes as null."""
    figure = Figure(name="a", measure="b", ours="c", values={"p95_s": math.inf, "sent": 2})
    shown = document(figure, "333", "")
    assert shown["values"] == {"p95_s": None, "sent": 2}
    assert shown["peers"] == "333"
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown


def test_the_peers_have_a_date_and_a_source() -> None:
    """The table says whose figures they are."""
    peers = load_peers()
    assert peers.date == "2026-11-22"
    assert "lxmf 1.2.1" in peers.source
    assert peers.texts["octets-48"] == "333"


def test_texts_have_their_size_and_differ() -> None:
    """Feeds are followed by text too."""
    texts = {text_of(100, number) for number in range(500)}
    assert len(texts) == 500
    assert {len(text.encode()) for text in texts} == {100}


def test_the_command_knows_the_parts() -> None:
    """`--only` takes each part and nothing else."""
    assert set(command_module.PARTS) == set(NAMES)
    assert main(["benchmark", "--only", "moon"]) == 2


def test_a_busy_machine_is_told() -> None:
    """Above two programs that want a core a time that was missed proves nothing."""
    assert load_text(2.0) == "load 2.0"
    assert load_text(2.1).startswith("load 2.1; OTHER PROGRAMS ARE AT WORK")
    assert {part.name for part in PARTS if not part.is_alone} == {"octets", "delivery", "noise"}


def test_a_part_that_fails_is_a_missed_figure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are measured all the same; the exit code says that a goal was missed."""

    async def fails(_options: Options) -> list[Figure]:
        raise BenchError("no cable")

    async def works(_options: Options) -> list[Figure]:
        return [Figure(name="octets-48", measure="octets", ours="167", is_met=True)]

    parts = (Part("idle", fails, True, 0.1), Part("octets", works, False, 1))
    monkeypatch.setattr(benchmark, "PARTS", parts)
    assert main(["benchmark", "--json"]) == 1
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    figures = [(one["ours"], one["verdict"], one["peers"]) for one in shown["figures"]]
    assert figures == [("no cable", "MISSED", None), ("167", "met", "333")]


def test_a_lost_frame_of_a_peer_leaves_no_flag() -> None:
    """HDLC opens and ends a frame with the same octet: half of a lost one would be noise."""
    records: list[LineRecord] = []
    line = Line(9600, Random(1), records.append, HDLC)
    line.loss = 1.0
    frame = b"~" + b"x" * 40 + b"~"
    line.feed(frame, 0)
    assert line.take(10_000) == b""
    line.loss = 0.0
    line.feed(frame + frame, 10_000)
    assert line.take(20_000) == frame + frame
    assert [(record.size, record.is_lost) for record in records] == [
        (42, True),
        (42, False),
        (42, False),
    ]


def test_a_stall_delays_what_is_under_way() -> None:
    """A gap inside a frame: nothing is lost, everything after it comes later by it."""
    line = Line(9600, Random(1), lambda _record: None)
    line.feed(b"\x05abcd\x00", 0)
    line.stall(300, 1)
    assert line.take(299) == b""
    assert line.take(310) == b"\x05abcd\x00"


async def test_peers_that_cannot_be_installed_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What failed and what to do; nothing is measured, and the rest of the run goes on."""
    monkeypatch.setattr("sys.executable", "/bin/false")
    told: list[str] = []
    assert await measure_lxmf(Options(seed=1, quick=True, with_peers=True), told.append) == {}
    (sentence,) = told
    assert sentence.startswith("lxmf: not measured: could not make an environment")
    assert sentence.endswith("leave --with-peers out")
