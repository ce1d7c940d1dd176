"""Floods of frames that cost keys."""

from __future__ import annotations

import pytest

from gateway.core import session as session_module
from gateway.core.events import FrameReceived
from gateway.core.status_document import status_document
from gateway.model import Station
from gateway.sim.world import World
from gateway.wire.frame import Header, encode_header
from tests.sim.scenes import SECOND, draft, line, reaches, send
from tests.sim.test_engine_hostile import CABLE, RECEIPT

LIAR, JUDGE = Station(1), Station(2)


def strange(world: World, count: int) -> None:
    """Frames of as many incarnations as there are frames, in one second."""
    for number in range(count):
        header = Header(LIAR, number % 2, number, world.rng.randbytes(8))
        octets = encode_header(header) + world.rng.randbytes(40)
        world.give(JUDGE, FrameReceived(CABLE, octets))
        if number % (count // 10) == 0:
            world.run(SECOND // 10)


def test_a_flood_of_unknown_incarnations_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """5000 in a second: 200 are tried, the others counted; what is known goes on unharmed."""
    world = line()
    attempts = 0
    open_sealed = vars(session_module)["open_sealed"]

    def counted(*arguments: object, **named: object) -> bytes:
        nonlocal attempts
        attempts += 1
        items: bytes = open_sealed(*arguments, **named)
        return items

    monkeypatch.setattr(session_module, "open_sealed", counted)
    strange(world, 5_000)
    assert 100 <= attempts <= 250
    notice = send(world, draft())
    strange(world, 5_000)
    assert reaches(world, notice, RECEIPT, SECOND) <= SECOND
    status = world.posts[JUDGE].status
    assert status is not None
    world.unplug("cable")
    status = world.posts[JUDGE].status
    assert status is not None
    (link,) = status_document(status, {})["lines"][0]["links"]  # type: ignore[index]
    assert link["turned_away"] > 9_000
    assert 100 <= link["failed_opens"] <= 500


def test_a_true_peer_gets_through_the_flood() -> None:
    """It starts anew under a flood of five times what is tried, and is proven all the same."""
    world = line()
    world.crash(1)
    world.start(1)
    engine = world.posts[JUDGE].engine
    assert engine is not None
    session = engine._state.lines[LIAR].session
    before = session.current
    for _ in range(60):
        strange(world, 500)
        if session.current is not before and session.is_settled:
            return
    pytest.fail("the flood keeps the peer out")
