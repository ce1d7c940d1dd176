"""Alarms that a person clears, and the marks of what may be old: on the API, lamps and screen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.api.documents import full_notice_document
from gateway.cli.status import gateway_text
from gateway.cli.view import state_text
from gateway.core.effects import AlarmCode, RejectCode
from gateway.core.events import ClearAsked, FrameReceived, Principal, Rights
from gateway.core.hearing import UNPROVEN_COUNT_MAX
from gateway.core.status_document import status_document
from gateway.indicators.lamps import Rhythm, pattern
from gateway.logbook.entry import Entry, decode_entry
from gateway.model import ActId, Instant, Operation, Precedence, Role, Station
from gateway.sim.world import OPERATOR, World
from gateway.store.memory import MemoryStore
from tests.integration.desk_double import MemoryDesk
from tests.sim.scenes import MINUTE, SECOND, alarms, draft, line, reaches, send
from tests.sim.test_engine_hostile import CABLE, RECEIPT, forge, record

LOOKER = Principal("api", "guest", Role.AUTOMATIC, Rights(frozenset(), Precedence.ROUTINE))


def clear(world: World, station: int, name: str, *, principal: Principal = OPERATOR) -> str:
    """Ask for it; the code of the refusal, empty when it was done."""
    world._token += 1
    token = world._token
    world.give(Station(station), ClearAsked(token, principal, name))
    rejected = world.posts[Station(station)].rejected.get(token)
    return "" if rejected is None else rejected.code.value


def entries(world: World, station: int, event: str) -> list[Entry]:
    rows = world.posts[Station(station)].store._live.log
    found = [decode_entry(row.octets) for row in rows]
    return [entry for entry in found if entry.event == event]


def rolled_back() -> World:
    """Station 1 has lost what it said, and knows it from station 2."""
    world = line()
    for _ in range(5):
        reaches(world, send(world, draft()), RECEIPT, 10 * SECOND)
    world.crash(1, lose_last=30)
    world.start(1)
    world.run(30 * SECOND)
    assert AlarmCode.ROLLBACK in alarms(world, 1)
    return world


def test_a_cleared_rollback_stays_dark_until_there_is_something_new() -> None:
    """Hellos name the same loss again and again; only another loss lights it anew."""
    world = rolled_back()
    assert clear(world, 1, "rollback.2") == ""
    assert AlarmCode.ROLLBACK not in alarms(world, 1)
    for _ in range(3):
        world.unplug("cable")
        world.plug("cable")
        world.run(MINUTE)
    assert AlarmCode.ROLLBACK not in alarms(world, 1)
    (entry,) = entries(world, 1, "alarm_cleared")
    assert entry.field("alarm") == "rollback.2"
    assert (entry.field("user"), entry.field("role")) == ("duty", "DUTY_OFFICER")
    reaches(world, send(world, draft()), RECEIPT, 10 * SECOND)
    world.crash(1, lose_last=30)
    world.start(1)
    world.run(30 * SECOND)
    assert AlarmCode.ROLLBACK in alarms(world, 1), "it was another one"


def test_a_cleared_contradiction_stays_dark_until_another_is_said() -> None:
    """SAME ID: the same second act may come for ever; a third thing is a new alarm."""
    world = line()
    notice = send(world, draft())
    reaches(world, notice, RECEIPT, 2 * SECOND)
    name = f"same-id.{notice}"
    forge(world, notice, "something else")
    assert clear(world, 2, name) == ""
    forge(world, notice, "something else")
    assert AlarmCode.SAME_ID not in alarms(world, 2)
    forge(world, notice, "a third thing")
    assert AlarmCode.SAME_ID in alarms(world, 2)
    assert clear(world, 2, name) == ""
    assert len(entries(world, 2, "alarm_cleared")) == 2


def test_who_may_clear_what() -> None:
    """Only who may answer; only what has happened; only what is lit; nothing while it stops."""
    world = rolled_back()
    assert clear(world, 1, "rollback.2", principal=LOOKER) == RejectCode.FORBIDDEN.value
    assert clear(world, 1, "rollback.3") == RejectCode.UNKNOWN_ALARM.value
    world.unplug("cable")
    world.run(10 * SECOND)
    assert clear(world, 1, "no-link.2") == RejectCode.CONFLICT.value
    world.fill_disk(1)
    world.submit(draft())
    assert clear(world, 1, "rollback.2") == RejectCode.STORE_REFUSED.value
    assert AlarmCode.NO_LINK in alarms(world, 1)


def two_gateways() -> World:
    world = line()
    original = world.posts[Station(1)]
    first = original.engine
    world.start(1)
    second = original.engine
    for live in (first, second, first, second, first):
        original.engine = live
        original.wake_at = None
        world.unplug("cable")
        world.plug("cable")
        world.run(20 * SECOND)
    return world


@pytest.mark.parametrize(
    ("make", "station", "code"),
    [(rolled_back, 1, AlarmCode.ROLLBACK), (two_gateways, 2, AlarmCode.TWO_INCARNATIONS)],
    ids=["rollback", "two incarnations"],
)
def test_alarms_are_seen_on_api_lamps_and_screen(make: Any, station: int, code: AlarmCode) -> None:
    """The code in the status document, the lamp, and the sentence; dark in all three afterwards."""
    world = make()
    document, panel = shown(world, station)
    (alarm,) = [one for one in document["alarms"] if one["code"] == code.value]
    assert alarm["clearable"]
    assert panel.alarm is Rhythm.ALARM
    assert clear(world, station, alarm["name"]) == ""
    document, panel = shown(world, station)
    assert code.value not in [one["code"] for one in document["alarms"]]
    assert document["alarms"] or panel.alarm is Rhythm.OFF


def shown(world: World, station: int) -> tuple[dict[str, Any], Any]:
    """The status document of the API, and the lamp panel."""
    post = world.posts[Station(station)]
    assert post.status is not None
    now = Instant(world.now_ms - post.boot_at_ms)
    document = status_document(post.status, {}, instant=now)
    return json.loads(json.dumps(document)), pattern(post.status, now)


def _pending_in(world: World, notice: ActId) -> dict[str, Any]:
    """What station 2's status says of it."""
    document, _ = shown(world, 2)
    found: dict[str, Any] = next(one for one in document["pending_in"] if one["id"] == str(notice))
    return found


async def stored_document(world: World, station: int, notice: ActId) -> dict[str, Any]:
    """What `GET /v1/notices/{id}` says."""
    post = world.posts[Station(station)]
    stored = await post.store.notice(notice)
    assert stored is not None
    now = world._now(post)
    boot_id = f"boot-{post.station}-{post.boot}"
    return full_notice_document(stored, MemoryDesk(), now=now, boot_id=boot_id)


async def test_a_recording_to_a_lost_store_is_marked_everywhere() -> None:
    """FRESHNESS UNPROVEN: a recorded act to a new card is shown, with the mark, until proven."""
    world = line()
    heard = record(world)
    world.crash(1)
    world.start(1)  # the first frames of a run name its incarnation
    notice = send(world, draft("old orders"))
    reaches(world, notice, RECEIPT, 5 * SECOND)
    frames = [octets for far, octets in heard if far == 2]
    world.crash(1)
    world.crash(2)
    world.posts[Station(2)].store = MemoryStore()
    world.start(2)
    for octets in frames:
        world.give(Station(2), FrameReceived(CABLE, octets))
    world.run(5 * SECOND)
    assert len(world.published(2)) == 1
    document, panel = shown(world, 2)
    (pending,) = document["pending_in"]
    assert pending["freshness_unproven"] is True
    assert document["lines"][0]["far_gateway"]["freshness_proven"] is False
    assert "FRESHNESS UNPROVEN" in state_text(pending)
    assert "FRESHNESS UNPROVEN" in gateway_text(document["lines"][0]["far_gateway"])
    assert panel.pending_in is Rhythm.PRIORITY_BROKEN
    kept = await stored_document(world, 2, notice)
    assert kept["freshness_unproven"] is True
    assert kept["history"][0]["evidence"] == "received, freshness unproven"
    assert json.loads(world.published(2)[0].document)["freshness_unproven"] is True
    # The real station comes, in another incarnation: that proves nothing of the recording.
    world.start(1)
    world.run(30 * SECOND)
    document, panel = shown(world, 2)
    assert document["lines"][0]["far_gateway"]["freshness_proven"] is True
    assert document["pending_in"][0]["freshness_unproven"] is True
    assert set(dict(panel.links).values()) == {Rhythm.STEADY}
    # A restart of ours keeps the mark.
    world.crash(2)
    world.start(2)
    assert shown(world, 2)[0]["pending_in"][0]["freshness_unproven"] is True


async def test_the_mark_goes_when_its_station_proves_itself() -> None:
    """After a restart here an act comes before the hello: marked, then proven and not any more."""
    world = line()
    world.paths[CABLE].deaf.add(Station(1))
    world.crash(2)
    world.posts[Station(2)].store = MemoryStore()
    world.crash(1)
    world.start(1)
    notice = send(world, draft())
    world.start(2)
    world.run_until(lambda: bool(world.published(2)), 10 * SECOND)
    assert (await stored_document(world, 2, notice))["freshness_unproven"] is True
    world.paths[CABLE].deaf.clear()
    world.run(20 * SECOND)
    after = await stored_document(world, 2, notice)
    assert after["freshness_unproven"] is False
    assert after["history"][-1]["evidence"] == "freshness proven"
    document, panel = shown(world, 2)
    assert document["pending_in"][0]["freshness_unproven"] is False
    assert panel.pending_in is Rhythm.PRIORITY


async def test_late_and_age_unknown_are_marked_everywhere() -> None:
    """LATE by the sender's age; AGE UNKNOWN where the sender lost its clock over a power cut."""
    world = line()
    world.unplug("cable")
    late = send(world, draft(precedence=Precedence.FLASH))
    world.run(2 * MINUTE)
    world.plug("cable")
    world.run_until(lambda: bool(world.published(2)), 20 * SECOND)
    document, panel = shown(world, 2)
    (pending,) = document["pending_in"]
    assert (pending["late"], pending["age_unknown"]) == (True, False)
    assert "LATE" in state_text(pending)
    assert panel.pending_in is Rhythm.FLASH_BROKEN
    assert (await stored_document(world, 2, late))["late"] is True
    world.unplug("cable")
    unknown = send(world, draft(precedence=Precedence.FLASH, operation=Operation.OPERATION))
    world.posts[Station(1)].skew_s = None
    world.crash(1)
    world.start(1)
    world.plug("cable")
    world.run_until(lambda: len(world.published(2)) == 2, 30 * SECOND)
    # Said by an incarnation that has not answered station 2's challenge yet: a recording, perhaps.
    assert state_text(_pending_in(world, unknown)) == (
        "MACHINE RECEIPT LATE AGE UNKNOWN FRESHNESS UNPROVEN"
    )
    world.run_until(lambda: not _pending_in(world, unknown)["freshness_unproven"], 30 * SECOND)
    assert state_text(_pending_in(world, unknown)) == "MACHINE RECEIPT LATE AGE UNKNOWN"
    assert (await stored_document(world, 2, unknown))["age_s"] is None


def test_marks_that_wait_for_a_proof_are_bounded() -> None:
    """A flood from an unproven incarnation costs bounded memory; the oldest keep their mark."""
    world = line()
    world.paths[CABLE].deaf.add(Station(1))
    world.crash(2)
    world.posts[Station(2)].store = MemoryStore()
    world.start(2)
    engine = world.posts[Station(2)].engine
    assert engine is not None
    held = engine._hearing._unproven
    for number in range(UNPROVEN_COUNT_MAX):
        held.put(Station(1), ActId(Station(1), 1, number), bytes(8))  # type: ignore[arg-type]
    world.crash(1)
    world.start(1)
    send(world, draft())
    world.run_until(lambda: bool(world.published(2)), 10 * SECOND)
    assert len(held) == UNPROVEN_COUNT_MAX
