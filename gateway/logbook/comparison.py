"""Two log books of one line against each other: each side is the other's witness.

What counts are signed acts. An act that one side signed and the other holds must stand in both; an
act that the far side shows to have had must stand there too. A machine receipt proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.logbook.audit import Book, Finding
from gateway.logbook.examine import Line
from gateway.model import ActId, Station

Entries = list[tuple[int, Line]]
Acts = dict[ActId, Entries]


@dataclass(slots=True)
class Comparison:
    """What two books say of each other."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    shared_count: int = 0
    """Acts that stand in both, alike."""


def compare(one: Book, other: Book) -> Comparison:
    """Findings against either party, in the order of the entries that they name.

    Both books must have an owner, and not the same (`can_compare`).
    """
    found = Comparison()
    for mine, theirs in ((one, other), (other, one)):
        assert mine.owner is not None
        assert theirs.owner is not None
        _compare_direction(mine, theirs, found)
    found.findings.sort(key=lambda finding: finding.entry or 0)
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
    witnesses = _references_of(reader.owner, author, reader)
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
    if not line.is_proven:
        return  # said of the reader's book already: nothing proves that the author said it
    place = _place_of(author, act_id)
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


def _place_of(author: Book, act_id: ActId) -> int:
    """The entry behind the last own act that came before this one: there it should stand."""
    before = [
        entries[0][0]
        for (originator, _), acts in author.lines.items()
        for other, entries in acts.items()
        if originator == act_id.originator
        and other.epoch == act_id.epoch
        and other.serial < act_id.serial
    ]
    return max(before, default=0) + 1


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
        if not is_proven:
            # The side whose copy nobody signed is accused by its own book already.
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
    return max(before, default=0) + 1


def _references_of(owner: Station, *books: Book) -> dict[ActId, str]:
    """Acts of the far side that a station's own signed acts name: it had them."""
    shown: dict[ActId, str] = {}
    for book in books:
        for (originator, _), acts in book.lines.items():
            if originator != owner:
                continue
            for act_id, entries in acts.items():
                for _, line in entries:
                    reference = line.bonds.reference if line.bonds and line.is_proven else None
                    if reference is not None and reference.originator != owner:
                        shown.setdefault(reference, f"its act {act_id}")
    return shown
