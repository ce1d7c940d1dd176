"""The other gateway of a station goes on from its copy: for the far side that is a restart."""

from __future__ import annotations

from random import Random

import pytest

from gateway.core.effects import AlarmCode
from gateway.core.events import CopyTold, SpareTold
from gateway.core.records import Write
from gateway.model import ActId, LinkName, Precedence, Station
from gateway.sim.world import Post, Witness, World
from gateway.spare.batch import Batch, Parcel, decode_parcel, encode_parcel, kept
from gateway.store.memory import MemoryStore
from tests.sim.by_hand import settled
from tests.sim.scenes import SECOND, alarms, draft, line, reaches, send

NORTH = Station(1)
CABLE = LinkName("cable")
NOTICE_COUNT = 100
FALSE_ALARMS = {AlarmCode.TWO_INCARNATIONS, AlarmCode.ROLLBACK, AlarmCode.SAME_ID}


class Copying(Witness):
    """Carries each commit of NORTH to the store of the gateway that stands by, as octets."""

    def __init__(self, copy: MemoryStore) -> None:
        self.copy = copy
        self.number = 0

    def committed(self, post: Post, writes: tuple[Write, ...]) -> None:
        handed_on = kept(writes)
        if post.station != NORTH or not handed_on:
            return
        self.number += 1
        batch = Batch(self.number, self.number - 1, 1, handed_on)
        for one in decode_parcel(encode_parcel(Parcel(1, (batch,)))).batches:
            self.copy.apply(one.writes)  # type: ignore[arg-type]  # no cursors here


def texts(world: World, station: int) -> list[str]:
    """Of the notices that came in at a station, as often as they were published."""
    live = world.posts[Station(station)].store._live
    return sorted(
        publication.document.split('"text":"')[1].split('"')[0]
        for publication in live.publications.values()
        if publication.topic.value == "notice"
    )


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(n, marks=pytest.mark.soak) for n in range(1, 20))]
)
def test_taken_over_amid_a_hundred_notices(seed: int) -> None:
    """Killed at a drawn moment, both ways busy: each notice is there once, and no alarm says that
    there are two of the station, since there are not.
    """
    rng = Random(seed)
    world = line(seed)
    post = world.posts[NORTH]
    copying = Copying(post.store.copy())
    world.witness = copying
    names, back = [], []
    killed_after = rng.randrange(20, 80)
    for number in range(NOTICE_COUNT):
        send(world, draft(f"n-{number:03}", precedence=Precedence.FLASH))
        names.append(f"n-{number:03}")
        if number % 3 == 0:
            send(world, draft(f"back-{number:03}", to=1), station=2)
            back.append(f"back-{number:03}")
        world.run(rng.randrange(200))
        if number == killed_after - 6:
            # What it receipts is not heard: the far side says it all again to the other gateway.
            world.paths[CABLE].deaf.add(Station(2))
        if number == killed_after:
            world.crash(1)
            world.run(20 * SECOND)
            world.paths[CABLE].deaf.clear()
            post.store = copying.copy
            copying.copy = MemoryStore()  # the killed one stands by no more in this test
            world.witness = Witness()
            world.start(1)
            world.plug("cable")
    world.run(120 * SECOND)
    assert texts(world, 2) == names
    assert texts(world, 1) == back
    assert not alarms(world, 1) & FALSE_ALARMS
    assert not alarms(world, 2) & FALSE_ALARMS


def test_unreplicated_is_told_and_written_down() -> None:
    """While the cluster lacks something: alarm, and the word in the history of what is accepted."""
    world = settled()
    before = send(world, draft("before"))
    just_now = send(world, draft("just now"))
    far = ActId(Station(2), just_now.epoch, just_now.serial)
    world.give(NORTH, CopyTold("the cluster is away", (just_now, far)))
    assert AlarmCode.UNREPLICATED in alarms(world, 1)
    alone = send(world, draft("alone"))
    world.give(NORTH, CopyTold(""))
    assert AlarmCode.UNREPLICATED not in alarms(world, 1)
    copied = send(world, draft("copied"))
    reaches(world, copied, "MACHINE RECEIPT", 5 * SECOND)
    live = world.posts[NORTH].store._live
    assert [it.evidence for it in live.history[just_now]][1] == "UNREPLICATED"
    assert "UNREPLICATED" not in [it.evidence for it in live.history[before]]
    first = {one: live.history[one][0].evidence for one in (alone, copied)}
    assert first[alone].endswith("UNREPLICATED")
    assert "UNREPLICATED" not in first[copied]


def test_a_spare_that_is_no_use_lights_the_alarm_until_it_is_back() -> None:
    """And the log book has both."""
    world = settled()
    world.give(NORTH, SpareTold("gateway b is not heard of any more"))
    assert AlarmCode.NO_SPARE in alarms(world, 1)
    world.give(NORTH, SpareTold(""))
    assert AlarmCode.NO_SPARE not in alarms(world, 1)
    rows = world.posts[NORTH].store._live.log
    assert [b"spare_away" in row.octets or b"spare_back" in row.octets for row in rows[-2:]] == [
        True,
        True,
    ]
