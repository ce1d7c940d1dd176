"""Alarms about what has happened: lit after each start, until a person or a rule ends them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.alarms import ALARM_COUNT_MAX
from gateway.core.effects import CLEARED_BY_HAND, AlarmCode
from gateway.core.events import ClearAsked, ClockStepped, QueueUp, StoreHealed
from gateway.core.records import AlarmKey, Recovered, StoredAlarm
from gateway.core.watch import Watch
from gateway.model import AnswerCode, Kind, Station
from gateway.sim.world import OPERATOR, World
from gateway.store.memory import MemoryStore
from tests.sim.by_hand import id_of
from tests.sim.scenes import MINUTE, SECOND, alarms, draft, line, reaches, send
from tests.sim.test_engine_alarms import rolled_back

RECEIPT = "MACHINE RECEIPT"
HERE = Station(1)
KEPT = sorted(CLEARED_BY_HAND, key=lambda code: code.name)


class Marked(MemoryStore):
    """What a store found at its start, beside what it keeps."""

    def __init__(self, kept: MemoryStore, **marks: Any) -> None:
        super().__init__()
        self._live = kept._live.copy()
        self._base = kept._live.copy()
        self.marks = marks

    def recovered(self) -> Recovered:
        return replace(super().recovered(), **self.marks)


def restart(world: World, **marks: Any) -> None:
    """Station 1 is killed and starts; `marks`: what its store finds then."""
    world.crash(1)
    world.posts[HERE].store = Marked(world.posts[HERE].store, **marks)
    world.start(1)


def names(world: World) -> dict[str, int]:
    """Of the alarms of station 1 that a person clears, as often as each is shown."""
    status = world.posts[HERE].status
    assert status is not None
    return dict(Counter(alarm.name for alarm in status.alarms if alarm.code in CLEARED_BY_HAND))


def watch(world: World) -> Watch:
    engine = world.posts[HERE].engine
    assert engine is not None
    return engine._state.watch


def clear(world: World, name: str) -> None:
    world.give(HERE, ClearAsked(99, OPERATOR, name))


@pytest.mark.parametrize("code", KEPT, ids=lambda code: code.name)
def test_what_has_happened_is_lit_until_a_person_clears_it(code: AlarmCode) -> None:
    """Two power cuts that take all that was not flushed, and the alarm is as it was; once cleared,
    a start shows it no more.
    """
    world = line()
    assert watch(world).raise_alarm(code, "what, where, what to do", station=Station(2))
    world.give(HERE, QueueUp("mqtt"))  # what it writes itself is NORMAL
    (lit,) = (alarm for alarm in world.posts[HERE].status.alarms)  # type: ignore[union-attr]
    for _ in range(2):
        world.crash(1, keep_normal=code in (AlarmCode.SAME_ID, AlarmCode.CROSSED))
        world.start(1)
        assert names(world) == {lit.name: 1}
        assert lit in world.posts[HERE].status.alarms  # type: ignore[union-attr]
    clear(world, lit.name)
    restart(world)
    assert not names(world)


def test_what_the_store_found_is_lit_once_and_at_each_start() -> None:
    """By the start that found it, the next that finds nothing, and one that finds it again."""
    world = line()
    found = {"was_rebuilt": True, "was_restored": True, "book_problem": "it differs"}
    lit = {"store-rebuilt": 1, "rollback": 1, "log-book": 1}
    for marks in (found, {}, {}, found, {}):
        restart(world, **marks)
        assert names(world) == lit
    restart(world, book_problem="it differs elsewhere")
    restart(world)
    assert any("elsewhere" in alarm.text for alarm in world.posts[HERE].status.alarms)  # type: ignore[union-attr]
    for name in lit:
        clear(world, name)
        restart(world)
        assert name not in names(world)
    restart(world, **found)
    assert names(world) == lit, "found anew"


def test_evidence_that_a_person_saw_lights_nothing_after_a_start_either() -> None:
    """The far station goes on telling of what a lying card lost; one thing more, and it is lit."""
    world = rolled_back()
    assert names(world) == {"rollback.2": 1}
    clear(world, "rollback.2")
    for _ in range(2):
        world.crash(1)
        world.start(1)
        world.run(MINUTE)
        assert not names(world)
    watch(world).raise_alarm(AlarmCode.ROLLBACK, "x", station=Station(2), evidence="more")
    world.give(HERE, ClockStepped(0))
    restart(world)
    assert names(world) == {"rollback.2": 1}


def test_what_is_kept_is_bounded() -> None:
    """64 lit and 64 that were cleared, however many there were."""
    world = line()
    for serial in range(1, 3 * ALARM_COUNT_MAX):
        of = id_of(2, 9, serial)
        watch(world).raise_alarm(AlarmCode.SAME_ID, "x", notice_id=of, evidence="a")
        world.give(HERE, ClockStepped(0))
        if serial % 2:
            clear(world, f"same-id.{of}")
    for serial in range(1, 2 * ALARM_COUNT_MAX):
        watch(world).raise_alarm(
            AlarmCode.SAME_ID, "x", notice_id=id_of(2, 8, serial), evidence="a"
        )
    world.give(HERE, ClockStepped(0))
    kept = world.posts[HERE].store.recovered().alarms
    lit = [alarm for alarm in kept if alarm.key.cleared is None]
    assert (len(lit), len(kept)) == (ALARM_COUNT_MAX, 2 * ALARM_COUNT_MAX)
    before = names(world)
    restart(world)
    after = names(world)
    assert set(after) < set(before), "NO LINK pushes out one"
    assert len(after) == ALARM_COUNT_MAX - 1


def test_what_a_far_station_changes_is_not_written_again() -> None:
    """It could with each act; who clears it has seen what is lit."""
    world = line()
    for evidence in ("a", "b", "c"):
        watch(world).raise_alarm(
            AlarmCode.ROLLBACK, evidence, station=Station(2), evidence=evidence
        )
        world.give(HERE, ClockStepped(0))
    (kept,) = world.posts[HERE].store.recovered().alarms
    assert kept.evidence == "a"


def test_what_no_person_could_clear_is_not_lit_again() -> None:
    """A row of another version with a code that is none here, or tells what is."""
    world = line()
    keys = [AlarmKey(code, None, None, "") for code in ("NO_LINK", "NEVER_HEARD_OF")]
    restart(world, alarms=tuple(StoredAlarm(key, "x") for key in keys))
    assert not {"no-link", "never-heard-of"} & {
        alarm.name
        for alarm in world.posts[HERE].status.alarms  # type: ignore[union-attr]
    }


def test_a_store_that_cannot_write_keeps_the_alarm_once_it_can() -> None:
    """STORE REFUSED: lit, nothing written; healed: written, so that the next start has it."""
    world = line()
    restart(world, was_rebuilt=True, store_refused=True)
    assert names(world) == {"store-rebuilt": 1}
    assert not MemoryStore.recovered(world.posts[HERE].store).alarms
    clear(world, "store-rebuilt")
    assert names(world) == {"store-rebuilt": 1}
    world.give(HERE, StoreHealed())
    restart(world)
    assert names(world) == {"store-rebuilt": 1}


def test_a_crossing_ends_by_its_rule_after_a_start() -> None:
    """With the answer to the CANCEL; both sides were off in between."""
    world = line()
    notice = send(world, draft(kind=Kind.REQUEST))
    reaches(world, notice, RECEIPT, 2 * SECOND)
    world.answer(notice, AnswerCode.WILCO)
    cancel = send(world, draft("cancel", kind=Kind.CANCEL, reference=notice))
    world.run(5 * SECOND)
    for station in (1, 2):
        world.crash(station)
        world.start(station)
    world.run(5 * SECOND)
    assert AlarmCode.CROSSED in alarms(world, 1) & alarms(world, 2)
    world.answer(cancel, AnswerCode.ROGER)
    world.run(5 * SECOND)
    for station in (1, 2):
        world.crash(station)
        world.start(station)
    assert AlarmCode.CROSSED not in alarms(world, 1) | alarms(world, 2)


def test_a_crossing_of_what_is_settled_ends_12_hours_after_a_start_at_the_latest() -> None:
    """Its notice will not end it any more, and the timer of the run before is gone."""
    world = line()
    watch(world).raise_alarm(AlarmCode.CROSSED, "x", notice_id=id_of(1, 1, 1))
    world.give(HERE, ClockStepped(0))
    restart(world)
    world.run(11 * 60 * MINUTE)
    assert AlarmCode.CROSSED in alarms(world, 1)
    world.run(61 * MINUTE)
    assert AlarmCode.CROSSED not in alarms(world, 1)
    restart(world)
    assert AlarmCode.CROSSED not in alarms(world, 1)
