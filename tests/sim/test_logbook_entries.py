"""What stands in the log book: everything that an argument, or a technician, may turn on."""

from __future__ import annotations

from gateway.core.events import (
    ClockStepped,
    LinkTold,
    NoticeTaken,
    QueueDown,
    QueueUp,
    Stopping,
)
from gateway.logbook.entry import Entry, decode_entry
from gateway.model import AnswerCode, LinkName, Station
from gateway.security.cards import card_digest
from gateway.sim.world import OPERATOR, World
from tests.sim.books import log_rows
from tests.sim.scenes import MINUTE, SECOND, draft, line, reaches, send


def entries(world: World, station: int = 1) -> list[Entry]:
    return [decode_entry(row.octets) for row in log_rows(world.posts[Station(station)])]


def states(world: World, notice_id: object, station: int = 1) -> list[object]:
    return [
        entry.field("state")
        for entry in entries(world, station)
        if entry.event == "state" and entry.field("notice") == str(notice_id)
    ]


def test_every_state_of_a_notice_is_an_entry() -> None:
    """From QUEUED to its answer, with the evidence of each, on both sides of the line."""
    world = line()
    notice = send(world, draft())
    reaches(world, notice, "MACHINE RECEIPT", MINUTE)
    world.answer(notice, AnswerCode.ROGER)
    reaches(world, notice, "ROGER", MINUTE)
    assert states(world, notice) == ["QUEUED", "SENT", "MACHINE RECEIPT", "ROGER"]
    assert states(world, notice, 2) == ["MACHINE RECEIPT", "ROGER"]
    queued = next(entry for entry in entries(world) if entry.event == "state")
    assert queued.field("evidence") == "accepted from duty by api"
    answered = [entry for entry in entries(world, 2) if entry.event == "state"][-1]
    assert "answered by duty (DUTY_OFFICER)" in str(answered.field("evidence"))


def test_a_start_names_the_station_its_configuration_and_keys() -> None:
    """Whose book it is, and digests that differ when settings or a card were changed."""
    world = line()
    start, far = entries(world)[0], entries(world)[1]
    card, far_card = (world.posts[Station(number)].keys.card for number in (1, 2))
    assert (start.event, start.field("station")) == ("start", 1)
    assert start.field("card") == card_digest(card)
    assert start.field("configuration") == ""
    assert (far.event, far.field("station"), far.field("generation")) == ("line", 2, 1)
    assert far.field("card") == card_digest(far_card)
    assert card_digest(card) != card_digest(far_card)


def test_what_happens_to_a_station_is_an_entry() -> None:
    """Links, clock, queue, hand-off, start and stop."""
    world = line()
    cable = LinkName("cable")
    notice = send(world, draft(to=1), station=2)
    reaches(world, notice, "MACHINE RECEIPT", MINUTE)
    world.give(Station(1), NoticeTaken(notice, OPERATOR))
    world.give(Station(1), QueueDown("mqtt", "refused"))
    world.give(Station(1), QueueUp("mqtt"))
    world.give(Station(1), ClockStepped(3600))
    world.give(Station(1), LinkTold(cable, "set the region", needs_person=True))
    world.unplug("cable")
    world.run(MINUTE)
    world.plug("cable")
    world.run(MINUTE)
    world.give(Station(1), Stopping("SIGTERM"))
    world.run(SECOND)
    told = [(entry.event, dict(entry.fields)) for entry in entries(world)]
    for event, some in (
        ("link_up", {"link": "cable"}),
        ("link_state", {"link": "cable", "state": "UP"}),
        ("taken", {"notice": str(notice), "user": "duty", "adapter": "api"}),
        ("queue_down", {"queue": "mqtt", "reason": "refused"}),
        ("queue_up", {"queue": "mqtt"}),
        ("clock", {"step_s": 3600}),
        ("link_told", {"link": "cable", "detail": "set the region"}),
        ("link_down", {"link": "cable", "reason": "unplugged"}),
        ("link_state", {"link": "cable", "state": "DOWN"}),
        ("far_gateway_silent", {"station": "POST2"}),
        ("stop", {"reason": "SIGTERM"}),
    ):
        assert any(name == event and some.items() <= fields.items() for name, fields in told), event


def test_beats_write_nothing() -> None:
    """Idle time adds no entry: the card is not worn by beats."""
    world = line()
    world.run(MINUTE)
    before = len(entries(world))
    world.run(25 * MINUTE)
    assert len(entries(world)) == before
