"""The last value that each part of the wire may have: it is written, and read again as it was."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from gateway.model import (
    AnswerCode,
    Epoch,
    NoticeDraft,
    Phrase,
    Place,
    Point,
    Precedence,
    Previous,
    Role,
    Serial,
    Station,
    Text,
    Window,
)
from gateway.wire.canonical import (
    as_array,
    as_octets,
    as_uint,
    dump,
    encode_map,
    load,
    load_sequence,
)
from gateway.wire.fragment import FRAGMENT_OVERHEAD_MAX, fragment_room, split_act
from gateway.wire.frame import Header, encode_header, frame_size, parse_frame
from gateway.wire.generations import Generations, decode_generations, encode_generations
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
    encoded_size,
)
from gateway.wire.submission import (
    answer_from_document,
    check_request_id,
    draft_from_document,
    notice_id_from_document,
    request_id_from_document,
)
from tests.vectors.values import NORTH, SOUTH

STATIONS = {"NORTH": NORTH, "SOUTH": SOUTH}
NEVER = Previous(Epoch(0), Serial(0))
LAST = Previous(Epoch(65535), Serial(65535))
ITEMS: list[Item] = [
    ActItem(0, b"\xa0", None),
    ActItem(2**32 - 1, b"\xa1\x00\x00", bytes(64)),
    ActItem(None, b"\xb7" + b"".join([bytes([key, 0]) for key in range(23)]), None),
    ReceiptItem(1, 0, 0),
    ReceiptItem(65535, 65535, 2**32 - 1, 0),
    ReceiptItem(65535, 65535, 0, 255),
    SelectiveReceiptItem(1, (1,)),
    SelectiveReceiptItem(65535, tuple(range(65520, 65536)), 255),
    SelectiveReceiptItem(65535, (1, 65535), 0),
    DisplayedItem(1, (1,)),
    DisplayedItem(65535, tuple(range(65520, 65536))),
    FragmentItem(0, 1, 1, 0, 1, b"x"),
    FragmentItem(2**32 - 1, 65535, 65535, 31, 32, bytes(1536)),
    FragmentItem(None, 1, 1, 0, 32, b"x"),
    FragmentItem(None, 1, 1, 1, 2, b"x"),
    FragmentReceiptItem(1, 1, 1, 0),
    FragmentReceiptItem(1, 1, 1, 1, 0),
    FragmentReceiptItem(65535, 65535, 32, 2**32 - 1, 255),
    BeatItem(0, is_reply=False, busy=False, entry_number=0),
    BeatItem(255, is_reply=True, busy=False, entry_number=2**32 - 1),
    BeatItem(1, is_reply=False, busy=True, entry_number=1),
    HelloItem(1, NEVER),
    HelloItem(65535, LAST, bytes(8), b"1" * 8, b"2" * 8, ((1, 0),), 0, True, 0),
    HelloItem(1, NEVER, known=((1, 1),) * 4, heard_s=2**32 - 1, frame_count=2**20),
    HelloItem(1, NEVER, generations=Generations(2, 1, bytes(8))),
    HelloItem(1, NEVER, generations=Generations(2, 1, bytes(8)), extensions=((16, b"\x00"),)),
    HelloItem(1, NEVER, extensions=((16, b"\x00"), (18, b"\x00"), (23, b"\x00"))),
]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: type(item).__name__)
def test_an_item_at_its_bounds_comes_back(item: Item) -> None:
    """Alone, and with another behind it; its size is what it takes."""
    octets = encode_items([item])
    assert decode_items(octets) == (item,)
    assert encoded_size(item) == len(octets)
    assert decode_items(octets * 2) == (item, item)


def test_a_frame_may_have_32_items() -> None:
    """And no more: that is in the list of refusals."""
    beats = (BeatItem(0, is_reply=False, busy=False, entry_number=0),) * 32
    assert decode_items(encode_items(beats)) == beats


@pytest.mark.parametrize("told", [(1, 1), (255, 1), (255, 255), (2, 1)])
def test_generations_at_their_bounds_come_back(told: tuple[int, int]) -> None:
    """Newest and oldest from 1 to 255, the oldest not above the newest."""
    value = Generations(*told, bytes(range(8)))
    assert decode_generations(load(encode_generations(value))) == value
    assert decode_generations(None) is None


@pytest.mark.parametrize("counter", [0, 1, 255, 256, 65535, 65536, 2**20 - 1])
@pytest.mark.parametrize("incarnation", [None, bytes(range(8))])
@pytest.mark.parametrize("sender", [1, 255])
def test_a_header_at_its_bounds_comes_back(
    counter: int, incarnation: bytes | None, sender: int
) -> None:
    """With its size, around one octet of items and around as many as a frame may hold."""
    header = Header(Station(sender), 255, counter, incarnation)
    octets = encode_header(header)
    assert len(octets) == header.size
    assert header.partial_iv == octets[1 : 1 + len(header.partial_iv)]
    for size in (1, 1024 - 8 - header.size):
        sealed = bytes(size + 8)
        assert parse_frame(octets + sealed) == (header, octets, sealed)
        assert frame_size(header, size) == len(octets + sealed)
    hello = Header(Station(sender), 0, counter, bytes(8))
    assert parse_frame(encode_header(hello) + bytes(9))[0] == hello


def test_fragments_fill_the_room_of_a_frame() -> None:
    """The overhead around a fragment is never more than what is taken off for it."""
    longest = FragmentItem(2**32 - 1, 65535, 65535, 31, 32, bytes(900))
    assert encoded_size(longest) - 900 <= FRAGMENT_OVERHEAD_MAX
    assert fragment_room(200) == 200 - FRAGMENT_OVERHEAD_MAX
    parts = split_act(bytes(63), None, room=2)
    assert [len(part) for part in parts] == [2] * 32


NOTIFY: dict[str, object] = {"to": "SOUTH", "kind": "NOTIFY", "operation": "TEST", "text": "hi"}


def read(change: Mapping[str, object], role: Role | None = None) -> NoticeDraft:
    document = {key: value for key, value in (NOTIFY | dict(change)).items() if value is not None}
    return draft_from_document(document, station_number=STATIONS.get, role=role)


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"expires_min": 1}, "lifetime_min", 1),
        ({"expires_min": 65535}, "lifetime_min", 65535),
        ({"reply_by_min": 1}, "reply_by_min", 1),
        ({"to": "south"}, "to", SOUTH),
        ({"kind": "notify"}, "precedence", Precedence.ROUTINE),
        ({"precedence": "z"}, "precedence", Precedence.FLASH),
        ({"precedence": "Immediate"}, "precedence", Precedence.IMMEDIATE),
        ({"released_by": "watch commander"}, "released_by", Role.WATCH_COMMANDER),
        ({}, "released_by", Role.DUTY_OFFICER),
        ({"text": "x" * 1024}, "body", Text("x" * 1024, "en")),
        ({"language": "uk"}, "body", Text("hi", "uk")),
        ({"text": None}, "body", None),
        (
            {"text": None, "kind": "CHECK", "phrase": 100, "slots": ["x" * 120]},
            "body",
            Phrase(100, ("x" * 120,)),
        ),
        (
            {"place": {"latitude": 90, "longitude": -180, "radius_m": 65535}},
            "place",
            Place((Point(9_000_000, -18_000_000),), 65535),
        ),
        (
            {"place": {"latitude": -90, "longitude": 180, "radius_m": 0}},
            "place",
            Place((Point(-9_000_000, 18_000_000),), 0),
        ),
        (
            {"place": {"latitude": 0.000_014, "longitude": 0.000_016}},
            "place",
            Place((Point(1, 2),), 0),
        ),
        (
            {"place": {"polygon": [[1, 2], [3, 4], [5, 6]]}},
            "place",
            Place((Point(100_000, 200_000), Point(300_000, 400_000), Point(500_000, 600_000)), 0),
        ),
        (
            {"window": {"from": "1970-01-01T00:00Z", "to": "1970-01-01T00:00Z"}},
            "window",
            Window(0, 0),
        ),
        (
            {"window": {"from": "2026-11-22T14:30:00+02:00", "to": "2026-11-22T12:31Z"}},
            "window",
            Window(29_922_510, 1),
        ),
    ],
)
def test_a_submission_at_its_bounds_is_read(
    change: dict[str, object], field: str, value: object
) -> None:
    """Every part that has a first or last value, a default, or several spellings."""
    assert getattr(read(change), field) == value


@pytest.mark.parametrize(
    ("low", "high"), [(-500, -500), (30_000, 30_000), (-500, 30_000), (0, 0), (5, 6)]
)
def test_an_altitude_at_its_bounds_is_read(low: int, high: int) -> None:
    """Both ends of the band are within, with a circle and with a polygon."""
    altitude = {"low_m": low, "high_m": high}
    for place in ({"latitude": 1, "longitude": 2}, {"polygon": [[1, 2], [1, 3], [2, 3]]}):
        found = read({"place": {**place, "altitude": altitude}}).place
        assert found is not None
        assert found.altitude is not None
        assert (found.altitude.low_m, found.altitude.high_m) == (low, high)


def test_a_polygon_may_have_3_to_8_points() -> None:
    """In the order in which they were given."""
    for count in (3, 8):
        points = [[index, index + 1] for index in range(count)]
        found = read({"place": {"polygon": points}}).place
        assert found is not None
        assert [(p.latitude_e5, p.longitude_e5) for p in found.points] == [
            (latitude * 100_000, longitude * 100_000) for latitude, longitude in points
        ]


def test_a_role_that_the_adapter_knows_goes_before_the_document() -> None:
    """It is the default, and the only word that is taken."""
    assert read({}, Role.COMMANDER).released_by is Role.COMMANDER
    assert read({"released_by": "commander"}, Role.COMMANDER).released_by is Role.COMMANDER


def test_answers_and_requests_are_read() -> None:
    """Each answer of a person; request ids of 1 to 64 characters; the id of a notice."""
    for code in AnswerCode:
        if code is not AnswerCode.CANTPRO:
            document = {"answer": code.name.lower(), "id": "1-3f2a-17", "request_id": "r"}
            assert answer_from_document(document) == (code, None)
    said = answer_from_document({"answer": "ROGER", "text": "так", "language": "uk"})
    assert said == (AnswerCode.ROGER, Text("так", "uk"))
    for name in ("x", "A-z_0.9:@=~", "x" * 64):
        assert check_request_id(name) == request_id_from_document({"request_id": name}) == name
    nothing: list[object] = [{}, {"request_id": None}, [], None]
    for nameless in nothing:
        assert request_id_from_document(nameless) is None
    assert str(notice_id_from_document({"id": "1-3f2a-17"})) == "1-3f2a-17"


def test_checks_of_decoded_values_let_the_bounds_pass() -> None:
    """Integers, octets, arrays and extensions, at both ends."""
    assert [as_uint(value, 5, "it", low=3) for value in (3, 5)] == [3, 5]
    assert as_uint(0, 5, "it") == 0
    assert (as_octets(b"", "it"), as_octets(b"ab", "it", size=2)) == (b"", b"ab")
    assert [as_array(value, "it", low=1, high=2) for value in ([1], [1, 2])] == [[1], [1, 2]]
    assert encode_map({15: 1, 0: 2}, ((16, b"\x00"), (23, b"\xf6"))) == dump(
        {0: 2, 15: 1, 16: 0, 23: None}
    )
    assert load_sequence(b"\x00\x41a", count_max=2) == [(0, b"\x00"), (b"a", b"\x41a")]


@pytest.mark.parametrize(
    "value",
    [
        *(0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1),
        *(-1, -24, -25, -256, -257, -(2**32), -(2**64)),
        *(b"", bytes(23), bytes(24), bytes(255), bytes(256), bytes(65536)),
        *("", "x" * 23, "x" * 24, "é" * 200, True, False, None),
        *([], [0] * 23, [0] * 24, [bytes(30)], ["x" * 300], {}, {0: 1, 23: [None, True]}),
        [-1, -25, b"x" * 23, b"x" * 24, "é", {5: {0: 1}}, 24, 256, [[]]],
    ],
    ids=lambda value: ascii(value)[:30].replace("\\", ""),
)
def test_every_value_of_the_subset_has_one_form(value: object) -> None:
    """Each size of a head, alone and within an array; one octet less or more is refused."""
    for whole in (value, [value, 0]):
        assert load(dump(whole)) == whole
