"""The serial stream: what noise, cuts and overlong runs cost."""

from __future__ import annotations

import pytest

from gateway.wire.byte_stream import DELIMITER, ENCODED_SIZE_MAX, StreamDecoder, encode_stream
from gateway.wire.limits import FRAME_SIZE_MAX

FRAME = bytes(range(100))


def test_known_stuffings() -> None:
    """The examples of the COBS paper's usual tables."""
    assert encode_stream(b"\x00").hex() == "010100"
    assert encode_stream(b"\x00\x00").hex() == "01010100"
    assert encode_stream(b"\x11\x22\x00\x33").hex() == "0311220233" + "00"
    assert encode_stream(bytes(range(1, 255)))[:1] == b"\xff"
    assert len(encode_stream(bytes(range(1, 255)))) == 256
    assert encode_stream(bytes(range(256)))[:2].hex() == "01ff"


@pytest.mark.parametrize(
    ("noise", "dropped"),
    [
        (b"", 0),
        (b"\x00\x00\x00", 0),
        (b"\x05\x01\x00", 1),
        (b"\xff\x00", 1),
        (b"\x01\x00", 1),
        (b"garbage without an end of its own\x00", 1),
        (b"\xff" + b"a" * 254 + b"\x01\x00", 1),
        (b"\x02" * (ENCODED_SIZE_MAX + 1) + b"\x00", 1),
        (b"\x02" * 5000 + b"\x00" + b"\x7e\x00", 2),
    ],
)
def test_noise_is_counted_and_passed_over(noise: bytes, dropped: int) -> None:
    """Noise that ends in a zero costs no frame; empty runs are nothing."""
    decoder = StreamDecoder()
    assert decoder.feed(noise + encode_stream(FRAME)) == [FRAME]
    assert decoder.dropped_count == dropped


def test_a_stray_octet_costs_one_frame() -> None:
    """A stray octet before a frame costs that frame; the next one is read."""
    decoder = StreamDecoder()
    assert decoder.feed(b"\x7e" + encode_stream(FRAME)) == []
    assert decoder.feed(encode_stream(FRAME)) == [FRAME]
    assert decoder.dropped_count == 1


def test_a_delimiter_first_saves_the_frame() -> None:
    """A sender that begins with a delimiter loses nothing to noise before it."""
    decoder = StreamDecoder()
    assert decoder.feed(b"\x7e\xff" + DELIMITER + encode_stream(FRAME)) == [FRAME]


def test_a_cut_frame_costs_itself() -> None:
    """A frame cut anywhere costs itself and the one that joins it, nothing later.

    The two joined may look like a frame to COBS; they open under no key.
    """
    line = encode_stream(FRAME)
    for end in range(len(line)):
        decoder = StreamDecoder()
        found = decoder.feed(line[:end] + line + line)
        assert found[-1] == FRAME
        assert len(found) <= 2


def test_the_longest_frame_passes_and_a_longer_one_does_not() -> None:
    """The bound is the frame's, not the stuffing's; what is longer is dropped whole."""
    for octet in (b"\x00", b"\x01"):
        decoder = StreamDecoder()
        assert decoder.feed(encode_stream(octet * FRAME_SIZE_MAX)) == [octet * FRAME_SIZE_MAX]
        assert decoder.feed(encode_stream(octet * (FRAME_SIZE_MAX + 1))) == []
        assert decoder.dropped_count == 1
        assert decoder.feed(encode_stream(FRAME)) == [FRAME]


def test_a_line_that_never_ends_a_frame_holds_little() -> None:
    """Octets without a delimiter take no more memory than the longest frame."""
    decoder = StreamDecoder()
    for _ in range(100):
        assert decoder.feed(b"\x02" * 999) == []
        assert len(decoder._pending) <= ENCODED_SIZE_MAX
    assert decoder.feed(DELIMITER + encode_stream(FRAME)) == [FRAME]
    assert decoder.dropped_count == 1
