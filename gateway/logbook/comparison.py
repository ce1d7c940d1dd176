"""Two log books of one line against each other: each side is the other's witness.

What counts are signed acts. An act that one side signed and the other holds must stand in both; an
act that the far side shows to have had must stand there too. A machine receipt proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway.logbook.audit import (
    FINDING_COUNT_MAX,
    Book,
    Finding,
    check_heads,
    own_heads,
    vouched_alone,
)
from gateway.logbook.examine import Line
from gateway.model import ActId, Epoch, Station

_FAR_HASH_SIZE: Final = 16
"""Octets of a hash in a countersign's words about the far book."""

Entries = list[tuple[int, Line]]
Acts = dict[ActId, Entries]


@dataclass(slots=True)
class Comparison:
    """What two books say of each other."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    shared_count: int = 0
    """Acts that stand in both, alike."""
    finding_count: int = 0
    """Of all; twice `FINDING_COUNT_MAX` are told."""

    def has_room(self) -> bool:
        """Count a finding; whether it is to be told."""
        self.finding_count += 1
        return self.finding_count <= 2 * FINDING_COUNT_MAX


def compare(one: Book, other: Book) -> Comparison:
    """Findings against either party, in the order of the entries that they name.

    Both books must have an owner, and not the same (`can_compare`).
    """
    found = Comparison()
    for mine, theirs in ((one, other), (other, one)):
        assert mine.owner is not None
        assert theirs.owner is not None
        _compare_direction(mine, theirs, found)
        _compare_heads(mine, theirs, found)
    found.findings.sort(key=lambda finding: finding.place)
    return found


def can_compare(one: Book, other: Book) -> str | None:
    """Why two books have nothing to do with each other, as a sentence; None: they are of a line."""
    for book in (one, other):
        if book.owner is None:
            return f"{book.label} does not tell whose book it is: it holds no start and no act"
    if one.owner == other.owner:
        return f"{one.label} and {other.label} are both of station {one.owner}"
    return None


def _compare_direction(author: Book, reader: Book, found: Comparison) -> None:
    """The acts that the owner of `author` says to the owner of `reader`."""
    assert author.owner is not None
    assert reader.owner is not None
    route = (author.owner, reader.owner)
    said: Acts = author.lines.get(route, {})
    heard: Acts = reader.lines.get(route, {})
    for act_id, entries in heard.items():
        if act_id not in said:
            _not_in_author(author, reader, act_id, entries, found)
        else:
            _judge_both(author, reader, act_id, (said[act_id], entries), found)
    witnesses = _shown_by(reader.owner, said, author, reader)
    pending: list[ActId] = []
    for act_id, entries in said.items():
        if act_id in heard:
            continue
        if act_id in witnesses:
            _not_in_reader(author, reader, act_id, entries, witnesses[act_id], found)
        else:
            pending.append(act_id)
    if pending:
        found.notes.append(
            f"{len(pending)} acts of {author.label} from {pending[0]} on are not in"
            f" {reader.label}, which nothing shows to have had them: perhaps still under way"
        )


def _not_in_author(
    author: Book, reader: Book, act_id: ActId, entries: Entries, found: Comparison
) -> None:
    number, line = entries[0]
    # Where nothing proves that the author said it, the reader's book is accused already.
    if not line.is_proven or not found.has_room():
        return
    place = _place_of(author, reader, act_id)
    found.findings.append(
        Finding(
            "missing_act",
            author.owner,
            place,
            f"{author.label}: act {act_id} is missing, behind entry {place - 1};"
            f" {reader.label} holds it as entry {number}",
            act_id,
            f"the signature of station {author.owner} under it",
        )
    )


def _place_of(author: Book, reader: Book, act_id: ActId) -> int:
    """The entry behind the last own act that came before this one: there it should stand."""
    route = next(route for route, acts in reader.lines.items() if act_id in acts)
    before = [
        entries[0][0]
        for (originator, _), acts in author.lines.items()
        for other, entries in acts.items()
        if originator == act_id.originator
        and other.epoch == act_id.epoch
        and other.serial < act_id.serial
    ]
    return max(before, default=_neighbour(act_id, reader.lines[route], author.lines[route])) + 1


def _judge_both(
    author: Book, reader: Book, act_id: ActId, both: tuple[Entries, Entries], found: Comparison
) -> None:
    said, heard = both
    known = {line.digest for _, line in said}
    for number, line in heard:
        if line.digest in known:
            found.shared_count += 1
            continue
        is_proven = line.is_proven and any(own.is_proven for _, own in said)
        # The side whose copy nobody signed is accused by its own book already.
        if not is_proven or not found.has_room():
            continue
        found.findings.append(
            Finding(
                "two_versions",
                author.owner,
                said[0][0],
                f"{author.label}: act {act_id} in entry {said[0][0]} is another than in entry"
                f" {number} of {reader.label}; station {author.owner} signed both",
                act_id,
                f"two signatures of station {author.owner} under one id",
            )
        )


def _not_in_reader(
    author: Book, reader: Book, act_id: ActId, entries: Entries, witness: str, found: Comparison
) -> None:
    if not found.has_room():
        return
    place = _place_in_reader(author, reader, act_id)
    found.findings.append(
        Finding(
            "missing_act",
            reader.owner,
            place,
            f"{reader.label}: act {act_id} is missing, behind entry {place - 1};"
            f" {author.label} holds it as entry {entries[0][0]}, and {witness} shows that it came",
            act_id,
            f"the signature of station {reader.owner} under {witness}",
        )
    )


def _place_in_reader(author: Book, reader: Book, act_id: ActId) -> int:
    """Behind the last act before it that did come. Acts may overtake: an estimate from below."""
    assert author.owner is not None
    assert reader.owner is not None
    heard = reader.lines.get((author.owner, reader.owner), {})
    before = [
        entries[0][0]
        for other, entries in heard.items()
        if other.epoch == act_id.epoch and other.serial < act_id.serial
    ]
    said = author.lines[author.owner, reader.owner]
    return max(before, default=_neighbour(act_id, said, heard)) + 1


def _neighbour(act_id: ActId, there: Acts, here: Acts) -> int:
    """The entry here of the last act that stands before this one there; 0: there is none. For the
    first act of an epoch, and where a whole epoch is missing.
    """
    place = there[act_id][0][0]
    return max(
        (here[one][0][0] for one in there if one in here and there[one][0][0] < place), default=0
    )


def _shown_by(owner: Station, said: Acts, *books: Book) -> dict[ActId, str]:
    """Acts of the far side which a station's own signed acts show that it had: by which act."""
    shown: dict[ActId, str] = {}
    until: dict[Epoch, tuple[int, str]] = {}
    for book in books:
        for act_id, line in _signed_by(owner, book):
            assert line.bonds is not None
            reference = line.bonds.reference
            if reference is not None and reference.originator != owner:
                shown.setdefault(reference, f"its act {act_id}")
            for received in line.bonds.witness.received if line.bonds.witness else ():
                epoch = Epoch(received.epoch)
                if received.serial > until.get(epoch, (0, ""))[0]:
                    until[epoch] = (received.serial, f"its countersign {act_id}")
    for act_id in said:
        serial, countersign = until.get(act_id.epoch, (0, ""))
        if act_id.serial <= serial:
            shown.setdefault(act_id, countersign)
    return shown


def _signed_by(owner: Station, book: Book) -> Iterator[tuple[ActId, Line]]:
    """Acts of a station in a book that its signature proves and that can be read."""
    for (originator, _), acts in book.lines.items():
        if originator != owner:
            continue
        for act_id, entries in acts.items():
            for _, line in entries:
                if line.bonds is not None:
                    yield act_id, line


def _compare_heads(author: Book, reader: Book, found: Comparison) -> None:
    """The author's book against what it signed of it, as the reader's book has kept that."""
    assert author.owner is not None
    assert reader.owner is not None
    kept = own_heads(reader, author.owner)
    own = [*vouched_alone(author), *kept]
    before = Book(
        author.label, author.owner, author.hashes, head=author.head, line_count=author.line_count
    )
    check_heads(before, own, kept)
    known = [(finding.code, finding.entry, finding.until) for finding in author.findings]
    for finding in before.findings:
        # What the book alone shows is told with it; a witness may place it better.
        if (finding.code, finding.entry, finding.until) not in known and found.has_room():
            found.findings.append(finding)
    vouched = {(head.number, head.hash[:_FAR_HASH_SIZE]) for head in own}
    for act_id, line in _signed_by(reader.owner, reader):
        assert line.bonds is not None
        far = line.bonds.witness.far_head if line.bonds.witness else None
        if far is None or far in vouched:
            continue
        entry_hash = author.hashes[far.number - 1] if far.number <= author.count else None
        if entry_hash is None or entry_hash[:_FAR_HASH_SIZE] == far.hash or not found.has_room():
            continue
        found.findings.append(
            Finding(
                "unfounded_claim",
                reader.owner,
                None,
                f"{reader.label}: countersign {act_id} says a hash of entry {far.number} of"
                f" {author.label} which that book has not, and nothing that station"
                f" {author.owner} signed has it",
                act_id,
            )
        )
