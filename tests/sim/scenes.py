"""Short forms for tests of two stations in virtual time."""

from __future__ import annotations

from gateway.core.effects import AlarmCode
from gateway.core.policy import Policy
from gateway.model import (
    ActId,
    Kind,
    NoticeDraft,
    Operation,
    Precedence,
    Station,
    Text,
)
from gateway.sim.world import World

SECOND = 1_000
MINUTE = 60_000


def draft(
    text: str = "convoy on route 4",
    *,
    to: int = 2,
    kind: Kind = Kind.NOTIFY,
    precedence: Precedence = Precedence.PRIORITY,
    operation: Operation = Operation.OPERATION,
    lifetime_min: int | None = None,
    reference: ActId | None = None,
) -> NoticeDraft:
    return NoticeDraft(
        to=Station(to),
        kind=kind,
        precedence=precedence,
        operation=operation,
        body=Text(text, "en"),
        lifetime_min=lifetime_min,
        reference=reference,
    )


def line(
    seed: int = 1, *, radio: bool = False, cable: bool = True, policy: Policy | None = None
) -> World:
    """Two stations whose hellos went both ways on every link asked for; radio first in PACE."""
    world = World(seed, policy=policy)
    if radio:
        world.add_path("radio", bit_rate=None)
    if cable:
        world.add_path("cable")
    world.start()
    world.run(30 * SECOND)
    for post in world.posts.values():
        assert post.status is not None
        assert all(peer.confirmed for peer in post.status.peers)
    return world


def send(world: World, notice: NoticeDraft, *, station: int = 1) -> ActId:
    """Submit and return the id; the submission must be accepted."""
    token = world.submit(notice, station=station)
    return world.posts[Station(station)].confirmed[token]


def reaches(
    world: World, act_id: ActId, state: str, limit_ms: int, *, at: int | None = None
) -> int:
    """Run until the notice has the state; the virtual milliseconds that took."""
    return world.run_until(lambda: world.state_of(act_id, at) == state, limit_ms)


def alarms(world: World, station: int) -> set[AlarmCode]:
    status = world.posts[Station(station)].status
    assert status is not None
    return {alarm.code for alarm in status.alarms}
