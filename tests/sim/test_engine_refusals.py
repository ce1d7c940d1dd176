"""What was refused stands in the log book, and no flood of it fills the card."""

from __future__ import annotations

from gateway.core.events import Stopping
from gateway.logbook.entry import Entry, decode_entry
from gateway.model import Station
from gateway.wire.items import ActItem
from tests.sim.by_hand import NOTICE, ByHand, settled
from tests.sim.scenes import MINUTE

HOUR = 60 * MINUTE
SOUTH = Station(2)


def refused(world: ByHand) -> list[Entry]:
    rows = world.posts[SOUTH].store._live.log
    found = [decode_entry(row.octets) for row in rows]
    return [entry for entry in found if entry.event.startswith("refused")]


def forge(world: ByHand, count: int = 1, *, signature: bytes | None = bytes(64)) -> None:
    octets = world.signed(NOTICE).octets
    for _ in range(count):
        world.say([ActItem(0, octets, signature)])


def test_a_refused_act_is_entered_with_its_name_and_reason() -> None:
    """The first of each reason at once: who, what, why, by which link."""
    world = settled()
    forge(world)
    forge(world, signature=None)
    world.say([ActItem(0, b"\xa0", bytes(64))])
    assert [entry.fields for entry in refused(world)] == [
        (
            ("station", "POST1"),
            ("reason", "bad signature"),
            ("act", str(NOTICE.id)),
            ("link", "cable"),
        ),
        (("station", "POST1"), ("reason", "unsigned"), ("act", str(NOTICE.id)), ("link", "cable")),
        (("station", "POST1"), ("reason", "without an id"), ("link", "cable")),
    ]


def test_a_flood_of_refused_acts_is_counted() -> None:
    """Two entries an hour, whatever comes; a quiet hour ends it, and the next one is named anew."""
    world = settled()
    forge(world, 500)
    assert len(refused(world)) == 1
    world.run(HOUR)
    forge(world, 3)
    world.run(HOUR)
    assert [entry.event for entry in refused(world)] == ["refused", *["refused_again"] * 2]
    assert [entry.field("count") for entry in refused(world)] == [None, 499, 3]
    world.run(2 * HOUR)
    forge(world)
    assert [entry.event for entry in refused(world)][3:] == ["refused"]


def test_a_stop_enters_what_was_counted() -> None:
    """Nothing is lost of the count but by a kill."""
    world = settled()
    forge(world, 4)
    world.give(SOUTH, Stopping("SIGTERM"))
    assert [entry.field("count") for entry in refused(world)] == [None, 3]


def test_a_store_that_refuses_gets_no_entry() -> None:
    """STORE REFUSED: nothing can be written; the window ends without a word, and goes on."""
    world = settled()
    forge(world, 2)
    world.state(2).is_refused = True
    world.run(HOUR + MINUTE)
    assert len(refused(world)) == 1
    world.state(2).is_refused = False
    world.run(HOUR)
    assert [entry.field("count") for entry in refused(world)] == [None, 1]
