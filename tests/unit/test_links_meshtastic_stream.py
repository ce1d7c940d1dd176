"""The Meshtastic stream parser: resynchronising, bounds, and the definitions loaded alone."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from gateway.links.meshtastic.stream import SIZE_MAX, START, StreamParser, encode_frame


def keep(octets: bytes) -> bytes:
    return octets


def only_ok(octets: bytes) -> bytes | None:
    return octets if octets.startswith(b"ok") else None


def test_frames_between_text_are_found() -> None:
    """What a USB radio sends: log lines before, between and after frames."""
    parser = StreamParser(keep)
    stream = (
        b"INFO | boot\r\n" + encode_frame(b"one") + b"DEBUG \x94 x" + encode_frame(b"two") + b"!"
    )
    assert parser.feed(stream) == [b"one", b"two"]
    assert parser.skipped_count == len(stream) - len(encode_frame(b"one") + encode_frame(b"two"))


def test_start_octets_in_text_do_not_swallow_the_next_frame() -> None:
    """A chance start with a plausible length costs nothing once its octets prove no message."""
    parser = StreamParser(only_ok)
    assert parser.feed(START + b"\x00\x0elog" + encode_frame(b"ok1")) == []
    assert parser.feed(encode_frame(b"ok2")) == [b"ok1", b"ok2"]


def test_frame_whose_rest_was_lost_is_given_up() -> None:
    """The frames behind a cut one wait at most until the caller gives it up."""
    parser = StreamParser(only_ok)
    assert parser.feed(START + b"\x01\xffcut" + encode_frame(b"ok1")) == []
    assert parser.is_inside
    assert parser.give_up() == [b"ok1"]
    assert not parser.is_inside
    assert parser.give_up() == []


def test_length_over_512_is_no_frame() -> None:
    """Such a header is skipped, so the parser never holds more than one frame."""
    parser = StreamParser(keep)
    assert parser.feed(START + (SIZE_MAX + 1).to_bytes(2, "big") + encode_frame(b"x")) == [b"x"]


@given(st.lists(st.binary(max_size=300)), st.integers(1, 600))
def test_any_pieces_give_the_same_frames(messages: list[bytes], size: int) -> None:
    """Where the port cuts the stream changes nothing."""
    stream = b"".join(encode_frame(message) for message in messages)
    parser, found = StreamParser(keep), list[bytes]()
    for start in range(0, len(stream), size):
        found += parser.feed(stream[start : start + size])
    assert found == messages


@given(st.lists(st.binary(max_size=700)))
def test_any_octets_are_taken_within_the_bound(chunks: list[bytes]) -> None:
    """No octets make it raise or hold more than one frame."""
    parser = StreamParser(only_ok)
    for chunk in chunks:
        parser.feed(chunk)
        parser.feed(b"\x94\xc3\x94\xc3\x01")
        assert len(parser._pending) <= SIZE_MAX + 4


def test_definitions_come_without_the_library() -> None:
    """Neither the package's own code nor its thread is there; a real import still works."""
    program = """
import sys, threading
from gateway.links.meshtastic.protobuf import mesh_pb2
names = [name for name in sys.modules if name.startswith("meshtastic")]
assert all(name.endswith("_pb2") for name in names), names
assert "requests" not in sys.modules and "pubsub" not in sys.modules
assert threading.active_count() == 1
import meshtastic
assert meshtastic.mesh_pb2 is mesh_pb2, "two copies of the definitions"
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
