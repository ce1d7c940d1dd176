"""A station with several lines: what one line does takes nothing from another."""

from __future__ import annotations

from gateway.core.effects import RejectCode
from gateway.core.policy import Policy
from gateway.model import LinkName, Precedence
from gateway.sim.world import World
from tests.sim.scenes import MINUTE, SECOND, draft, reaches, send

RECEIPT = "MACHINE RECEIPT"


def headquarters(policy: Policy | None = None) -> World:
    """Station 1 with a cable to 2 and another to 3, hellos done."""
    world = World(1, stations=3, policy=policy)
    world.add_path("cable", (1, 2))
    world.add_path("other", (1, 3))
    world.start()
    world.run(30 * SECOND)
    return world


def test_a_dead_line_that_is_flooded_leaves_the_other_its_share() -> None:
    """Its share of open notices is full and refused by name; the other line accepts and carries."""
    world = headquarters(Policy(open_notice_count=8))
    world.unplug("cable")
    for _ in range(4):
        send(world, draft(to=2))
    token = world.submit(draft(to=2))
    rejection = world.posts[1].rejected[token]  # type: ignore[index]
    assert rejection.code is RejectCode.FULL
    for _ in range(4):
        notice = send(world, draft(to=3))
        reaches(world, notice, RECEIPT, 5 * SECOND)


def test_what_is_closed_gives_its_place_back() -> None:
    """Expired notices of a line count no more."""
    world = headquarters(Policy(open_notice_count=4))
    world.unplug("cable")
    for _ in range(3):
        send(world, draft(to=2, lifetime_min=5))
        send(world, draft(to=2, lifetime_min=5))
        world.run(6 * MINUTE)


def test_a_flooded_line_delays_no_other() -> None:
    """600 ROUTINE notices under way from and to one station: the other line's notice is there as
    soon as on a quiet station.
    """
    quiet = headquarters()
    usual_ms = reaches(quiet, send(quiet, draft(to=3)), RECEIPT, 10 * SECOND)
    world = headquarters()
    for _ in range(300):
        send(world, draft(to=2, precedence=Precedence.ROUTINE))
        send(world, draft(to=1, precedence=Precedence.ROUTINE), station=2)
    flooded_ms = reaches(world, send(world, draft(to=3)), RECEIPT, 10 * SECOND)
    assert flooded_ms <= usual_ms + 100


def test_each_line_of_a_hub_has_its_turns_while_one_is_flooded_by_radio() -> None:
    """Three radios: 60 ROUTINE notices on one line; the others' six are receipted as on a quiet
    station, and the flooded line goes on beside them.
    """

    def receipted(flood_count: int) -> tuple[dict[int, int], int]:
        """Milliseconds until all six are receipted, a line; frames of the flooded one."""
        world = World(1, stations=4)
        for far in (2, 3, 4):
            world.add_path(f"radio-{far}", (1, far), bit_rate=None)
        world.start()
        world.run(2 * MINUTE)
        before = world.paths[LinkName("radio-2")].frames
        for _ in range(flood_count):
            send(world, draft(to=2, precedence=Precedence.ROUTINE))
        begin_ms = world.now_ms
        waiting = {far: [send(world, draft(to=far)) for _ in range(6)] for far in (3, 4)}
        ended: dict[int, int] = {}
        while len(ended) < len(waiting):
            world.run(100)
            assert world.now_ms - begin_ms < 10 * MINUTE
            for far, notices in waiting.items():
                if far not in ended and all(world.state_of(each) == RECEIPT for each in notices):
                    ended[far] = world.now_ms - begin_ms
        return ended, world.paths[LinkName("radio-2")].frames - before

    quiet, _ = receipted(0)
    flooded, frames = receipted(60)
    assert max(flooded.values()) <= 1.25 * max(quiet.values())
    assert frames >= 6
