"""Rotation of a line's secret: open notices survive it, and the old generation ends with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from gateway.core.effects import AlarmCode, PeerStatus, RejectCode
from gateway.core.events import Event, FrameReceived
from gateway.core.policy import Policy
from gateway.core.status_document import status_document
from gateway.logbook.comparison import compare
from gateway.model import ActId, AnswerCode, Instant, LinkName, Station
from gateway.security.cards import Card
from gateway.security.keys import KeyRing, Line, derive_line_keys, make_card, new_station_keys
from gateway.sim.world import Post, Witness, World
from gateway.wire.frame import parse_frame
from gateway.wire.items import ActItem, encode_items
from tests.sim.books import Line as BookLine
from tests.sim.books import audit
from tests.sim.scenes import MINUTE, SECOND, alarms, draft, reaches, send
from tests.sim.test_logbook_entries import entries

HOUR = 60 * MINUTE
FIRST = bytes([1]) * 32
SECRETS = {1: FIRST, 2: bytes([2]) * 32, 3: bytes([3]) * 32}
RECEIPT = "MACHINE RECEIPT"
LONG = "the convoy of nine lorries leaves the northern gate and takes the river road " * 11


def give_secrets(
    world: World, station: int, *generations: int, secrets: Mapping[int, bytes] = SECRETS
) -> None:
    """Let a station hold one or two generations from its next start."""
    post = world.posts[Station(station)]
    lines: dict[Station, Line] = {}
    for far, line in post.keys.lines.items():
        *older, newest = sorted(generations)
        former = (older[-1], secrets[older[-1]]) if older else None
        keys = derive_line_keys(
            post.keys.own, line.card, secrets[newest], newest, hello_secret=FIRST, former=former
        )
        lines[far] = Line(line.card, keys, newest)
    post.keys = KeyRing(post.keys.own, post.keys.card, lines)


def restart(world: World, station: int) -> None:
    world.crash(station, reboot=False)
    world.start(station)


def rotate(world: World, station: int, *generations: int) -> None:
    give_secrets(world, station, *generations)
    restart(world, station)


def rotated_line(seed: int = 1, *, bit_rate: int = 9600, radio: bool = False) -> World:
    """Two stations in generation 1 whose hellos went both ways."""
    world = World(seed, policy=Policy())
    if radio:
        world.add_path("radio", bit_rate=None, loss=0.1)
    world.add_path("cable", bit_rate=bit_rate, loss=0.1)
    for station in (1, 2):
        give_secrets(world, station, 1)
    world.start()
    world.run(30 * SECOND)
    return world


def peer_of(world: World, station: int) -> PeerStatus:
    status = world.posts[Station(station)].status
    assert status is not None
    return status.peers[0]


def generations(world: World) -> list[tuple[int, bool]]:
    return [(peer_of(world, n).generation, peer_of(world, n).rotating) for n in (1, 2)]


def is_rotated(world: World, generation: int = 2) -> bool:
    return generations(world) == [(generation, False)] * 2


def published(world: World, station: int) -> list[ActId]:
    """Inbound notices that were handed to this station's consumer, doubled ones twice."""
    live = world.posts[Station(station)].store._live
    return [one.notice_id for one in live.publications.values() if one.topic.value == "notice"]


class Tap(Witness):
    """Keeps every frame that a station was given."""

    def __init__(self, station: int) -> None:
        self.station = station
        self.frames: list[FrameReceived] = []

    def event(self, post: Post, event: Event | None) -> None:
        if post.station == self.station and isinstance(event, FrameReceived):
            self.frames.append(event)


@pytest.mark.parametrize("radio", [False, True])
def test_open_notices_and_fragments_survive_a_rotation(radio: bool) -> None:
    """One side rotates under way, the other hours later; all is received once and answered."""
    world = rotated_line(radio=radio, bit_rate=1200)
    asked = send(world, draft("meet at noon", lifetime_min=9 * 1440))
    world.run(20 * SECOND)
    long = send(world, draft(LONG[:900], lifetime_min=9 * 1440))
    back = send(world, draft(LONG[:500], to=1, lifetime_min=9 * 1440), station=2)
    world.run(4 * SECOND)
    assert world.state_of(long) == "SENT"
    rotate(world, 1, 1, 2)
    for notice in (asked, long, back):
        reaches(world, notice, RECEIPT, 3 * MINUTE)
    assert generations(world) == [(1, True), (1, False)]
    world.run(4 * HOUR)
    assert not alarms(world, 1) & {AlarmCode.GENERATION, AlarmCode.FAR_GATEWAY_SILENT}
    late = send(world, draft(LONG[:700], lifetime_min=1440))
    world.run(3 * SECOND)
    rotate(world, 2, 1, 2)
    world.run_until(lambda: is_rotated(world), 5 * MINUTE)
    reaches(world, late, RECEIPT, 3 * MINUTE)
    for notice in (asked, long, late):
        world.answer(notice, AnswerCode.ROGER)
        reaches(world, notice, "ROGER", 3 * MINUTE)
    world.answer(back, AnswerCode.ROGER, station=1)
    reaches(world, back, "ROGER", 3 * MINUTE)
    assert sorted(published(world, 2), key=str) == sorted([asked, long, late], key=str)
    assert published(world, 1) == [back]


def deaths() -> Iterator[tuple[int, int, int]]:
    """(station, step that writes, effect): which step of the rotation the power cut strikes."""
    for station in (1, 2):
        for step in range(6):
            for effect in (-1, 0):
                yield station, step, effect


@pytest.mark.parametrize(("station", "step", "effect"), list(deaths()))
def test_a_power_cut_at_any_point_of_a_rotation(station: int, step: int, effect: int) -> None:
    """Before or after any commit of it, at either side: the line comes up in the new generation."""
    world = rotated_line(seed=7)
    notice = send(world, draft(LONG[:700], lifetime_min=9 * 1440))
    back = send(world, draft("a short one", to=1, lifetime_min=9 * 1440), station=2)
    rotate(world, 1, 1, 2)
    rotate(world, 2, 1, 2)
    post = world.posts[Station(station)]
    steps = [0]

    class Killer(Witness):
        def stepped(self, stepped: Post, made: object) -> None:
            if stepped is post and made.writes:  # type: ignore[attr-defined]
                if steps[0] == step:
                    post.dies_at_effect = effect
                steps[0] += 1

    world.witness = Killer()
    world.run_until(lambda: post.engine is None, 3 * MINUTE)
    world.witness = Witness()
    world.start(station)
    world.run_until(lambda: is_rotated(world), 5 * MINUTE)
    for one in (notice, back):
        reaches(world, one, RECEIPT, 3 * MINUTE)
    assert published(world, 2) == [notice]
    assert published(world, 1) == [back]


def test_the_old_generation_is_refused_once_the_new_one_is_used() -> None:
    """Frames of the old one that were held back open no more; what they carried comes in the new.

    A restart keeps it so: that the peer uses the new generation is in the store.
    """
    world = rotated_line()
    tap = world.witness = Tap(1)
    reaches(world, send(world, draft("heard", to=1), station=2), RECEIPT, MINUTE)
    world.paths[LinkName("cable")].deaf.add(Station(1))
    held_back = send(world, draft("held back", to=1), station=2)
    heard: list[FrameReceived] = []
    session = world.posts[Station(2)].engine._state.lines[Station(1)].session  # type: ignore[union-attr]
    item = world.posts[Station(2)].store.recovered().acts[-1]
    frame, _ = session.seal(encode_items([ActItem(0, item.octets, item.signature)]))
    heard.append(FrameReceived(LinkName("cable"), frame))
    world.paths[LinkName("cable")].deaf.clear()
    rotate(world, 1, 1, 2)
    rotate(world, 2, 1, 2)
    world.run_until(lambda: is_rotated(world), 5 * MINUTE)
    reaches(world, held_back, RECEIPT, 5 * MINUTE)
    old = [one for one in tap.frames if parse_frame(one.octets)[0].generation == 1] + heard
    assert len(old) > 2
    for again in (False, True):
        if again:
            restart(world, 1)
            world.run(30 * SECOND)
        before = world.posts[Station(1)].store.recovered()
        state = world.posts[Station(1)].engine._state  # type: ignore[union-attr]
        count = state.lines[Station(2)].totals.failed_opens
        for one in old:
            world.give(Station(1), one)
        assert state.lines[Station(2)].totals.failed_opens == count + len(old)
        assert world.posts[Station(1)].store.recovered().acts == before.acts
    assert len(published(world, 1)) == 2


def test_a_peer_restored_from_an_old_image_is_heard_and_told() -> None:
    """It has the old secret only: its hellos open, both sides say why no notice goes, and a third
    secret that it is brought ends that without a loss.
    """
    world = rotated_line()
    image = world.posts[Station(2)].store.copy()
    rotate(world, 1, 1, 2)
    rotate(world, 2, 1, 2)
    world.run_until(lambda: is_rotated(world), 5 * MINUTE)
    world.crash(2)
    world.posts[Station(2)].store = image
    give_secrets(world, 2, 1)
    world.start(2)
    world.run_until(
        lambda: all(AlarmCode.GENERATION in alarms(world, n) for n in (1, 2)), 5 * MINUTE
    )
    assert peer_of(world, 1).confirmed
    there, back = send(world, draft("to you")), send(world, draft("to us", to=1), station=2)
    world.run(5 * MINUTE)
    assert {world.state_of(there), world.state_of(back)} == {"SENT"}
    rotate(world, 1, 2, 3)
    world.run(MINUTE)
    rotate(world, 2, 1, 3)
    world.run_until(lambda: is_rotated(world, 3), 5 * MINUTE)
    for notice in (there, back):
        reaches(world, notice, RECEIPT, 5 * MINUTE)
    assert all(AlarmCode.GENERATION not in alarms(world, n) for n in (1, 2))


def test_an_image_of_before_the_confirmation_rotates_again() -> None:
    """The store forgot that the peer uses the new generation: its hello proves it once more."""
    world = rotated_line()
    rotate(world, 1, 1, 2)
    image = world.posts[Station(1)].store.copy()
    rotate(world, 2, 1, 2)
    world.run_until(lambda: is_rotated(world), 5 * MINUTE)
    give_secrets(world, 2, 2)
    restart(world, 2)
    world.crash(1)
    world.posts[Station(1)].store = image
    world.start(1)
    world.run_until(lambda: is_rotated(world), 5 * MINUTE)
    reaches(world, send(world, draft("after it")), RECEIPT, MINUTE)


def test_two_secrets_of_one_number_leave_the_line_as_it_was() -> None:
    """Each side rotated by itself: an alarm at both, and notices go on in the old generation."""
    world = rotated_line()
    rotate(world, 1, 1, 2)
    give_secrets(world, 2, 1, 2, secrets=SECRETS | {2: bytes([9]) * 32})
    restart(world, 2)
    world.run_until(
        lambda: all(AlarmCode.GENERATION in alarms(world, n) for n in (1, 2)), 5 * MINUTE
    )
    assert generations(world) == [(1, True), (1, True)]
    reaches(world, send(world, draft("still here")), RECEIPT, MINUTE)


def test_a_number_without_a_proof_moves_nothing() -> None:
    """A hello that only claims the new generation, as a thief of the first secret might."""
    world = rotated_line()
    rotate(world, 1, 1, 2)
    give_secrets(world, 2, 1, 2, secrets={1: FIRST, 2: FIRST})
    restart(world, 2)
    world.run(2 * MINUTE)
    assert peer_of(world, 1).generation == 1


def give_new_keys(world: World, station: int) -> None:
    """A new machine under an old name: other keys and card, a new first secret, at both ends."""
    own = new_station_keys(bytes([77]) * 64, station=Station(station))
    post, far = world.posts[Station(station)], world.posts[Station(3 - station)]
    card = make_card(own, name=post.keys.card.name, party="Party", language="en")
    for one, keys, peer in ((post, own, far.keys.card), (far, far.keys.own, card)):
        line_keys = derive_line_keys(keys, peer, SECRETS[3], 1)
        ring = {peer.station: Line(peer, line_keys, 1)}
        one.keys = KeyRing(keys, card if one is post else far.keys.card, ring)


@pytest.mark.parametrize("radio", [False, True])
def test_open_notices_survive_new_keys_of_a_station(radio: bool) -> None:
    """What the peer has not receipted is signed again: also fragments under way, and an act that it
    has but whose receipt was lost, which is no second act under one id.
    """
    world = rotated_line(radio=radio, bit_rate=1200)
    cards = {station: [post.keys.card] for station, post in world.posts.items()}
    open_ = send(world, draft("answered later", lifetime_min=9 * 1440))
    reaches(world, open_, RECEIPT, 2 * MINUTE)
    back = send(world, draft("of the far side", to=1, lifetime_min=9 * 1440), station=2)
    reaches(world, back, RECEIPT, 2 * MINUTE)
    for path in world.paths.values():
        path.deaf.add(Station(1))
    lost = send(world, draft("its receipt is lost", lifetime_min=9 * 1440))
    world.run_until(lambda: lost in published(world, 2), 2 * MINUTE)
    long = send(world, draft(LONG[:900], lifetime_min=9 * 1440))
    line = world.posts[Station(2)].engine._state.lines[Station(1)]  # type: ignore[union-attr]
    if radio:
        world.run_until(
            lambda: line.reception.fragments_held(long.epoch, long.serial) is not None, 5 * MINUTE
        )
    for path in world.paths.values():
        path.deaf.clear()
    give_new_keys(world, 1)
    restart(world, 1)
    world.run(HOUR)
    assert world.state_of(lost) == "SENT", "the far side knows the old card still"
    restart(world, 2)
    for notice in (lost, long):
        reaches(world, notice, RECEIPT, 5 * MINUTE)
    world.answer(open_, AnswerCode.ROGER)
    reaches(world, open_, "ROGER", 5 * MINUTE)
    world.answer(back, AnswerCode.ROGER, station=1)
    reaches(world, back, "ROGER", 5 * MINUTE)
    restart(world, 1)
    world.run(5 * MINUTE)
    assert sorted(map(str, published(world, 2))) == sorted(map(str, [open_, lost, long]))
    assert all(AlarmCode.SAME_ID not in alarms(world, n) for n in (1, 2))
    cards[Station(1)].insert(0, world.posts[Station(1)].keys.card)
    judge_books(world, cards)


def judge_books(world: World, cards: dict[Station, list[Card]]) -> None:
    """The books agree for who has the earlier card too; without it the earlier acts prove nothing,
    and nothing under the new one is taken for a forgery.
    """
    made = BookLine(world)
    books = [audit(made.books[station], cards, label=str(station)) for station in cards]
    assert [book.findings for book in books] == [[], []]
    assert compare(*books).findings == []
    assert compare(*books).shared_count >= 4
    lonely = audit(made.books[Station(1)], {**cards, Station(1): cards[Station(1)][:1]})
    assert {finding.code for finding in lonely.findings} == {"signature"}


def test_nothing_is_taken_from_a_revoked_card() -> None:
    """Not one frame goes either way; people are told; the open notice lives until a new card."""
    world = rotated_line()
    open_ = send(world, draft("before the loss", lifetime_min=9 * 1440))
    reaches(world, open_, RECEIPT, MINUTE)
    post = world.posts[Station(1)]
    good = post.keys
    line = good.lines[Station(2)]
    revoked = Line(line.card, line.keys, line.generation, is_revoked=True)
    post.keys = KeyRing(good.own, good.card, {Station(2): revoked})
    restart(world, 1)
    assert AlarmCode.REVOKED in alarms(world, 1)
    assert post.status is not None
    document: Any = status_document(post.status, {}, instant=Instant(0))
    (shown,) = document["lines"]
    assert all(link["device_up"] for link in shown["links"])
    assert shown["far_gateway"]["revoked"]
    assert "revoked" in shown["fault"]["text"]
    token = world.submit(draft("to the thief"))
    assert post.rejected[token].code is RejectCode.FORBIDDEN
    tap = world.witness = Tap(2)
    sent = send(world, draft("of the thief", to=1), station=2)
    world.answer(open_, AnswerCode.ROGER)
    world.run(30 * MINUTE)
    assert not tap.frames
    assert not published(world, 1)
    assert AlarmCode.REVOKED in alarms(world, 1)
    (refused,) = [entry for entry in entries(world) if entry.event == "refused"]
    assert refused.field("reason") == "card revoked"
    assert world.state_of(open_) == RECEIPT
    post.keys = good
    restart(world, 1)
    reaches(world, open_, "ROGER", 5 * MINUTE)
    reaches(world, sent, RECEIPT, 5 * MINUTE)
