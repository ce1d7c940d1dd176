"""The head of a kept act says what the whole act says, and is read without its text."""

from __future__ import annotations

import pytest
from hypothesis import given

from gateway.errors import DecodeError
from gateway.model import Act, ActId, Answer, Countersign, Epoch, Notice, Serial, Station
from gateway.wire.head import (
    AnswerHead,
    CountersignHead,
    NoticeHead,
    VoidHead,
    head_of,
    read_bonds,
    read_head,
)
from gateway.wire.notice import encode_act
from tests.property.wire_strategies import acts


@given(act=acts())
def test_a_head_is_that_of_the_whole_act(act: Act) -> None:
    """For any act, whatever it carries besides."""
    head = read_head(encode_act(act), act.id, to=act.to)
    if isinstance(act, Notice):
        assert head == head_of(act)
        assert isinstance(head, NoticeHead)
    elif isinstance(act, Answer):
        assert head == AnswerHead(act.id, act.precedence, act.reference, act.code)
    elif isinstance(act, Countersign):
        assert head == CountersignHead(act.id, act.precedence)
        bonds = read_bonds(encode_act(act), originator=act.id.originator, to=act.to)
        assert bonds.witness == (act.head, act.far_head, act.received)
    else:
        assert head == VoidHead(act.id, act.precedence)


@pytest.mark.parametrize("octets", [b"", b"\x80", b"\xa0", b"\xa1\x00\x19\xff\xff", b"\xff"])
def test_what_is_no_act_is_a_decode_error(octets: bytes) -> None:
    """A row that the log book gave back wrongly ends in a warning, never in a crash."""
    with pytest.raises(DecodeError):
        read_head(octets, ActId(Station(1), Epoch(1), Serial(1)), to=Station(2))
