"""Every notice that airtime or MINIMIZE holds shows when it will go, not the first one alone."""

from __future__ import annotations

from gateway.core.governor import HOUR_MS, Governor
from gateway.core.status_document import status_document
from gateway.model import ActId, Instant, Precedence, Station
from gateway.sim.world import World
from tests.sim.scenes import MINUTE, SECOND, draft, line, send
from tests.sim.test_engine_airtime import spent_line
from tests.sim.test_engine_orders import minimize, ordered


def shown(world: World) -> dict[ActId, int | None]:
    """Seconds until each pending notice of station 1 goes, in the order of the status."""
    post = world.posts[Station(1)]
    assert post.status is not None
    now = Instant(world.now_ms - post.boot_at_ms)
    pending = status_document(post.status, {}, instant=now)["pending_out"]
    return {ActId.parse(one["id"]): one["goes_in_s"] for one in pending}  # type: ignore[attr-defined]


def test_each_notice_behind_the_first_has_its_own_time_and_goes_then() -> None:
    """Six wait for airtime: times rise, and each leaves within five minutes of its own."""
    world = spent_line()
    held = [send(world, draft(precedence=Precedence.ROUTINE)) for _ in range(6)]
    told, began = shown(world), world.now_ms
    times = [told[act] for act in held]
    assert all(at is not None for at in times)
    assert times == sorted(times)  # type: ignore[type-var]
    assert times[0] != times[-1]
    for act, at in zip(held, times, strict=True):
        world.run_until(lambda act=act: world.state_of(act) not in ("HELD", "QUEUED"), 3 * HOUR_MS)  # type: ignore[misc]
        assert at is not None
        assert abs(world.now_ms - began - at * SECOND) <= 5 * MINUTE


def test_what_goes_or_waits_for_a_link_has_no_time() -> None:
    """Nothing is promised that airtime does not decide."""
    world = line()
    sent = [send(world, draft(precedence=Precedence.ROUTINE)) for _ in range(25)]
    assert shown(world) == dict.fromkeys(sent)
    world.unplug("cable")
    world.run(SECOND)
    assert shown(world) == dict.fromkeys(sent)


def test_more_than_an_hour_holds_goes_in_the_hours_after() -> None:
    """An empty hour has room for 28.8 s of ROUTINE: the third half of that goes an hour later."""
    governor = Governor(reserve=0.2)
    governor.limit(0.01)
    now = Instant(10 * MINUTE)
    times = [governor.forecast(now, airtime, Precedence.ROUTINE) for airtime in (28_000, 30_000)]
    assert times == [now, now + 62 * MINUTE]
    assert governor.forecast(now, 90_000, Precedence.ROUTINE) == now + 3 * 62 * MINUTE
    governor.spend(now, 20_000)
    assert governor.forecast(now, 30_000, Precedence.ROUTINE) == now + 62 * MINUTE


def test_what_minimize_holds_goes_when_the_order_ends_at_the_latest() -> None:
    """The order lives for half an hour; a notice that is fast enough has no time."""
    world = line()
    ordered(world, minimize(Precedence.IMMEDIATE), lifetime_min=30)
    world.run(SECOND)
    held = send(world, draft(precedence=Precedence.ROUTINE))
    fast = send(world, draft(precedence=Precedence.FLASH))
    world.run(SECOND)
    told = shown(world)
    assert told[fast] is None
    at = told[held]
    assert at is not None
    assert 29 * 60 <= at <= 30 * 60
