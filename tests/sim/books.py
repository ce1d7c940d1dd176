"""Log books of two stations, made by real engines in virtual time, and ways to tamper with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from random import Random

from gateway.logbook.audit import Book, BookAudit
from gateway.logbook.chain import GENESIS, next_hash
from gateway.logbook.entry import Entry, decode_entry, encode_entry
from gateway.logbook.examine import Cards, examine
from gateway.logbook.head import SignedHead, sign_head
from gateway.logbook.segment import Record, blocks, encode_record
from gateway.model import AnswerCode, BookHead, Countersign, Kind, NoticeDraft, Station
from gateway.security.cards import Card, StationKeys
from gateway.security.signature import sign_act
from gateway.sim.world import Post, World
from gateway.store.base import LogRow
from gateway.wire.notice import decode_act, encode_act
from tests.sim.scenes import MINUTE, SECOND, draft, line

Records = list[Record]


def log_rows(post: Post) -> list[LogRow]:
    return post.store._live.log  # the store's queries are coroutines


class Line:
    """Two books of one line, with the keys that wrote them."""

    def __init__(self, world: World) -> None:
        self.keys: dict[Station, StationKeys] = {}
        self.cards: dict[Station, list[Card]] = {}
        self.books: dict[Station, Records] = {}
        for station, post in world.posts.items():
            self.keys[station] = post.keys.own
            self.cards[station] = [post.keys.card]
            self.books[station] = [
                Record(row.number, row.octets, row.hash, 1) for row in log_rows(post)
            ]


def draw_traffic(world: World, rng: Random, *, entry_count: int) -> None:
    """Notices both ways, most of them answered, a restart and a pulled plug now and then."""
    while min(len(log_rows(post)) for post in world.posts.values()) < entry_count:
        station = rng.choice((1, 2))
        kind = rng.choice((Kind.NOTIFY, Kind.REPORT, Kind.REQUEST))
        wanted: NoticeDraft = draft(f"vehicles {rng.random()}", to=3 - station, kind=kind)
        token = world.submit(wanted, station=station)
        world.run(rng.randint(1, 4) * SECOND)
        notice = world.posts[Station(station)].confirmed[token]
        if rng.random() < 0.8:
            code = AnswerCode.WILCO if kind is Kind.REQUEST else AnswerCode.ROGER
            world.answer(notice, code, station=3 - station)
            world.run(rng.randint(1, 4) * SECOND)
        if rng.random() < 0.02:
            world.unplug("cable")
            world.run(MINUTE)
            world.plug("cable")
        if rng.random() < 0.02:
            world.crash(station)
            world.run(10 * SECOND)
            world.start(station)
    world.run(5 * MINUTE)


@cache
def thousand(seed: int = 1) -> Line:
    """A line whose books have 1000 entries and more, nothing under way."""
    world = line(seed)
    draw_traffic(world, Random(seed), entry_count=1000)
    return Line(world)


def audit(records: Records, cards: Cards, head: SignedHead | None = None, label: str = "A") -> Book:
    """What `hotline log verify` does with one file."""
    octets = file_of(records)
    book = BookAudit(label)
    for offset, part in blocks(
        [octets[at : at + 100_000] for at in range(0, len(octets), 100_000)]
    ):
        book.add(examine(part, offset, cards), file=label)
    return book.finish(cards, head)


def file_of(records: Sequence[Record]) -> bytes:
    return b"".join(encode_record(row.octets, row.hash, row.next_offset) for row in records)


def chained(entries: Sequence[Entry]) -> Records:
    """A book made anew of these entries: numbers and hashes are right."""
    records: Records = []
    previous = GENESIS
    for number, entry in enumerate(entries, 1):
        octets = encode_entry(replace(entry, number=number))
        previous = next_hash(previous, octets)
        records.append(Record(number, octets, previous, 1))
    return records


def chained_after(records: Records, entries: Sequence[Entry]) -> Records:
    """A book that goes on with these entries."""
    book = list(records)
    for entry in entries:
        octets = encode_entry(replace(entry, number=len(book) + 1))
        book.append(Record(len(book) + 1, octets, next_hash(book[-1].hash, octets), 1))
    return book


def resigned(entries: Sequence[Entry], keys: StationKeys, to: Station) -> Records:
    """The best that a holder of the station's key can do: own countersigns fit the new book too."""
    records: Records = []
    for entry in entries:
        act_id, made = entry.act_id, entry
        if entry.octets is not None and act_id is not None and act_id.originator == keys.station:
            act = decode_act(entry.octets, originator=keys.station, to=to)
            if isinstance(act, Countersign):
                number = min(act.head.number, len(records))
                head = BookHead(number, records[number - 1].hash)
                octets = encode_act(replace(act, head=head))
                signature = sign_act(keys, octets, originator=keys.station, to=to)
                made = replace(entry, octets=octets, signature=signature)
        previous = records[-1].hash if records else GENESIS
        octets = encode_entry(replace(made, number=len(records) + 1))
        records.append(Record(len(records) + 1, octets, next_hash(previous, octets), 1))
    return records


def entries_of(records: Records) -> list[Entry]:
    return [decode_entry(record.octets) for record in records]


def head_of(records: Records, keys: StationKeys) -> SignedHead:
    return sign_head(keys, number=records[-1].number, entry_hash=records[-1].hash)
