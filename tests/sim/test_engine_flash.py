"""FLASH goes next: before what waits, between fragments, and never behind two frames of others.

What may stand before it is the frame that the device has already; between two of its own frames,
one hello or one frame of receipts.
"""

from __future__ import annotations

from random import Random

import pytest

from gateway.core.effects import Transmit
from gateway.core.events import Refusal
from gateway.model import ActId, LinkName, LinkState, Precedence, Station
from tests.sim.by_hand import ByHand, settled
from tests.sim.scenes import SECOND, draft, reaches, send

RECEIPT = "MACHINE RECEIPT"
RADIO, CABLE = LinkName("radio"), LinkName("cable")
FLASH, ROUTINE = Precedence.FLASH, Precedence.ROUTINE
QUEUED_COUNT = 16


def long_text(size: int) -> str:
    """Letters that no dictionary makes shorter by much."""
    return "".join(Random(size).choices("abcdefghijklmnopqrstuvwxyz", k=size))


def held(link: LinkName) -> ByHand:
    """A line with this link only, hellos done; what station 1 hands to it waits for the test."""
    world = settled(radio=link == RADIO, cable=link == CABLE)
    world.hold(link)
    return world


def at_device(world: ByHand) -> Transmit:
    """The one frame that the device of station 1 has."""
    frame, *others = world.frames
    assert not others, "one frame at a time"
    return frame


def leaves(world: ByHand) -> Transmit:
    """The device sends what it has, the far station hears it; what it is given next."""
    frame = at_device(world)
    world.frames.clear()
    world.sent(frame)
    world.heard(frame)
    return at_device(world)


def goes_on(world: ByHand, link: LinkName, *notices: ActId) -> None:
    """The device works by itself again: all of these come to the far station once."""
    frame = at_device(world)
    world.release(link)
    world.sent(frame)
    world.heard(frame)
    for notice in notices:
        reaches(world, notice, RECEIPT, 600 * SECOND)
    shown = [publication.notice_id for publication in world.published(2)]
    assert sorted(shown, key=str) == sorted(notices, key=str)


@pytest.mark.parametrize(("link", "size"), [(CABLE, 1_024), (RADIO, 900)])
def test_between_the_fragments_of_a_long_notice(link: LinkName, size: int) -> None:
    """It comes while the first fragment is on its way: it is the next frame, then the rest."""
    world = held(link)
    routine = send(world, draft(long_text(size), precedence=ROUTINE))
    lane = world.line().lanes[link]
    assert lane.jobs, "more than one frame"
    flash = send(world, draft("danger", precedence=FLASH))
    assert at_device(world).precedence is ROUTINE
    assert leaves(world).precedence is FLASH
    assert leaves(world).precedence is ROUTINE
    shown = [publication.notice_id for publication in world.published(2)]
    assert shown == [flash], "whole at the far end before the notice that it interrupts"
    goes_on(world, link, routine, flash)


@pytest.mark.parametrize("link", [CABLE, RADIO])
def test_before_sixteen_that_are_queued(link: LinkName) -> None:
    """One of them is with the device; of the others none goes before it."""
    world = held(link)
    queued = [
        send(world, draft(f"{number} {long_text(80)}", precedence=ROUTINE))
        for number in range(QUEUED_COUNT)
    ]
    flash = send(world, draft("danger", precedence=FLASH))
    assert at_device(world).precedence is ROUTINE
    assert leaves(world).precedence is FLASH
    goes_on(world, link, flash, *queued)


def test_on_a_true_radio_it_waits_for_one_airtime() -> None:
    """The same in time: on LongFast, it is there before a second of the sixteen could be."""
    world = settled(radio=True, cable=False)
    for number in range(QUEUED_COUNT):
        send(world, draft(f"{number} {long_text(80)}", precedence=ROUTINE))
    world.run(SECOND // 2)
    traits = world.paths[RADIO].traits
    flash = send(world, draft("danger", precedence=FLASH))
    is_there = lambda: flash in [each.notice_id for each in world.published(2)]  # noqa: E731
    waited = world.run_until(is_there, 60 * SECOND)
    assert waited <= 2 * traits.airtime.of(traits.frame_size_max)


def test_while_the_firmware_sends_others_again() -> None:
    """A link that has not proven itself: three frames that want an ack are in the radio's hands.
    The FLASH is handed over at once, and what they come to gives no turn to what is slower.
    """
    world = held(RADIO)
    lane = world.line().lanes[RADIO]
    lane.health.state = LinkState.PROBING
    for number in range(QUEUED_COUNT):
        send(world, draft(f"{number}", precedence=ROUTINE))
    retransmitted = []
    while len(world.frames) == 1:
        retransmitted.append(world.frames.pop())
        world.sent(retransmitted[-1])
    assert [frame.want_ack for frame in retransmitted] == [True] * 3
    assert len(lane.flights) == 3
    first = send(world, draft("danger", precedence=FLASH))
    assert at_device(world).precedence is FLASH
    second = send(world, draft("more of it", precedence=FLASH))
    for frame in retransmitted:
        world.refused(frame, Refusal.NO_ACK)
    for notice in (first, second):
        frame = at_device(world)
        assert frame.precedence is FLASH, f"{notice} has its turn"
        world.frames.clear()
        world.sent(frame)
        world.heard(frame)
    assert {each.notice_id for each in world.published(2)} == {first, second}


def owe_receipts(world: ByHand) -> None:
    """Station 1 owes so many receipts that a frame of the radio holds nothing else."""
    owed = world.line().lanes[RADIO].owed
    owed.displayed = {epoch: dict.fromkeys(range(1, 17)) for epoch in range(1, 8)}


def test_a_hello_and_receipts_that_are_due_come_after_it() -> None:
    """With the frame that the device has they would make it wait for three."""
    world = held(RADIO)
    routine = send(world, draft("first", precedence=ROUTINE))
    flash = send(world, draft(long_text(60), precedence=FLASH))
    world.line().lanes[RADIO].hello_due = True
    owe_receipts(world)
    assert at_device(world).precedence is ROUTINE
    assert leaves(world).precedence is FLASH
    assert world.line().lanes[RADIO].owed, "what found no room goes with the next"
    goes_on(world, RADIO, routine, flash)


def test_between_two_of_its_frames_there_is_room_for_one_of_others() -> None:
    """Hellos and receipts that are due without end take every second frame, no more and no less."""
    world = held(RADIO)
    flash = send(world, draft(long_text(700), precedence=FLASH))
    act = world.line().outgoing.get(flash)
    assert act is not None
    turns = [at_device(world).precedence is FLASH]
    while len(turns) < 2 * len(act.fragments) - 1:
        world.line().lanes[RADIO].hello_due = True
        owe_receipts(world)
        turns.append(leaves(world).precedence is FLASH)
    assert turns == [True, False] * (len(act.fragments) - 1) + [True]
    goes_on(world, RADIO, flash)


def test_a_refusal_takes_no_turn_from_it() -> None:
    """The radio has no room for a ROUTINE frame: after its rest the FLASH goes, not that again."""
    world = held(RADIO)
    routine = send(world, draft("first", precedence=ROUTINE))
    flash = send(world, draft("danger", precedence=FLASH))
    refused = at_device(world)
    world.frames.clear()
    world.refused(refused, Refusal.QUEUE_FULL)
    world.run_until(lambda: bool(world.frames), 10 * SECOND)
    assert at_device(world).precedence is FLASH
    goes_on(world, RADIO, routine, flash)


def test_the_flash_of_the_far_station_has_its_receipt_within_two_frames() -> None:
    """What puts our own FLASH first must not let theirs wait for its receipt."""
    world = held(RADIO)
    for number in range(4):
        send(world, draft(f"{number} {long_text(60)}", precedence=FLASH))
    theirs = send(world, draft("danger here too", to=1, precedence=FLASH), station=2)
    world.run(5 * SECOND)
    assert [each.notice_id for each in world.published(1)] == [theirs]
    leaves(world)
    leaves(world)
    assert world.state_of(theirs, Station(2)) == RECEIPT
