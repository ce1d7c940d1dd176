"""Fragments: bounds, contradictions and what does not add up."""

from __future__ import annotations

import pytest

from gateway.errors import DecodeError, FieldError
from gateway.wire.fragment import CONTENT_SIZE_MAX, ROOM_MIN, Reassembly, split_act
from tests.vectors.write_vectors import FOLDER

OCTETS = bytes.fromhex((FOLDER / "act-full-plain.hex").read_text())
SIGNATURE = bytes(range(64))


def test_fragments_are_few_and_alike() -> None:
    """No more fragments than needed, none much shorter than the others."""
    parts = split_act(OCTETS, SIGNATURE, room=80)
    assert [len(part) for part in parts] == [61, 61, 61]
    assert split_act(OCTETS, None, room=CONTENT_SIZE_MAX) == (OCTETS + b"\xf6",)


@pytest.mark.parametrize("room", [-1, 0, 5])
def test_too_little_room_is_refused(room: int) -> None:
    """More than 32 fragments are never made."""
    with pytest.raises(FieldError, match=f"give {ROOM_MIN} or more"):
        split_act(OCTETS, SIGNATURE, room=room)


@pytest.mark.parametrize("count", [0, 33])
def test_a_count_out_of_range_is_refused(count: int) -> None:
    """A peer cannot ask for more memory than 32 fragments."""
    with pytest.raises(DecodeError):
        Reassembly(count)


def test_a_contradiction_changes_nothing() -> None:
    """Another fragment under the same index is refused; the first stays."""
    first, second = split_act(OCTETS, SIGNATURE, room=100)
    reassembly = Reassembly(2)
    reassembly.add(1, second)
    assert reassembly.bitmap == 0b10
    with pytest.raises(DecodeError, match="missing"):
        reassembly.result()
    for index, octets in ((1, first), (2, first), (-1, first), (0, b"")):
        with pytest.raises(DecodeError):
            reassembly.add(index, octets)
    assert not reassembly.is_complete
    reassembly.add(0, first)
    reassembly.add(0, first)
    assert reassembly.is_complete
    assert reassembly.result() == (OCTETS, SIGNATURE)


def test_memory_is_bounded() -> None:
    """More octets than the longest act are refused when they come, not when all are here."""
    reassembly = Reassembly(2)
    reassembly.add(0, bytes(CONTENT_SIZE_MAX))
    with pytest.raises(DecodeError, match=str(CONTENT_SIZE_MAX)):
        reassembly.add(1, b"x")


@pytest.mark.parametrize(
    "content", [b"\xa0", b"\xa0\xf6\xf6", b"\x80\xf6", b"\xa0\x40", b"\xa0\xf5", b"\xc0\xa0"]
)
def test_what_does_not_add_up_to_an_act(content: bytes) -> None:
    """A map and a signature or null, and nothing else, come out."""
    reassembly = Reassembly(1)
    reassembly.add(0, content)
    with pytest.raises(DecodeError):
        reassembly.result()


def test_fragments_hold_no_deeper_act_than_an_item() -> None:
    """The act of a frame is held to three levels, and so is that of fragments."""
    for act, is_good in ((b"\xa1\x00\x81\x81\x01", True), (b"\xa1\x00\x81\x81\x81\x01", False)):
        reassembly = Reassembly(1)
        reassembly.add(0, act + b"\xf6")
        if is_good:
            assert reassembly.result() == (act, None)
        else:
            with pytest.raises(DecodeError, match="deep"):
                reassembly.result()
