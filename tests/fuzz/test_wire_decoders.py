"""Any octets give a value or `DecodeError`, and nothing else, whole and octet by octet."""

from __future__ import annotations

import contextlib

import cbor2
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import DecodeError, FieldError
from gateway.model import Act
from gateway.security.cards import parse_card, parse_key_file, parse_secret
from gateway.wire.byte_stream import ENCODED_SIZE_MAX, StreamDecoder, encode_stream
from gateway.wire.canonical import check, load
from gateway.wire.compression import compress, decompress
from gateway.wire.diagnostic import annotate_item, diagnose
from gateway.wire.items import Item, encode_items
from gateway.wire.notice import decode_act, encode_act, peek_act_id
from tests.fuzz.octet_targets import READERS, read_act, read_text
from tests.property.wire_strategies import NORTH, SOUTH, acts, items, notices

# Octets that are CBOR more often than chance allows, deterministic or not.
loose = st.recursive(
    st.one_of(
        st.integers(-(2**65), 2**65),
        st.integers(-8, 30),
        st.floats(),
        st.booleans(),
        st.none(),
        st.just(cbor2.undefined),
        st.binary(max_size=70),
        st.text(max_size=8),
        st.builds(cbor2.CBORSimpleValue, st.integers(0, 19)),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.integers(-1, 26), inner, max_size=5),
        st.builds(cbor2.CBORTag, st.integers(0, 300), inner),
    ),
    max_leaves=12,
)
octets_of_any_kind = st.one_of(
    st.binary(max_size=120),
    loose.map(lambda value: cbor2.dumps(value, canonical=True)),
    st.lists(loose, min_size=1, max_size=3).map(lambda found: b"".join(map(cbor2.dumps, found))),
)


@given(octets_of_any_kind)
@example(b"")
@example(b"\xc1\x1a\x00\x00\x00\x00")
@example(b"\xd8\x23\x61(")
@example(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff")
@example(b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff")
@example(b"\x81" * 2000)
@example(b"\xa1\x00" * 1000)
@example(b"\xa2\x00\x00\x00\x00")
@example(b"\x83\x00\xa0\xf6")
@example(b"\x82\x26\xa0")
def test_any_octets(octets: bytes) -> None:
    """No reader raises anything but `DecodeError`, however odd the CBOR."""
    for read in READERS:
        with contextlib.suppress(DecodeError):
            read(octets)
    assert peek_act_id(octets, originator=NORTH) is None or octets


@given(octets_of_any_kind)
def test_what_loads_is_deterministic(octets: bytes) -> None:
    """What the strict reader takes, cbor2 writes again octet for octet; it takes all of it."""
    with contextlib.suppress(DecodeError):
        value = load(octets)
        assert cbor2.dumps(value, canonical=True) == octets
        assert check(octets, 0) == len(octets)


@given(st.one_of(acts().map(encode_act), items.map(lambda item: encode_items([item]))), st.data())
def test_damaged_octets(octets: bytes, data: st.DataObject) -> None:
    """Every prefix, and any octet changed, inserted or removed, gives a value or `DecodeError`."""
    position = data.draw(st.integers(0, len(octets) - 1))
    new = bytes([data.draw(st.integers(0, 255))])
    damaged = [octets[:end] for end in range(len(octets))]
    damaged += [
        octets[:position] + new + octets[position + 1 :],
        octets[:position] + new + octets[position:],
        octets[:position] + octets[position + 1 :],
        octets + new,
    ]
    for found in damaged:
        for read in READERS:
            with contextlib.suppress(DecodeError):
                read(found)


@given(
    st.integers(0, 6), st.one_of(st.binary(max_size=60), st.integers(0, 2000).map(bytes)), st.data()
)
def test_any_compressed_text(number: int, coded: bytes, data: st.DataObject) -> None:
    """Any octets as an act's text give a bounded text or `DecodeError`; also shown as a comment."""
    octets = bytes([number]) + coded
    act = cbor2.dumps({0: 36, 1: 65537, 7: octets, 8: 0, 14: 0}, canonical=True)
    for read in (read_text, lambda _: read_act(act)):
        with contextlib.suppress(DecodeError):
            read(octets)
    assert diagnose(annotate_item([0, {7: octets}, None]))


@given(notices, st.sampled_from(("en", "fr", "ru", "ar", "uk", "es")), st.data())
def test_damaged_compressed_text(text: str, language: str, data: st.DataObject) -> None:
    """A cut, longer or changed text is another one in its canonical form, or `DecodeError`."""
    octets = compress(text, language)
    if octets is None:
        return
    assert decompress(octets) == text
    position = data.draw(st.integers(0, len(octets) - 1))
    new = bytes([data.draw(st.integers(0, 255))])
    for damaged in (
        octets + new,
        octets[:position],
        octets[:position] + new + octets[position:],
        octets[:position] + new + octets[position + 1 :],
    ):
        with contextlib.suppress(DecodeError):
            assert decompress(damaged) != text or damaged == octets
            read_text(damaged)


@given(acts())
def test_no_prefix_of_an_act_is_an_act(act: Act) -> None:
    """A cut act never reads as a shorter one."""
    octets = encode_act(act)
    for end in range(len(octets)):
        with contextlib.suppress(DecodeError):
            decode_act(octets[:end], originator=NORTH, to=SOUTH)
            raise AssertionError(octets[:end].hex())


@given(st.lists(items, min_size=1, max_size=3))
def test_what_decodes_can_be_shown(sent: list[Item]) -> None:
    """Diagnostic notation exists for every item, with and without comments."""
    for item in sent:
        value = load(encode_items([item]))
        assert isinstance(value, list)
        assert diagnose(value)
        assert diagnose(annotate_item(value)).count(" / ") >= 1


@given(st.lists(st.binary(max_size=1500), max_size=4), st.binary(min_size=1, max_size=50))
def test_a_stream_octet_by_octet(noise: list[bytes], frame: bytes) -> None:
    """The stream decoder finds the same whole and octet by octet, and holds little."""
    line = b"\x00".join([*noise, b""]) + encode_stream(frame)
    whole, single = StreamDecoder(), StreamDecoder()
    found = whole.feed(line)
    slowly = []
    for octet in line:
        slowly += single.feed(bytes([octet]))
        assert len(single._pending) <= ENCODED_SIZE_MAX
    assert found == slowly
    assert found[-1] == frame
    assert whole.dropped_count == single.dropped_count


@given(
    st.one_of(
        st.text(max_size=200),
        st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567= \n", max_size=400).map(
            lambda body: f"HOTLINE-CARD-1.{body}"
        ),
        st.text(max_size=40).map(lambda body: f"HOTLINE-CARD-1.{body}"),
        st.text(max_size=60).map(lambda body: f'format = "hotline-key-1"\n{body}'),
        st.text("0123456789abcdefg\n ", min_size=60, max_size=68),
    )
)
def test_any_text_of_a_key_file(text: str) -> None:
    """Cards, key files and secrets from any text give a value or `FieldError`."""
    for parse in (parse_card, parse_key_file, parse_secret):
        with contextlib.suppress(FieldError):
            parse(text)
