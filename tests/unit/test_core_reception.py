"""What is held of a peer, and the receipts that pay for it."""

from __future__ import annotations

import pytest

from gateway.core.reception import Novelty, Owed, Reception
from gateway.errors import DecodeError
from gateway.model import ActId, Epoch, Serial, Station
from gateway.wire.items import (
    DisplayedItem,
    FragmentItem,
    FragmentReceiptItem,
    ReceiptItem,
    SelectiveReceiptItem,
)

PEER = Station(2)


def reception(*, seen_count: int = 1_000, reassembly_count: int = 2) -> Reception:
    return Reception(PEER, reassembly_count=reassembly_count, seen_count=seen_count)


def hold(held: Reception, epoch: int, *serials: int) -> None:
    for serial in serials:
        held.add(ActId(PEER, Epoch(epoch), Serial(serial)), bytes([serial % 256]))


def owed(held: Reception, epoch: int, *serials: int) -> Owed:
    debt = Owed()
    for serial in serials:
        held.owe(debt, epoch, serial, 9)
    return debt


def test_an_act_is_new_a_repeat_or_another_under_its_id() -> None:
    """Judged by the hash of octets and signature, in its own epoch."""
    held = reception()
    hold(held, 7, 1)
    assert held.judge(7, 1, b"\x01") is Novelty.REPEAT
    assert held.judge(7, 1, b"x") is Novelty.OTHER_OCTETS
    assert held.judge(7, 2, b"\x01") is Novelty.NEW
    assert held.judge(8, 1, b"\x01") is Novelty.NEW
    assert held.holds(7, 1)
    assert not held.holds(7, 2)
    assert not held.holds(8, 1)


def test_the_bitmap_names_serials_beyond_the_first_hole() -> None:
    """1, 2 held; 3 missing; bit i stands for serial 3 + i; the echo goes once."""
    held = reception()
    hold(held, 7, 1, 2, 4, 34)
    debt = owed(held, 7, 4)
    assert held.settle(debt) == [ReceiptItem(7, 2, 1 << 1 | 1 << 31, 9)]
    assert not debt
    assert debt.echo is None


@pytest.mark.parametrize(("serial", "item_count"), [(34, 1), (35, 2)])
def test_the_bitmap_ends_where_receipts_of_their_own_begin(serial: int, item_count: int) -> None:
    """Neither is a serial told twice, which costs octets of each frame, nor by none of the two."""
    held = reception()
    hold(held, 7, 1, 2, 4, serial)
    items = held.settle(owed(held, 7, 4, serial))
    bitmap = 1 << 1 | (1 << 31 if serial == 34 else 0)
    assert items[0] == ReceiptItem(7, 2, bitmap, 9)
    assert items[1:] == [SelectiveReceiptItem(7, (serial,), None)][: item_count - 1]


def test_serials_beyond_the_bitmap_get_receipts_of_their_own() -> None:
    """33 above the last in order is beyond; 16 an item, ascending, the echo in the first."""
    held = reception()
    beyond = list(range(34, 54))
    hold(held, 7, 1, 2, 33, *beyond)
    assert held.settle(owed(held, 7, 33)) == [ReceiptItem(7, 2, 1 << 30 | 1 << 31, 9)]
    first, second = held.settle(owed(held, 7, *reversed(beyond[1:])))
    assert first == SelectiveReceiptItem(7, tuple(range(35, 51)), 9)
    assert second == SelectiveReceiptItem(7, (51, 52, 53), None)
    items = held.settle(owed(held, 7, 2, 40))
    assert items == [
        ReceiptItem(7, 2, held._epochs[7].bitmap(), 9),
        SelectiveReceiptItem(7, (40,), None),
    ]


def test_above_256_serials_the_oldest_debt_waits_for_the_repeat() -> None:
    """The bound of what one link owes; owed twice counts as the newest."""
    held = reception()
    serials = range(100, 357)
    hold(held, 7, *serials)
    debt = owed(held, 7, 100, *range(101, 356))
    held.owe(debt, 7, 100, 9)
    held.owe(debt, 7, 356, 9)
    paid = [s for item in held.settle(debt) for s in item.serials]  # type: ignore[union-attr]
    assert paid == [100, *range(102, 357)]


def test_what_is_shown_and_fragments_are_told_in_their_items() -> None:
    """DISPLAYED goes 16 an item; fragments of an act that is no longer held are not told."""
    held = reception()
    hold(held, 7, 1)
    assert held.add_fragment(FragmentItem(0, 7, 2, 1, 3, b"part")) is None
    debt = Owed()
    debt.fragments = {(7, 2): None, (7, 3): None}
    debt.displayed = {7: dict.fromkeys(range(20, 0, -1))}
    debt.echo = 5
    assert debt
    assert held.settle(debt) == [
        FragmentReceiptItem(7, 2, 3, 0b010, 5),
        DisplayedItem(7, tuple(range(1, 17))),
        DisplayedItem(7, (17, 18, 19, 20)),
    ]


def test_what_found_no_room_is_owed_again() -> None:
    """Every kind of item comes back whole with the next settlement, but for the echo."""
    held = reception()
    hold(held, 7, 1, 40)
    held.add_fragment(FragmentItem(0, 7, 2, 0, 2, b"part"))
    debt = owed(held, 7, 1, 40)
    debt.fragments = {(7, 2): None}
    debt.displayed = {7: {1: None}}
    first = held.settle(debt)
    for item in first:
        held.owe_again(debt, item)
    again = held.settle(debt)
    assert [type(item) for item in again] == [type(item) for item in first]
    assert [item for item in again if not isinstance(item, ReceiptItem)] == first[1:]
    assert isinstance(again[0], ReceiptItem)
    assert (again[0].cumulative, again[0].bitmap, again[0].echo) == (1, 0, None)


def test_the_oldest_epoch_is_forgotten_at_the_bound_and_owed_no_more() -> None:
    """More than `seen_count` ids: the first epoch goes whole; the last one never does."""
    held = reception(seen_count=4)
    hold(held, 1, 1, 2, 3)
    debt = owed(held, 1, 1)
    hold(held, 2, 1, 2)
    assert not held.holds(1, 1)
    assert held.seen == 2
    assert held.settle(debt) == []
    hold(held, 2, 3, 4, 5, 6)
    assert held.holds(2, 1)
    assert held.seen == 6


def test_the_hello_names_the_newest_four_epochs() -> None:
    """(epoch, highest serial), newest last."""
    held = reception()
    for epoch in range(1, 7):
        hold(held, epoch, epoch, 9 - epoch)
    assert held.known() == ((3, 6), (4, 5), (5, 5), (6, 6))


def test_ids_of_the_store_are_held_again() -> None:
    """`seen` of an earlier run counts for judging and for receipts."""
    held = reception()
    held.restore([(ActId(PEER, Epoch(5), Serial(n)), b"h") for n in (1, 2, 3)])
    assert held.judge(5, 2, b"h") is Novelty.REPEAT
    assert held.seen == 3
    assert held.settle(owed(held, 5, 1)) == [ReceiptItem(5, 3, 0, 9)]


def test_fragments_are_bounded_and_the_oldest_act_is_dropped() -> None:
    """The third act in fragments takes the place of the first."""
    held = reception(reassembly_count=2)
    for serial in (1, 2, 3):
        held.add_fragment(FragmentItem(0, 7, serial, 0, 2, b"part"))
    assert held.fragments_held(7, 1) is None
    assert held.fragments_held(7, 2) == FragmentReceiptItem(7, 2, 2, 0b01)
    hold(held, 7, 2)
    assert held.fragments_held(7, 2) is None


def test_fragments_that_contradict_each_other_start_anew() -> None:
    """Other octets under one index: refused, and what was held of the act is dropped."""
    held = reception()
    held.add_fragment(FragmentItem(0, 7, 1, 0, 2, b"part"))
    with pytest.raises(DecodeError):
        held.add_fragment(FragmentItem(0, 7, 1, 0, 2, b"trap"))
    assert held.fragments_held(7, 1) is None
    held.add_fragment(FragmentItem(0, 7, 1, 0, 2, b"\xa1\x00"))
    with pytest.raises(DecodeError):
        held.add_fragment(FragmentItem(0, 7, 1, 1, 2, b"no act"))
    assert held.fragments_held(7, 1) is None


def test_a_receipt_goes_again_as_often_as_asked_and_no_more() -> None:
    """Copies say the same with the same echo; what is owed anew replaces them."""
    held = reception()
    hold(held, 7, 1, 2)
    debt = owed(held, 7, 1)
    first = held.settle(debt, copy_count=2)
    assert first == [ReceiptItem(7, 2, 0, 9)]
    assert debt
    assert held.settle(debt) == first
    assert held.settle(debt) == first
    assert not debt
    assert held.settle(debt) == []
    held.owe(debt, 7, 1, 9)
    held.settle(debt, copy_count=2)
    held.owe(debt, 7, 2, 8)
    assert held.settle(debt) == [ReceiptItem(7, 2, 0, 8)]
    assert not debt, "the older copies are dropped"


def test_the_epoch_that_spoke_last_is_the_newest() -> None:
    """Acts of four older epochs come late, then this run's goes on: it is named, and after a
    restart too; else the sender would take it for lost.
    """
    order = [(7, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 2)]
    seen = [(ActId(PEER, Epoch(epoch), Serial(serial)), bytes(32)) for epoch, serial in order]
    held, restored = reception(), reception()
    for act_id, sha256 in seen:
        held.add(act_id, sha256)
    restored.restore(seen)
    assert held.known() == restored.known() == ((4, 1), (5, 1), (6, 1), (7, 2))
