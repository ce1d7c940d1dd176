"""A part of a book, entry by entry: what each says, whether it follows, whether its act is signed.

The costly half of an audit. It needs nothing but the octets and the cards, so parts of a book can
be examined side by side in several processes; `audit` joins what they found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gateway.errors import AuthenticationError, DecodeError
from gateway.logbook.chain import next_hash
from gateway.logbook.entry import (
    ADDRESSEE_FIELD,
    DIFFERS,
    HEAD_FIELD,
    RECEIVED,
    START,
    STATION_FIELD,
    Entry,
)
from gateway.logbook.segment import Damage, Record, encode_record, read_items
from gateway.model import ActId, Station
from gateway.security.cards import Card
from gateway.security.signature import verify_act
from gateway.wire.head import Bonds, read_bonds


class Line(NamedTuple):
    """A line entry: a signed act."""

    act_id: ActId
    to: Station
    is_received: bool
    digest: bytes
    """SHA-256 of the act. Its signature is not in it: a station with new keys signs anew what is
    under way, and it is the same act."""
    bonds: Bonds | None
    """None: not read, because nobody's signature proves it or it cannot be read."""
    is_proven: bool
    """A card of the originator verifies its signature."""
    problem: str | None
    """Why it proves nothing, as part of a sentence; None: it does, or its card was not given."""


class Seen(NamedTuple):
    """An entry as it stands in the file."""

    number: int
    octets: bytes
    """Empty where `follows` is known."""
    hash: bytes
    """As the file states it."""
    follows: bool | None
    """Whether the hash follows from the entry before it; None: that one is not in this part."""
    line: Line | None
    problem: str | None
    station: int | None
    """Whose book it is, if the entry tells."""
    record: bytes
    """As it stands in the file, if it comes behind damage or behind what stood there before, or is
    the first of a stretch; else empty.
    """
    head: bytes | None
    """The signed head that the book contradicted at a start, if the entry tells of that."""


class Part(NamedTuple):
    """What a stretch of a file holds, in its order."""

    items: list[Seen | Damage]


Cards = Mapping[Station, Sequence[Card]]
"""A station's cards: of today and, where it had other keys, earlier ones."""


def examine(octets: bytes, offset: int, cards: Cards) -> Part:
    """Read and check the stretch of a book that begins at `offset` of its file."""
    items: list[Seen | Damage] = []
    last: Record | None = None
    highest, is_plain = 0, False
    for found in read_items(octets, offset=offset):
        if isinstance(found, Damage):
            items.append(found)
            is_plain = False
            continue
        record = found.record
        is_plain = is_plain and record.number > highest
        items.append(_see(record, found.entry, last, cards, is_kept=not is_plain))
        is_plain = record.number > highest
        highest, last = max(highest, record.number), record
    return Part(items)


def _see(record: Record, entry: Entry, last: Record | None, cards: Cards, *, is_kept: bool) -> Seen:
    follows = None
    if last is not None and last.number == record.number - 1:
        follows = next_hash(last.hash, record.octets) == record.hash
    line, problem, station, head = None, None, None, None
    if entry.is_line:
        line, problem = _line(entry, cards)
    elif entry.event == START:
        value = entry.field(STATION_FIELD)
        station = value if isinstance(value, int) else None
    elif entry.event == DIFFERS:
        value = entry.field(HEAD_FIELD)
        head = value if isinstance(value, bytes) else None
    octets = record.octets if follows is None else b""
    kept = encode_record(record.octets, record.hash, record.next_offset) if is_kept else b""
    return Seen(record.number, octets, record.hash, follows, line, problem, station, kept, head)


def _line(entry: Entry, cards: Cards) -> tuple[Line | None, str | None]:
    to = entry.field(ADDRESSEE_FIELD)
    if entry.act_id is None or entry.octets is None or type(to) is not int:
        return None, "is a line entry without an act"
    act_id, is_received = entry.act_id, entry.event == RECEIVED
    digest = hashlib.sha256(entry.octets).digest()
    known = cards.get(act_id.originator, ())
    bonds, is_proven, problem = None, False, None
    if entry.signature is None:
        problem = "is not signed"
    elif known:
        is_proven, bonds, problem = _prove(
            known, entry.octets, entry.signature, act_id, Station(to)
        )
    return Line(act_id, Station(to), is_received, digest, bonds, is_proven, problem), None


def _prove(
    known: Sequence[Card], octets: bytes, signature: bytes, act_id: ActId, to: Station
) -> tuple[bool, Bonds | None, str | None]:
    """(whether it is signed, what it says of other acts, why it proves nothing)."""
    if not any(_is_signed(card, octets, signature, act_id, to) for card in known):
        return False, None, f"was not signed by {known[0].name}"
    try:
        bonds = read_bonds(octets, originator=act_id.originator, to=to)
    except DecodeError:
        # Well signed, so the originator's own doing; the far gateway answers it with CANTPRO.
        return True, None, None
    if bonds.id != act_id:
        return False, None, f"was signed as {bonds.id}"
    return True, bonds, None


def _is_signed(card: Card, octets: bytes, signature: bytes, act_id: ActId, to: Station) -> bool:
    try:
        verify_act(card, octets, signature, originator=act_id.originator, to=to)
    except AuthenticationError:
        return False
    return True
