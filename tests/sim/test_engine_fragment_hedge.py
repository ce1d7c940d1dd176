"""A radio that dies while a fragmented notice still waits for it."""

from __future__ import annotations

from gateway.model import LinkName
from tests.sim.by_hand import settled
from tests.sim.scenes import SECOND, draft, reaches, send

LONG = "x" * 900
RECEIPT = "MACHINE RECEIPT"


def test_the_next_link_does_not_wait_for_the_last_fragment() -> None:
    """One timer after the last ack the cable gets the whole notice, fragments left or not."""
    world = settled(radio=True)
    world.hold("radio")
    notice = send(world, draft(LONG))
    world.sent(world.next_frame("radio"))
    world.sent(world.next_frame("radio"))
    assert reaches(world, notice, RECEIPT, 20 * SECOND) < 10 * SECOND
    assert len(world.published(2)) == 1


def test_acks_keep_a_fragmented_notice_on_the_radio() -> None:
    """While each fragment is acknowledged in time the cable stays free."""
    world = settled(radio=True)
    world.hold("radio")
    cable = world.paths[LinkName("cable")]
    octets_before = cable.octets
    notice = send(world, draft(LONG))
    for _ in range(4):
        frame = world.next_frame("radio")
        world.sent(frame)
        world.heard(frame)
        world.run(SECOND)
        world.acknowledged(frame)
    assert world.state_of(notice) == "SENT"
    assert cable.octets - octets_before < len(LONG), "beats only"
