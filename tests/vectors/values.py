"""What each golden vector says: the values, the fixed keys, and the frames made from them.

A vector's octets live in its file and are never made anew from here; `write_vectors.py` only adds
what is missing.
"""

from __future__ import annotations

from typing import Final

from gateway.model import (
    Act,
    ActId,
    Altitude,
    Answer,
    AnswerCode,
    BookHead,
    Countersign,
    Epoch,
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
from gateway.security.keys import (
    Card,
    KeyRing,
    Line,
    Signing,
    StationKeys,
    derive_line_keys,
    make_card,
    new_station_keys,
)
from gateway.security.signature import sign_act
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
from gateway.wire.notice import encode_act

NORTH: Final = Station(1)
SOUTH: Final = Station(2)
CREATED: Final = UtcTime(1_795_357_800)
"""2026-11-22T14:30:00Z."""
EPOCH: Final = Epoch(0x3F2A)
THEIR_EPOCH: Final = Epoch(0x77AB)


def own_id(serial: int) -> ActId:
    return ActId(NORTH, EPOCH, Serial(serial))


def their_id(serial: int) -> ActId:
    return ActId(SOUTH, THEIR_EPOCH, Serial(serial))


FULL: Final = Notice(
    id=own_id(17),
    to=SOUTH,
    kind=Kind.NOTIFY,
    precedence=Precedence.IMMEDIATE,
    operation=Operation.OPERATION,
    created=CREATED,
    time_quality=TimeQuality.SYNCHRONISED,
    lifetime_min=480,
    reply_by_min=120,
    reference=own_id(16),
    body=Text("Engineers clear the road at the north bridge. No fire please", "en"),
    place=Place((Point(3_512_345, 3_654_321),), 500, Altitude(-20, 3_000)),
    window=Window(CREATED // 60 + 90, 180),
    released_by=Role.WATCH_COMMANDER,
)
"""Every optional field of a notice that is not the first of its epoch, and 60 octets of text."""

CHECK: Final = Notice(
    id=own_id(2),
    to=SOUTH,
    kind=Kind.CHECK,
    precedence=Precedence.ROUTINE,
    operation=Operation.TEST,
    created=CREATED,
    time_quality=TimeQuality.SYNCHRONISED,
    lifetime_min=1440,
    body=Text("K7Q2M9", "en"),
)

PHRASE: Final = Notice(
    id=own_id(3),
    to=SOUTH,
    kind=Kind.REQUEST,
    precedence=Precedence.PRIORITY,
    operation=Operation.EXERCISE,
    created=CREATED,
    time_quality=TimeQuality.MANUAL,
    lifetime_min=720,
    body=Phrase(212, (4,)),
    place=Place((Point(-1_234_567, -17_654_321),), 2_000),
    window=Window(CREATED // 60 - 30, 240),
)

ANSWER: Final = Answer(
    id=own_id(4),
    to=SOUTH,
    precedence=Precedence.FLASH,
    operation=Operation.OPERATION,
    created=CREATED,
    time_quality=TimeQuality.SYNCHRONISED,
    reference=their_id(9),
    code=AnswerCode.WILCO,
    released_by=Role.COMMANDER,
)


def _text(serial: int, text: str, language: str) -> Notice:
    return Notice(
        id=own_id(serial),
        to=SOUTH,
        kind=Kind.REPORT,
        precedence=Precedence.PRIORITY,
        operation=Operation.EXERCISE,
        created=CREATED,
        time_quality=TimeQuality.SYNCHRONISED,
        lifetime_min=720,
        body=Text(text, language),
    )


ACTS: Final[dict[str, Act]] = {
    "act-full": FULL,
    "act-check": CHECK,
    "act-phrase-place-window": PHRASE,
    "act-answer": ANSWER,
    "act-first-without-clock": Notice(
        id=own_id(1),
        to=SOUTH,
        kind=Kind.REPORT,
        precedence=Precedence.FLASH,
        operation=Operation.SIMULATION,
        created=None,
        time_quality=TimeQuality.NONE,
        lifetime_min=120,
        body=Text("Взрыв у моста\nдве машины", "ru"),  # noqa: RUF001 - Russian is meant
        window=Window(29_922_630, 0),
        previous=Previous(0, 0),
    ),
    "act-polygon": Notice(
        id=own_id(65_535),
        to=SOUTH,
        kind=Kind.WARNING,
        precedence=Precedence.FLASH,
        operation=Operation.OPERATION,
        created=CREATED,
        time_quality=TimeQuality.SYNCHRONISED,
        lifetime_min=65_535,
        place=Place(
            (
                Point(9_000_000, 18_000_000),
                Point(-9_000_000, -18_000_000),
                Point(0, 0),
                Point(1, -1),
            ),
            0,
            Altitude(-500, 30_000),
        ),
        body=Phrase(65_535, ("Brücke", -(2**31), 2**31 - 1, "")),
        released_by=Role.AUTOMATIC,
    ),
    "act-cancel": Notice(
        id=own_id(18),
        to=SOUTH,
        kind=Kind.CANCEL,
        precedence=Precedence.IMMEDIATE,
        operation=Operation.OPERATION,
        created=CREATED,
        time_quality=TimeQuality.SYNCHRONISED,
        lifetime_min=240,
        reference=own_id(17),
        body=Text("Geannuleerd", "nl"),
    ),
    "act-query-about-theirs": Notice(
        id=own_id(19),
        to=SOUTH,
        kind=Kind.QUERY,
        precedence=Precedence.PRIORITY,
        operation=Operation.OPERATION,
        created=CREATED,
        time_quality=TimeQuality.SYNCHRONISED,
        lifetime_min=720,
        reference=their_id(300),
        body=Text('"Who" fired\\where? \u200f\u05d0', "en"),
    ),
    "act-service-with-extensions": Notice(
        id=own_id(20),
        to=SOUTH,
        kind=Kind.SERVICE,
        precedence=Precedence.ROUTINE,
        operation=Operation.OPERATION,
        created=CREATED,
        time_quality=TimeQuality.NONE,
        lifetime_min=1,
        extensions=(
            (16, b"\x01"),
            (19, b"\x82\x41\xff\x81\xf6"),
            (23, b"\xa2\x00\x61x\x17\xf5"),
        ),
    ),
    "act-answer-cantpro": Answer(
        id=own_id(1),
        to=SOUTH,
        precedence=Precedence.ROUTINE,
        operation=Operation.TEST,
        created=None,
        time_quality=TimeQuality.NONE,
        reference=their_id(65_535),
        code=AnswerCode.CANTPRO,
        body=Text("key 15 is not known", "en"),
        released_by=Role.AUTOMATIC,
        previous=Previous(0x1234, 56),
    ),
    "act-void": Void(
        id=own_id(21),
        to=SOUTH,
        precedence=Precedence.ROUTINE,
        operation=Operation.EXERCISE,
        created=CREATED,
        time_quality=TimeQuality.SYNCHRONISED,
    ),
    "act-countersign": Countersign(
        id=own_id(22),
        to=SOUTH,
        precedence=Precedence.ROUTINE,
        operation=Operation.OPERATION,
        created=CREATED,
        time_quality=TimeQuality.SYNCHRONISED,
        head=BookHead(100_000, bytes(range(32))),
        far_head=BookHead(99_000, bytes(range(16))),
        received=(Previous(0xBEEF, 1200), Previous(0xCAFE, 7)),
    ),
    "act-countersign-first": Countersign(
        id=own_id(1),
        to=SOUTH,
        precedence=Precedence.ROUTINE,
        operation=Operation.OPERATION,
        created=None,
        time_quality=TimeQuality.NONE,
        head=BookHead(2, bytes(32)),
        previous=Previous(0, 0),
    ),
    "act-text-en": _text(
        30, "Bridge 4 is closed: ice. Détour by Łódź road, 漢 sign, 25 km/h", "en"
    ),
    "act-text-fr": _text(
        31, "Le pont est fermé jusqu'à demain. Merci de prévenir vos postes.", "fr"
    ),
    "act-text-ru": _text(
        32, "Мост закрыт до завтра. Просим предупредить ваши посты, объезд A4", "ru"
    ),
    "act-text-ar": _text(33, "الجسر مغلق حتى الغد. نرجو إبلاغ مواقعكم", "ar"),
    "act-text-uk": _text(34, "Міст закрито до завтра. Просимо попередити ваші пости", "uk"),
    "act-text-other-language": _text(35, "El puente está cerrado hasta mañana", "es"),
    "act-text-long": _text(
        36, "The road is closed. Please tell your troops.\n" * 21 + "End.", "en"
    ),
    "act-text-block": _text(37, "Shots heard near the bridge: \U0010fffd\u00a0é я", "en"),
}
PLAIN: Final = {
    f"{name}-plain": ACTS[name]
    for name in ("act-full", "act-first-without-clock", "act-cancel", "act-answer-cantpro")
}
"""Acts as they are written by a program that does not compress; read as well as the others."""

ITEM_RULES: Final = {
    ActItem: "act-item",
    ReceiptItem: "receipt",
    SelectiveReceiptItem: "selective-receipt",
    DisplayedItem: "displayed",
    FragmentItem: "fragment",
    FragmentReceiptItem: "fragment-receipt",
    BeatItem: "beat",
    HelloItem: "hello",
}
"""The rule of gateway.cddl for each item. Not `item`: the checker errs where a choice of arrays
holds an array."""

ITEMS: Final[dict[str, Item]] = {
    "receipt": ReceiptItem(THEIR_EPOCH, 41, 0b101, 7),
    "receipt-full-bitmap": ReceiptItem(0xFFFF, 0xFFFF, 0xFFFF_FFFF),
    "selective-receipt": SelectiveReceiptItem(THEIR_EPOCH, (1, 300, 65_535), 255),
    "displayed": DisplayedItem(THEIR_EPOCH, (41, 42)),
    "fragment": FragmentItem(None, EPOCH, 17, 31, 32, bytes(range(40))),
    "fragment-receipt": FragmentReceiptItem(THEIR_EPOCH, 17, 9, 0b1_0000_0001),
    "beat": BeatItem(0x5A, is_reply=False, busy=False, entry_number=70_000),
    "beat-reply-busy": BeatItem(0xFF, is_reply=True, busy=True, entry_number=0),
    "hello": HelloItem(EPOCH, Previous(0, 0)),
    "hello-response": HelloItem(
        EPOCH, Previous(0, 0), response=bytes(range(16, 24)), frame_count=70_000
    ),
    "hello-full": HelloItem(
        EPOCH,
        Previous(0x1111, 12),
        echo=bytes(range(8)),
        challenge=bytes(range(8, 16)),
        response=bytes(range(16, 24)),
        known=((1, 0), (THEIR_EPOCH, 41)),
        heard_s=86_400,
        busy=True,
        extensions=((16, b"\x64text"),),
    ),
    "hello-generations": HelloItem(
        EPOCH,
        Previous(0, 0),
        generations=Generations(3, 2, bytes(range(8))),
        extensions=((16, b"\x64text"), (18, b"\x01")),
    ),
}
NORTH_ENTROPY: Final = bytes(range(64))
SOUTH_ENTROPY: Final = bytes(range(64, 128))
SECRET: Final = bytes(range(128, 160))
INCARNATION: Final = bytes.fromhex("a1a2a3a4a5a6a7a8")
GENERATION: Final = 3


def keys() -> tuple[StationKeys, StationKeys]:
    """The private keys of NORTH and SOUTH; public knowledge, for tests only."""
    return (
        new_station_keys(NORTH_ENTROPY, station=NORTH),
        new_station_keys(SOUTH_ENTROPY, station=SOUTH),
    )


def cards() -> tuple[Card, Card]:
    north, south = keys()
    return (
        make_card(north, name="NORTH", party="Northern Command", language="en"),
        make_card(
            south,
            name="SOUTH-2",
            party="Южный штаб",
            language="ru",
            signing=Signing.CHECKPOINT,
        ),
    )


def rings() -> tuple[KeyRing, KeyRing]:
    """The key rings of both ends of the line."""
    north, south = keys()
    north_card, south_card = cards()
    north_line = derive_line_keys(north, south_card, SECRET, GENERATION)
    south_line = derive_line_keys(south, north_card, SECRET, GENERATION)
    return (
        KeyRing(north, north_card, {SOUTH: Line(south_card, north_line, GENERATION)}),
        KeyRing(south, south_card, {NORTH: Line(north_card, south_line, GENERATION)}),
    )


FRAMES: Final[dict[str, tuple[Header, tuple[str, ...]]]] = {
    "frame-full": (Header(NORTH, GENERATION, 0), ("act-full",)),
    "frame-unconfirmed": (
        Header(NORTH, GENERATION, 0x1234, INCARNATION),
        ("act-answer", "receipt"),
    ),
    "frame-beat": (Header(NORTH, GENERATION, 0xF_FFFF), ("beat",)),
    "frame-hello": (Header(NORTH, 0, 5, INCARNATION), ("hello-full",)),
}
"""Frames of NORTH in `INCARNATION`, and the vectors that they carry."""


def signature_of(name: str) -> bytes:
    """NORTH's signature of an act; Ed25519 gives the same one each time."""
    return sign_act(keys()[0], encode_act(ACTS[name]), originator=NORTH, to=SOUTH)


def frame_items(names: tuple[str, ...]) -> tuple[Item, ...]:
    """The items of a frame; its acts go with age 3 s and their signature."""
    return tuple(
        ActItem(3, encode_act(ACTS[name]), signature_of(name)) if name in ACTS else ITEMS[name]
        for name in names
    )


STREAMS: Final[dict[str, tuple[bytes, ...]]] = {
    "stream-short": (b"\x00", b"\x11\x22\x00\x33", b"\x01"),
    "stream-long": (bytes(range(1, 255)), bytes(range(256)) * 4, bytes(300), b"\x07" * 509),
}
