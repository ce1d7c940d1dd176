"""Commits on their way to the other gateway of a station: what is read is what was written."""

from __future__ import annotations

import typing
from random import Random

import pytest

from gateway.core import records
from gateway.core.records import AddLogEntry, DropOutlived, EntryKind, LogHead
from gateway.errors import DecodeError
from gateway.model import TimeQuality
from gateway.spare.batch import LEFT_OUT, Batch, Parcel, decode_parcel, encode_parcel, kept
from gateway.store.changes import PutCursor
from tests.integration.store_records import act_id, random_commits


def test_every_kind_of_write_comes_back() -> None:
    """A hundred drawn commits and what they do not draw, octets and numbers kept apart."""
    odd = AddLogEntry(
        EntryKind.STATION,
        "odd",
        None,
        TimeQuality.NONE,
        (("text", "a"), ("octets", b"\x00\xff"), ("number", -5), ("none", None)),
    )
    batches = [
        Batch(number, number - 1, 7, kept(writes), LogHead(number, bytes(32)))
        for number, writes in enumerate(random_commits(Random(5), 100), start=1)
    ]
    batches.append(
        Batch(101, 100, 7, (odd, PutCursor("nats", 9), DropOutlived((act_id(1),), (2, 3))))
    )
    parcel = Parcel(2**47, tuple(batches))
    assert decode_parcel(encode_parcel(parcel)) == parcel
    drawn = {type(write) for batch in batches for write in batch.writes}
    assert drawn >= set(typing.get_args(records.Write)) - {*LEFT_OUT}
    assert not drawn & {*LEFT_OUT}, "an older gateway of the pair knows no alarms"


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x92\x01",
        b"\x92\x01\x90",
        b"\x92\x01\x91\x95\x01\x00\x00\xc0\x91\x92\xa1x\x80",
        b"\xc1",
    ],
)
def test_what_is_no_parcel_is_a_decode_error(octets: bytes) -> None:
    """Another version's writes, cut and foreign octets."""
    with pytest.raises(DecodeError):
        decode_parcel(octets)
