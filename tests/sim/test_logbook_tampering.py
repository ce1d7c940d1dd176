"""A log book of 1000 entries that was tampered with: what is found, where, and against whom.

The books are those of two real engines that talked for hours. `NAIVE` changes leave the hashes as
they were; `REBUILT` ones are made by a holder who owns the station's key: numbers, hashes and the
signed head are right again.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.logbook.audit import Book, BookAudit, Finding
from gateway.logbook.chain import GENESIS, next_hash
from gateway.logbook.comparison import compare
from gateway.logbook.entry import encode_entry
from gateway.logbook.examine import examine
from gateway.logbook.segment import Record, encode_record
from gateway.model import Epoch, Station
from gateway.security.signature import sign_act
from gateway.wire.notice import decode_act, encode_act
from tests.sim.books import (
    Line,
    Records,
    audit,
    chained,
    entries_of,
    file_of,
    head_of,
    thousand,
)

NORTH, SOUTH = Station(1), Station(2)


@pytest.fixture(scope="module")
def made() -> Line:
    return thousand()


def index_of(records: Records, *, originator: Station | None, start: int = 500) -> int:
    """The first entry from `start` on that is an act of a station, or no act at all (None)."""
    for index, entry in enumerate(entries_of(records)[start:], start):
        if originator is None and not entry.is_line:
            return index
        if entry.act_id is not None and entry.act_id.originator == originator:
            return index
    raise AssertionError("no such entry")


def judged(made: Line, tampered: Records, *, with_head: bool = True) -> list[Finding]:
    """What two books show: NORTH's after the change, and SOUTH's as it is."""
    head = head_of(tampered, made.keys[NORTH]) if with_head else None
    north = audit(tampered, made.cards, head, label="north")
    south = audit(made.books[SOUTH], made.cards, label="south")
    assert south.findings == []
    return [*north.findings, *compare(north, south).findings]


def alone(made: Line, tampered: Records) -> list[Finding]:
    """What NORTH's book shows with the head that it had before the change."""
    head = head_of(made.books[NORTH], made.keys[NORTH])
    return audit(tampered, made.cards, head, label="north").findings


def forged(records: Records, index: int) -> Record:
    """Another entry in place of the one at `index`, which follows from the one before it."""
    previous = records[index - 1].hash if index else GENESIS
    octets = encode_entry(replace(entries_of(records)[index], event="forged"))
    return Record(index + 1, octets, next_hash(previous, octets), 1)


def test_books_of_honest_stations_agree(made: Line) -> None:
    """Two books, with kills and cuts in their past, show nothing; the acts are all in both."""
    books = [
        audit(made.books[station], made.cards, head_of(made.books[station], made.keys[station]))
        for station in (NORTH, SOUTH)
    ]
    assert [book.owner for book in books] == [NORTH, SOUTH]
    assert all(book.count >= 1000 for book in books)
    assert [book.findings for book in books] == [[], []]
    assert [book.notes for book in books] == [[], []]
    found = compare(*books)
    assert (found.findings, found.notes) == ([], [])
    assert found.shared_count == books[0].line_count == books[1].line_count


@pytest.mark.parametrize("index", [0, 1, 499, 998])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("insert", "twice"),
        ("delete", "missing_entry"),
        ("change", "chain"),
        ("swap", "missing_entry"),
    ],
)
def test_one_book_betrays_a_change_that_left_the_hashes(
    made: Line, change: str, code: str, index: int
) -> None:
    """The first wrong entry is named, and the book's owner; no second book is needed."""
    book = made.books[NORTH]
    tampered = list(book)
    if change == "insert":
        tampered.insert(index, forged(book, index))
    elif change == "delete":
        del tampered[index]
    elif change == "change":
        octets = forged(book, index).octets
        tampered[index] = replace(book[index], octets=octets)
    else:
        tampered[index : index + 2] = [book[index + 1], book[index]]
    first = audit(tampered, made.cards, label="north").findings[0]
    assert (first.code, first.entry, first.party) == (code, index + 1, NORTH)


def test_a_cut_end_is_found_by_the_signed_head_or_the_other_book(made: Line) -> None:
    """One book without a head does not tell; with either witness its first lost entry is named."""
    book = made.books[NORTH]
    cut = book[:700]
    assert audit(cut, made.cards, label="north").findings == []
    (first,) = alone(made, cut)
    assert (first.code, first.entry, first.party) == ("cut", 701, NORTH)
    assert first.proof == "the head signed by POST1"
    lost = next(entry for entry in entries_of(book)[700:] if entry.is_line)
    found = judged(made, cut)
    assert lost.act_id in [finding.act_id for finding in found]
    assert {finding.party for finding in found} == {NORTH}
    assert min(finding.entry or 0 for finding in found) <= 701


def test_an_own_act_left_out_of_a_rebuilt_book(made: Line) -> None:
    """Its serial is missing in one book; the other holds it with the holder's own signature."""
    index = index_of(made.books[NORTH], originator=NORTH)
    entries = entries_of(made.books[NORTH])
    lost = entries.pop(index).act_id
    found = judged(made, chained(entries))
    assert {finding.party for finding in found} == {NORTH}
    assert {finding.act_id for finding in found} == {lost}
    assert all((finding.entry or 0) <= index + 1 for finding in found)
    assert "the signature of station 1 under it" in [finding.proof for finding in found]


def test_an_answered_act_left_out_of_a_rebuilt_book(made: Line) -> None:
    """Who answered a notice had it: the answer's signature proves that it was left out."""
    entries = entries_of(made.books[NORTH])
    answered = {
        decode_act(entry.octets or b"", originator=NORTH, to=SOUTH).reference  # type: ignore[union-attr]
        for entry in entries
        if entry.act_id and entry.act_id.originator == NORTH and entry.event == "accepted"
    }
    index = next(
        index
        for index, entry in enumerate(entries)
        if index > 400 and entry.is_line and entry.act_id in answered
    )
    lost = entries.pop(index).act_id
    (first,) = judged(made, chained(entries))
    assert (first.code, first.party, first.act_id) == ("missing_act", NORTH, lost)
    assert "the signature of station 1 under its act" in str(first.proof)


def test_an_own_act_made_anew_in_a_rebuilt_book(made: Line) -> None:
    """Both versions carry the holder's signature, which proves to anybody that it said both."""
    index = index_of(made.books[NORTH], originator=NORTH)
    entries = entries_of(made.books[NORTH])
    old = entries[index]
    assert old.octets is not None
    assert old.act_id is not None
    act = decode_act(old.octets, originator=NORTH, to=SOUTH)
    octets = encode_act(replace(act, created=None))
    signature = sign_act(made.keys[NORTH], octets, originator=NORTH, to=SOUTH)
    entries[index] = replace(old, octets=octets, signature=signature)
    (first,) = judged(made, chained(entries))
    assert (first.code, first.party, first.entry) == ("two_versions", NORTH, index + 1)
    assert first.act_id == old.act_id


@pytest.mark.parametrize("originator", [NORTH, SOUTH])
def test_an_act_changed_without_its_originators_key(made: Line, originator: Station) -> None:
    """No signature holds over it, whoever's act it was; the book's owner is accused."""
    index = index_of(made.books[NORTH], originator=originator)
    entries = entries_of(made.books[NORTH])
    octets = bytearray(entries[index].octets or b"")
    octets[-1] ^= 1
    entries[index] = replace(entries[index], octets=bytes(octets))
    first = judged(made, chained(entries))[0]
    assert (first.code, first.party, first.entry) == ("signature", NORTH, index + 1)


def test_own_acts_in_another_order_in_a_rebuilt_book(made: Line) -> None:
    """A station makes its acts by serial, so its own book has them in that order."""
    entries = entries_of(made.books[NORTH])
    own = [
        index
        for index, entry in enumerate(entries)
        if entry.act_id is not None and entry.act_id.originator == NORTH
    ]
    one, two = own[len(own) // 2], own[len(own) // 2 + 1]
    entries[one], entries[two] = entries[two], entries[one]
    first = judged(made, chained(entries))[0]
    assert (first.code, first.party) == ("order", NORTH)


def test_an_act_under_an_id_that_is_not_its_own(made: Line) -> None:
    """A true signature under another id proves nothing about that id."""
    entries = entries_of(made.books[NORTH])
    index = index_of(made.books[NORTH], originator=SOUTH)
    old = entries[index]
    assert old.act_id is not None
    wrong = old.act_id._replace(epoch=Epoch(old.act_id.epoch ^ 1))
    entries[index] = replace(old, act_id=wrong)
    first = judged(made, chained(entries))[0]
    assert (first.code, first.entry, first.act_id) == ("signature", index + 1, wrong)


def test_a_batch_written_twice_by_a_full_disk_is_innocent(made: Line) -> None:
    """A torn batch that stands once more, alike, is told and accuses nobody."""
    book = made.books[NORTH]
    torn = encode_record(book[300].octets, book[300].hash, 1)[:-40]
    octets = file_of(book[:302]) + torn + file_of(book[300:])
    again = audit_file(octets, made)
    assert again.findings == []
    assert again.count == len(book)
    assert any("stands twice, alike" in note for note in again.notes)
    assert any("no entry is missing" in note for note in again.notes)


def test_damage_is_named_with_its_place(made: Line) -> None:
    """Octets that are no entry are told with their offset, and what they cost."""
    book = made.books[NORTH]
    start, size = len(file_of(book[:300])), len(file_of(book[300:301]))
    octets = bytearray(file_of(book))
    octets[start : start + size] = bytes(size)
    damaged = audit_file(bytes(octets), made)
    (first,) = damaged.findings
    assert (first.code, first.entry) == ("missing_entry", 301)
    assert any(f"{size} octets at {start}" in note for note in damaged.notes)


def audit_file(octets: bytes, made: Line) -> Book:
    book = BookAudit("north")
    book.add(examine(octets, 0, made.cards), file="north")
    return book.finish(made.cards)


def test_a_head_that_another_signed(made: Line) -> None:
    """A head counts only under the signature of the book's own station."""
    book = made.books[NORTH]
    head = replace(head_of(book, made.keys[SOUTH]), station=NORTH)
    (first,) = audit(book, made.cards, head, label="north").findings
    assert (first.code, first.party) == ("head", NORTH)


def test_acts_without_a_card_are_told(made: Line) -> None:
    """Who gives one card only is told how many acts that leaves unchecked; nobody is accused."""
    book = audit(made.books[NORTH], {NORTH: made.cards[NORTH]}, label="north")
    assert book.findings == []
    assert any("acts of station 2 were not checked" in note for note in book.notes)


def test_acts_under_way_accuse_nobody(made: Line) -> None:
    """Own acts at the end that the other book lacks may be under way."""
    entries = entries_of(made.books[SOUTH])
    cut = entries[:-1]
    while not cut[-1].is_line or cut[-1].event != "received":
        cut.pop()
    cut.pop()
    north = audit(made.books[NORTH], made.cards, label="north")
    south = audit(chained(cut), made.cards, label="south")
    found = compare(north, south)
    assert all(finding.party == SOUTH for finding in found.findings)
