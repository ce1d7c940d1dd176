"""Whatever value exists has one octet form, and that form gives the value back."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Act
from gateway.wire.byte_stream import ENCODED_SIZE_MAX, StreamDecoder, encode_stream
from gateway.wire.canonical import load
from gateway.wire.fragment import CONTENT_SIZE_MAX, ROOM_MIN, Reassembly, split_act
from gateway.wire.frame import Header, encode_header, frame_size, parse_frame
from gateway.wire.items import Item, decode_items, encode_items, encoded_size
from gateway.wire.notice import decode_act, encode_act, peek_act_id
from tests.property.wire_strategies import (
    NORTH,
    SOUTH,
    acts,
    headers,
    items,
    signatures,
)


@given(acts())
def test_an_act_survives_its_octets(act: Act) -> None:
    """Every act that can be made can be sent, and is read as it was."""
    octets = encode_act(act)
    assert decode_act(octets, originator=NORTH, to=SOUTH) == act
    assert peek_act_id(octets, originator=NORTH) == act.id
    assert load(octets, nesting=3) == load(octets)


@given(st.lists(items, min_size=1, max_size=6))
def test_items_survive_their_octets(sent: list[Item]) -> None:
    """Any items in any order are read back from one frame, and sizes add up."""
    octets = encode_items(sent)
    assert decode_items(octets) == tuple(sent)
    assert sum(encoded_size(item) for item in sent) == len(octets)


@given(headers(), st.binary(min_size=9, max_size=40))
def test_a_header_survives_its_octets(header: Header, sealed: bytes) -> None:
    """A frame's clear part is read as it was written; `frame_size` tells the truth."""
    octets = encode_header(header) + sealed
    assert parse_frame(octets) == (header, encode_header(header), sealed)
    assert frame_size(header, len(sealed) - 8) == len(octets)


@given(acts(), signatures, st.integers(ROOM_MIN, CONTENT_SIZE_MAX), st.randoms())
def test_fragments_join_in_any_order(
    act: Act, signature: bytes | None, room: int, order: random.Random
) -> None:
    """Fragments repeated and in any order give the act back; none is longer than its room."""
    octets = encode_act(act)
    parts = split_act(octets, signature, room=room)
    assert max(len(part) for part in parts) <= room
    arriving = [*enumerate(parts), *enumerate(parts)]
    order.shuffle(arriving)
    reassembly = Reassembly(len(parts))
    for index, part in arriving:
        reassembly.add(index, part)
    assert reassembly.bitmap == (1 << len(parts)) - 1
    assert reassembly.result() == (octets, signature)


frames = st.one_of(
    st.binary(min_size=1, max_size=1024),
    st.lists(st.sampled_from((0, 1, 0xFF)), min_size=1, max_size=600).map(bytes),
    st.integers(1, 1024).map(bytes),
    st.integers(1, 1024).map(lambda size: b"\x55" * size),
)


@given(st.lists(frames, min_size=1, max_size=4), st.integers(1, 64))
def test_frames_survive_the_stream(sent: list[bytes], step: int) -> None:
    """Frames come out of the stream whole, however it is cut, at the stated price."""
    line = b"".join(encode_stream(frame) for frame in sent)
    for frame in sent:
        stuffed = encode_stream(frame)
        assert stuffed.index(0) == len(stuffed) - 1 <= ENCODED_SIZE_MAX
        assert len(stuffed) <= len(frame) + 2 + len(frame) // 254
    decoder = StreamDecoder()
    found = [
        frame
        for start in range(0, len(line), step)
        for frame in decoder.feed(line[start : start + step])
    ]
    assert found == sent
    assert decoder.dropped_count == 0


@given(frames, st.binary(max_size=2000), frames)
def test_noise_costs_at_most_the_frame_it_touches(first: bytes, noise: bytes, last: bytes) -> None:
    """Noise between two frames may cost the second, never the first, and nothing after a zero."""
    decoder = StreamDecoder()
    assert decoder.feed(encode_stream(first)) == [first]
    decoder.feed(noise + b"\x00")
    assert decoder.feed(encode_stream(last)) == [last]
