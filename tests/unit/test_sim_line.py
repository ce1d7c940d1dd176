"""One direction of the simulated cable, and the seeded faults, in virtual time."""

from __future__ import annotations

from random import Random

import pytest

from gateway.sim.faults import Faults
from gateway.sim.line import Line, LineRecord
from gateway.sim.timetable import Timetable
from gateway.wire.byte_stream import StreamDecoder, encode_stream


class Far:
    """What comes out of a line, and when."""

    def __init__(self, bit_rate: int = 9600, seed: int = 1) -> None:
        self.records: list[LineRecord] = []
        self.line = Line(bit_rate, Random(seed), self.records.append)
        self.octets = b""

    def run(self, until_ms: float) -> None:
        while (due_ms := self.line.next_deadline()) is not None and due_ms <= until_ms:
            self.octets += self.line.take(due_ms)

    def frames(self) -> list[bytes]:
        return StreamDecoder().feed(self.octets)


def test_octets_come_out_at_the_bit_rate() -> None:
    """96 octets at 9600 bit/s: nothing whole before 100 ms, all of it then; the next one queues."""
    far = Far()
    frame = encode_stream(b"x" * 94)
    far.line.feed(frame, 1000.0)
    far.line.feed(frame, 1010.0)
    far.run(1099.9)
    assert far.frames() == []
    far.run(1100.1)
    assert far.octets == frame
    far.run(1200.1)
    assert far.octets == frame * 2
    assert [round(record.at_ms) for record in far.records] == [1100, 1200]


def test_a_share_of_whole_frames_is_lost_and_counted() -> None:
    """30 % of 1000 frames; the others come whole; lost ones take their time on the line."""
    far = Far(bit_rate=115_200)
    far.line.loss = 0.3
    frames = [n.to_bytes(2, "big") * 20 for n in range(1000)]
    far.line.feed(b"".join(encode_stream(frame) for frame in frames), 0.0)
    far.run(10_000)
    lost = [record.frame for record in far.records if record.is_lost]
    assert 250 <= len(lost) <= 350
    assert far.frames() == [frame for frame in frames if frame not in lost]
    traffic = far.line.traffic
    assert (traffic.frame_count, traffic.lost_frame_count) == (1000, len(lost))
    assert traffic.octet_count == sum(len(encode_stream(frame)) for frame in frames)
    assert traffic.lost_octet_count == sum(len(encode_stream(frame)) for frame in lost)
    assert far.records[-1].at_ms == pytest.approx(traffic.octet_count * 10_000 / 115_200)


def test_all_frames_can_be_lost_and_loss_can_end() -> None:
    """Loss 1.0 loses everything; back at 0.0 the next frame passes."""
    far = Far()
    far.line.loss = 1.0
    far.line.feed(encode_stream(b"lost"), 0.0)
    far.run(100)
    far.line.loss = 0.0
    far.line.feed(encode_stream(b"here"), 100.0)
    far.run(200)
    assert far.frames() == [b"here"]


def test_a_silent_cut_loses_what_is_under_way_and_costs_the_sender_its_time() -> None:
    """Octets that come out while it is cut are gone; after that the next frame passes."""
    far = Far()
    far.line.feed(encode_stream(b"a" * 94), 0.0)
    far.run(50)
    far.line.is_cut = True
    far.run(200)
    far.line.is_cut = False
    far.line.feed(b"\x00" + encode_stream(b"b"), 200.0)
    far.run(300)
    assert far.frames() == [b"b"]
    assert [record.is_lost for record in far.records] == [True, False]


def test_bits_flip_at_the_rate_that_was_asked_for() -> None:
    """1e-3 of 800 000 bits, within four standard deviations; the frames hit do not decode."""
    octets = Random(5).randbytes(100_000)
    hurt = Faults(Random(1)).flip(octets, 1e-3)
    flipped = sum((a ^ b).bit_count() for a, b in zip(octets, hurt, strict=True))
    assert 690 <= flipped <= 910
    assert Faults(Random(1)).flip(octets, 0.0) == octets
    assert Faults(Random(1)).flip(b"\x00\xff", 1.0) == b"\xff\x00"


def test_single_octets_are_lost_at_the_rate_that_was_asked_for() -> None:
    """1 % of 100 000 octets."""
    octets = bytes(100_000)
    assert 98_700 <= len(Faults(Random(2)).thin(octets, 0.01)) <= 99_300


def test_noise_that_nobody_sent_comes_out_between_frames() -> None:
    """It costs at most the frame that it touches."""
    far = Far()
    far.line.inject(b"\x7e\x7e\x00", 0.0)
    far.line.feed(encode_stream(b"after"), 0.0)
    far.run(100)
    assert far.frames() == [b"after"]


def test_a_full_buffer_says_so_and_drains() -> None:
    """4096 octets wait at most before the sender's writes block."""
    far = Far()
    far.line.feed(b"\x01" * 4_095, 0.0)
    assert not far.line.is_full
    far.line.feed(b"\x01", 0.0)
    assert far.line.is_full
    far.run(1_000)
    assert not far.line.is_full


def test_each_kind_of_fault_draws_from_its_own_stream() -> None:
    """Asking for octet loss does not change which frames are lost."""

    def lost(octet_loss: float) -> list[bool]:
        far = Far(bit_rate=115_200, seed=3)
        far.line.loss = 0.5
        far.line.octet_loss = octet_loss
        for n in range(50):
            far.line.feed(encode_stream(bytes([n + 1]) * 20), n * 10.0)
        far.run(10_000)
        return [record.is_lost for record in far.records]

    assert lost(0.0) == lost(0.2)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    """With a sentence that says what to give."""
    far = Far()
    far.line.loss = share
    with pytest.raises(ValueError, match=r"loss is .*give a share"):
        far.line.feed(encode_stream(b"x"), 0.0)
    with pytest.raises(ValueError, match="bit rate is 0"):
        Line(0, Random(1), far.records.append)


def test_the_timetable_runs_each_action_at_its_own_time_and_in_order() -> None:
    """Two of one time run as entered; what an action enters runs in the same sweep when due."""
    table = Timetable()
    seen: list[tuple[str, int]] = []
    table.at(20, lambda: seen.append(("second", table.now_ms)))
    table.at(10, lambda: table.after(5, lambda: seen.append(("nested", table.now_ms))))
    table.at(20, lambda: seen.append(("third", table.now_ms)))
    assert table.next_deadline() == 10
    table.advance(30)
    assert seen == [("nested", 15), ("second", 20), ("third", 20)]
    assert (table.now_ms, table.next_deadline()) == (30, None)
