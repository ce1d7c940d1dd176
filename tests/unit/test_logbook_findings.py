"""Log books of a dozen entries, each with one thing wrong: what is found, word for word.

`sentences/logbook.txt` has a paragraph for each book or pair of books: its name, then a line for
each finding (code, party, entry or stretch, act, sentence, proof) and each note. It is written by
hand: whoever changes what is found, or how it is said, changes it there too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.logbook.audit import FINDING_COUNT_MAX, Book, BookAudit, Finding
from gateway.logbook.chain import GENESIS, next_hash
from gateway.logbook.comparison import can_compare, compare
from gateway.logbook.entry import DIFFERS, HEAD_FIELD, RECEIVED, START, Entry, encode_entry
from gateway.logbook.examine import Cards, examine
from gateway.logbook.head import SignedHead, encode_head, sign_head
from gateway.logbook.segment import Record, encode_record
from gateway.model import (
    Act,
    ActId,
    Answer,
    AnswerCode,
    BookHead,
    Countersign,
    Epoch,
    Operation,
    Precedence,
    Previous,
    Serial,
    Station,
    TimeQuality,
    Void,
)
from gateway.security.signature import sign_act
from gateway.wire.notice import encode_act
from tests.vectors.values import NORTH, SOUTH, cards, keys

KEYS = dict(zip((NORTH, SOUTH), keys(), strict=True))
CARDS: Cards = {NORTH: [cards()[0]], SOUTH: [cards()[1]]}
FIRST, SECOND, THEIRS = Epoch(7), Epoch(8), Epoch(9)
NEVER = Previous(Epoch(0), Serial(0))
Records = list[Record]


def other(station: Station) -> Station:
    return SOUTH if station == NORTH else NORTH


def act_id(station: Station, serial: int, epoch: Epoch | None = None) -> ActId:
    return ActId(station, epoch or (FIRST if station == NORTH else THEIRS), Serial(serial))


def start(station: Station) -> Entry:
    return Entry(number=1, is_line=False, event=START, fields=(("station", station),))


def line_entry(act: Act, event: str = "sent", *, to: Station | None = None) -> Entry:
    """An act as a book holds it, signed by its originator."""
    originator = act.id.originator
    to = to or other(originator)
    octets = encode_act(act)
    signature = sign_act(KEYS[originator], octets, originator=originator, to=to)
    return Entry(
        number=1,
        is_line=True,
        event=event,
        fields=(("to", to),),
        act_id=act.id,
        octets=octets,
        signature=signature,
    )


def void(
    station: Station, serial: int, epoch: Epoch | None = None, previous: Previous = NEVER
) -> Void:
    return Void(
        id=act_id(station, serial, epoch),
        to=other(station),
        precedence=Precedence.ROUTINE,
        operation=Operation.TEST,
        created=None,
        time_quality=TimeQuality.NONE,
        previous=previous if serial == 1 else None,
    )


def answer(station: Station, serial: int, reference: ActId) -> Answer:
    bare = void(station, serial)
    return Answer(
        id=bare.id,
        to=bare.to,
        precedence=bare.precedence,
        operation=bare.operation,
        created=None,
        time_quality=TimeQuality.NONE,
        reference=reference,
        code=AnswerCode.ROGER,
        previous=bare.previous,
    )


def countersign(
    station: Station,
    serial: int,
    head: BookHead,
    far_head: BookHead | None = None,
    received: tuple[Previous, ...] = (),
) -> Countersign:
    bare = void(station, serial)
    return Countersign(
        id=bare.id,
        to=bare.to,
        precedence=bare.precedence,
        operation=bare.operation,
        created=None,
        time_quality=TimeQuality.NONE,
        head=head,
        far_head=far_head,
        received=received,
        previous=bare.previous,
    )


def chained(entries: Sequence[Entry]) -> Records:
    """A book of these entries: numbers and hashes are right."""
    records: Records = []
    previous = GENESIS
    for number, entry in enumerate(entries, 1):
        octets = encode_entry(replace(entry, number=number))
        previous = next_hash(previous, octets)
        records.append(Record(number, octets, previous, 1))
    return records


def head_at(records: Records, number: int) -> BookHead:
    return BookHead(number, records[number - 1].hash)


def own(count: int, station: Station = NORTH) -> list[Entry]:
    """A start, and as many acts of the station."""
    return [start(station), *[line_entry(void(station, serial + 1)) for serial in range(count)]]


def heard(count: int, station: Station = SOUTH) -> list[Entry]:
    """The other side's book of the same: a start, and what came."""
    acts = [void(other(station), serial + 1) for serial in range(count)]
    return [start(station), *[line_entry(act, RECEIVED) for act in acts]]


def file_of(records: Sequence[Record]) -> bytes:
    return b"".join([encode_record(row.octets, row.hash, row.next_offset) for row in records])


def audited(
    records: Sequence[Record] | bytes,
    head: SignedHead | None = None,
    *,
    label: str = "north",
    given: Cards = CARDS,
    parts: int = 1,
) -> Book:
    """What `hotline log verify` finds in one file, read in so many parts."""
    book = BookAudit(label)
    if isinstance(records, bytes):
        book.add(examine(records, 0, given), file=f"{label}.cborseq")
        return book.finish(given, head)
    size = max(1, -(-len(records) // parts))
    for at in range(0, len(records), size):
        part = examine(file_of(records[at : at + size]), 1000 * at, given)
        book.add(part, file=f"{label}.cborseq")
    return book.finish(given, head)


def parts_of(*parts: bytes) -> Book:
    """What is found in a file that is read in these parts."""
    book, offset = BookAudit("north"), 0
    for part in parts:
        book.add(examine(part, offset, CARDS), file="north.cborseq")
        offset += len(part)
    return book.finish(CARDS)


def torn(records: Records, number: int, size: int) -> bytes:
    """The beginning of a record, as a full disk leaves it."""
    return file_of(records[number - 1 : number])[:size]


def signed_head(records: Records, station: Station = NORTH, number: int = 0) -> SignedHead:
    row = records[(number or len(records)) - 1]
    return sign_head(KEYS[station], number=row.number, entry_hash=row.hash)


def told(finding: Finding) -> str:
    where = f"{finding.entry}" + (f"-{finding.until}" if finding.until is not None else "")
    act = "" if finding.act_id is None else f" {finding.act_id}"
    proof = "" if finding.proof is None else f" [{finding.proof}]"
    return f"{finding.code} {finding.party} {where}{act}: {finding.sentence}{proof}"


def alone(book: Book) -> list[str]:
    return [*map(told, book.findings), *[f"note: {note}" for note in book.notes]]


def together(one: Book, two: Book) -> list[str]:
    assert can_compare(one, two) is None
    found = compare(one, two)
    assert found.finding_count == len(found.findings)
    lines = [*map(told, found.findings), *[f"note: {note}" for note in found.notes]]
    return [*lines, f"{found.shared_count} alike"]


def without(records: Records, *numbers: int) -> Records:
    return [row for row in records if row.number not in numbers]


def north(entries: Sequence[Entry], head: SignedHead | None = None) -> Callable[[], list[str]]:
    return lambda: alone(audited(chained(entries), head))


def pair(one: Sequence[Entry], two: Sequence[Entry]) -> Callable[[], list[str]]:
    return lambda: together(
        audited(chained(one), label="north"), audited(chained(two), label="south")
    )


BOOK = chained(own(5))
NEW = chained([*own(5)[:3], line_entry(void(NORTH, 3), "made"), *own(5)[4:]])
"""The same, entry 4 and what follows written anew."""


def damaged(cut: bytes, after: int, records: Records) -> bytes:
    return file_of(records[:after]) + cut + file_of(records[after:])


def joined(*epochs: tuple[Epoch, int, Previous]) -> list[Entry]:
    """A start, then (epoch, how many acts, what its first act names as the last before it)."""
    acts = [
        void(NORTH, serial + 1, epoch, previous)
        for epoch, count, previous in epochs
        for serial in range(count)
    ]
    return [start(NORTH), *map(line_entry, acts)]


def with_countersign(count: int, number: int, of: Records) -> list[Entry]:
    """`own`, and a countersign of the entry `number` of a book."""
    return [*own(count), line_entry(countersign(NORTH, count + 1, head_at(of, number)))]


def witnessed(far: BookHead | None, *received: Previous) -> list[Entry]:
    """SOUTH's book of three acts of NORTH, with a countersign of it that tells of NORTH's."""
    entries = heard(3)
    told_head = head_at(chained(entries), 4)
    return [*entries, line_entry(countersign(SOUTH, 1, told_head, far, received))]


def heard_of(entries: Sequence[Entry], station: Station) -> list[Entry]:
    """The acts of a station, as the other one receives them."""
    return [
        replace(entry, event=RECEIVED)
        for entry in entries
        if entry.act_id is not None and entry.act_id.originator == station
    ]


def words_of_three() -> list[Entry]:
    """SOUTH's book of three acts, with countersigns that say nothing of NORTH's book, a true word
    and one about its entry 7.
    """
    entries = witnessed(None)
    for serial, far in (
        (2, BookHead(4, BOOK[3].hash[:16])),
        (3, BookHead(7, NEW[5].hash[:16])),
    ):
        head = head_at(chained(entries), len(entries))
        entries.append(line_entry(countersign(SOUTH, serial, head, far)))
    return entries


UNREADABLE = Entry(
    number=1,
    is_line=True,
    event="sent",
    fields=(("to", SOUTH),),
    act_id=act_id(NORTH, 1),
    octets=b"\xa0",
    signature=sign_act(KEYS[NORTH], b"\xa0", originator=NORTH, to=SOUTH),
)
FORMER = Entry(
    number=1,
    is_line=False,
    event=DIFFERS,
    fields=((HEAD_FIELD, encode_head(signed_head(NEW, number=5))),),
)
ROGER = line_entry(answer(SOUTH, 1, act_id(NORTH, 2)))
ALL = Previous(FIRST, Serial(3))

ONE_BOOK: dict[str, Callable[[], list[str]]] = {
    "sound": north(own(5), signed_head(BOOK)),
    "sound, in parts": lambda: alone(audited(BOOK, signed_head(BOOK), parts=3)),
    "empty": lambda: alone(audited([])),
    "an entry is missing": lambda: alone(audited(without(BOOK, 3))),
    "the first entry is missing": lambda: alone(audited(without(BOOK, 1))),
    "entries are missing": lambda: alone(audited(without(BOOK, 3, 4))),
    "entries are missing at two places": lambda: alone(audited(without(BOOK, 2, 5))),
    "a hash differs": lambda: alone(
        audited([*BOOK[:2], replace(BOOK[2], hash=bytes(32)), *BOOK[3:]])
    ),
    "a hash differs where a part begins": lambda: alone(
        audited([*BOOK[:2], replace(BOOK[2], hash=bytes(32)), *BOOK[3:]], parts=2)
    ),
    "the first hash differs": lambda: alone(audited([replace(BOOK[0], hash=bytes(32)), *BOOK[1:]])),
    "an entry twice, alike": lambda: alone(audited([*BOOK[:4], BOOK[2], *BOOK[3:]])),
    "an entry twice, differently": lambda: alone(audited([*BOOK[:4], NEW[3], *BOOK[4:]])),
    "an entry behind another": lambda: alone(audited([*BOOK[:2], BOOK[3], BOOK[2], *BOOK[4:]])),
    "damage that cost nothing": lambda: alone(audited(damaged(b"\x00\x83", 2, BOOK))),
    "damage that cost an entry": lambda: alone(audited(damaged(b"\x00" * 9, 2, without(BOOK, 3)))),
    "damage at the end": lambda: alone(audited(damaged(b"\x00", 6, BOOK))),
    "damage that a full disk left": lambda: alone(audited(damaged(torn(BOOK, 3, 9), 2, BOOK))),
    "damage that two full disks left": lambda: alone(
        audited(damaged(torn(BOOK, 3, 9) + torn(BOOK, 3, 20), 2, BOOK))
    ),
    "damage like an entry further behind": lambda: alone(
        audited(damaged(torn(BOOK, 4, 60), 2, BOOK))
    ),
    "damage where a part begins": lambda: alone(
        parts_of(file_of(BOOK[:2]) + b"x", file_of(BOOK[2:]))
    ),
    "a batch that a full disk cut and that was written again": lambda: alone(
        audited(file_of(BOOK[:4]) + torn(BOOK, 5, 30) + file_of(BOOK[2:]))
    ),
    "entries that stand again, not up to the last one": lambda: alone(
        audited([*BOOK[:5], BOOK[2], BOOK[5]])
    ),
    "a run that stands again, not up to the last one": lambda: alone(
        audited([*BOOK[:5], *BOOK[1:3], BOOK[5]])
    ),
    "two runs that stand again": lambda: alone(
        audited([*BOOK[:5], BOOK[1], BOOK[3], BOOK[4], BOOK[5]])
    ),
    "a batch that was begun twice more": lambda: alone(audited([*BOOK[:4], *BOOK[2:4], *BOOK[2:]])),
    "entries that stand again at the end": lambda: alone(audited([*BOOK, BOOK[2]])),
    "damage before an entry that stands twice": lambda: alone(
        audited(damaged(b"\x00", 4, [*BOOK[:4], BOOK[2], *BOOK[4:]]))
    ),
    "a line entry without an act": north([*own(1), replace(own(1)[1], act_id=None)]),
    "a line entry without octets": north([*own(1), replace(own(1)[1], octets=None)]),
    "a line entry without an addressee": north([*own(1), replace(own(1)[1], fields=())]),
    "an addressee that is text": north([*own(1), replace(own(1)[1], fields=(("to", "2"),))]),
    "an unsigned act": north([*own(1), replace(line_entry(void(NORTH, 2)), signature=None)]),
    "an act that another signed": north(
        [*own(1), replace(line_entry(void(NORTH, 2)), signature=bytes(64))]
    ),
    "an act to another than it was signed for": north(
        [*own(1), replace(line_entry(void(NORTH, 2)), fields=(("to", 9),))]
    ),
    "an act signed under another id": north(
        [*own(1), replace(line_entry(void(NORTH, 3)), act_id=act_id(NORTH, 2))]
    ),
    "a signed act that cannot be read": north([start(NORTH), UNREADABLE]),
    "acts without a card": lambda: alone(audited(BOOK, given={SOUTH: CARDS[SOUTH]})),
    "acts without any card": lambda: alone(
        audited(chained([*own(2), replace(ROGER, event=RECEIVED)]), given={})
    ),
    "an earlier card": lambda: alone(audited(BOOK, given={NORTH: [cards()[1], cards()[0]]})),
    "a head without a card": lambda: alone(audited(chained([]), signed_head(BOOK), given={})),
    "a head that nobody signed": north(own(5), replace(signed_head(BOOK), signature=bytes(64))),
    "a head of another station": north(own(5), signed_head(BOOK, SOUTH)),
    "an end that was cut": lambda: alone(audited(BOOK[:4], signed_head(BOOK))),
    "an end of one that was cut": lambda: alone(audited(BOOK[:5], signed_head(BOOK))),
    "a book written anew": lambda: alone(audited(NEW, signed_head(BOOK))),
    "a head of the first entry only": lambda: alone(audited(NEW, signed_head(BOOK, number=1))),
    "a head of a missing entry": lambda: alone(
        audited(without(BOOK, 3), signed_head(BOOK, number=3))
    ),
    "a countersign of what was there before": north(with_countersign(5, 5, NEW)),
    "countersigns before and behind": north(
        [
            *own(2),
            line_entry(countersign(NORTH, 3, head_at(BOOK, 3))),
            line_entry(countersign(NORTH, 4, head_at(NEW, 4))),
        ]
    ),
    "a book written anew behind a countersign": north(
        [*own(2), line_entry(countersign(NORTH, 3, head_at(BOOK, 3))), *own(5)[4:]],
        signed_head(BOOK),
    ),
    "a countersign beyond the end": north(with_countersign(1, 5, BOOK)),
    "a start that found another book": north([*own(5), FORMER]),
    "a start that found what is no head": north(
        [*own(5), replace(FORMER, fields=((HEAD_FIELD, b"\x00"),))]
    ),
    "a start that found the head of another": north(
        [*own(5), replace(FORMER, fields=((HEAD_FIELD, encode_head(signed_head(NEW, SOUTH))),))]
    ),
    "a start that found a forged head": north(
        [
            *own(5),
            replace(
                FORMER,
                fields=((HEAD_FIELD, encode_head(replace(signed_head(NEW), signature=bytes(64)))),),
            ),
        ]
    ),
    "a start that tells no number": north(
        [replace(start(NORTH), fields=(("station", "1"),)), *own(2)[1:]]
    ),
    "an act is left out": north([*own(1), *own(3)[3:]]),
    "the first act is left out": north([start(NORTH), *own(2)[2:]]),
    "acts are left out": north([*own(1), *own(5)[5:]]),
    "an act that may stand in a missing entry": lambda: alone(
        audited(without(chained([*own(1), start(NORTH), *own(3)[3:]]), 3))
    ),
    "acts in another order": north([start(NORTH), own(3)[1], own(3)[3], own(3)[2]]),
    "two epochs that join": north(
        joined((FIRST, 2, NEVER), (SECOND, 2, Previous(FIRST, Serial(2))))
    ),
    "the last act of an epoch is left out": north(
        joined((FIRST, 2, NEVER), (SECOND, 2, Previous(FIRST, Serial(3))))
    ),
    "an epoch is left out": north(joined((SECOND, 2, Previous(FIRST, Serial(3))))),
    "an epoch goes on behind the next one": north(
        joined((FIRST, 3, NEVER), (SECOND, 2, Previous(FIRST, Serial(2))))
    ),
    "an epoch before the one that it follows": north(
        joined((SECOND, 2, Previous(FIRST, Serial(2))), (FIRST, 2, NEVER))
    ),
    "an epoch whose end may stand in a missing entry": lambda: alone(
        audited(
            without(
                chained(
                    [
                        *joined((FIRST, 2, NEVER)),
                        start(NORTH),
                        *joined((SECOND, 1, Previous(FIRST, Serial(3))))[1:],
                    ]
                ),
                4,
            )
        )
    ),
    "no start, own acts": north(own(2)[1:]),
    "no start, acts that came": north(heard(2, NORTH)[1:]),
    "an own act is left out of a book that begins with far acts": north(
        [*heard(1, NORTH), own(1)[1], own(3)[3]]
    ),
    "damage behind the last entry written twice": lambda: alone(
        audited(file_of([*BOOK[:4], BOOK[3]]) + torn(BOOK, 4, 30) + file_of(BOOK[4:]))
    ),
    "far acts have holes": north([start(NORTH), *heard(5, NORTH)[4:]]),
    "several faults, in the order of their entries": lambda: alone(
        audited(
            [BOOK[0], replace(BOOK[1], hash=bytes(32)), *BOOK[2:4], *BOOK[5:]],
            signed_head(NEW, number=4),
        )
    ),
}

TWO_BOOKS: dict[str, Callable[[], list[str]]] = {
    "two sound books": pair(own(3), heard(3)),
    "an act that the author left out": pair(own(2), heard(3)),
    "the only act that the author left out": pair(own(0), heard(1)),
    "an act that the author left out, unsigned": pair(
        own(2), [*heard(2), replace(line_entry(void(NORTH, 3), RECEIVED), signature=None)]
    ),
    "an act of an epoch that the author left out": pair(
        own(2),
        [
            *heard(2),
            line_entry(void(NORTH, 1, SECOND, Previous(FIRST, Serial(2))), RECEIVED),
        ],
    ),
    "two acts under one id": pair(
        own(2),
        [*heard(1), line_entry(answer(NORTH, 2, act_id(SOUTH, 1)), RECEIVED)],
    ),
    "two acts under one id, one unsigned": pair(
        [*own(1), replace(own(2)[2], signature=None)],
        [*heard(1), line_entry(answer(NORTH, 2, act_id(SOUTH, 1)), RECEIVED)],
    ),
    "two acts under one id, one signed under another": pair(
        own(2),
        [*heard(1), replace(line_entry(void(NORTH, 3), RECEIVED), act_id=act_id(NORTH, 2))],
    ),
    "an act that the author left out, with acts of a later epoch behind it": pair(
        joined((FIRST, 1, NEVER), (SECOND, 2, Previous(FIRST, Serial(2)))),
        [
            start(SOUTH),
            *heard_of(joined((FIRST, 2, NEVER), (SECOND, 2, Previous(FIRST, Serial(2)))), NORTH),
        ],
    ),
    "acts under way": pair(own(3), heard(1)),
    "an act that the reader answered and left out": pair(
        [*own(3), replace(ROGER, event=RECEIVED)], [heard(3)[0], heard(3)[1], ROGER]
    ),
    "acts that the reader countersigned and left out": pair(
        [*own(3), *heard_of(witnessed(None, ALL), SOUTH)],
        [heard(3)[0], heard(3)[2], *heard_of(witnessed(None, ALL), SOUTH)],
    ),
    "the first act, countersigned alone and left out": pair(
        [*own(1), *heard_of(witnessed(None, Previous(FIRST, Serial(1))), SOUTH)],
        [start(SOUTH), *heard_of(witnessed(None, Previous(FIRST, Serial(1))), SOUTH)],
    ),
    "acts of an epoch that no countersign names": pair(
        [*own(3), *heard_of(witnessed(None, Previous(SECOND, Serial(9))), SOUTH)],
        [*heard(2), *heard_of(witnessed(None, Previous(SECOND, Serial(9))), SOUTH)],
    ),
    "a book that its author countersigned, written anew": pair(
        own(5), [*heard(5), line_entry(countersign(NORTH, 6, head_at(NEW, 5)), RECEIVED)]
    ),
    "a book that its author countersigned, cut": pair(
        own(2), [*heard(2), line_entry(countersign(NORTH, 3, head_at(BOOK, 5)), RECEIVED)]
    ),
    "what both books show is told once": pair(
        with_countersign(5, 5, NEW),
        [*heard(5), line_entry(countersign(NORTH, 6, head_at(NEW, 5)), RECEIVED)],
    ),
    "own words of a book written anew do not count against the far book's": pair(
        [*own(2), line_entry(countersign(NORTH, 3, head_at(BOOK, 3))), *own(5)[4:]],
        [*heard(5), line_entry(countersign(NORTH, 6, head_at(BOOK, 6)), RECEIVED)],
    ),
    "a true word about the far book": pair(
        [*own(3), *heard_of(witnessed(BookHead(4, BOOK[3].hash[:16])), SOUTH)],
        witnessed(BookHead(4, BOOK[3].hash[:16])),
    ),
    "an unfounded word about the far book": pair(
        [*own(3), *heard_of(witnessed(BookHead(4, NEW[3].hash[:16])), SOUTH)],
        witnessed(BookHead(4, NEW[3].hash[:16])),
    ),
    "an unfounded word about the last entry of the far book, behind others": pair(
        [*own(3), *heard_of(words_of_three(), SOUTH)], words_of_three()
    ),
    "a word about an entry that the far book has not yet": pair(
        [*own(3), *heard_of(witnessed(BookHead(9, NEW[3].hash[:16])), SOUTH)],
        witnessed(BookHead(9, NEW[3].hash[:16])),
    ),
}


def paragraphs() -> dict[str, list[str]]:
    text = (Path(__file__).parent / "sentences/logbook.txt").read_text()
    blocks = [block.splitlines() for block in text.strip().split("\n\n")]
    return {name: lines for name, *lines in blocks}


EXPECTED = paragraphs()


@pytest.mark.parametrize("name", [*ONE_BOOK, *TWO_BOOKS])
def test_what_is_wrong_is_named_with_place_and_party(name: str) -> None:
    """Everything that is found of a book or of two, and nothing else."""
    assert (ONE_BOOK | TWO_BOOKS)[name]() == EXPECTED[name]


def test_every_paragraph_belongs_to_a_book() -> None:
    """What nobody checks is not written down."""
    assert [*EXPECTED] == [*ONE_BOOK, *TWO_BOOKS]


def test_two_books_are_judged_alike_in_either_order() -> None:
    """Who is named first changes nothing but the order of equals."""
    one = audited(chained(with_countersign(3, 3, NEW)), label="north")
    two = audited(chained(heard(2)), label="south")
    assert sorted(together(one, two)) == sorted(together(two, one))


def test_a_sound_book_gives_what_a_comparison_needs() -> None:
    """Owner, hashes, head, and each act with its place, whoever has it."""
    entries = [*own(2), replace(ROGER, event=RECEIVED)]
    records = chained(entries)
    head = signed_head(records)
    book = audited(records, head, parts=2)
    assert (book.label, book.owner, book.head, book.count) == ("north", NORTH, head, 4)
    assert book.hashes == [row.hash for row in records]
    assert (book.line_count, book.finding_count, book.unchecked) == (3, 0, {})
    assert {route: [*acts] for route, acts in book.lines.items()} == {
        (NORTH, SOUTH): [act_id(NORTH, 1), act_id(NORTH, 2)],
        (SOUTH, NORTH): [act_id(SOUTH, 1)],
    }
    [(number, line)] = book.lines[SOUTH, NORTH][act_id(SOUTH, 1)]
    assert (number, line.is_received, line.is_proven, line.problem) == (4, True, True, None)
    assert line.bonds is not None
    assert line.bonds.reference == act_id(NORTH, 2)


def test_findings_are_bounded_but_counted() -> None:
    """The first hundred are told; of two books twice as many."""
    count = FINDING_COUNT_MAX + 5
    records = chained(own(2 * count))
    book = audited([row for row in records if row.number % 2])
    assert len(book.findings) == FINDING_COUNT_MAX
    assert book.finding_count == count
    empty, full = audited(chained(own(0))), audited(chained(heard(2 * count)), label="south")
    found = compare(empty, full)
    assert len(found.findings) == 2 * FINDING_COUNT_MAX
    assert found.finding_count == 2 * count


@pytest.mark.parametrize(
    ("one", "two", "words"),
    [
        (own(1), heard(1), None),
        ([], heard(1), "north does not tell whose book it is: it holds no start and no act"),
        (own(1), [], "south does not tell whose book it is: it holds no start and no act"),
        (own(1), own(2), "north and south are both of station 1"),
    ],
)
def test_which_books_belong_together(one: list[Entry], two: list[Entry], words: str | None) -> None:
    """Two books of one line, each of another station."""
    books = audited(chained(one), label="north"), audited(chained(two), label="south")
    assert can_compare(*books) == words
