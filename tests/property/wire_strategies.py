"""Hypothesis strategies for every value that the wire carries, each field at any allowed value."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from hypothesis import strategies as st

from gateway.model import (
    RECEIVED_COUNT_MAX,
    Act,
    ActId,
    Altitude,
    Answer,
    AnswerCode,
    BookHead,
    Countersign,
    Epoch,
    Extensions,
    Kind,
    Notice,
    Operation,
    Phrase,
    Place,
    Point,
    Precedence,
    Previous,
    Role,
    Serial,
    Station,
    Text,
    TimeQuality,
    UtcTime,
    Void,
    Window,
)
from gateway.wire.canonical import dump
from gateway.wire.frame import Header
from gateway.wire.generations import Generations
from gateway.wire.items import (
    ActItem,
    BeatItem,
    DisplayedItem,
    FragmentItem,
    FragmentReceiptItem,
    HelloItem,
    Item,
    ReceiptItem,
    SelectiveReceiptItem,
)
from gateway.wire.limits import FRAME_COUNT_MAX, LANGUAGES
from gateway.wire.notice import encode_act

NORTH = Station(1)
SOUTH = Station(2)

uint8 = st.integers(0, 0xFF)
uint16 = st.integers(0, 0xFFFF)
positive16 = st.integers(1, 0xFFFF)
uint32 = st.integers(0, 0xFFFF_FFFF)
octets8 = st.binary(min_size=8, max_size=8)

_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
characters = st.one_of(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters=_BIDI),
    st.just("\n"),
)


def _words(size_max: int, *, size_min: int = 0) -> st.SearchStrategy[str]:
    return (
        st.text(characters, min_size=size_min, max_size=size_max // 4)
        .map(lambda text: unicodedata.normalize("NFC", text))
        .filter(lambda text: len(text.encode()) <= size_max)
    )


LINES = [
    line
    for path in sorted((Path(__file__).parents[1] / "vectors/corpus").glob("*-held.txt"))
    for line in path.read_text().splitlines()
]
notices = st.builds(
    lambda line, start, end: unicodedata.normalize("NFC", line[start:end] or line),
    st.sampled_from(LINES),
    st.integers(0, 30),
    st.integers(31, 200),
)
"""Text as people write it, which compresses."""
languages = st.sampled_from([*LANGUAGES, "nl", "pt-BR", "zh-Hant", "gsw"])
texts = st.one_of(
    st.builds(Text, _words(80, size_min=1), languages),
    st.builds(Text, notices, languages),
    st.builds(Text, st.integers(1, 1024).map(lambda size: "x" * size), languages),
)
slots = st.one_of(_words(40), st.integers(-(2**31), 2**31 - 1))
phrases = st.builds(Phrase, st.integers(1, 0xFFFF), st.lists(slots, max_size=8).map(tuple))
bodies = st.one_of(st.none(), texts, phrases)
points = st.builds(Point, st.integers(-9_000_000, 9_000_000), st.integers(-18_000_000, 18_000_000))


@st.composite
def altitudes(draw: st.DrawFn) -> Altitude:
    low_m = draw(st.integers(-500, 30_000))
    return Altitude(low_m, draw(st.integers(low_m, 30_000)))


@st.composite
def places(draw: st.DrawFn) -> Place:
    altitude = draw(st.none() | altitudes())
    if draw(st.booleans()):
        return Place((draw(points),), draw(uint16), altitude)
    return Place(tuple(draw(st.lists(points, min_size=3, max_size=8))), 0, altitude)


windows = st.builds(Window, st.integers(0, 0xFFFF_FFFF // 60), uint16)
leaves = st.one_of(
    st.integers(-(2**64), 2**64 - 1), st.booleans(), st.none(), st.binary(max_size=8), _words(12)
)
extension_values = st.one_of(
    leaves,
    st.lists(leaves, max_size=3),
    st.dictionaries(st.integers(0, 23), leaves, max_size=3),
    st.lists(st.lists(leaves, max_size=2), max_size=2),
).map(dump)


@st.composite
def extensions(draw: st.DrawFn) -> Extensions:
    keys = draw(st.lists(st.integers(16, 23), unique=True, max_size=3))
    return tuple((key, draw(extension_values)) for key in sorted(keys))


def _ids(originator: Station) -> st.SearchStrategy[ActId]:
    return st.builds(
        lambda epoch, serial: ActId(originator, Epoch(epoch), Serial(serial)),
        positive16,
        st.one_of(st.just(1), positive16),
    )


@st.composite
def acts(draw: st.DrawFn) -> Act:
    """Any act of NORTH to SOUTH."""
    act_id = draw(_ids(NORTH))
    created = draw(st.none() | uint32)
    previous = Previous(draw(uint16), draw(uint16)) if act_id.serial == 1 else None
    precedence, operation = draw(st.sampled_from(Precedence)), draw(st.sampled_from(Operation))
    quality, role = draw(st.sampled_from(TimeQuality)), draw(st.sampled_from(Role))
    utc = None if created is None else UtcTime(created)
    shape = draw(st.sampled_from(("notice", "notice", "answer", "void", "countersign")))
    if shape == "void":
        return Void(
            id=act_id,
            to=SOUTH,
            precedence=precedence,
            operation=operation,
            created=utc,
            time_quality=quality,
            previous=previous,
            extensions=draw(extensions()),
        )
    if shape == "countersign":
        far = st.builds(BookHead, st.integers(1, 2**32 - 1), st.binary(min_size=16, max_size=16))
        return Countersign(
            id=act_id,
            to=SOUTH,
            precedence=precedence,
            operation=operation,
            created=utc,
            time_quality=quality,
            head=BookHead(
                draw(st.integers(1, 2**32 - 1)), draw(st.binary(min_size=32, max_size=32))
            ),
            far_head=draw(st.none() | far),
            received=tuple(
                draw(st.lists(st.builds(Previous, uint16, uint16), max_size=RECEIVED_COUNT_MAX))
            ),
            previous=previous,
            extensions=draw(extensions()),
        )
    if shape == "answer":
        return Answer(
            id=act_id,
            to=SOUTH,
            precedence=precedence,
            operation=operation,
            created=utc,
            time_quality=quality,
            reference=draw(_ids(SOUTH)),
            code=draw(st.sampled_from(AnswerCode)),
            body=draw(st.none() | texts),
            released_by=role,
            previous=previous,
            extensions=draw(extensions()),
        )
    kind = draw(st.sampled_from(Kind))
    references = st.none() | _ids(NORTH) | _ids(SOUTH)
    if kind in (Kind.UPDATE, Kind.CANCEL):
        references = _ids(NORTH)
    return Notice(
        id=act_id,
        to=SOUTH,
        kind=kind,
        precedence=precedence,
        operation=operation,
        created=utc,
        time_quality=quality,
        lifetime_min=draw(positive16 | st.sampled_from((120, 240, 720, 1440))),
        reply_by_min=draw(st.none() | positive16),
        reference=draw(references),
        body=draw(bodies),
        place=draw(st.none() | places()),
        window=draw(st.none() | windows),
        released_by=role,
        previous=previous,
        extensions=draw(extensions()),
    )


signatures = st.none() | st.binary(min_size=64, max_size=64)
ages = st.none() | uint32
echoes = st.none() | uint8
serial_lists = st.lists(positive16, min_size=1, max_size=16, unique=True).map(
    lambda found: tuple(sorted(found))
)


@st.composite
def fragments(draw: st.DrawFn) -> FragmentItem:
    count = draw(st.integers(1, 32))
    return FragmentItem(
        draw(ages),
        draw(positive16),
        draw(positive16),
        draw(st.integers(0, count - 1)),
        count,
        draw(st.binary(min_size=1, max_size=200)),
    )


@st.composite
def fragment_receipts(draw: st.DrawFn) -> FragmentReceiptItem:
    count = draw(st.integers(1, 32))
    bitmap = draw(st.integers(0, (1 << count) - 1))
    return FragmentReceiptItem(draw(positive16), draw(positive16), count, bitmap, draw(echoes))


generations = st.tuples(st.integers(1, 255), st.integers(1, 255), octets8).map(
    lambda told: Generations(max(told[:2]), min(told[:2]), told[2])
)
hellos = st.builds(
    HelloItem,
    positive16,
    st.builds(Previous, uint16, uint16),
    st.none() | octets8,
    st.none() | octets8,
    st.none() | octets8,
    st.lists(st.tuples(positive16, uint16), max_size=4).map(tuple),
    st.none() | uint32,
    st.booleans(),
    st.none() | st.integers(0, 1 << 20),
    st.none() | generations,
    extensions().map(lambda pairs: tuple(pair for pair in pairs if pair[0] != 17)),
)
items: st.SearchStrategy[Item] = st.one_of(
    st.builds(ActItem, ages, acts().map(encode_act), signatures),
    st.builds(ReceiptItem, positive16, uint16, uint32, echoes),
    st.builds(SelectiveReceiptItem, positive16, serial_lists, echoes),
    st.builds(DisplayedItem, positive16, serial_lists),
    fragments(),
    fragment_receipts(),
    st.builds(BeatItem, uint8, st.booleans(), st.booleans(), uint32),
    hellos,
)


@st.composite
def headers(draw: st.DrawFn) -> Header:
    generation = draw(uint8)
    incarnation = draw(octets8 if generation == 0 else st.none() | octets8)
    sender = Station(draw(st.integers(1, 255)))
    return Header(sender, generation, draw(st.integers(0, FRAME_COUNT_MAX - 1)), incarnation)
