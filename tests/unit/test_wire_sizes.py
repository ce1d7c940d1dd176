"""The octets that a frame takes, printed and held (DESIGN section 4, target sizes)."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.model import (
    Act,
    Altitude,
    BookHead,
    Countersign,
    Kind,
    Notice,
    Phrase,
    Place,
    Point,
    Previous,
    Role,
    Serial,
    Text,
    Window,
)
from gateway.security.seal import seal_frame
from gateway.wire.fragment import FRAGMENT_OVERHEAD_MAX, ROOM_MIN, fragment_room, split_act
from gateway.wire.frame import Header, frame_size
from gateway.wire.items import ActItem, FragmentItem, Item, encode_items, encoded_size
from gateway.wire.limits import FRAME_SIZE_MAX_RADIO
from gateway.wire.notice import encode_act
from tests.vectors import values

FULL_FIELDS = ("created", "lifetime_min", "reply_by_min", "reference", "body", "place", "window")
"""And `released_by`; `body` is 60 octets of text, `place` a circle with an altitude band."""


HARD = dataclasses.replace(
    values.FULL, body=Text("Qx7#Zj2%Kw9&Vy4*Bf6!Hq3?Gd8+Pz5=Mc1~Lr0^Tn@Ws$Xk|Jv_Yb<>Fg{}", "en")
)
"""`FULL` with 60 octets of text that no dictionary makes shorter: budgets hold for it too."""


def frame(item: Item, *, counter: int = 0, incarnation: bytes | None = None) -> int:
    """The size of the sealed frame that carries one item of NORTH."""
    line = values.rings()[0].lines[values.SOUTH]
    key = line.keys.outbound(False, values.INCARNATION)
    header = Header(values.NORTH, values.GENERATION, counter, incarnation)
    items = encode_items([item])
    octets = seal_frame(key, header, items, recipient=values.SOUTH)
    assert len(octets) == frame_size(header, len(items))
    return len(octets)


def act_item(act: Act, age_s: int | None = 23) -> ActItem:
    return ActItem(age_s, encode_act(act), bytes(64))


def widest_countersign() -> Countersign:
    """The first act of an epoch, every number at its widest."""
    act = values.ACTS["act-countersign"]
    assert isinstance(act, Countersign)
    top = Previous(0xFFFF, 0xFFFF)
    return dataclasses.replace(
        act,
        id=act.id._replace(serial=Serial(1)),
        head=BookHead(0xFFFF_FFFF, bytes(32)),
        far_head=BookHead(0xFFFF_FFFF, bytes(16)),
        received=(top, top, top, top),
        previous=top,
    )


def test_full_has_every_optional_field() -> None:
    """The notice behind the budget of 198 leaves out no optional field but `previous`."""
    assert None not in [getattr(values.FULL, field) for field in FULL_FIELDS]
    assert values.FULL.place is not None
    assert values.FULL.place.altitude is not None
    assert isinstance(values.FULL.body, Text)
    assert len(values.FULL.body.text.encode()) == 60
    assert values.FULL.released_by is not Role.DUTY_OFFICER
    assert isinstance(HARD.body, Text)
    assert len(HARD.body.text) == 60
    assert HARD.body.text.encode() in encode_act(HARD)


@pytest.mark.parametrize(
    ("what", "item", "goal"),
    [
        ("comm check", act_item(values.CHECK), 110),
        ("answer", act_item(values.ANSWER), 112),
        ("phrase, position, time", act_item(values.PHRASE), 125),
        ("every optional field, 60 octets of text", act_item(values.FULL), 160),
        ("the same, of text that does not compress", act_item(HARD), 198),
        ("countersign, both heads, two epochs", act_item(values.ACTS["act-countersign"]), 172),
        ("machine receipt", values.ITEMS["receipt"], 22),
        ("beat", values.ITEMS["beat"], 24),
    ],
)
def test_a_frame_keeps_its_budget(what: str, item: Item, goal: int) -> None:
    """Whole signed frame, 1-octet partial IV, age below 24 s."""
    size = frame(item)
    print(f"{size:4} octets of {goal:4}  {what}")
    assert size <= goal


@pytest.mark.parametrize(
    "act",
    [values.CHECK, values.ANSWER, values.PHRASE, values.FULL, HARD, widest_countersign()],
    ids=["check", "answer", "phrase", "full", "hard", "countersign"],
)
def test_everything_fits_a_radio_late_in_a_run(act: Act) -> None:
    """With a 2-octet partial IV and an age up to 255 s all of it still fits one radio frame."""
    assert frame(act_item(act, 255), counter=0xFFFF) <= FRAME_SIZE_MAX_RADIO


def test_every_notice_without_text_fits_a_radio() -> None:
    """The widest notice with a short phrase and a polygon of 8 points fits, late in a run too."""
    points = tuple(Point(index, -index) for index in range(8))
    notice = dataclasses.replace(
        widest(),
        body=Phrase(0xFFFF, (0xFFFF, "AB")),
        place=Place(points, 0, Altitude(-500, 30_000)),
    )
    size = frame(act_item(notice, 255), counter=0xFFFF)
    print(
        f"{size:4} octets of  200  polygon of 8, altitude, phrase with 2 slots, all at its widest"
    )
    assert size <= FRAME_SIZE_MAX_RADIO


def widest() -> Notice:
    """`HARD` with every number at its widest, but for a window within 45 days of its making."""
    return dataclasses.replace(
        HARD,
        kind=Kind.SERVICE,
        lifetime_min=0xFFFF,
        reply_by_min=0xFFFF,
        window=Window(values.CREATED // 60 + 0xFFFF, 0xFFFF),
    )


def test_what_does_not_fit_a_radio() -> None:
    """What the promise of 60 octets leaves out is known, and then goes as two fragments.

    All of it for text that does not compress. All fields at their widest take 3 octets too many;
    the first notice of an epoch 6 more; a frame that must still name its incarnation 9 more; a
    language without an index 2 or more.
    """
    first = dataclasses.replace(
        HARD, id=HARD.id._replace(serial=Serial(1)), previous=Previous(1, 1)
    )
    dutch = dataclasses.replace(HARD, body=Text("x" * 60, "nl"))
    sizes = {
        "all fields at their widest": frame(act_item(widest(), 255), counter=0xFFFF),
        "first of its epoch": frame(act_item(first)),
        "incarnation named": frame(act_item(HARD), incarnation=bytes(8)),
        "language without index": frame(act_item(dutch, 255), counter=0xFFFF),
    }
    for what, size in sizes.items():
        print(f"{size:4} octets, over 200: {what}, 60 octets of text")
    assert sizes == {
        "all fields at their widest": 203,
        "first of its epoch": 203,
        "incarnation named": 206,
        "language without index": 201,
    }
    room = fragment_room(FRAME_SIZE_MAX_RADIO - frame_size(Header(values.NORTH, 1, 0xFFFF), 0))
    assert len(split_act(encode_act(widest()), bytes(64), room=room)) == 2


@pytest.mark.parametrize("incarnation", [None, bytes(8)])
def test_any_fragment_fits_its_frame(incarnation: bytes | None) -> None:
    """A fragment of full room fits a radio frame at the widest header, age, id and part."""
    header = Header(values.NORTH, 1, 0xF_FFFF, incarnation)
    room = fragment_room(FRAME_SIZE_MAX_RADIO - frame_size(header, 0))
    assert room >= ROOM_MIN
    item = FragmentItem(0xFFFF_FFFF, 0xFFFF, 0xFFFF, 31, 32, bytes(room))
    assert encoded_size(item) <= room + FRAGMENT_OVERHEAD_MAX
    assert frame(item, counter=0xF_FFFF, incarnation=incarnation) <= FRAME_SIZE_MAX_RADIO
