"""The local log: one JSON line an event, bounded, and never in the way."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import socket
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from gateway.core.effects import Level, Observe
from gateway.errors import ConfigError
from gateway.model import Instant, Now, TimeQuality, UtcTime
from gateway.observe.log import LINE_COUNT_MAX, LocalLog, is_journal

NOW = Now(Instant(12_345), UtcTime(1_795_360_000), TimeQuality.SYNCHRONISED)


def wall() -> float:
    """A wall clock that nobody vouches for."""
    return 1_795_000_000.9


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "gateway.log").read_text("ascii").splitlines()]


def test_a_line_has_level_time_quality_event_and_fields(tmp_path: Path) -> None:
    """What the issue asks of a line, in the order in which a person reads it."""
    log = LocalLog(clock=lambda: NOW, wall=wall, folder=tmp_path / "log")
    log.observe(
        Observe(Level.WARNING, "frame_refused", {"notice_id": "1-3f2a-17", "link": "radio"})
    )
    log.close()
    (line,) = lines(tmp_path / "log")
    assert list(line.items()) == [
        ("level", "warning"),
        ("time", "2026-11-22T15:06:40Z"),
        ("time_quality", "SYNCHRONISED"),
        ("instant_ms", 12_345),
        ("event", "frame_refused"),
        ("notice_id", "1-3f2a-17"),
        ("link", "radio"),
    ]
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) & 0o007 == 0


def test_an_untrusted_clock_is_written_as_such(tmp_path: Path) -> None:
    """A technician finds the line by some time; the quality says that it may be wrong."""
    log = LocalLog(clock=lambda: Now(Instant(5)), wall=wall, folder=tmp_path)
    log.observe(Observe(Level.INFO, "ready", {}))
    log.close()
    (line,) = lines(tmp_path)
    assert (line["time"], line["time_quality"]) == ("2026-11-18T11:06:40Z", "NONE")


def test_lines_below_the_level_are_not_written(tmp_path: Path) -> None:
    """The configured level is the least that is kept."""
    log = LocalLog(clock=lambda: NOW, wall=wall, folder=tmp_path, level="warning")
    for level in Level:
        log.observe(Observe(level, level.value, {}))
    log.close()
    assert [line["event"] for line in lines(tmp_path)] == ["warning", "error"]


def test_key_material_and_control_characters_stay_out(tmp_path: Path) -> None:
    """A secret by name is hidden, text cannot forge a line or turn the screen, size is bounded."""
    log = LocalLog(clock=lambda: NOW, wall=wall, folder=tmp_path)
    fields = {"secret": "ab" * 32, "text": 'a\n{"level": "info"}\u202e\x1b[2J', "long": "x" * 9_000}
    log.observe(Observe(Level.INFO, "noted", fields))
    log.close()
    octets = (tmp_path / "gateway.log").read_bytes()
    assert octets.count(b"\n") == 1
    assert not set(octets) & {0x1B, 0x7F} | (set(octets) - set(range(0x80)))
    (line,) = lines(tmp_path)
    assert line["secret"] == "(hidden)"
    assert line["text"] == fields["text"]
    assert len(line["long"]) < 1_100


def test_files_rotate_within_their_bound(tmp_path: Path) -> None:
    """The log never fills the card: so many files of so many octets."""
    log = LocalLog(clock=lambda: NOW, wall=wall, folder=tmp_path, file_size_max=2_000, file_count=2)
    for number in range(100):
        log.observe(Observe(Level.INFO, "noted", {"number": number}))
    log.close()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["gateway.log", "gateway.log.1", "gateway.log.2"]
    assert all(path.stat().st_size <= 2_000 for path in tmp_path.iterdir())
    assert lines(tmp_path)[-1]["number"] == 99


class SlowStream(io.StringIO):
    """A card that hangs until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def write(self, text: str) -> int:
        self.let_go.wait(60)
        return super().write(text)


def test_a_hanging_card_holds_nobody_and_what_was_lost_is_said() -> None:
    """At the bound new lines are dropped, counted, and the count is in the next line."""
    stream = SlowStream()
    log = LocalLog(clock=lambda: NOW, wall=wall, journal=stream)
    for number in range(LINE_COUNT_MAX + 500):
        log.observe(Observe(Level.INFO, "noted", {"number": number}))
    stream.let_go.set()
    while True:
        log.observe(Observe(Level.INFO, "after", {}))
        if "lines_dropped_before" in stream.getvalue():
            break
    log.close()
    told = [json.loads(line[3:]) for line in stream.getvalue().splitlines()]
    dropped = sum(line.get("lines_dropped_before", 0) for line in told)
    numbers = [line["number"] for line in told if "number" in line]
    assert numbers == list(range(len(numbers)))
    assert dropped >= LINE_COUNT_MAX + 500 - len(numbers) > 0


def test_closing_waits_for_what_was_taken() -> None:
    """A stop with a full queue writes every line that was not counted as dropped."""
    stream = SlowStream()
    log = LocalLog(clock=lambda: NOW, wall=wall, journal=stream)
    for number in range(LINE_COUNT_MAX + 10):
        log.observe(Observe(Level.INFO, "noted", {"number": number}))
    threading.Timer(0.1, stream.let_go.set).start()
    log.close()
    assert len(stream.getvalue().splitlines()) >= LINE_COUNT_MAX


def test_the_journal_reads_the_priority_in_front() -> None:
    """Errors are errors for journalctl too (sd-daemon(3))."""
    stream = io.StringIO()
    log = LocalLog(clock=lambda: NOW, wall=wall, level="debug", journal=stream)
    for level in Level:
        log.observe(Observe(level, "noted", {}))
    log.close()
    assert [line[:3] for line in stream.getvalue().splitlines()] == ["<7>", "<6>", "<4>", "<3>"]


def test_the_journal_is_told_by_device_and_inode() -> None:
    """An inherited JOURNAL_STREAM counts only where standard error still is that stream."""
    ours, theirs = socket.socketpair()
    with ours, theirs, os.fdopen(os.dup(ours.fileno()), "w") as stream:
        status = os.fstat(ours.fileno())
        assert is_journal({"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}, stream)
        assert not is_journal({"JOURNAL_STREAM": f"{status.st_dev}:1"}, stream)
        assert not is_journal({}, stream)
    assert not is_journal({"JOURNAL_STREAM": "1:1"}, io.StringIO())


def test_what_libraries_say_becomes_a_line(tmp_path: Path) -> None:
    """A library's warning is not lost and has the form of all lines; after close it is let go."""
    log = LocalLog(clock=lambda: NOW, wall=wall, folder=tmp_path)
    log.capture_libraries()
    count = len(logging.getLogger().handlers)
    logging.getLogger("asyncio").warning("slow %s", "callback")
    logging.getLogger("asyncio").info("not kept")
    log.close()
    assert len(logging.getLogger().handlers) == count - 1
    (line,) = lines(tmp_path)
    assert (line["event"], line["logger"], line["text"]) == ("library", "asyncio", "slow callback")


def test_a_crash_keeps_its_traceback_in_the_log_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever mends it finds where; the operator's terminal stays clean."""
    log = LocalLog(clock=lambda: NOW, wall=wall, folder=tmp_path)
    try:
        raise ZeroDivisionError("here")
    except ZeroDivisionError as error:
        log.crash(error)
    log.close()
    (line,) = lines(tmp_path)
    assert line["event"] == "crashed"
    assert "test_observe_log.py" in line["traceback"]
    assert capsys.readouterr() == ("", "")


def test_a_full_disk_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Every write fails: no exception, no traceback on the terminal."""
    with Path("/dev/full").open("w", buffering=1, encoding="ascii") as stream:
        log = LocalLog(clock=lambda: NOW, wall=wall, journal=stream)
        log.observe(Observe(Level.INFO, "noted", {}))
        log.close()
        assert capsys.readouterr() == ("", "")
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    """The operator learns the path and what to do."""
    (tmp_path / "log").write_text("a file in the way")
    with pytest.raises(ConfigError, match=r"\[log\] folder: .* cannot be written"):
        LocalLog(clock=lambda: NOW, wall=wall, folder=tmp_path / "log")


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_may_heal_does_not_stop_the_start(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said once, in the journal too; the file is there from the line on that can write it."""
    journal = io.StringIO()
    with monkeypatch.context() as broken:

        def refuse(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        broken.setattr(Path, "mkdir", refuse)
        log = LocalLog(clock=lambda: NOW, wall=wall, folder=tmp_path / "log", journal=journal)
        assert os.strerror(number) in log.problem
        log.observe(Observe(Level.INFO, "lost", {}))
        log._listener.stop()  # what was taken is written
        assert not (tmp_path / "log").exists()
    log._listener.start()
    log.observe(Observe(Level.INFO, "kept", {}))
    log.close()
    assert [line["event"] for line in lines(tmp_path / "log")] == ["kept"]
    told = [json.loads(line[3:])["event"] for line in journal.getvalue().splitlines()]
    assert told == ["log_file_failed", "lost", "kept"]
