"""A log book of 1000 entries that was tampered with: what is found, where, and against whom.

The books are those of two real engines that talked for hours. `NAIVE` changes leave the hashes as
they were; `REBUILT` ones are made by a holder who owns the station's key: numbers, hashes and the
signed head are right again.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from gateway.logbook.audit import Book, BookAudit, Finding
from gateway.logbook.chain import GENESIS, next_hash
from gateway.logbook.comparison import compare
from gateway.logbook.entry import DIFFERS, HEAD_FIELD, Entry, encode_entry
from gateway.logbook.examine import examine
from gateway.logbook.head import encode_head
from gateway.logbook.segment import Record, encode_record
from gateway.model import BookHead, Countersign, Epoch, Station
from gateway.security.signature import sign_act
from gateway.wire.notice import decode_act, encode_act
from tests.sim.books import (
    Line,
    Records,
    audit,
    chained,
    chained_after,
    entries_of,
    file_of,
    head_of,
    resigned,
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


def judged(
    made: Line, tampered: Records, index: int | None = None, *, is_alone: bool = False
) -> list[Finding]:
    """What two books show: NORTH's after the change, and SOUTH's as it is.

    `index` is where it was changed: what NORTH signed of its book encloses that. It is not among
    the findings returned, which are those that name one entry or act.
    """
    north = audit(tampered, made.cards, head_of(tampered, made.keys[NORTH]), label="north")
    south = audit(made.books[SOUTH], made.cards, label="south")
    assert south.findings == []
    found = sorted(
        [*north.findings, *([] if is_alone else compare(north, south).findings)],
        key=lambda finding: finding.place,
    )
    assert {finding.party for finding in found} <= {NORTH}
    if index is not None:
        stretches = [finding for finding in found if finding.code == "rewritten"]
        for stretch in stretches:
            assert stretch.entry is not None
            assert stretch.until is not None
            assert stretch.entry <= index + 1 <= stretch.until
            assert stretch.until - stretch.entry < 600
        assert stretches
    return [finding for finding in found if finding.code != "rewritten"]


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
    assert first.proof == "the head signed by station 1"
    lost = next(entry for entry in entries_of(book)[700:] if entry.is_line)
    found = judged(made, cut)
    assert lost.act_id in [finding.act_id for finding in found]
    assert min(finding.entry or 0 for finding in found) <= 701
    assert "cut" in [finding.code for finding in found]


def test_an_own_act_left_out_of_a_rebuilt_book(made: Line) -> None:
    """Its serial is missing in one book; the other holds it with the holder's own signature."""
    index = index_of(made.books[NORTH], originator=NORTH)
    entries = entries_of(made.books[NORTH])
    lost = entries.pop(index).act_id
    (first,) = judged(made, chained(entries), index, is_alone=True)
    assert (first.code, first.act_id) == ("missing_act", lost)
    found = judged(made, chained(entries), index)
    assert {finding.party for finding in found} == {NORTH}
    assert {finding.act_id for finding in found} == {lost}
    assert all((finding.entry or 0) <= index + 1 for finding in found)
    assert "the signature of station 1 under it" in [finding.proof for finding in found]


def test_an_answered_act_left_out_of_a_rebuilt_book(made: Line) -> None:
    """Who answered a notice had it: the answer's signature proves that it was left out."""
    entries = entries_of(made.books[NORTH])
    answered = {
        getattr(decode_act(entry.octets or b"", originator=NORTH, to=SOUTH), "reference", None)
        for entry in entries
        if entry.act_id and entry.act_id.originator == NORTH and entry.event == "accepted"
    }
    index = next(
        index
        for index, entry in enumerate(entries)
        if index > 400 and entry.is_line and entry.act_id in answered
    )
    lost = entries.pop(index).act_id
    (first,) = judged(made, chained(entries), index)
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
    (first,) = judged(made, chained(entries), index)
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
    first = judged(made, chained(entries), index)[0]
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
    first = judged(made, chained(entries), one)[0]
    assert (first.code, first.party) == ("order", NORTH)


def test_an_epoch_before_the_one_that_it_follows(made: Line) -> None:
    """The first act of an epoch names the last of the epoch before: it stands behind that."""
    entries = entries_of(made.books[NORTH])
    own = [
        index
        for index, entry in enumerate(entries)
        if entry.act_id is not None and entry.act_id.originator == NORTH
    ]
    first = next(
        index
        for before, index in itertools.pairwise(own)
        if entries[index].act_id.epoch != entries[before].act_id.epoch  # type: ignore[union-attr]
    )
    last = own[own.index(first) - 1]
    entries.insert(last, entries.pop(first))
    found = judged(made, chained(entries), last, is_alone=True)
    assert [finding.code for finding in found] == ["order"]
    assert "names as earlier" in found[0].sentence


def test_an_act_without_its_signature(made: Line) -> None:
    """A line entry that nobody signed proves nothing and stands in no honest book."""
    index = index_of(made.books[NORTH], originator=SOUTH)
    entries = entries_of(made.books[NORTH])
    entries[index] = replace(entries[index], signature=None)
    first = judged(made, chained(entries), index, is_alone=True)[0]
    assert (first.code, first.entry) == ("signature", index + 1)
    assert "is not signed" in first.sentence


def test_an_entry_further_behind_is_told_twice(made: Line) -> None:
    """Missing where it belongs, and found where it does not."""
    book = made.books[NORTH]
    moved = [*book[:300], *book[301:600], book[300], *book[600:]]
    found = audit(moved, made.cards, label="north").findings
    assert {(one.code, one.entry) for one in found} >= {("missing_entry", 301), ("order", 301)}


def test_an_act_under_an_id_that_is_not_its_own(made: Line) -> None:
    """A true signature under another id proves nothing about that id."""
    entries = entries_of(made.books[NORTH])
    index = index_of(made.books[NORTH], originator=SOUTH)
    old = entries[index]
    assert old.act_id is not None
    wrong = old.act_id._replace(epoch=Epoch(old.act_id.epoch ^ 1))
    entries[index] = replace(old, act_id=wrong)
    found = judged(made, chained(entries), index)
    first = next(finding for finding in found if finding.code == "signature")
    assert (first.entry, first.act_id) == (index + 1, wrong)
    assert {finding.act_id for finding in found} == {wrong, old.act_id}


@pytest.mark.parametrize("change", ["insert", "delete", "change", "swap"])
def test_a_station_entry_of_a_rebuilt_book(made: Line, change: str) -> None:
    """No signature is under it, but what NORTH signed of its book stands in SOUTH's."""
    entries = entries_of(made.books[NORTH])
    index = index_of(made.books[NORTH], originator=None)
    if change == "insert":
        entries.insert(index, replace(entries[index], event="forged"))
    elif change == "delete":
        del entries[index]
    elif change == "change":
        entries[index] = replace(entries[index], event="forged")
    else:
        entries[index : index + 2] = [entries[index + 1], entries[index]]
    assert judged(made, chained(entries), index, is_alone=True) == []
    assert judged(made, chained(entries), index) == []


@pytest.mark.parametrize("change", ["insert", "delete", "change", "truncate"])
def test_a_book_rebuilt_with_new_countersigns(made: Line, change: str) -> None:
    """Alone it is sound. SOUTH's copies of the old countersigns, signed by NORTH, betray it."""
    entries = entries_of(made.books[NORTH])
    index = index_of(made.books[NORTH], originator=None)
    if change == "insert":
        entries.insert(index, replace(entries[index], event="forged"))
    elif change == "delete":
        del entries[index]
    elif change == "change":
        entries[index] = replace(entries[index], event="forged")
    else:
        del entries[index:]
    tampered = resigned(entries, made.keys[NORTH], SOUTH)
    head = head_of(tampered, made.keys[NORTH])
    assert audit(tampered, made.cards, head, label="north").findings == []
    if change == "truncate":
        codes = {finding.code for finding in judged(made, tampered)}
        assert codes == {"missing_act", "cut"}
        return
    first = judged(made, tampered, index)[0]
    assert (first.code, first.party) == ("two_versions", NORTH)


def test_a_received_act_that_nobody_answered_left_out(made: Line) -> None:
    """The countersign says up to which serial all had come: signed evidence, unlike a receipt."""
    entries = entries_of(made.books[NORTH])
    answered = {
        getattr(decode_act(entry.octets or b"", originator=NORTH, to=SOUTH), "reference", None)
        for entry in entries
        if entry.act_id and entry.act_id.originator == NORTH
    }
    index = next(
        index
        for index, entry in enumerate(entries)
        if index > 300 and entry.event == "received" and entry.act_id not in answered
    )
    lost = entries.pop(index).act_id
    (first,) = judged(made, chained(entries), index)
    assert (first.code, first.party, first.act_id) == ("missing_act", NORTH, lost)
    assert "under its countersign" in str(first.proof)


def test_a_batch_written_twice_by_a_full_disk_is_innocent(made: Line) -> None:
    """A torn batch that stands once more, alike, is told and accuses nobody."""
    book = made.books[NORTH]
    torn = encode_record(book[300].octets, book[300].hash, 1)[:-40]
    octets = file_of(book[:302]) + torn + file_of(book[300:])
    again = audit_file(octets, made)
    assert again.findings == []
    assert again.count == len(book)
    assert any("301 and those up to 302 stand twice, alike" in note for note in again.notes)
    assert any("no entry is missing" in note for note in again.notes)


def test_a_disk_that_is_full_for_long_leaves_innocent_pieces(made: Line) -> None:
    """Three writes of one batch cut at other places, the first between two entries."""
    book = made.books[NORTH]
    records = [file_of([record]) for record in book[300:304]]
    pieces = [*records[:2], records[0], records[1][:70], records[0][:9], records[0][:40], *records]
    again = audit_file(file_of(book[:300]) + b"".join(pieces) + file_of(book[304:]), made)
    assert again.findings == []
    assert again.count == len(book)


@pytest.mark.parametrize(("start", "end"), [(9, 10), (890, 899), (0, 900), (899, 900)])
def test_entries_copied_to_another_place_are_found(made: Line, start: int, end: int) -> None:
    """One that stands behind others than those of its batch was put there; of the last entry, and
    of all up to it, a full disk may be the cause.
    """
    book = made.books[NORTH]
    copied = audit_file(file_of(book[:900] + book[start:end] + book[900:]), made)
    if end == 900:
        assert (copied.findings, len(copied.notes)) == ([], 1)
        return
    (first,) = copied.findings
    assert (first.code, first.party, first.entry) == ("twice", NORTH, start + 1)
    assert "again behind entry 900" in first.sentence


@pytest.mark.parametrize("stray", [b"twenty-two octets more", bytes(30), b"\x83", bytes(80_000)])
def test_octets_put_between_entries_are_found(made: Line, stray: bytes) -> None:
    """No torn write begins like them."""
    book = made.books[NORTH]
    octets = file_of(book[:300]) + stray + b"\x00" + file_of(book[300:])
    (first,) = audit_file(octets, made).findings
    assert (first.code, first.party, first.entry) == ("octets", NORTH, 301)
    assert f"{len(stray) + 1} octets at {len(file_of(book[:300]))}" in first.sentence


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


def test_a_claim_about_the_far_book_that_nothing_supports(made: Line) -> None:
    """SOUTH signs that NORTH's book was another; NORTH signed no such thing, so SOUTH is named."""
    entries = entries_of(made.books[SOUTH])
    index, act = next(
        (index, act)
        for index, entry in reversed(list(enumerate(entries)))
        if entry.event == "accepted"
        for act in [decode_act(entry.octets or b"", originator=SOUTH, to=NORTH)]
        if isinstance(act, Countersign) and act.far_head is not None
    )
    assert act.far_head is not None
    octets = encode_act(replace(act, far_head=BookHead(act.far_head.number, bytes(16))))
    signature = sign_act(made.keys[SOUTH], octets, originator=SOUTH, to=NORTH)
    entries[index] = replace(entries[index], octets=octets, signature=signature)
    north = audit(made.books[NORTH], made.cards, label="north")
    south = audit(chained(entries), made.cards, label="south")
    claims = [one for one in compare(north, south).findings if one.code == "unfounded_claim"]
    assert [(claim.party, claim.act_id) for claim in claims] == [(SOUTH, act.id)]
    found = compare(north, audit(made.books[SOUTH], made.cards, label="south")).findings
    assert found == []


def test_a_book_that_lost_nearly_all_is_judged_in_bounded_time(made: Line) -> None:
    """Findings that are told have a bound; the others are counted."""
    north = audit(made.books[NORTH][:5], made.cards, label="north")
    found = compare(north, audit(made.books[SOUTH], made.cards, label="south"))
    assert len(found.findings) <= 200
    assert found.finding_count > 200 or len(found.findings) == found.finding_count


@pytest.mark.parametrize(
    ("cut", "code", "last_good", "first_wrong", "until"),
    [(400, "rewritten", 300, 401, 1000), (998, "cut", 999, 1000, None)],
)
def test_a_head_that_a_start_contradicted_convicts_the_book_alone(
    made: Line, cut: int, code: str, last_good: int, first_wrong: int, until: int | None
) -> None:
    """The gateway found its book cut, wrote down the head that says so, and went on."""
    book, keys = made.books[NORTH], made.keys[NORTH]
    head = head_of(book[:1000], keys)
    told = Entry(
        number=1,
        is_line=False,
        event=DIFFERS,
        fields=(("what", "entries are gone"), (HEAD_FIELD, encode_head(head))),
    )
    after = [replace(told, event="link_up", fields=())] * (1000 - cut - 1 if cut == 400 else 0)
    grown = chained_after(book[:cut], [told, *after])
    found = audit(grown, made.cards, head_of(grown, keys)).findings
    (one,) = found
    assert (one.code, one.party, one.until) == (code, NORTH, until)
    assert one.entry is not None
    assert last_good < one.entry <= first_wrong
    assert f"kept in entry {cut + 1}" in one.sentence
    for octets in (encode_head(replace(head, signature=bytes(64))), b"\x84"):
        forged = replace(told, fields=((HEAD_FIELD, octets),))
        grown = chained_after(book[:cut], [forged, *after])
        assert audit(grown, made.cards).findings == []
