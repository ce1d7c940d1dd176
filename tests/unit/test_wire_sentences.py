"""What a person or a program reads when a document, an act, an item or a frame is refused.

`sentences/wire.txt` has one sentence a line, in the order of the cases, as the code
said it when somebody read them all through; whoever changes one changes it there too. Behind a
bar stands the stable code for programs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import FieldError, GatewayError
from gateway.model import (
    ActId,
    Epoch,
    Kind,
    Phrase,
    Previous,
    Role,
    Serial,
    Station,
)
from gateway.wire import codebook
from gateway.wire.canonical import (
    as_array,
    as_octets,
    as_text,
    as_uint,
    dump,
    encode_map,
    load,
    load_kept_map,
    load_map,
    load_sequence,
)
from gateway.wire.fragment import Reassembly, split_act
from gateway.wire.frame import Header, parse_frame
from gateway.wire.generations import Generations, decode_generations, encode_generations
from gateway.wire.head import notice_outline, read_bonds, read_head
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
    encode_item,
    encode_items,
    encode_signature,
)
from gateway.wire.notice import decode_act, encode_act, read_witness
from gateway.wire.submission import (
    answer_from_document,
    check_request_id,
    draft_from_document,
    notice_id_from_document,
)
from tests.vectors.values import FULL, NORTH, SOUTH

STATIONS = {"NORTH": NORTH, "SOUTH": SOUTH}
NOTIFY: dict[str, object] = {
    "to": "SOUTH",
    "kind": "NOTIFY",
    "operation": "EXERCISE",
    "text": "hello",
}
PLACE: dict[str, object] = {"latitude": 1, "longitude": 2}
HEAD = ((12 * 3) * 4 + 3) * 4
"""Of an answer; its time NONE, its precedence the highest number, OPERATION."""
ANSWER: dict[int, object] = {0: HEAD, 1: 65538, 6: 65537, 13: 1}
NOTICE: dict[int, object] = {0: 0, 1: 65538, 7: "hello", 8: 0}
WITNESS: dict[int, object] = {0: 14 * 48, 1: 65538, 15: [1, bytes(32), 0, b"", []]}
BEAT = b"\x83\x25\x00\x00"
HELLO: dict[int, object] = {0: 1, 1: 0}


def draft(role: Role | None = None, **change: Any) -> Callable[[], object]:
    document = {key: value for key, value in (NOTIFY | change).items() if value is not None}
    return lambda: draft_from_document(document, station_number=STATIONS.get, role=role)


def phrased(code: object, *slots: object, **change: Any) -> Callable[[], object]:
    return draft(text=None, phrase=code, slots=list(slots), **change)


def place(**parts: object) -> Callable[[], object]:
    return draft(place=parts)


def act(fields: dict[int, object], **changed: object) -> Callable[[], object]:
    whole = fields | {int(key[1:]): value for key, value in changed.items()}
    whole = {key: value for key, value in whole.items() if value != "none"}
    return lambda: decode_act(dump(whole), originator=NORTH, to=SOUTH)


def items(*parts: object) -> Callable[[], object]:
    return lambda: decode_items(b"".join([dump(part) for part in parts]))


def item(value: Item) -> Callable[[], object]:
    return lambda: encode_item(value)


def hello(**change: object) -> Callable[[], object]:
    value = replace(HelloItem(1, Previous(Epoch(0), Serial(0))), **change)  # type: ignore[arg-type]
    return lambda: encode_item(value)


def frame(octets: str) -> Callable[[], object]:
    return lambda: parse_frame(bytes.fromhex(octets))


def bonds(fields: dict[int, object]) -> Callable[[], object]:
    return lambda: read_bonds(dump(fields), originator=NORTH, to=SOUTH)


def kept(fields: dict[int, object]) -> Callable[[], object]:
    kept_as = ActId(NORTH, Epoch(1), Serial(2))
    return lambda: read_head(dump(fields), kept_as, to=SOUTH)


def again(count: int, *parts: tuple[int, bytes]) -> Callable[[], object]:
    def join() -> object:
        whole = Reassembly(count)
        for index, octets in parts:
            whole.add(index, octets)
        return whole.result()

    return join


CASES: list[Callable[[], object]] = [
    # Submissions and answers.
    lambda: draft_from_document(None, station_number=STATIONS.get),
    lambda: draft_from_document([], station_number=STATIONS.get),
    lambda: draft_from_document("x", station_number=STATIONS.get),
    lambda: draft_from_document(1, station_number=STATIONS.get),
    lambda: draft_from_document(True, station_number=STATIONS.get),
    lambda: draft_from_document(b"", station_number=STATIONS.get),
    lambda: draft_from_document(object(), station_number=STATIONS.get),
    draft(colour="red"),
    draft(None, **{"a\nb" * 20: 1}),
    draft(to=None),
    draft(kind=None),
    draft(operation=None),
    draft(to=5),
    draft(to="EAST"),
    draft(to="S\xd6UTH"),
    draft(to="SOUTH-STATION"),
    draft(kind="SHOUT"),
    draft(kind=5),
    draft(kind=["NOTIFY"]),
    draft(operation="REAL"),
    draft(precedence="FAST"),
    draft(text=5),
    draft(text="x" * 4097),
    draft(text="x" * 1025),
    draft(text=None, language="en"),
    draft(language=5),
    draft(language="English"),
    draft(expires_min=0),
    draft(expires_min=2**31),
    draft(expires_min="1"),
    draft(expires_min=True),
    draft(reply_by_min=1.5),
    draft(reply_by_min=0),
    draft(reference=5),
    draft(reference="x"),
    draft(released_by="CAPTAIN"),
    draft(released_by="COMMANDER", role=Role.DUTY_OFFICER),
    draft(slots=[]),
    draft(phrase=1),
    draft(text=None, language="en", phrase=1),
    phrased(0),
    phrased(65536),
    phrased("1"),
    draft(text=None, phrase=1, slots="x"),
    draft(text=None, phrase=1, slots={}),
    phrased(1, *range(9)),
    phrased(1, None),
    phrased(1, 2**31),
    phrased(1, 2.5),
    phrased(1, "x" * 121),
    phrased(1, "bell\x07"),
    draft(place=[]),
    place(colour=1),
    place(latitude=1),
    place(longitude=1),
    place(latitude=90.1, longitude=1),
    place(latitude=1, longitude=-180.1),
    place(latitude=True, longitude=1),
    place(latitude="1", longitude=1),
    place(latitude=float("nan"), longitude=1),
    place(**PLACE, radius_m=65536),
    place(**PLACE, radius_m=-1),
    place(**PLACE, altitude=5),
    place(**PLACE, altitude={}),
    place(**PLACE, altitude={"low_m": 0}),
    place(**PLACE, altitude={"low_m": -501, "high_m": 0}),
    place(**PLACE, altitude={"low_m": 30_001, "high_m": 0}),
    place(**PLACE, altitude={"low_m": 1, "high_m": 0}),
    place(**PLACE, altitude={"low_m": 1, "high_m": 30_001}),
    place(**PLACE, altitude={"low_m": 1, "top_m": 3}),
    place(polygon=[[1, 2]] * 3, latitude=1),
    place(polygon=[[1, 2]] * 3, longitude=1),
    place(polygon=[[1, 2]] * 3, radius_m=1),
    place(polygon=[[1, 2]] * 2),
    place(polygon=[[1, 2]] * 9),
    place(polygon="abc"),
    place(polygon=[[1, 2], [1], [1, 2]]),
    place(polygon=[[1, 2], [1, 2], "ab"]),
    place(polygon=[[1, 2], [91, 2], [1, 2]]),
    place(polygon=[[1, 2], [1, 2], [1, 181]]),
    draft(window=5),
    draft(window={"from": "2026-11-22T14:30Z", "until": 1}),
    draft(window={"from": "2026-11-22T14:30Z"}),
    draft(window={"to": "2026-11-22T14:30Z"}),
    draft(window={"from": "2026-11-22 14:30", "to": "2026-11-22T14:30Z"}),
    draft(window={"from": "2026-11-22T14:30Z", "to": "2026-02-30T14:30Z"}),
    draft(window={"from": "2026-11-22T14:30:01Z", "to": "2026-11-22T14:30Z"}),
    draft(window={"from": "2026-11-22T14:30Z", "to": "2026-11-22T14:29Z"}),
    draft(window={"from": 1, "to": "2026-11-22T14:30Z"}),
    lambda: answer_from_document({}),
    lambda: answer_from_document({"answer": "CANTPRO"}),
    lambda: answer_from_document({"answer": "ROGER", "to": "SOUTH"}),
    lambda: answer_from_document([]),
    lambda: check_request_id(""),
    lambda: check_request_id("x" * 65),
    lambda: check_request_id(5),
    lambda: check_request_id(2**64),
    lambda: check_request_id(2**64 - 1),
    lambda: notice_id_from_document([]),
    lambda: notice_id_from_document({}),
    lambda: notice_id_from_document({"id": 5}),
    lambda: notice_id_from_document({"id": "x"}),
    # The codebook.
    phrased(9999),
    phrased(92, kind="LINE_STATE"),
    phrased(90, 1, kind="LINE_STATE"),
    phrased(15, "A-7", 1, "KILO 4"),
    phrased(10, "a-7", 1),
    phrased(12, "A-7", 1, "KILO  4", "KILO 5"),
    phrased(92, "320000Z", kind="LINE_STATE"),
    phrased(36, -1, kind="WARNING"),
    phrased(16, 0, "A", "B"),
    phrased(96, "ROUTINE", kind="LINE_STATE"),
    phrased(100, " ", kind="CHECK"),
    phrased(30, "221430Z", kind="NOTIFY", place=PLACE),
    phrased(10, "A-7", 1, place=PLACE),
    phrased(10, "A-7", 1),
    lambda: codebook.check(Phrase(9999, ())),
    # Acts.
    lambda: decode_act(bytes(1537), originator=NORTH, to=SOUTH),
    lambda: decode_act(b"\x80", originator=NORTH, to=SOUTH),
    act(ANSWER, _0="none"),
    act(ANSWER, _0=720),
    act(ANSWER, _1="none"),
    act(ANSWER, _1=2**32),
    act(ANSWER, _1=1),
    act(ANSWER, _2=2**32),
    act(ANSWER, _6="none"),
    act(ANSWER, _13="none"),
    act(ANSWER, _13=8),
    act(ANSWER, _14=2**32),
    act(ANSWER, _4=1),
    act(ANSWER, _7=1, _8=0),
    act(ANSWER, _7="x"),
    act(ANSWER, _7="x", _8=24),
    act(ANSWER, _12=6),
    act(NOTICE, _3=2**16),
    act(NOTICE, _4=2**16),
    act(NOTICE, _5=2**32),
    act(NOTICE, _6=2**32),
    act(NOTICE, _10="x"),
    act(NOTICE, _10=bytes(8)),
    act(NOTICE, _10=bytes(10)),
    act(NOTICE, _11=1),
    act(NOTICE, _11=[1]),
    act(NOTICE, _11=[1, 2, 3]),
    act(NOTICE, _11=[2**32, 1]),
    act(NOTICE, _11=[1, 2**16]),
    act(NOTICE, _7="none", _8="none", _9=[]),
    act(NOTICE, _7="none", _8="none", _9=[1] * 10),
    act(NOTICE, _7="none", _8="none", _9=[2**16]),
    act(NOTICE, _7="none", _8="none", _9=[1, 2**31]),
    act(NOTICE, _7="none", _8="none", _9=[1, -(2**31) - 1]),
    act(WITNESS, _15=1),
    act(WITNESS, _15=[1, bytes(32), 0, b""]),
    act(WITNESS, _15=[0, bytes(32), 0, b"", []]),
    act(WITNESS, _15=[2**32, bytes(32), 0, b"", []]),
    act(WITNESS, _15=[1, 1, 0, b"", []]),
    act(WITNESS, _15=[1, bytes(31), 0, b"", []]),
    act(WITNESS, _15=[1, bytes(32), 2**32, b"", []]),
    act(WITNESS, _15=[1, bytes(32), 0, 1, []]),
    act(WITNESS, _15=[1, bytes(32), 1, bytes(15), []]),
    act(WITNESS, _15=[1, bytes(32), 1, bytes(17), []]),
    act(WITNESS, _15=[1, bytes(32), 0, b"", 1]),
    act(WITNESS, _15=[1, bytes(32), 0, b"", [1] * 30]),
    act(WITNESS, _15=[1, bytes(32), 0, b"", [2**32]]),
    lambda: read_witness({}),
    lambda: encode_act(replace(FULL, extensions=((23, dump("x" * 2000)),))),
    # Heads and bonds.
    kept({}),
    kept(NOTICE | {1: 65537}),
    kept({0: HEAD, 1: 65538}),
    kept({0: HEAD, 1: 65538, 6: 2**32}),
    kept({0: HEAD, 1: 65538, 6: 65537}),
    kept({0: HEAD, 1: 65538, 6: 65537, 13: 8}),
    kept(NOTICE | {2: 2**32}),
    kept(NOTICE | {3: 2**16}),
    kept(NOTICE | {4: 2**16}),
    kept(NOTICE | {14: 2**32}),
    kept({0: int(Kind.UPDATE) * 48, 1: 65538, 9: []}),
    kept({0: int(Kind.UPDATE) * 48, 1: 65538, 9: [0]}),
    lambda: notice_outline(b"\xa0"),
    bonds({}),
    bonds({0: 2**32}),
    bonds({0: 0}),
    bonds({0: 0, 1: 65537, 14: "x"}),
    bonds({0: 14 * 48, 1: 65537}),
    # Items.
    items(),
    items(*[[-6, 0, 0]] * 33),
    items([-6]),
    items([-6, 0, 0, 0, 0, 0]),
    items({0: 1}),
    items(["x", 1]),
    items([-8, 1]),
    items([-1, 2**32, 0]),
    items([-1, 65536, 2**32]),
    items([-1, 65536, 0, 256]),
    items([-1, 65536, 0, 1, 1]),
    items([-1, 0, 0]),
    items([-2, 65536, [1]]),
    items([-2, 1, []]),
    items([-2, 1, [65536]]),
    items([-2, 1, [2, 1]]),
    items([-2, 1, [*range(1, 18)]]),
    items([-3, 65536, [1]]),
    items([-4, 2**32, 65537, 0, b"x"]),
    items([-4, 0, 2**32, 0, b"x"]),
    items([-4, 0, 65537, 1024, b"x"]),
    items([-4, 0, 65537, 0, "x"]),
    items([-4, 0, 65537, 1, b"x"]),
    items([-5, 2**32, 1, 0]),
    items([-5, 65537, 0, 0]),
    items([-5, 65537, 33, 0]),
    items([-5, 65537, 1, 2**32]),
    items([-5, 65537, 1, 2]),
    items([-6, 1024, 0]),
    items([-6, 0, 2**32]),
    items([0, {0: 1}]),
    items([0, 1, None]),
    items([2**32, {0: 1}, None]),
    items([0, {0: 1}, bytes(63)]),
    items([0, {0: 1}, 1]),
    items([-7, HELLO | {0: 65536}]),
    items([-7, HELLO | {1: 2**32}]),
    items([-7, HELLO | {2: bytes(7)}]),
    items([-7, HELLO | {3: bytes(9)}]),
    items([-7, HELLO | {4: 1}]),
    items([-7, HELLO | {5: 1}]),
    items([-7, HELLO | {5: [65537] * 5}]),
    items([-7, HELLO | {5: [2**32]}]),
    items([-7, HELLO | {6: 2**32}]),
    items([-7, HELLO | {7: False}]),
    items([-7, HELLO | {8: 2**20 + 1}]),
    items([-7, HELLO | {17: 1}]),
    items([-7, HELLO | {17: [1, 1]}]),
    items([-7, HELLO | {17: [0, 1, bytes(8)]}]),
    items([-7, HELLO | {17: [256, 1, bytes(8)]}]),
    items([-7, HELLO | {17: [2, 0, bytes(8)]}]),
    items([-7, HELLO | {17: [2, 3, bytes(8)]}]),
    items([-7, HELLO | {17: [2, 1, bytes(7)]}]),
    lambda: decode_generations([2, 1]),
    lambda: encode_generations(Generations(256, 1, bytes(8))),
    lambda: encode_generations(Generations(2, 0, bytes(8))),
    lambda: encode_generations(Generations(2, 3, bytes(8))),
    lambda: encode_generations(Generations(2, 1, bytes(9))),
    lambda: encode_items([]),
    lambda: encode_items([BeatItem(0, is_reply=False, busy=False, entry_number=0)] * 33),
    item(ReceiptItem(0, 0, 0)),
    item(ReceiptItem(65536, 0, 0)),
    item(ReceiptItem(1, 65536, 0)),
    item(ReceiptItem(1, -1, 0)),
    item(ReceiptItem(1, 1, 2**32)),
    item(ReceiptItem(1, 1, 1, 256)),
    item(SelectiveReceiptItem(0, (1,))),
    item(SelectiveReceiptItem(1, ())),
    item(SelectiveReceiptItem(1, (0,))),
    item(SelectiveReceiptItem(1, (2, 2))),
    item(SelectiveReceiptItem(1, tuple(range(1, 18)))),
    item(DisplayedItem(0, (1,))),
    item(FragmentItem(2**32, 1, 1, 0, 1, b"x")),
    item(FragmentItem(0, 0, 1, 0, 1, b"x")),
    item(FragmentItem(0, 1, 0, 0, 1, b"x")),
    item(FragmentItem(0, 1, 1, 0, 0, b"x")),
    item(FragmentItem(0, 1, 1, 0, 33, b"x")),
    item(FragmentItem(0, 1, 1, 1, 1, b"x")),
    item(FragmentItem(0, 1, 1, 0, 1, b"")),
    item(FragmentItem(0, 1, 1, 0, 1, bytes(2000))),
    item(FragmentReceiptItem(0, 1, 1, 0)),
    item(FragmentReceiptItem(1, 0, 1, 0)),
    item(FragmentReceiptItem(1, 1, 0, 0)),
    item(FragmentReceiptItem(1, 1, 33, 0)),
    item(FragmentReceiptItem(1, 1, 2, 4)),
    item(BeatItem(256, is_reply=False, busy=False, entry_number=0)),
    item(BeatItem(0, is_reply=False, busy=False, entry_number=2**32)),
    item(ActItem(0, b"", None)),
    item(ActItem(0, b"\x80", None)),
    item(ActItem(0, b"\xb8", None)),
    item(ActItem(0, b"\xa0\xa0", None)),
    item(ActItem(2**32, b"\xa0", None)),
    item(ActItem(0, b"\xa0", bytes(63))),
    lambda: encode_signature(bytes(65)),
    hello(epoch=0),
    hello(known=((1, 1),) * 5),
    hello(known=((0, 1),)),
    hello(known=((1, 65536),)),
    hello(echo=bytes(7)),
    hello(challenge=bytes(9)),
    hello(response=b""),
    hello(heard_s=2**32),
    hello(frame_count=2**20 + 1),
    hello(extensions=((17, b"\x00"),)),
    # Frames and fragments.
    frame(""),
    lambda: parse_frame(bytes(1025)),
    frame("00"),
    frame("29"),
    frame("08"),
    frame("0c"),
    frame("190007"),
    frame("0900010300" + "00" * 7),
    frame("0900000300" + "00" * 9),
    frame("0900010000" + "00" * 9),
    frame("0a00000103" + "00" * 9),
    lambda: Header(Station(0), 1, 0),
    lambda: Header(Station(256), 1, 0),
    lambda: Header(NORTH, -1, 0),
    lambda: Header(NORTH, 256, 0),
    lambda: Header(NORTH, 1, 2**20),
    lambda: Header(NORTH, 0, 0),
    lambda: Header(NORTH, 1, 0, bytes(7)),
    lambda: split_act(bytes(100), None, room=0),
    lambda: split_act(bytes(100), None, room=3),
    lambda: Reassembly(0),
    lambda: Reassembly(33),
    again(2, (2, b"x")),
    again(2, (-1, b"x")),
    again(2, (0, b"")),
    again(2, (0, b"x"), (0, b"y")),
    again(2, (0, bytes(1260)), (1, bytes(1260))),
    again(2, (0, b"x")),
    again(1, (0, b"\xa0")),
    again(1, (0, b"\xf6\xf6")),
    again(1, (0, b"\xa0\x00")),
    # Canonical CBOR.
    lambda: load(b"\x00\x00"),
    lambda: load_map(b"\x00"),
    lambda: load_kept_map(b"\x00"),
    lambda: load(b""),
    lambda: load(b"\x41"),
    lambda: load(b"\xf9\x00\x00"),
    lambda: load(b"\xe0"),
    lambda: load(b"\xc0\x00"),
    lambda: load(b"\x81" * 9 + b"\x00"),
    lambda: load(b"\x85\x00"),
    lambda: load(b"\xa2\x00\x00"),
    lambda: load(b"\xa2\x01\x00\x00\x00"),
    lambda: load(b"\xa1\x18\x18\x00"),
    lambda: load(b"\x81\x42\x00"),
    lambda: load(b"\x81\x58\x30\x00"),
    lambda: load(b"\x5f"),
    lambda: load(b"\x1c"),
    lambda: load(b"\x19\x00"),
    lambda: load(b"\x18\x17"),
    lambda: load(b"\x19\x00\xff"),
    lambda: load(b"\x61\xff"),
    lambda: load_sequence(b"", count_max=1),
    lambda: load_sequence(b"\x00\x00", count_max=1),
    lambda: as_uint(True, 5, "it"),
    lambda: as_octets("", "it"),
    lambda: as_octets(b"", "it", size=2),
    lambda: as_text(b"", "it"),
    lambda: as_array((), "it", low=1, high=2),
    lambda: encode_map({}, ((15, b"\x00"),)),
    lambda: encode_map({}, ((24, b"\x00"),)),
    lambda: encode_map({}, ((17, b"\x00"), (16, b"\x00"))),
    lambda: encode_map({}, ((17, b"\x18\x00"),)),
    lambda: encode_map({}, ((17, b"\x00\x00"),)),
]
SENTENCES = (Path(__file__).parent / "sentences/wire.txt").read_text().splitlines()


def said(error: GatewayError) -> str:
    return f"{error} | {error.code}" if isinstance(error, FieldError) else str(error)


@pytest.mark.parametrize(("refused", "sentence"), list(zip(CASES, SENTENCES, strict=True)))
def test_a_refusal_says_what_is_wrong_word_for_word(
    refused: Callable[[], object], sentence: str
) -> None:
    """The whole sentence and its code, so that nothing of it is left to chance."""
    with pytest.raises(GatewayError) as caught:
        refused()
    assert said(caught.value) == sentence
