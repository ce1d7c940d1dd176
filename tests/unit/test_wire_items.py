"""Items of a frame: bounds when written, shapes when read."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import DecodeError, FieldError
from gateway.model import Previous
from gateway.wire.canonical import dump
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
    decode_items,
    encode_items,
)
from gateway.wire.limits import ACT_SIZE_MAX, ITEM_COUNT_MAX

ACT = bytes.fromhex("a20019029001 1a00010002".replace(" ", ""))

UNWRITABLE: dict[str, Item] = {
    "act that is no map": ActItem(0, b"\x80", None),
    "act that is two": ActItem(0, b"\xa0\xa0", None),
    "act without octets": ActItem(0, b"", None),
    "act too long": ActItem(0, b"\xa1\x10\x59\x06\x00" + bytes(ACT_SIZE_MAX), None),
    "age negative": ActItem(-1, ACT, None),
    "age too high": ActItem(1 << 32, ACT, None),
    "signature of 63": ActItem(0, ACT, bytes(63)),
    "epoch 0": ReceiptItem(0, 1, 0),
    "cumulative too high": ReceiptItem(1, 65536, 0),
    "bitmap too wide": ReceiptItem(1, 1, 1 << 32),
    "echo too high": ReceiptItem(1, 1, 0, 256),
    "no serials": SelectiveReceiptItem(1, ()),
    "17 serials": SelectiveReceiptItem(1, tuple(range(1, 18))),
    "serials repeated": SelectiveReceiptItem(1, (2, 2)),
    "serials descending": DisplayedItem(1, (3, 2)),
    "serial 0": DisplayedItem(1, (0,)),
    "index at count": FragmentItem(0, 1, 1, 4, 4, b"x"),
    "count 0": FragmentItem(0, 1, 1, 0, 0, b"x"),
    "count 33": FragmentItem(0, 1, 1, 0, 33, b"x"),
    "fragment empty": FragmentItem(0, 1, 1, 0, 1, b""),
    "fragment of serial 0": FragmentItem(0, 1, 0, 0, 1, b"x"),
    "bitmap beyond count": FragmentReceiptItem(1, 1, 4, 16),
    "token too high": BeatItem(256, is_reply=False, busy=False, entry_number=0),
    "entry number negative": BeatItem(0, is_reply=False, busy=False, entry_number=-1),
    "hello of epoch 0": HelloItem(0, Previous(0, 0)),
    "challenge of 7": HelloItem(1, Previous(0, 0), challenge=bytes(7)),
    "5 known": HelloItem(1, Previous(0, 0), known=((1, 1),) * 5),
    "known epoch 0": HelloItem(1, Previous(0, 0), known=((0, 1),)),
    "2^20 frames and one": HelloItem(1, Previous(0, 0), frame_count=(1 << 20) + 1),
    "heard in the future": HelloItem(1, Previous(0, 0), heard_s=-1),
    "hello with a critical extension": HelloItem(1, Previous(0, 0), extensions=((9, b"\x00"),)),
}


@pytest.mark.parametrize("name", UNWRITABLE)
def test_what_has_no_place_is_not_written(name: str) -> None:
    """A value beyond the format is our fault and raises before it is sent."""
    with pytest.raises((FieldError, DecodeError)):
        encode_items([UNWRITABLE[name]])


@pytest.mark.parametrize("count", [0, ITEM_COUNT_MAX + 1])
def test_a_frame_has_1_to_32_items(count: int) -> None:
    """More or fewer are neither written nor read."""
    beat = BeatItem(1, is_reply=False, busy=False, entry_number=0)
    with pytest.raises(FieldError):
        encode_items([beat] * count)
    with pytest.raises(DecodeError):
        decode_items(encode_items([beat]) * count)
    assert len(decode_items(encode_items([beat]) * ITEM_COUNT_MAX)) == ITEM_COUNT_MAX


UNREADABLE: dict[str, Any] = {
    "an integer": 1,
    "a map": {},
    "an empty array": [],
    "one element": [0],
    "six elements": [-1, 1, 1, 1, 1, 1],
    "type unknown": [-8, 1, 1],
    "type is text": ["a", 1, 1],
    "type is true": [True, {}, None],
    "act item too short": [0, {0: 1}],
    "act item too long": [0, {0: 1}, None, None],
    "act is no map": [0, [], None],
    "signature is text": [0, {0: 1}, "x" * 64],
    "signature of 65": [0, {0: 1}, bytes(65)],
    "age too high": [1 << 32, {0: 1}, None],
    "act nested too deep": [0, {16: [[[0]]]}, None],
    "receipt of epoch 0": [-1, 5, 0],
    "receipt with 5": [-1, 65536, 0, 1, 1],
    "receipt bitmap text": [-1, 65536, "0"],
    "receipt echo null": [-1, 65536, 0, None],
    "receipt echo 256": [-1, 65536, 0, 256],
    "selective of none": [-2, 1, []],
    "selective descending": [-2, 1, [2, 1]],
    "selective of 17": [-2, 1, list(range(1, 18))],
    "selective with two echoes": [-2, 1, [1], 1, 1],
    "displayed with an echo": [-3, 1, [1], 1],
    "displayed epoch 0": [-3, 0, [1]],
    "fragment part 1024": [-4, 0, 65537, 1024, b"x"],
    "fragment index beyond count": [-4, 0, 65537, 1, b"x"],
    "fragment empty": [-4, 0, 65537, 0, b""],
    "fragment text": [-4, 0, 65537, 0, "x"],
    "fragment age true": [-4, True, 65537, 0, b"x"],
    "fragment receipt count 0": [-5, 65537, 0, 0],
    "fragment receipt bit beyond count": [-5, 65537, 1, 2],
    "beat token 1024": [-6, 1024, 0],
    "beat number text": [-6, 0, "0"],
    "beat with 4": [-6, 0, 0, 0],
    "hello without epoch": [-7, {1: 0}],
    "hello without previous": [-7, {0: 1}],
    "hello unknown key": [-7, {0: 1, 1: 0, 9: 0}],
    "hello of too many frames": [-7, {0: 1, 1: 0, 8: (1 << 20) + 1}],
    "hello not busy": [-7, {0: 1, 1: 0, 7: False}],
    "hello busy 1": [-7, {0: 1, 1: 0, 7: 1}],
    "hello knows nothing": [-7, {0: 1, 1: 0, 5: []}],
    "hello knows 5": [-7, {0: 1, 1: 0, 5: [65536] * 5}],
    "hello knows epoch 0": [-7, {0: 1, 1: 0, 5: [1]}],
    "hello echo of 7": [-7, {0: 1, 1: 0, 2: bytes(7)}],
    "hello heard text": [-7, {0: 1, 1: 0, 6: ""}],
    "hello is an array": [-7, [0, 1]],
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_item(name: str) -> None:
    """Other shapes and second forms of one value are refused."""
    with pytest.raises(DecodeError):
        decode_items(dump(UNREADABLE[name]))


def test_one_bad_item_costs_the_frame() -> None:
    """A frame counts as a whole: nothing of it is used if one item cannot be read."""
    good = encode_items([ReceiptItem(1, 1, 0)])
    with pytest.raises(DecodeError):
        decode_items(good + dump([-8, 0]))


def test_an_act_that_we_cannot_read_still_arrives() -> None:
    """An act with unknown critical keys is handed on in its octets, for CANTPRO."""
    octets = dump({0: 36, 1: 65537, 15: "new"})
    sent = ActItem(None, octets, bytes(64))
    assert decode_items(encode_items([sent])) == (sent,)
