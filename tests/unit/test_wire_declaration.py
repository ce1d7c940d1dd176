"""What machines read of an act without its text: heads, and what a LINE STATE declares."""

from __future__ import annotations

import pytest

from gateway.model import (
    Act,
    ActId,
    Answer,
    Countersign,
    Epoch,
    Kind,
    LineState,
    Notice,
    Operation,
    Phrase,
    Precedence,
    Serial,
    Station,
)
from gateway.wire.codebook import fits
from gateway.wire.declaration import Minimize, declared
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
from tests.vectors.values import ACTS


def line_state(body: Phrase | None) -> NoticeHead:
    return NoticeHead(
        id=ActId(Station(1), Epoch(1), Serial(1)),
        to=Station(2),
        kind=Kind.LINE_STATE,
        precedence=Precedence.IMMEDIATE,
        operation=Operation.OPERATION,
        created=None,
        lifetime_min=60,
        reply_by_min=None,
        reference=None,
        previous=None,
        phrase=body,
    )


@pytest.mark.parametrize(
    ("body", "means"),
    [
        (Phrase(90), LineState.OPEN),
        (Phrase(91), LineState.SUSPENDED),
        (Phrase(92, ("221430Z",)), LineState.SUSPENDED),
        (Phrase(93), LineState.CLOSED),
        (Phrase(94), Minimize(Precedence.IMMEDIATE)),
        (Phrase(95), Minimize(None)),
        (Phrase(96, ("FLASH",)), Minimize(Precedence.FLASH)),
        (Phrase(96, ("PRIORITY",)), Minimize(Precedence.PRIORITY)),
        (Phrase(10, ("ALPHA", 2)), None),
    ],
)
def test_a_line_state_declares(body: Phrase, means: LineState | Minimize | None) -> None:
    """Each phrase of the line's state, and one of something else."""
    assert fits(body)
    assert declared(line_state(body)) == means


@pytest.mark.parametrize(
    "body", [Phrase(96), Phrase(96, ("SLOW",)), Phrase(90, (1,)), Phrase(92), Phrase(4000)]
)
def test_what_does_not_fit_the_codebook_declares_nothing(body: Phrase) -> None:
    """A peer's phrase with other slots than ours, or that we lack: for people only."""
    assert not fits(body)
    assert declared(line_state(body)) is None


def test_a_text_declares_nothing() -> None:
    """Words are for people."""
    assert declared(line_state(None)) is None


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_the_head_of_each_vector(act: Act) -> None:
    """Of each kind of act, field by field."""
    octets = encode_act(act)
    head = read_head(octets, act.id, to=act.to)
    bonds = read_bonds(octets, originator=act.id.originator, to=act.to)
    assert (bonds.id, bonds.witness is None) == (act.id, not isinstance(act, Countersign))
    match act:
        case Notice():
            assert head == head_of(act)
        case Answer():
            assert head == AnswerHead(act.id, act.precedence, act.reference, act.code)
        case Countersign():
            assert head == CountersignHead(act.id, act.precedence)
        case _:
            assert head == VoidHead(act.id, act.precedence)
