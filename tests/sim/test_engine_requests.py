"""What our people hand in: rights, repeats, bounds and what each refusal says."""

from __future__ import annotations

from dataclasses import replace

from gateway.core.effects import RejectCode, RejectRequest
from gateway.core.events import AnswerSubmitted, NoticeSubmitted, Principal, Rights
from gateway.core.policy import Policy
from gateway.core.requests import Submissions
from gateway.model import (
    ActId,
    AnswerCode,
    Kind,
    LinkName,
    NoticeDraft,
    Operation,
    Precedence,
    Role,
    Station,
)
from gateway.sim.world import OPERATOR, World
from tests.sim.by_hand import ByHand, id_of, settled
from tests.sim.scenes import MINUTE, SECOND, draft, reaches, send

RECEIPT = "MACHINE RECEIPT"


def refusal(world: World, token: int, station: int = 1) -> RejectRequest:
    return world.posts[Station(station)].rejected[token]


def asks(world: World, principal: Principal, notice: NoticeDraft) -> RejectRequest | ActId:
    """A submission by this principal: what came of it."""
    world._token += 1
    token = world._token
    world.give(Station(1), NoticeSubmitted(token, principal, f"p-{token}", notice))
    post = world.posts[Station(1)]
    return post.confirmed.get(token) or post.rejected[token]


def broker(*operations: Operation, precedence: Precedence = Precedence.IMMEDIATE) -> Principal:
    rights = Rights(submit=frozenset(operations), precedence=precedence)
    return Principal("mqtt", "anyone", Role.AUTOMATIC, rights)


def test_rights_are_of_the_adapter_and_a_refusal_names_them() -> None:
    """Operation indicator and precedence; what is allowed stands in the refusal."""
    world = settled()
    test_only = broker(Operation.EXERCISE, Operation.TEST)
    refused = asks(world, test_only, draft())
    assert isinstance(refused, RejectRequest)
    assert (refused.code, refused.field) == (RejectCode.FORBIDDEN, "operation")
    assert refused.problem == ("anyone (by mqtt) may not submit OPERATION; allowed: EXERCISE, TEST")
    refused = asks(world, broker(), draft())
    assert isinstance(refused, RejectRequest)
    assert refused.problem.endswith("allowed: nothing")
    fast = draft(operation=Operation.TEST, precedence=Precedence.FLASH)
    refused = asks(world, test_only, fast)
    assert isinstance(refused, RejectRequest)
    assert (refused.code, refused.field) == (RejectCode.FORBIDDEN, "precedence")
    assert refused.problem.endswith("may not submit FLASH; up to IMMEDIATE")
    allowed = replace(fast, precedence=Precedence.IMMEDIATE)
    assert isinstance(asks(world, test_only, allowed), ActId)


def test_who_may_not_answer_is_told_so() -> None:
    """And the notice stays as it was."""
    world = settled()
    notice = send(world, draft())
    reaches(world, notice, RECEIPT, 2 * SECOND)
    event = AnswerSubmitted(900, broker(), "a", notice, AnswerCode.ROGER)
    world.give(Station(2), event)
    refused = refusal(world, 900, 2)
    assert (refused.code, refused.field) == (RejectCode.FORBIDDEN, "answer")
    assert refused.problem == "anyone (by mqtt) may not answer"
    assert world.state_of(notice, 2) == RECEIPT


def test_an_answer_repeated_is_said_once() -> None:
    """The same request id and content: the first answer's id; other content: refused."""
    world = settled()
    notice = send(world, draft(kind=Kind.REQUEST))
    reaches(world, notice, RECEIPT, 2 * SECOND)
    for token, code in ((901, AnswerCode.WILCO), (902, AnswerCode.WILCO), (903, AnswerCode.CANTCO)):
        world.give(Station(2), AnswerSubmitted(token, OPERATOR, "same", notice, code))
    post = world.posts[Station(2)]
    assert post.answered[901] == post.answered[902]
    assert post.rejected[903].code is RejectCode.REQUEST_ID_REUSED
    reaches(world, notice, "WILCO", 2 * SECOND)
    record = world.state(2).ledger.get(notice)
    assert record is not None
    assert len(record.answers) == 1


def test_what_cannot_be_is_refused_with_the_field() -> None:
    """Unknown station, foreign or unknown notices, references that fit no line."""
    world = ByHand(stations=3)
    world.add_path("west", (1, 2))
    world.add_path("east", (1, 3))
    world.start()
    world.run(30 * SECOND)
    own = send(world, draft(to=2))
    theirs = send(world, draft(to=1), station=2)
    reaches(world, theirs, RECEIPT, 3 * SECOND)
    cases = [
        (draft(to=9), RejectCode.UNKNOWN_STATION, "to"),
        (draft(kind=Kind.CANCEL, reference=id_of(1, 5, 5)), RejectCode.UNKNOWN_NOTICE, "reference"),
        (draft(kind=Kind.UPDATE, reference=theirs), RejectCode.UNKNOWN_NOTICE, "reference"),
        (draft(to=3, kind=Kind.CANCEL, reference=own), RejectCode.INVALID, "reference"),
        (draft(reference=id_of(3, 5, 5)), RejectCode.INVALID, "reference"),
    ]
    for notice, code, field in cases:
        refused = refusal(world, world.submit(notice))
        assert (refused.code, refused.field) == (code, field)
        assert refused.remedy
    assert "POST2" in refusal(world, world.submit(cases[3][0])).problem
    for act_id in (own, id_of(2, 5, 5)):
        answer = refusal(world, world.answer(act_id, AnswerCode.ROGER, station=1))
        assert (answer.code, answer.field) == (RejectCode.UNKNOWN_NOTICE, "id")
    send(world, draft(reference=theirs))
    send(world, draft(reference=own))


def test_open_notices_are_bounded_and_room_comes_back() -> None:
    """FULL at the bound, but not for the CANCEL of an open one; an answer makes room again."""
    world = settled(policy=Policy(open_notice_count=3))
    notices = [send(world, draft()) for _ in range(3)]
    refused = refusal(world, world.submit(draft()))
    assert (refused.code, refused.problem) == (RejectCode.FULL, "3 notices to POST2 are open")
    reaches(world, notices[2], RECEIPT, 2 * SECOND)
    send(world, draft("not today", kind=Kind.CANCEL, reference=notices[1]))
    refused = refusal(world, world.submit(draft()))
    assert refused.code is RejectCode.FULL, "the CANCEL has the place of its notice"
    again = draft("again", kind=Kind.CANCEL, reference=notices[1])
    assert refusal(world, world.submit(again)).code is RejectCode.FULL
    world.answer(notices[0], AnswerCode.ROGER)
    reaches(world, notices[0], "ROGER", 2 * SECOND)
    send(world, draft())


def test_the_repeat_of_a_forgotten_notice_is_still_a_repeat() -> None:
    """Closed long ago and out of memory: confirmed as accepted, no second notice."""
    world = settled(policy=Policy(closed_notice_count=1))
    token = world.submit(draft(), request_id="old")
    notice = world.posts[Station(1)].confirmed[token]
    for act_id in (notice, send(world, draft("next"))):
        reaches(world, act_id, RECEIPT, 2 * SECOND)
        world.answer(act_id, AnswerCode.ROGER)
        reaches(world, act_id, "ROGER", 2 * SECOND)
    assert world.state().ledger.get(notice) is None
    again = world.submit(draft(), request_id="old")
    assert world.posts[Station(1)].confirmed[again] == notice


def test_request_ids_are_bounded_and_each_users_own() -> None:
    """The oldest is forgotten first; another user's same id is another request."""
    known = Submissions(2)
    other = replace(OPERATOR, user="second")
    ids = [id_of(1, 1, serial) for serial in (1, 2, 3)]
    for number, act_id in enumerate(ids):
        known.add(OPERATOR, f"r{number}", b"h", act_id)
    assert known.find(OPERATOR, "r0", b"h") is None
    assert known.find(OPERATOR, "r1", b"h") == (ids[1], True)
    assert known.find(OPERATOR, "r2", b"x") == (ids[2], False)
    assert known.find(other, "r2", b"h") is None


def test_answers_of_one_dialogue_are_bounded_at_both_ends() -> None:
    """One more than allowed is refused here and not counted there; it is receipted all the same."""
    world = settled(policy=Policy(answer_count_max=2))
    notice = send(world, draft(kind=Kind.REQUEST))
    reaches(world, notice, RECEIPT, 2 * SECOND)
    for code in (AnswerCode.ROGER, AnswerCode.STANDBY):
        world.answer(notice, code)
    reaches(world, notice, "STANDBY", 2 * SECOND)
    refused = refusal(world, world.answer(notice, AnswerCode.WILCO), 2)
    assert refused.code is RejectCode.CONFLICT
    record = world.state(2).ledger.get(notice)
    assert record is not None
    record.answers.clear()  # As a peer with another bound would.
    world.answer(notice, AnswerCode.WILCO)
    world.run(3 * SECOND)
    assert world.state_of(notice) == "STANDBY"
    assert len(world.notes("too_many_answers")) == 1
    assert world.line(2, 1).outgoing.unreceipted() == []
    assert Policy().answer_count_max == 16


def test_an_update_of_what_never_left_voids_it_only() -> None:
    """No link: the UPDATE goes when there is one, the notice that it replaces never does."""
    world = settled()
    world.unplug("cable")
    notice = send(world, draft())
    update = send(world, draft("better", kind=Kind.UPDATE, reference=notice))
    assert world.state_of(notice) == "SUPERSEDED"
    world.plug("cable")
    reaches(world, update, RECEIPT, 10 * SECOND)
    world.run(MINUTE)
    assert [p.notice_id for p in world.published(2)] == [update]
    assert world.line().outgoing.unreceipted() == []


def test_what_expires_before_it_left_is_void() -> None:
    """No link for its whole life: EXPIRED here, its serial VOID there, nothing shown."""
    world = settled()
    world.unplug("cable")
    notice = send(world, draft(lifetime_min=1))
    world.run(61 * SECOND)
    assert world.state_of(notice) == "EXPIRED"
    world.plug("cable")
    later = send(world, draft("later"))
    reaches(world, later, RECEIPT, 10 * SECOND)
    world.run(10 * SECOND)
    assert [p.notice_id for p in world.published(2)] == [later]
    assert world.line(2, 1).reception.holds(notice.epoch, notice.serial)
    assert world.paths[LinkName("cable")].frames > 0


def test_a_notice_cancelled_while_it_waits_for_a_repeat_only_fills_its_hole() -> None:
    """It left and was lost: it goes on behind everything and arrives CANCELLED."""
    world = settled()
    world.paths[LinkName("cable")].deaf.add(Station(2))
    notice = send(world, draft(precedence=Precedence.FLASH))
    world.run(SECOND)
    world.unplug("cable")
    cancel = send(world, draft("stop", kind=Kind.CANCEL, reference=notice))
    world.paths[LinkName("cable")].deaf.clear()
    act = world.line().outgoing.get(notice)
    assert act is not None
    assert act.precedence is Precedence.ROUTINE
    world.plug("cable")
    reaches(world, cancel, RECEIPT, 10 * SECOND)
    reaches(world, notice, "CANCELLED", 10 * SECOND, at=2)
