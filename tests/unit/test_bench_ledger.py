"""The bench's own account of frames: which notice, which link, how many octets."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.model import (
    ActId,
    Answer,
    AnswerCode,
    Epoch,
    Kind,
    Notice,
    Operation,
    Precedence,
    Previous,
    Serial,
    Station,
    Text,
    TimeQuality,
)
from gateway.security.keys import LineKeys, derive_line_keys, make_card, new_station_keys
from gateway.security.seal import seal_frame
from gateway.sim.bench.ledger import Ledger
from gateway.wire.frame import Header
from gateway.wire.items import ActItem, BeatItem, Item, ReceiptItem, encode_items
from gateway.wire.notice import encode_act

NORTH, SOUTH = Station(1), Station(2)
NOTICE_ID = ActId(NORTH, Epoch(7), Serial(1))
ANSWER_ID = ActId(SOUTH, Epoch(9), Serial(1))
INCARNATION = {NORTH: b"northern", SOUTH: b"southern"}


@pytest.fixture(scope="module")
def keys() -> dict[Station, LineKeys]:
    own = {
        station: new_station_keys(bytes([station]) * 64, station=station)
        for station in (NORTH, SOUTH)
    }
    cards = {
        station: make_card(own[station], name=f"S{station}", party="Bench", language="en")
        for station in own
    }
    secret = bytes(range(32))
    return {
        NORTH: derive_line_keys(own[NORTH], cards[SOUTH], secret, 1),
        SOUTH: derive_line_keys(own[SOUTH], cards[NORTH], secret, 1),
    }


def frame(
    keys: dict[Station, LineKeys], sender: Station, counter: int, *items: Item, named: bool = True
) -> bytes:
    incarnation = INCARNATION[sender]
    header = Header(sender, 1, counter, incarnation if named else None)
    key = keys[sender].outbound(False, incarnation)
    far = SOUTH if sender == NORTH else NORTH
    return seal_frame(key, header, encode_items(list(items)), recipient=far)


def notice_item() -> ActItem:
    notice = Notice(
        id=NOTICE_ID,
        to=SOUTH,
        kind=Kind.NOTIFY,
        precedence=Precedence.ROUTINE,
        operation=Operation.TEST,
        created=None,
        time_quality=TimeQuality.NONE,
        lifetime_min=60,
        body=Text("a test", "en"),
        previous=Previous(0, 0),
    )
    return ActItem(0, encode_act(notice), bytes(64))


def answer_item() -> ActItem:
    answer = Answer(
        id=ANSWER_ID,
        to=NORTH,
        precedence=Precedence.ROUTINE,
        operation=Operation.TEST,
        created=None,
        time_quality=TimeQuality.NONE,
        reference=NOTICE_ID,
        code=AnswerCode.ROGER,
        previous=Previous(0, 0),
    )
    return ActItem(0, encode_act(answer), bytes(64))


def test_a_dialogue_is_counted_to_its_notice(keys: dict[Station, LineKeys]) -> None:
    """Notice, receipt, answer and the answer's receipt cost the notice; beats cost nobody."""
    ledger = Ledger(keys)
    ledger.feed("radio", frame(keys, NORTH, 0, notice_item()), 200)
    ledger.feed("cable", frame(keys, SOUTH, 0, ReceiptItem(7, 1, 0)), 30)
    ledger.feed("cable", frame(keys, SOUTH, 1, answer_item(), named=False), 120)
    ledger.feed("radio", frame(keys, NORTH, 1, ReceiptItem(9, 1, 0)), 50)
    ledger.feed("cable", frame(keys, NORTH, 2, BeatItem(1, False, False, 0)), 25)
    traffic = ledger.traffic[NOTICE_ID]
    assert round(traffic.octets) == 400
    assert traffic.frames == {"radio": 1}
    assert ledger.other_octets == 25
    assert ledger.unopened_count == 0


def test_a_shared_frame_is_shared_by_size(keys: dict[Station, LineKeys]) -> None:
    """A receipt that rides with a notice costs its own dialogue only its part."""
    ledger = Ledger(keys)
    ledger.feed("cable", frame(keys, SOUTH, 0, answer_item()), 100)
    ledger.feed("cable", frame(keys, NORTH, 0, notice_item(), ReceiptItem(9, 1, 0)), 100)
    assert round(ledger.traffic[NOTICE_ID].octets) == 200


def test_what_does_not_open_is_counted_apart(keys: dict[Station, LineKeys]) -> None:
    """Noise, forged frames and unknown incarnations are octets of nobody."""
    ledger = Ledger(keys)
    good = frame(keys, NORTH, 0, notice_item())
    ledger.feed("radio", good[:-1] + bytes([good[-1] ^ 1]), 100)
    ledger.feed("radio", b"noise", 10)
    ledger.feed("radio", frame(keys, SOUTH, 0, answer_item(), named=False), 90)
    assert (ledger.unopened_count, ledger.other_octets) == (3, 200)
    assert not ledger.traffic


def test_a_frame_of_each_type_and_link_is_kept(
    keys: dict[Station, LineKeys], tmp_path: Path
) -> None:
    """The first of each; those that name the incarnations come first, none stands there twice."""
    ledger = Ledger(keys)
    hello = frame(keys, NORTH, 0, BeatItem(1, False, False, 0))
    notice = frame(keys, NORTH, 1, notice_item(), ReceiptItem(9, 1, 0), named=False)
    answer = frame(keys, SOUTH, 0, answer_item())
    beat = frame(keys, NORTH, 2, BeatItem(1, False, False, 0), named=False)
    for link, octets in (("radio", hello), ("radio", notice), ("cable", answer), ("cable", beat)):
        ledger.feed(link, octets, 100)
        ledger.feed(link, beat, 100)
    assert set(ledger.samples) == {
        ("radio", "BeatItem"),
        ("radio", "Notice"),
        ("radio", "ReceiptItem"),
        ("cable", "Answer"),
        ("cable", "BeatItem"),
    }
    path = tmp_path / "frames.hex"
    assert ledger.write_samples(path) == 4
    lines = [bytes.fromhex(line) for line in path.read_text().splitlines()]
    assert lines == [hello, answer, notice, beat]
