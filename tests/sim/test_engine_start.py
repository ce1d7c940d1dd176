"""Two stations that start together, with links of very different speed."""

from __future__ import annotations

import pytest

from gateway.model import LinkState
from gateway.sim.world import World
from tests.sim.scenes import MINUTE


@pytest.mark.parametrize("seed", [28, 34, 35, 40, *range(1, 21)])
def test_every_link_is_up_whichever_hello_came_first(seed: int) -> None:
    """A hello that was said before the peer was known, and came late, must not end a line.

    The cable is up at once, the radio after its handshake; the first seeds ended so once.
    """
    world = World(seed)
    world.add_path("radio", bit_rate=None)
    world.add_path("cable", bit_rate=115_200)
    world.unplug("radio")
    world.start(1)
    world.run(world.rng.randrange(0, 60))
    world.start(2)
    world.run(world.rng.randrange(0, 120))
    world.plug("radio")
    world.run(2 * MINUTE)
    for post in world.posts.values():
        assert post.status is not None
        assert all(peer.confirmed for peer in post.status.peers)
        assert [link.state for link in post.status.links] == [LinkState.UP, LinkState.UP]
