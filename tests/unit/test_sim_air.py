"""The simulated air alone: who hears what, half duplex, collisions, cut paths."""

from __future__ import annotations

from random import Random

import pytest

from gateway.sim.air import BROADCAST, Air, AirPacket, Signal


class Ear:
    """A radio that only counts what it hears."""

    def __init__(self, node_number: int, air: Air) -> None:
        self.node_number = node_number
        self.is_on_air = True
        self.heard: list[int] = []
        air.join(self)

    def hear(self, packet: AirPacket, signal: Signal) -> None:
        self.heard.append(packet.packet_id)


def packet(number: int, frame: bytes = b"") -> AirPacket:
    return AirPacket(1, BROADCAST, number, 3, 3, False, 0, 1, b"d" * 10, False, frame)


def test_everyone_but_the_sender_hears_a_packet_at_its_end() -> None:
    """Not before its time on air is over; captured and counted with its 16 octets of header."""
    air = Air(Random(1))
    one, two, three = (Ear(number, air) for number in (1, 2, 3))
    air.transmit(one, packet(7, b"frame"), 450)
    air.advance(449)
    assert two.heard == []
    air.advance(450)
    assert (one.heard, two.heard, three.heard) == ([], [7], [7])
    assert list(air.captured) == [b"frame"]
    spent = air.spent[1]
    assert (spent.frame_count, spent.octet_count, spent.airtime_ms) == (1, 26, 450)


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_radio_that_is_cut_neither_hears_nor_is_heard(when: str) -> None:
    """Whether it is cut before the packet or in the middle of it, on either end."""
    for cut in (0, 1):
        air = Air(Random(1))
        ears = [Ear(1, air), Ear(2, air)]
        if when == "before":
            ears[cut].is_on_air = False
        air.transmit(ears[0], packet(7), 450)
        air.advance(200)
        ears[cut].is_on_air = False
        air.advance(1000)
        assert ears[1].heard == []


def test_a_path_can_be_missing_between_two_of_three() -> None:
    """1 and 3 do not hear each other, 2 hears both; mended, all hear."""
    air = Air(Random(1))
    one, two, three = (Ear(number, air) for number in (1, 2, 3))
    air.set_path(1, 3, None)
    air.transmit(one, packet(7), 100)
    air.advance(100)
    assert (two.heard, three.heard) == ([7], [])
    air.set_path(1, 3, Signal())
    air.transmit(three, packet(8), 100)
    air.advance(200)
    assert one.heard == [8]


def test_who_transmits_does_not_hear_what_overlaps() -> None:
    """Half duplex, also where the own packet ends first."""
    air = Air(Random(1))
    one, two = Ear(1, air), Ear(2, air)
    air.transmit(one, packet(7), 400)
    air.advance(100)
    air.transmit(two, packet(8), 100)
    air.advance(1000)
    assert (one.heard, two.heard) == ([], [])
    assert air.lost_count == 2


@pytest.mark.parametrize(("collisions", "heard"), [(True, []), (False, [7, 8])])
def test_two_packets_at_one_hearer_spoil_each_other_if_so_set(
    *, collisions: bool, heard: list[int]
) -> None:
    """Collisions are an option of the air."""
    air = Air(Random(1), collisions=collisions)
    one, two, three = (Ear(number, air) for number in (1, 2, 3))
    air.transmit(one, packet(7), 400)
    air.advance(399)
    air.transmit(two, packet(8), 1)
    air.advance(1000)
    assert three.heard == heard


def test_a_transmission_is_noticed_after_the_detection_time() -> None:
    """Busy for the sender at once, for a hearer later, for one out of reach never."""
    air = Air(Random(1))
    one, two, three = (Ear(number, air) for number in (1, 2, 3))
    air.set_path(1, 3, None)
    air.transmit(one, packet(7), 400)
    assert [air.is_busy(ear, 28) for ear in (one, two, three)] == [True, False, False]
    air.advance(28)
    assert [air.is_busy(ear, 28) for ear in (one, two, three)] == [True, True, False]
    air.advance(400)
    assert [air.is_busy(ear, 28) for ear in (one, two, three)] == [False, False, False]


def test_a_node_number_is_unique_and_a_loss_is_a_share() -> None:
    """Both are refused with a sentence."""
    air = Air(Random(1))
    Ear(1, air)
    with pytest.raises(ValueError, match="!00000001 is on this air already"):
        Ear(1, air)
    with pytest.raises(ValueError, match=r"loss is 2\.0: give a share"):
        Air(Random(1), loss=2.0)


def test_real_time_starts_what_comes_from_outside_at_the_clocks_time() -> None:
    """And what falls due keeps its own time, however late the sweep comes. The air's time goes on
    from where it was, whatever the clock says.
    """
    clock = [901_000]
    air = Air(Random(1))
    air.advance(1_000)
    air.use_clock(lambda: clock[0])
    one, two = Ear(1, air), Ear(2, air)
    air.transmit(one, packet(7), 450)
    assert air.next_deadline() == 1_450
    times: list[int] = []
    air.timetable.at(1_200, lambda: times.append(air.now_ms))
    clock[0] = 905_000
    air.advance()
    assert (times, two.heard, air.now_ms) == ([1_200], [7], 5_000)
