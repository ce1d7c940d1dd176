"""`hotline log verify` and `export` on files: what they say and how they exit, no gateway."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import log_verify
from gateway.cli.main import main
from gateway.logbook.entry import RECEIVED, START, Entry
from gateway.logbook.head import encode_head
from gateway.logbook.segment import encode_record
from gateway.model import (
    ActId,
    Epoch,
    Operation,
    Precedence,
    Previous,
    Serial,
    Station,
    TimeQuality,
    Void,
)
from gateway.security.cards import card_text
from gateway.security.signature import sign_act
from gateway.wire.notice import encode_act
from tests.sim.books import Line, chained, entries_of, file_of, head_of, thousand

NORTH, SOUTH = Station(1), Station(2)


@dataclass
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ended]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str | Path) -> Ended:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="module")
def made() -> Line:
    return thousand()


@pytest.fixture
def cards(made: Line, tmp_path: Path) -> list[str]:
    """The options that name both cards."""
    options = []
    for station, (card,) in made.cards.items():
        path = tmp_path / f"{card.name}.card"
        path.write_text(card_text(card, made.keys[station]))
        options += ["--card", str(path)]
    return options


@pytest.fixture
def north(made: Line, tmp_path: Path) -> Path:
    """A state folder whose log book has three segments and a signed head."""
    folder = tmp_path / "north" / "logbook"
    folder.mkdir(parents=True)
    book = made.books[NORTH]
    # The tenth file comes behind the ninth, and nothing else in the folder matters.
    for number, part in enumerate((book[:400], book[400:401], book[401:]), 9):
        (folder / f"{number:04}.cborseq").write_bytes(file_of(part))
    (folder / "head.cbor").write_bytes(encode_head(head_of(book, made.keys[NORTH])))
    (folder / "notes.txt").write_text("not of the book")
    return folder.parent


@pytest.fixture
def south(made: Line, tmp_path: Path) -> Path:
    path = tmp_path / "south.cbor"
    path.write_bytes(file_of(made.books[SOUTH]))
    return path


def test_two_sound_books(run: Run, north: Path, south: Path, cards: list[str]) -> None:
    """A folder of segments against a file: 0, and what was checked."""
    ended = run("log", "verify", north, south, *cards)
    assert (ended.code, ended.err) == (0, "")
    assert "book of POST1 (station 1)" in ended.out
    assert "signed head at" in ended.out
    assert "no signed head" in ended.out
    assert "Nothing wrong was found." in ended.out
    assert "earlier card" not in ended.out


def test_a_missing_card_is_no_clean_bill(run: Run, south: Path, cards: list[str]) -> None:
    """Without a card nothing that it signed was checked, and the verdict says so, not `sound`."""
    for given, verdict in ((cards, "sound"), (cards[:2], "unchecked"), ([], "unchecked")):
        assert run("--json", "log", "verify", south, *given).json["verdict"] == verdict
    assert "Not all was: cards are missing" in run("log", "verify", south).out


def test_json_names_the_first_wrong_entry(
    run: Run, made: Line, north: Path, south: Path, cards: list[str]
) -> None:
    """An entry cut out of a segment: exit code 1, the entry and the party in the document."""
    book = made.books[NORTH]
    segment = north / "logbook" / "0011.cborseq"
    segment.write_bytes(file_of(book[401:700] + book[701:]))
    ended = run("--json", "log", "verify", north, south, *cards)
    assert ended.code == 1
    assert ended.json["verdict"] == "wrong"
    first = ended.json["findings"][0]
    assert (first["code"], first["entry"], first["name"]) == (
        "missing_entry",
        701,
        "POST1 (station 1)",
    )
    assert {finding["party"] for finding in ended.json["findings"]} == {NORTH}


def test_one_book_says_what_it_cannot_tell(
    run: Run, made: Line, south: Path, cards: list[str]
) -> None:
    """A clean cut at the end passes one book alone, and the output says so."""
    south.write_bytes(file_of(made.books[SOUTH][:500]))
    ended = run("log", "verify", south, *cards)
    assert ended.code == 0
    assert "cut off its end" in ended.out
    south.with_name("south.cbor.head").write_bytes(
        encode_head(head_of(made.books[SOUTH], made.keys[SOUTH]))
    )
    ended = run("log", "verify", south, *cards)
    assert ended.code == 1
    assert "WRONG" in ended.out
    assert "entries 501 to" in ended.out


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (None, 5, "check the path"),
        (b"", 2, "no entry of a log book"),
        (b"\x83" * 4000, 2, "no entry of a log book"),
    ],
)
def test_what_is_no_book(
    run: Run, tmp_path: Path, content: bytes | None, code: int, words: str
) -> None:
    """A file that is missing, empty or something else: one sentence with a remedy."""
    path = tmp_path / "book"
    if content is not None:
        path.write_bytes(content)
    ended = run("log", "verify", path)
    assert ended.code == code
    assert words in ended.err
    assert ended.err.count("\n") == 1


def test_two_books_need_both_cards_and_two_owners(
    run: Run, north: Path, south: Path, cards: list[str]
) -> None:
    """Without a card the far signatures prove nothing; a book is no witness of itself."""
    ended = run("log", "verify", north, south, *cards[:2])
    assert ended.code == 2
    assert "both cards" in ended.err
    ended = run("log", "verify", south, south, *cards)
    assert ended.code == 2
    assert "both of station 2" in ended.err
    ended = run("log", "verify", north, "--card", north / "logbook" / "head.cbor")
    assert ended.code == 2


def test_a_broken_head_file(run: Run, north: Path, cards: list[str]) -> None:
    """A head that cannot be read is said; it is never taken for no head."""
    (north / "logbook" / "head.cbor").write_bytes(b"\x84\x01")
    ended = run("log", "verify", north, *cards)
    assert ended.code == 1
    assert "head.cbor is not the signed head" in ended.err


def test_worker_processes_find_the_same(
    run: Run,
    made: Line,
    north: Path,
    south: Path,
    cards: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A long book is checked in several processes; the answer does not depend on it."""
    book = made.books[SOUTH]
    at = next(i for i, entry in enumerate(entries_of(book)) if i > 600 and entry.is_line)
    octets = bytearray(book[at].octets)
    octets[-1] ^= 1
    south.write_bytes(
        file_of(book[:at])
        + encode_record(bytes(octets), book[at].hash, 1)
        + file_of(book[at + 1 :])
    )
    alone = run("--json", "log", "verify", north, south, *cards)
    monkeypatch.setattr(log_verify, "POOL_SIZE_MIN", 0)
    shared = run("--json", "log", "verify", north, south, *cards)
    assert shared == alone
    assert [finding["code"] for finding in shared.json["findings"]] == ["chain", "signature"]
    assert any("give its earlier card too" in note for note in shared.json["notes"])


def test_export_for_print_says_what_proves_a_thing(
    run: Run, made: Line, south: Path, cards: list[str]
) -> None:
    """DTGs, the texts, the parties by name, and for each entry what it proves to others."""
    ended = run("log", "export", south, *cards)
    assert ended.code == 0
    blocks = ended.out.strip().split("\n\n")
    assert len(blocks) == len(made.books[SOUTH])
    for block, entry in zip(blocks, entries_of(made.books[SOUTH]), strict=True):
        assert "NOV 26 (synchronised)" in block
        assert ("signed act: its signature proves" in block) is entry.is_line
    assert "POST1 to POST2, made" in ended.out
    assert "| vehicles" in ended.out


def test_exported_cbor_verifies_with_its_head(
    run: Run, north: Path, tmp_path: Path, cards: list[str]
) -> None:
    """A folder of segments becomes one file and its head; nothing is overwritten."""
    path = tmp_path / "copy"
    assert run("log", "export", north, "--format", "cbor", "-o", path).code == 0
    assert path.stat().st_mode & 0o777 == 0o600, "notices are in it"
    ended = run("log", "verify", path, *cards)
    assert ended.code == 0
    assert "signed head at" in ended.out
    again = run("log", "export", north, "-o", path)
    assert again.code == 7
    assert "not overwritten" in again.err


def test_exported_json_lines(run: Run, made: Line, south: Path) -> None:
    """One object an entry, with its octets, so that a program can follow the chain itself."""
    lines = [json.loads(line) for line in run("log", "export", south, "--json").out.splitlines()]
    records = made.books[SOUTH]
    assert [bytes.fromhex(line["octets"]) for line in lines] == [row.octets for row in records]
    acts = [line for line in lines if line["kind"] == "line"]
    assert {line["proof"] for line in acts} == {"signed act"}
    assert all(len(line["signature"]) == 128 for line in acts)
    assert {line["content"].get("answer") for line in acts} >= {None, "ROGER", "WILCO"}


def long_books(made: Line, size: int) -> dict[Station, bytes]:
    """A line's two books, every other entry an act that NORTH signed."""
    entries: dict[Station, list[Entry]] = {
        station: [Entry(number=1, is_line=False, event=START, fields=(("station", station),))]
        for station in (NORTH, SOUTH)
    }
    state = Entry(number=1, is_line=False, event="state", fields=(("state", "MACHINE RECEIPT"),))
    for serial in range(1, size // 2 + 1):
        act = Void(
            id=ActId(NORTH, Epoch(7), Serial(serial)),
            to=SOUTH,
            precedence=Precedence.ROUTINE,
            operation=Operation.TEST,
            created=None,
            time_quality=TimeQuality.NONE,
            previous=Previous(Epoch(0), Serial(0)) if serial == 1 else None,
        )
        octets = encode_act(act)
        signature = sign_act(made.keys[NORTH], octets, originator=NORTH, to=SOUTH)
        for station, event in ((NORTH, "accepted"), (SOUTH, RECEIVED)):
            line_entry = Entry(
                number=1,
                is_line=True,
                event=event,
                fields=(("to", SOUTH),),
                act_id=act.id,
                octets=octets,
                signature=signature,
            )
            entries[station] += [line_entry, state]
    return {station: file_of(chained(book[:size])) for station, book in entries.items()}


def verify_s(*arguments: str) -> tuple[float, dict[str, Any]]:
    """How much processor `hotline log verify` took, with its workers, and what it said."""
    command = [sys.executable, "-m", "gateway.cli.main", "--json", "log", "verify", *arguments]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, json.loads(done.stdout)


@pytest.mark.soak
def test_a_hundred_thousand_entries_take_seconds(
    made: Line, tmp_path: Path, cards: list[str]
) -> None:
    """Half of them signed acts, each checked: less than 10 s of two cores for each book. What else
    runs meanwhile does not count.
    """
    paths = []
    for station, octets in long_books(made, 100_000).items():
        paths.append(str(tmp_path / f"{station}.cbor"))
        Path(paths[-1]).write_bytes(octets)
    one_s, one = verify_s(paths[0], *cards)
    both_s, both = verify_s(*paths, *cards)
    print(f"one book {one_s:.1f} s of processor, two {both_s:.1f} s")
    (book,) = one["books"]
    assert (book["entries"], book["acts_unchecked"], one["verdict"]) == (100_000, 0, "sound")
    assert (both["acts_in_both"], both["verdict"]) == (50_000, "sound")
    assert one_s < 2 * 10
    assert both_s < 2 * 2 * 10
