"""Incarnations, hellos and replay windows between two sessions, without links."""

from __future__ import annotations

import pytest

from gateway.core.draft import Draft
from gateway.core.effects import RequestEntropy
from gateway.core.entropy import EntropyPool
from gateway.core.session import INCARNATION_COUNT_MAX, HelloOutcome, Opened, Session
from gateway.errors import AuthenticationError
from gateway.model import Instant, Now, Previous, Station
from gateway.security.keys import Line, derive_line_keys, make_card, new_station_keys
from gateway.wire.frame import parse_frame
from gateway.wire.items import BeatItem, HelloItem, decode_items, encode_items

ONE, TWO = Station(1), Station(2)
KEYS = {station: new_station_keys(bytes([station]) * 64, station=station) for station in (ONE, TWO)}
CARDS = {
    station: make_card(keys, name=f"POST{station}", party="P", language="en")
    for station, keys in KEYS.items()
}
BEAT = BeatItem(1, is_reply=False, busy=False, entry_number=0)


def session(
    own: Station, incarnation: int, *, assumed: bytes | None = None, generation: int = 1
) -> Session:
    far = TWO if own == ONE else ONE
    keys = derive_line_keys(KEYS[own], CARDS[far], bytes(32), generation)
    line = Line(CARDS[far], keys, generation)
    return Session(line, own=own, incarnation=bytes([incarnation]) * 8, assumed=assumed)


def hello(
    said_by: Session,
    *,
    fresh: int | None = None,
    echo: bytes | None = None,
    response: bytes | None = None,
) -> tuple[bytes, HelloItem]:
    item = said_by.hello(
        epoch=1,
        previous=Previous(0, 0),
        fresh=None if fresh is None else bytes([fresh]) * 8,
        echo=echo,
        response=response,
        known=(),
        heard_s=None,
        busy=False,
    )
    return said_by.seal_hello(item), item


def take(session_: Session, octets: bytes) -> Opened:
    header, _, _ = parse_frame(octets)
    return session_.open(header, octets)


def receive(session_: Session, frame: bytes) -> HelloOutcome:
    opened = take(session_, frame)
    (item,) = decode_items(opened.octets)
    assert isinstance(item, HelloItem)
    return session_.receive_hello(item, opened)


def prove(judge: Session, other: Session, challenge: int) -> HelloOutcome:
    """`judge` challenges `other`, which answers."""
    asked, item = hello(judge, fresh=challenge, echo=other.incarnation)
    receive(other, asked)
    answered, _ = hello(other, echo=judge.incarnation, response=item.challenge)
    return receive(judge, answered)


def test_hellos_both_ways_settle_a_line() -> None:
    """Proven by the answered challenge, confirmed by the echo; then frames go without context."""
    one, two = session(ONE, 1), session(TWO, 2)
    assert one.needs_challenge
    assert prove(one, two, 10) is HelloOutcome.PROVEN
    assert one.is_settled
    assert not two.is_settled
    long = one.hello_overhead()
    assert prove(two, one, 11) is HelloOutcome.PROVEN
    assert two.is_settled
    assert one.overhead() == long - 9
    frame, counter = one.seal(encode_items([BEAT]))
    opened = take(two, frame)
    assert (opened.is_proven, opened.is_fresh, opened.is_hello) == (True, True, False)
    assert opened.counter == counter
    assert not take(two, frame).is_fresh


def test_a_stored_incarnation_opens_frames_but_proves_nothing() -> None:
    """After a restart: assumed until it answers a challenge of this run."""
    one, two = session(ONE, 1), session(TWO, 2)
    prove(one, two, 10)
    prove(two, one, 11)
    frame, _ = two.seal(encode_items([BEAT]))
    restarted = session(ONE, 3, assumed=two.incarnation)
    assert not take(restarted, frame).is_proven
    assert restarted.needs_challenge
    assert not restarted.is_proven(two.incarnation)
    with pytest.raises(AuthenticationError, match="not known"):
        take(session(ONE, 4), frame)


def test_a_stored_incarnation_is_proven_when_it_answers() -> None:
    """The usual restart: the far side runs on, so the current incarnation stays current."""
    two = session(TWO, 2)
    restarted = session(ONE, 3, assumed=two.incarnation)
    assert prove(restarted, two, 12) is HelloOutcome.PROVEN
    assert restarted.is_settled


def test_another_generation_is_not_in_use() -> None:
    """Refused before any key is tried; a hello of any generation opens."""
    old, new = session(ONE, 1, generation=1), session(TWO, 2, generation=2)
    frame, _ = old.seal(encode_items([BEAT]))
    with pytest.raises(AuthenticationError, match="generation 1"):
        take(new, frame)
    assert take(new, hello(old)[0]).is_hello


def test_a_peer_that_forgot_us_is_noticed() -> None:
    """Its hello names another incarnation of ours: frames carry our context again."""
    one, two = session(ONE, 1), session(TWO, 2)
    prove(one, two, 10)
    assert one.is_confirmed
    assert receive(one, hello(two, echo=bytes(8))[0]) is HelloOutcome.FORGOTTEN
    assert not one.is_confirmed
    assert receive(one, hello(two, echo=bytes(8))[0]) is HelloOutcome.NOTHING


def test_a_hello_that_proves_and_confirms_at_once_is_told_as_proof() -> None:
    """The usual answer does both; told as CONFIRMED, no incarnation was ever written down."""
    one, two = session(ONE, 1), session(TWO, 2)
    assert prove(one, two, 10) is HelloOutcome.PROVEN
    assert one.is_confirmed
    receive(one, hello(two, echo=bytes(8))[0])
    assert receive(one, hello(two, echo=one.incarnation)[0]) is HelloOutcome.CONFIRMED


def test_an_older_hello_that_comes_later_tells_old_news() -> None:
    """Its echo counts no more, whichever way it overtook."""
    one, two = session(ONE, 1), session(TWO, 2)
    old, _ = hello(two, echo=bytes(8))
    prove(one, two, 10)
    assert receive(one, old) is HelloOutcome.NOTHING
    assert one.is_confirmed


def test_a_challenge_is_answered_once_and_by_the_words_said() -> None:
    """A wrong response proves nothing, and a stranger's answer is not replayed."""
    one, two = session(ONE, 1), session(TWO, 2)
    hello(one, fresh=10, echo=two.incarnation)
    assert receive(one, hello(two, response=bytes(8))[0]) is HelloOutcome.NOTHING
    assert not one.is_proven(two.incarnation)
    _, asked = hello(one, fresh=11, echo=two.incarnation)
    assert asked.challenge == bytes([10]) * 8, "one challenge is open until it is answered"
    assert receive(one, hello(two, response=asked.challenge)[0]) is HelloOutcome.PROVEN


def test_two_live_incarnations_of_one_station_are_told() -> None:
    """A new one retires the old; the old one that answers a challenge still counts again."""
    one, two, copy = session(ONE, 1), session(TWO, 2), session(TWO, 3)
    prove(one, two, 10)
    receive(one, hello(copy)[0])
    assert prove(one, copy, 11) is HelloOutcome.PROVEN
    assert not one.is_proven(two.incarnation)
    assert prove(one, two, 12) is HelloOutcome.TWO_INCARNATIONS
    assert one.current is not None
    assert one.current.incarnation == two.incarnation, "the copy may be switched off by now"
    assert not one.is_proven(copy.incarnation)


def test_the_quicker_answer_does_not_hide_a_copy() -> None:
    """Both hear every hello: the true one answers the challenge that was meant for the copy."""
    one, two, copy = session(ONE, 1), session(TWO, 2), session(TWO, 3)
    prove(one, two, 10)
    outcomes = []
    for turn, (slow, quick) in enumerate([(copy, two), (two, copy)], 11):
        receive(one, hello(slow)[0])
        _, asked = hello(one, fresh=turn, echo=slow.incarnation)
        for answering in (quick, slow):
            frame, _ = hello(answering, echo=one.incarnation, response=asked.challenge)
            outcomes.append(receive(one, frame))
    assert HelloOutcome.PROVEN in outcomes
    assert outcomes[-1] is HelloOutcome.TWO_INCARNATIONS


def test_an_answer_held_back_makes_nobody_current_again() -> None:
    """The old run's answer, delivered after the new run proved itself, is to no open challenge."""
    one, two, restarted = session(ONE, 1), session(TWO, 2), session(TWO, 3)
    prove(one, two, 10)
    _, asked = hello(one, fresh=11, echo=two.incarnation)
    held_back, _ = hello(two, echo=one.incarnation, response=asked.challenge)
    assert prove(one, restarted, 12) is HelloOutcome.PROVEN
    assert receive(one, held_back) is HelloOutcome.NOTHING
    assert one.is_proven(restarted.incarnation)


def test_incarnations_kept_are_bounded_and_the_current_one_stays() -> None:
    """Ten strangers that hold the keys: four are kept, the proven one among them."""
    one, two = session(ONE, 1), session(TWO, 2)
    prove(one, two, 10)
    for number in range(20, 30):
        take(one, hello(session(TWO, number))[0])
        assert len(one._inbound) <= INCARNATION_COUNT_MAX
    assert one.is_proven(two.incarnation)
    assert list(one._inbound) == [bytes([n]) * 8 for n in (2, 27, 28, 29)]


def pool_draft() -> Draft:
    return Draft(Now(Instant(0)))


def test_entropy_is_asked_for_once_before_it_runs_dry() -> None:
    """Below 128 octets one request; what noise may take leaves a reserve for epochs."""
    pool, draft = EntropyPool(), pool_draft()
    pool.fill(bytes(range(136)))
    assert pool.take(8, draft) == bytes(range(8))
    assert draft.step().effects == ()
    assert pool.take(8, draft) == bytes(range(8, 16))
    pool.take(8, draft)
    assert draft.step().effects == (RequestEntropy(512),)
    while pool.can_give(8):
        pool.take(8, draft)
    assert draft.step().effects == (RequestEntropy(512),)
    assert len(pool.take(32, draft)) == 32, "the reserve"
    with pytest.raises(AssertionError):
        pool.take(8, draft)
    pool.fill(bytes(200))
    again = pool_draft()
    pool.take(80, again)
    assert again.step().effects == (RequestEntropy(512),)
