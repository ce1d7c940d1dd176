"""One log book on trial: what its octets, its chain, its signed acts and its signed head tell.

`BookAudit` takes the parts of a book in their order and gives a `Book`: findings, each with the
first entry that it names, notes that accuse nobody, and what `comparison` needs. One book alone
betrays all but a clean cut at its end and a book that its holder wrote anew as a whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.errors import DecodeError
from gateway.logbook.chain import GENESIS, next_hash
from gateway.logbook.examine import Cards, Line, Part, Seen
from gateway.logbook.head import SignedHead, decode_head, is_head_of
from gateway.logbook.segment import Damage, is_torn
from gateway.model import ActId, Epoch, Previous, Serial, Station

FINDING_COUNT_MAX: Final = 100
"""Findings that are told of one book; more are counted."""

Route = tuple[Station, Station]
"""(originator, addressee): the acts of one direction of a line."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, where, and whose doing or book it is."""

    code: str
    """A stable word for programs: `chain`, `missing_entry`, `signature`, `missing_act` ..."""
    party: Station | None
    """Whose book or whose word it is; None: unknown."""
    entry: int | None
    """The first entry of that party's book that is wrong, or where one is missing."""
    sentence: str
    act_id: ActId | None = None
    proof: str | None = None
    """What proves it to a third party; None: nothing but the book itself."""
    until: int | None = None
    """Where only a stretch is known: `entry` to this."""

    @property
    def place(self) -> int:
        """To sort by: what is known exactly comes before the stretch that encloses it."""
        return self.until or self.entry or 0


@dataclass(slots=True)
class Book:
    """What an audit found of one book."""

    label: str
    """How the operator calls it."""
    owner: Station | None = None
    hashes: list[bytes | None] = field(default_factory=list)
    """Of entry 1, 2 ...; None: that entry is missing."""
    lines: dict[Route, dict[ActId, list[tuple[int, Line]]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    """Line entries with their numbers."""
    head: SignedHead | None = None
    """Only one whose signature holds."""
    former_heads: list[Vouched] = field(default_factory=list)
    """Signed ones that the book contradicted when its gateway started."""
    findings: list[Finding] = field(default_factory=list)
    finding_count: int = 0
    notes: list[str] = field(default_factory=list)
    unchecked: dict[Station, int] = field(default_factory=dict)
    """Acts of stations whose card was not given."""
    line_count: int = 0

    @property
    def count(self) -> int:
        """The number of the last entry."""
        return len(self.hashes)

    def has(self, head: Vouched) -> bool:
        """Whether its entry is as vouched for; a missing one is told otherwise."""
        if head.number > self.count:
            return False
        found = self.hashes[head.number - 1]
        return found is None or found[: len(head.hash)] == head.hash

    def find(self, finding: Finding) -> None:
        self.finding_count += 1
        if len(self.findings) < FINDING_COUNT_MAX:
            self.findings.append(finding)

    def accuse(
        self,
        code: str,
        entry: int | None,
        problem: str,
        act_id: ActId | None = None,
        until: int | None = None,
    ) -> None:
        """A finding against this book."""
        where = self.label if entry is None else f"{self.label}: entry {entry}"
        sentence = f"{where} {problem}"
        self.find(Finding(code, self.owner, entry, sentence, act_id, until=until))


@dataclass(slots=True)
class _Again:
    """A run of entries that stand in the book once more, alike."""

    file: str
    start: int
    next: int


class BookAudit:
    """Joins the parts of one book."""

    def __init__(self, label: str) -> None:
        self._book = Book(label)
        self._previous: bytes | None = GENESIS
        self._damage: list[tuple[str, Damage]] = []
        self._again: _Again | None = None
        self._begun: list[bytes] = []
        """Records from the last damage or repetition on: a torn write began like one of them."""
        self._former_heads: list[tuple[int, bytes]] = []

    def add(self, part: Part, *, file: str) -> None:
        """The next part; `file` is where it stands, for people."""
        for item in part.items:
            if isinstance(item, Damage):
                self._damage.append((file, item))
            else:
                self._entry(item, file)

    def finish(self, cards: Cards, head: SignedHead | None = None) -> Book:
        """The whole book. `head` is the signed head that lies beside it."""
        book = self._book
        # At the end nobody knows what was begun there, or how far it would have gone.
        self._judge_again(is_end=True)
        self._judge_damage(is_explained=True)
        if head is not None:
            self._head(cards, head)
        if book.owner is None:
            book.owner = _owner_by_lines(book)
        if book.owner is not None:
            for number, octets in self._former_heads:
                self._former_head(cards, book.owner, number, octets)
            _check_own_acts(book, book.owner)
            check_heads(book, vouched_alone(book))
        # The owner may have become known after the first of them.
        book.findings = [
            finding if finding.party is not None else replace(finding, party=book.owner)
            for finding in book.findings
        ]
        book.findings.sort(key=lambda finding: finding.place)
        for station, count in sorted(book.unchecked.items()):
            book.notes.append(
                f"{book.label}: {count} acts of station {station} were not checked; give its card"
            )
        return book

    def _entry(self, seen: Seen, file: str) -> None:
        book = self._book
        expected = book.count + 1
        if seen.record and (self._damage or self._again or seen.number < expected):
            self._begun.append(seen.record)
        if seen.number < expected:
            self._stands_again(seen, file)
            return
        self._judge_again()
        self._judge_damage(has_gap=seen.number > expected, is_explained=not seen.record)
        self._begun.clear()
        if seen.number > expected:
            last = seen.number - 1
            what = "is" if last == expected else f"to {last} are"
            book.accuse("missing_entry", expected, f"{what} missing; {seen.number} follows")
            book.hashes += [None] * (seen.number - expected)
            self._previous = None
        follows = seen.follows
        if follows is None and self._previous is not None:
            follows = next_hash(self._previous, seen.octets) == seen.hash
        if follows is False:
            book.accuse("chain", seen.number, "was changed, or the one before it: the hash differs")
        book.hashes.append(seen.hash)
        self._previous = seen.hash
        if seen.station is not None and book.owner is None:
            book.owner = Station(seen.station)
        if seen.problem is not None:
            book.accuse("entry", seen.number, seen.problem)
        if seen.line is not None:
            self._line(seen.number, seen.line)
        if seen.head is not None:
            self._former_heads.append((seen.number, seen.head))

    def _stands_again(self, seen: Seen, file: str) -> None:
        """An entry that the book has, or should have had before."""
        book = self._book
        known = book.hashes[seen.number - 1]
        if known == seen.hash:
            again = self._again
            if again is not None and seen.number == again.next:
                again.next += 1
                return
            if again is not None and seen.number != again.start:
                self._judge_again()
            self._again = _Again(file, seen.number, seen.number + 1)
        elif known is None:
            book.accuse("order", seen.number, f"stands behind entry {book.count}")
            book.hashes[seen.number - 1] = seen.hash
            if seen.line is not None:
                self._line(seen.number, seen.line)
        else:
            book.accuse("twice", seen.number, "stands there twice, differently")

    def _judge_again(self, *, is_end: bool = False) -> None:
        """A full disk cuts a batch, which is then written once more, up to where it had come and
        on from there; what else stands there alike was put there.
        """
        again, self._again = self._again, None
        if again is None:
            return
        book = self._book
        last = again.next - 1
        what = "stands" if last == again.start else f"and those up to {last} stand"
        if is_end or last == book.count:
            book.notes.append(f"{again.file}: entry {again.start} {what} twice, alike: a full disk")
        else:
            book.accuse(
                "twice",
                again.start,
                f"{what} again behind entry {book.count}, alike, where no full disk leaves them:"
                " someone put them there",
            )

    def _line(self, number: int, line: Line) -> None:
        book = self._book
        book.line_count += 1
        originator = line.act_id.originator
        if line.problem is not None:
            book.accuse(
                "signature", number, f"holds act {line.act_id}, which {line.problem}", line.act_id
            )
        elif not line.is_proven:
            book.unchecked[originator] = book.unchecked.get(originator, 0) + 1
        acts = book.lines[originator, line.to]
        acts.setdefault(line.act_id, []).append((number, line))

    def _judge_damage(self, *, has_gap: bool = False, is_explained: bool = False) -> None:
        """Damage is no finding where the entries that it cost are one, or where a full disk left
        it: then it is the beginning of what follows.
        """
        book = self._book
        for file, damage in self._damage:
            what = f"{damage.size} octets at {damage.offset} are no entry"
            if has_gap:
                book.notes.append(f"{file}: {what}; entries are missing there")
            elif is_explained or is_torn(damage.octets, self._begun):
                book.notes.append(f"{file}: {what}; no entry is missing before the next")
            else:
                book.accuse(
                    "octets",
                    book.count + 1,
                    f"follows {what}, nor a begun one ({file}): someone put them there, or a"
                    " failing card",
                )
        self._damage.clear()

    def _head(self, cards: Cards, head: SignedHead) -> None:
        book = self._book
        known = cards.get(head.station, ())
        if book.owner is None:
            book.owner = head.station
        if not known:
            book.notes.append(
                f"{book.label}: its head is not checked; give the card of station {head.station}"
            )
            return
        if not any(is_head_of(card, head) for card in known):
            book.accuse("head", None, f"has a head that {known[0].name} did not sign")
            return
        if head.station != book.owner:
            book.accuse("head", None, f"is of station {book.owner}, its head of {known[0].name}")
            return
        book.head = head

    def _former_head(self, cards: Cards, owner: Station, number: int, octets: bytes) -> None:
        """A start found it beside the book: if the owner signed it, it convicts the book."""
        try:
            head = decode_head(octets)
        except DecodeError:
            return
        if head.station == owner and any(is_head_of(card, head) for card in cards.get(owner, ())):
            said_by = f"a head signed by station {owner}, kept in entry {number}"
            self._book.former_heads.append(Vouched(head.number, head.hash, said_by))


@dataclass(frozen=True, slots=True)
class Vouched:
    """What a station signed of its own book."""

    number: int
    hash: bytes
    said_by: str
    """For people: by which act, or that it is the head beside the book."""


def check_heads(
    book: Book, vouched: Sequence[Vouched], kept_elsewhere: Sequence[Vouched] = ()
) -> None:
    """Whether the book is as its owner signed that it was; one finding for what is not.

    The last head that holds and the first that does not enclose the first entry written anew. Of
    those that hold, count what is `kept_elsewhere`, if anything is: the holder may sign others.
    """
    for head in sorted(vouched, key=lambda head: head.number):
        if head.number > book.count:
            end = book.count + 1
            sentence = (
                f"entries {end} to {head.number} were cut off its end: {head.said_by} has them"
            )
            book.find(
                Finding("cut", book.owner, end, f"{book.label}: {sentence}", proof=head.said_by)
            )
            return
        if not book.has(head):
            held = [one.number for one in kept_elsewhere or vouched if book.has(one)]
            good = max((number for number in held if number < head.number), default=0)
            which = f"entry {head.number}"
            if good + 1 < head.number:
                which = f"one or more of entries {good + 1} to {head.number}"
            sentence = f"{which} written anew: {head.said_by} has another hash of {head.number}"
            book.find(
                Finding(
                    "rewritten",
                    book.owner,
                    good + 1,
                    f"{book.label}: {sentence}",
                    proof=head.said_by,
                    until=head.number,
                )
            )
            return


def vouched_alone(book: Book) -> list[Vouched]:
    """What this book itself has of its owner's signature under its state."""
    assert book.owner is not None
    vouched = own_heads(book, book.owner) + book.former_heads
    if book.head is not None:
        said_by = f"the head signed by station {book.owner}"
        vouched.append(Vouched(book.head.number, book.head.hash, said_by))
    return vouched


def own_heads(book: Book, owner: Station) -> list[Vouched]:
    """What a station signed of its own book in the acts that a book holds."""
    return [
        Vouched(
            line.bonds.witness.head.number,
            line.bonds.witness.head.hash,
            f"countersign {act_id} signed by station {owner}, entry {number} of {book.label}",
        )
        for (originator, _), acts in book.lines.items()
        if originator == owner
        for act_id, entries in acts.items()
        for number, line in entries
        if line.bonds is not None and line.bonds.witness is not None
    ]


def _owner_by_lines(book: Book) -> Station | None:
    for (originator, to), acts in book.lines.items():
        for entries in acts.values():
            return to if entries[0][1].is_received else originator
    return None


def _check_own_acts(book: Book, owner: Station) -> None:
    """The serials of each own epoch have no hole, and each epoch names the last act before it."""
    for (originator, _), acts in book.lines.items():
        if originator != owner:
            continue
        serials: dict[Epoch, dict[Serial, int]] = defaultdict(dict)
        joints: list[tuple[int, ActId, Previous]] = []
        for act_id, entries in acts.items():
            number, line = entries[0]
            serials[act_id.epoch].setdefault(act_id.serial, number)
            if line.bonds is not None and line.bonds.previous is not None:
                joints.append((number, act_id, line.bonds.previous))
        for epoch, numbers in serials.items():
            _check_dense(book, owner, epoch, numbers)
        for number, act_id, previous in joints:
            if previous.serial:
                before = serials.get(Epoch(previous.epoch), {})
                _check_joint(book, number, act_id, previous, before)


def _check_dense(book: Book, owner: Station, epoch: Epoch, numbers: dict[Serial, int]) -> None:
    expected, last_entry = 1, 0
    for serial in sorted(numbers):
        number = numbers[serial]
        if serial != expected and not _has_gap(book, last_entry, number):
            missing = ActId(owner, epoch, Serial(expected))
            book.accuse(
                "missing_act",
                last_entry + 1,
                f"or one up to {number} should be act {missing}: its serial is left out",
                missing,
                number,
            )
        if number < last_entry:
            book.accuse(
                "order",
                number,
                f"holds serial {serial}, before serial {expected - 1} which came first",
            )
        expected, last_entry = serial + 1, number


def _check_joint(
    book: Book, number: int, act_id: ActId, previous: Previous, before: dict[Serial, int]
) -> None:
    """The first act of an epoch names the last of the epoch before it."""
    last = max(before, default=Serial(0))
    if last != previous.serial:
        if not _has_gap(book, before.get(last, 0), number):
            missing = act_id._replace(epoch=Epoch(previous.epoch), serial=Serial(previous.serial))
            book.accuse(
                "missing_act",
                before.get(last, 0) + 1,
                f"or one up to {number} should be act {missing}: entry {number} names it as the"
                f" last before it, and the book has {last} of that epoch",
                missing,
                number,
            )
    elif before[last] > number:
        book.accuse("order", number, f"holds act {act_id}, before the one that it names as earlier")


def _has_gap(book: Book, after: int, before: int) -> bool:
    """Whether entries between these are missing: that is told, and what they held is unknown."""
    low, high = min(after, before), max(after, before)
    return None in book.hashes[low : high - 1]
