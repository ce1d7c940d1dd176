"""A fragmented notice on a radio: when the next link gets it as well."""

from __future__ import annotations

from gateway.model import LinkName, LinkState
from tests.sim.by_hand import ByHand, settled
from tests.sim.scenes import SECOND, draft, reaches, send

LONG = "x" * 900
RECEIPT = "MACHINE RECEIPT"
RADIO, CABLE = LinkName("radio"), LinkName("cable")


def held_radio(state: LinkState) -> ByHand:
    world = settled(radio=True)
    world.hold("radio")
    # The cable is no better, so that the radio stays first.
    for lane in world.line().lanes.values():
        lane.health.state = state
    return world


def test_the_next_link_does_not_wait_for_the_last_fragment() -> None:
    """The radio's ack for the first does not come: the cable gets the whole notice."""
    world = held_radio(LinkState.PROBING)
    notice = send(world, draft(LONG))
    world.sent(world.next_frame("radio"))
    world.sent(world.next_frame("radio"))
    assert reaches(world, notice, RECEIPT, 20 * SECOND) < 10 * SECOND
    assert len(world.published(2)) == 1


def test_acks_keep_a_fragmented_notice_on_the_radio() -> None:
    """While each fragment is acknowledged in time the cable stays free."""
    world = held_radio(LinkState.PROBING)
    cable = world.paths[CABLE]
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


def test_a_radio_that_works_is_given_time_for_the_whole_round() -> None:
    """No ack is asked for there: while fragments leave, the cable stays free; when the last has
    left and no receipt comes, it gets the notice.
    """
    world = held_radio(LinkState.UP)
    cable = world.paths[CABLE]
    octets_before = cable.octets
    notice = send(world, draft(LONG))
    act = world.line().outgoing.get(notice)
    assert act is not None
    for _ in act.fragments:
        frame = world.next_frame("radio")
        assert not frame.want_ack
        world.run(2 * SECOND)
        assert cable.octets - octets_before < len(LONG), "beats only"
        world.sent(frame)
    assert reaches(world, notice, RECEIPT, 20 * SECOND) < 3 * SECOND
