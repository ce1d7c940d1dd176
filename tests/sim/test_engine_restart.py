"""What a start makes of what the last runs left, and of numbers that come to their end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.effects import AlarmCode
from gateway.core.events import ClearAsked, ClockStepped, Started
from gateway.core.records import Recovered
from gateway.core.recovery import OFFSET_MARGIN, decode_stored
from gateway.model import Answer, AnswerCode, Kind, LinkName, Serial, Station
from gateway.sim.world import OPERATOR, World
from gateway.store.memory import MemoryStore
from tests.sim.by_hand import settled
from tests.sim.scenes import MINUTE, SECOND, alarms, draft, reaches, send

RECEIPT = "MACHINE RECEIPT"
CABLE = LinkName("cable")


class Rescued(MemoryStore):
    """A store that begins with what another one or the log book still had."""

    def __init__(self, recovered: Recovered) -> None:
        super().__init__()
        self.begin = recovered

    def recovered(self) -> Recovered:
        return self.begin


def restart(world: World, station: int, **changes: object) -> None:
    """Kill a station and start it with its store as changed."""
    world.crash(station)
    post = world.posts[Station(station)]
    recovered = replace(post.store.recovered(), **changes)  # type: ignore[arg-type]
    post.store = Rescued(recovered)
    world.start(station)


def test_a_rebuilt_store_keeps_what_answers_prove() -> None:
    """Acts but no deliveries: states from the signed answers; the rest is settled by the peer."""
    world = settled()
    answered = send(world, draft(kind=Kind.REQUEST))
    reaches(world, answered, RECEIPT, 2 * SECOND)
    for code in (AnswerCode.STANDBY, AnswerCode.WILCO):
        world.answer(answered, code)
    reaches(world, answered, "WILCO", 2 * SECOND)
    receipted = send(world, draft("receipted"))
    reaches(world, receipted, RECEIPT, 2 * SECOND)
    world.paths[CABLE].deaf.add(Station(2))
    open_ = send(world, draft("open"))
    restart(world, 1, deliveries=(), receipted=frozenset(), was_rebuilt=True)
    assert AlarmCode.STORE_REBUILT in alarms(world, 1)
    assert [world.state_of(n) for n in (answered, receipted, open_)] == ["WILCO", "SENT", "SENT"]
    record = world.state().ledger.get(answered)
    assert record is not None
    said = {
        stored.id: decode_stored(stored)
        for stored in world.posts[Station(1)].store.recovered().acts
    }
    answers = [said[act_id] for act_id in record.answers]
    assert [a.code for a in answers if isinstance(a, Answer)] == [
        AnswerCode.STANDBY,
        AnswerCode.WILCO,
    ]
    world.paths[CABLE].deaf.clear()
    for notice in (receipted, open_):
        reaches(world, notice, RECEIPT, MINUTE)
    assert len(world.published(2)) == 3
    restart(world, 2, deliveries=(), was_rebuilt=True)
    assert world.state_of(answered, 2) == "WILCO"
    assert world.state_of(receipted, 2) == RECEIPT
    world.run(MINUTE)
    world.answer(receipted, AnswerCode.ROGER)
    reaches(world, receipted, "ROGER", 10 * SECOND)


def test_a_database_older_than_its_book_opens_nothing_that_was_settled() -> None:
    """Deliveries of an older database beside the acts of a younger book: what was answered or
    cancelled since is not open again, a promise is kept, and what nobody answered is still open.
    """
    world = settled()
    rogered, promised, cancelled = (
        send(world, draft(text, kind=kind))
        for text, kind in (("a", Kind.NOTIFY), ("b", Kind.REQUEST), ("c", Kind.NOTIFY))
    )
    open_ = send(world, draft("d"))
    for notice in (rogered, promised, cancelled, open_):
        reaches(world, notice, RECEIPT, 2 * SECOND)
    closed = send(world, draft("e"))
    reaches(world, closed, RECEIPT, 2 * SECOND)
    world.answer(closed, AnswerCode.ROGER)
    reaches(world, closed, "ROGER", 10 * SECOND)
    old = {station: world.posts[Station(station)].store.recovered() for station in (1, 2)}
    world.answer(rogered, AnswerCode.ROGER)
    world.answer(promised, AnswerCode.STANDBY)
    reaches(world, rogered, "ROGER", 10 * SECOND)
    reaches(world, promised, "STANDBY", 10 * SECOND)
    cancel = send(world, draft(kind=Kind.CANCEL, reference=cancelled))
    reaches(world, cancel, RECEIPT, 10 * SECOND)
    expected = ["ROGER", "STANDBY", "CANCELLED", RECEIPT, "ROGER"]
    for station in (1, 2):
        restart(world, station, deliveries=old[station].deliveries, was_rebuilt=True)
        ledger = world.state(station).ledger.records
        found = [ledger[notice] for notice in (rogered, promised, cancelled, open_, closed)]
        assert [record.state.value for record in found] == expected
        assert [record.is_open for record in found] == [False, True, False, True, False]
    world.answer(promised, AnswerCode.WILCO)
    reaches(world, promised, "WILCO", MINUTE)


def test_a_rebuilt_store_that_cannot_write_writes_nothing() -> None:
    """STORE REFUSED and rebuilt: the records are there, no delivery is written."""
    world = settled()
    notice = send(world, draft())
    reaches(world, notice, RECEIPT, 2 * SECOND)
    restart(world, 1, deliveries=(), was_rebuilt=True, store_refused=True)
    assert world.posts[Station(1)].store._live.rows == {}
    record = world.state().ledger.get(notice)
    assert record is not None
    assert {AlarmCode.STORE_REBUILT, AlarmCode.STORE_REFUSED} <= alarms(world, 1)


def test_an_act_of_the_store_that_cannot_be_read_is_passed_over() -> None:
    """It was answered CANTPRO when it came; a later version's act ends no start."""
    world = settled()
    notice = send(world, draft())
    reaches(world, notice, RECEIPT, 2 * SECOND)
    acts = world.posts[Station(2)].store.recovered().acts
    spoilt = tuple(act._replace(octets=act.octets[:-1]) for act in acts)
    restart(world, 2, acts=spoilt)
    assert len(world.notes("act_not_processed", 2)) == 1
    assert world.state(2).ledger.get(notice) is None
    assert world.line(2, 1).reception.holds(notice.epoch, 1), "it is not shown a second time"


def test_what_the_store_knows_of_lines_that_are_gone_is_passed_over() -> None:
    """Epochs, seen ids and acts of a station that is configured no more."""
    world = settled()
    notice = send(world, draft())
    theirs = send(world, draft(to=1), station=2)
    reaches(world, notice, RECEIPT, 2 * SECOND)
    reaches(world, theirs, RECEIPT, 2 * SECOND)
    recovered = world.posts[Station(1)].store.recovered()
    gone = Station(77)
    restart(
        world,
        1,
        epochs=((gone, 5, 9), *recovered.epochs),
        seen=((theirs._replace(originator=gone), b"h"), *recovered.seen),
        acts=(
            *recovered.acts,
            *(
                a._replace(id=a.id._replace(originator=gone))
                for a in recovered.acts
                if a.id == theirs
            ),
        ),
    )
    world.run(30 * SECOND)
    assert world.line().outgoing.knows(notice.epoch, 1)
    assert not world.line().outgoing.knows(5, 9)
    reaches(world, send(world, draft("goes on")), RECEIPT, 5 * SECOND)


def test_an_early_cancel_is_remembered_over_a_restart() -> None:
    """The CANCEL came, its notice did not yet: after a kill it still arrives CANCELLED."""
    world = settled()
    world.hold("cable")
    notice = send(world, draft())
    lost = world.next_frame("cable")
    world.sent(lost)
    cancel = send(world, draft("stop", kind=Kind.CANCEL, reference=notice))
    frame = world.next_frame("cable")
    world.heard(frame)
    assert [p.notice_id for p in world.published(2)] == [cancel]
    world.crash(2)
    world.start(2)
    world.heard(lost)
    assert world.state_of(notice, 2) == "CANCELLED"


def test_a_cancel_whose_notice_came_is_no_early_end() -> None:
    """After a restart nothing waits for a notice that is held."""
    world = settled()
    notice = send(world, draft())
    reaches(world, notice, RECEIPT, 2 * SECOND)
    cancel = send(world, draft("stop", kind=Kind.CANCEL, reference=notice))
    reaches(world, cancel, RECEIPT, 2 * SECOND)
    world.crash(2)
    world.start(2)
    engine = world.posts[Station(2)].engine
    assert engine is not None
    assert len(engine._hearing._early_ends) == 0


def test_an_epoch_that_is_full_is_followed_by_another() -> None:
    """Serial 65535 is the last: the next act opens an epoch and names the one before."""
    world = settled()
    first = send(world, draft("first"))
    reaches(world, first, RECEIPT, 2 * SECOND)
    world.state().speech._tongues[Station(2)].next_serial = 0xFFFF
    last = send(world, draft("last"))
    new = send(world, draft("new"))
    assert (last.serial, last.epoch) == (0xFFFF, first.epoch)
    assert new.serial == 1
    assert new.epoch != last.epoch
    for notice in (last, new):
        reaches(world, notice, RECEIPT, 5 * SECOND)
    record = world.state(2).ledger.get(new)
    assert record is not None
    assert record.notice.previous is not None
    assert record.notice.previous.epoch == last.epoch
    assert record.notice.previous.serial == 0xFFFF
    assert world.line(2, 1).reception.known()[-1] == (new.epoch, 1)
    world.crash(1)
    world.start(1)
    world.run(10 * SECOND)
    assert not alarms(world, 1) | alarms(world, 2)
    assert world.line().standing.epoch not in (first.epoch, new.epoch)


def test_the_receipt_of_a_serial_far_beyond_the_bitmap_counts() -> None:
    """Serials 2 to 499 are still to come: 500 is receipted alone, and FLASH need not wait."""
    world = settled()
    first = send(world, draft())
    reaches(world, first, RECEIPT, 2 * SECOND)
    world.state().speech._tongues[Station(2)].next_serial = 500
    beyond = send(world, draft("beyond"))
    assert beyond.serial == Serial(500)
    reaches(world, beyond, RECEIPT, 2 * SECOND)
    reception = world.line(2, 1).reception
    assert reception._epochs[beyond.epoch].cumulative == 1


def test_offsets_leave_numbers_out_at_each_start() -> None:
    """An offset never means two things; a fresh store begins at 1."""
    world = settled()
    reaches(world, send(world, draft()), RECEIPT, 2 * SECOND)
    assert [p.offset for p in world.published(2)] == [1]
    world.crash(2)
    world.start(2)
    world.run(10 * SECOND)
    reaches(world, send(world, draft()), RECEIPT, 5 * SECOND)
    first, second = (p.offset for p in world.published(2))
    assert first == 1
    assert second > OFFSET_MARGIN
    assert second % OFFSET_MARGIN == 2


def test_a_card_that_loses_the_last_start_gives_no_offset_twice() -> None:
    """What a consumer saw under an offset stays what it means (seed hostile 2069)."""
    world = settled()
    reaches(world, send(world, draft()), RECEIPT, 2 * SECOND)
    world.crash(2)
    image = world.posts[Station(2)].store.copy()
    seen = set()
    for text in ("first", "second"):
        world.posts[Station(2)].store = image.copy()
        world.start(2)
        world.run(10 * SECOND)
        reaches(world, send(world, draft(text)), RECEIPT, 5 * SECOND)
        seen.add(world.published(2)[-1].offset)
        world.crash(2)
    assert len(seen) == 2


def test_started_comes_once() -> None:
    """A second one is a bug of the shell, not a second start."""
    world = settled()
    with pytest.raises(AssertionError):
        world.give(Station(1), Started("again", bytes(256), "sim"))


def test_a_clock_that_becomes_trusted_bounds_ages_that_were_unknown() -> None:
    """After a reboot without a clock: AGE UNKNOWN until UTC is back; then expiry is true again."""
    world = settled()
    world.unplug("cable")
    notice = send(world, draft(lifetime_min=60))
    world.posts[Station(1)].skew_s = None
    unclocked = send(world, draft("the clock is gone, but the boot is the same"))
    world.crash(1)
    world.run(25 * MINUTE)
    world.start(1)
    never = send(world, draft("no clock in all of this boot"))
    world.crash(1)
    world.run(25 * MINUTE)
    world.start(1)
    acts = {act.id: act for act in world.line().outgoing.unreceipted()}
    assert not acts[notice].age_known
    world.give(Station(1), ClockStepped(5))  # Stepped, but still nobody trusts it.
    assert not acts[notice].age_known
    world.posts[Station(1)].skew_s = 0
    world.give(Station(1), ClockStepped(5))
    assert acts[notice].age_known
    assert acts[unclocked].age_known
    assert not acts[never].age_known, "nobody knows when it was made"
    world.run(9 * MINUTE)
    assert world.state_of(notice) != "EXPIRED"
    world.run(2 * MINUTE)
    assert world.state_of(notice) == "EXPIRED"
    assert world.state_of(never) != "EXPIRED"


def test_an_age_that_nobody_knows_still_grows_over_restarts() -> None:
    """Counted from the boot, not from each start: a gateway that crashes often expires it too
    (seed everything 699).
    """
    world = settled()
    world.unplug("cable")
    world.posts[Station(1)].skew_s = None
    world.crash(1)
    world.start(1)
    notice = send(world, draft(lifetime_min=60))
    world.crash(1)
    world.run(MINUTE)
    world.start(1)
    for _ in range(5):
        assert world.state_of(notice) == "QUEUED"
        world.run(10 * MINUTE)
        world.crash(1, reboot=False)
        world.start(1)
    world.run(11 * MINUTE)
    assert world.state_of(notice) == "EXPIRED"


def test_epochs_of_other_incarnations_are_bounded() -> None:
    """20 starts of the far station: the last 16 of its earlier epochs are remembered."""
    world = settled()
    for _ in range(20):
        reaches(world, send(world, draft(to=1), station=2), RECEIPT, 10 * SECOND)
        world.crash(2)
        world.start(2)
        world.run(10 * SECOND)
    (peer,) = world.posts[Station(1)].store.recovered().peers
    assert len(peer.previous) == 16
    assert peer.previous[-1] == (world.line(2, 1).standing.previous.epoch, 1)


def test_a_book_that_differs_from_its_head_is_an_alarm_that_a_person_clears() -> None:
    """What the store found at the start is lit with its sentence until then."""
    world = settled()
    restart(world, 1, book_problem="entries 13 to 21 of the log book are gone")
    status = world.posts[Station(1)].status
    assert status is not None
    (alarm,) = [a for a in status.alarms if a.code is AlarmCode.LOG_BOOK]
    assert alarm.text.startswith("entries 13 to 21 of the log book are gone; somebody")
    assert alarm.name == "log-book"
    world.run(MINUTE)
    assert AlarmCode.LOG_BOOK in alarms(world, 1)
    world.give(Station(1), ClearAsked(99, OPERATOR, "log-book"))
    assert AlarmCode.LOG_BOOK not in alarms(world, 1)
