"""The two tables of the core: the life of a notice, and which answer may follow which."""

from __future__ import annotations

import pytest

from gateway.core.delivery import TRANSITIONS, DeliveryInput, advance, input_of
from gateway.core.dialogue import (
    DIALOGUE,
    Verdict,
    accepted_answers,
    closing_answers,
    is_settled,
)
from gateway.core.link_health import TRANSITIONS as LINK_TRANSITIONS
from gateway.core.link_health import LinkInput
from gateway.errors import InvalidTransitionError
from gateway.model import AnswerCode, DeliveryState, Kind, LinkState, Response

A = AnswerCode
S = DeliveryState


def test_every_state_has_an_entry_for_every_input() -> None:
    """Whatever a peer or a clock can cause is in the table, even if it changes nothing."""
    pairs = {(state, given) for state in DeliveryState for given in DeliveryInput}
    assert set(TRANSITIONS) == pairs
    links = {(state, given) for state in LinkState for given in LinkInput}
    assert set(LINK_TRANSITIONS) == links


def test_a_missing_pair_raises() -> None:
    """A pair outside the table is a bug of ours, never a guess."""
    with pytest.raises(InvalidTransitionError):
        advance(S.SENT, "nonsense")  # type: ignore[arg-type]


@pytest.mark.parametrize("state", [S.CANCELLED, S.SUPERSEDED])
def test_an_ended_notice_stays_ended(state: DeliveryState) -> None:
    """WILCO that crosses a CANCEL is shown but changes no state."""
    assert all(advance(state, given) is state for given in DeliveryInput)


def test_late_receipts_and_answers_are_true_all_the_same() -> None:
    """After EXPIRED a receipt and an answer are still recorded."""
    assert advance(S.EXPIRED, DeliveryInput.RECEIPTED) is S.EXPIRED_RECEIPTED
    assert advance(S.EXPIRED, DeliveryInput.WILCO) is S.WILCO
    assert advance(S.EXPIRED, DeliveryInput.STANDBY) is S.EXPIRED_RECEIPTED
    assert advance(S.EXPIRED_RECEIPTED, DeliveryInput.ROGER, roger_closes=True) is S.ROGER


@pytest.mark.parametrize("response", list(Response))
def test_what_is_closed_never_opens_again(response: Response) -> None:
    """Its limits in time are gone, so nobody would hear that an answer is missing."""
    for state in DeliveryState:
        for given in DeliveryInput:
            if is_settled(response, state):
                after = advance(state, given, roger_closes=response is Response.ROGER)
                assert is_settled(response, after), (state, given, after)


def test_nothing_goes_back_on_the_way() -> None:
    """A frame sent again, an implicit ack or a second receipt never takes a state back."""
    for state in (S.RECEIPTED, S.DISPLAYED, S.ROGER, S.WILCO):
        for given in (DeliveryInput.SENT, DeliveryInput.RELAYED, DeliveryInput.RECEIPTED):
            assert advance(state, given) is state


OPEN = (S.RECEIPTED, S.DISPLAYED, S.ROGER, S.STANDBY)
EXPECTED = {
    # response: {state: accepted answers}
    Response.NONE: {},
    Response.ROGER: {
        S.RECEIPTED: (A.ROGER, A.STANDBY),
        S.DISPLAYED: (A.ROGER, A.STANDBY),
        S.STANDBY: (A.ROGER,),
        S.EXPIRED_RECEIPTED: (A.ROGER, A.STANDBY),
    },
    Response.WILCO_OR_UNABLE: {
        S.RECEIPTED: (A.ROGER, A.STANDBY, A.WILCO, A.CANTCO),
        S.DISPLAYED: (A.ROGER, A.STANDBY, A.WILCO, A.CANTCO),
        S.ROGER: (A.STANDBY, A.WILCO, A.CANTCO),
        S.STANDBY: (A.WILCO, A.CANTCO),
        S.WILCO: (A.HAVCO, A.CANTCO),
        S.EXPIRED_RECEIPTED: (A.ROGER, A.STANDBY, A.WILCO, A.CANTCO),
    },
    Response.AFFIRM_OR_NEGATIVE: {
        S.RECEIPTED: (A.ROGER, A.STANDBY, A.AFFIRM, A.NEGATIVE),
        S.DISPLAYED: (A.ROGER, A.STANDBY, A.AFFIRM, A.NEGATIVE),
        S.ROGER: (A.STANDBY, A.AFFIRM, A.NEGATIVE),
        S.STANDBY: (A.AFFIRM, A.NEGATIVE),
        S.WILCO: (A.HAVCO, A.CANTCO),
        S.EXPIRED_RECEIPTED: (A.ROGER, A.STANDBY, A.AFFIRM, A.NEGATIVE),
    },
    Response.ANY: {
        S.RECEIPTED: (A.ROGER, A.STANDBY, A.WILCO, A.CANTCO, A.AFFIRM, A.NEGATIVE),
        S.DISPLAYED: (A.ROGER, A.STANDBY, A.WILCO, A.CANTCO, A.AFFIRM, A.NEGATIVE),
        S.ROGER: (A.STANDBY, A.WILCO, A.CANTCO, A.AFFIRM, A.NEGATIVE),
        S.STANDBY: (A.WILCO, A.CANTCO, A.AFFIRM, A.NEGATIVE),
        S.WILCO: (A.HAVCO, A.CANTCO),
        S.EXPIRED_RECEIPTED: (A.ROGER, A.STANDBY, A.WILCO, A.CANTCO, A.AFFIRM, A.NEGATIVE),
    },
}


@pytest.mark.parametrize("response", list(Response))
@pytest.mark.parametrize("state", list(DeliveryState))
def test_the_dialogue_table_in_full(response: Response, state: DeliveryState) -> None:
    """Response x state x answer: written out here once more, by hand."""
    wanted = EXPECTED[response].get(state, ())
    if response is Response.NONE or (response is Response.ROGER and state is S.WILCO):
        # Such a state cannot come about; what matters is that the table has an answer.
        wanted = accepted_answers(response, state)
    assert accepted_answers(response, state) == wanted
    assert all((response, state, code) in DIALOGUE for code in AnswerCode)


def test_a_dialogue_has_exactly_one_closing_answer() -> None:
    """After a closing answer every other closing answer is refused; only follow-ups remain."""
    for kind in Kind:
        for code in closing_answers(kind.response):
            if code is A.CANTPRO:
                continue
            state = advance(S.DISPLAYED, input_of(code))
            assert is_settled(kind.response, state)
            for second in AnswerCode:
                verdict = DIALOGUE[kind.response, state, second]
                assert verdict in (Verdict.REFUSED, Verdict.FOLLOWS_UP)


def test_roger_and_standby_keep_a_request_open() -> None:
    """Pending out lasts until WILCO or CANTCO, in another rhythm after ROGER."""
    for state in (S.ROGER, S.STANDBY):
        assert not is_settled(Response.WILCO_OR_UNABLE, state)
    assert is_settled(Response.ROGER, S.ROGER)
    assert not is_settled(Response.ROGER, S.STANDBY)
