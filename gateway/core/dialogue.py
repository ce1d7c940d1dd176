"""Which answer may follow which: the complete table of response attribute, state and answer.

After CPDLC (ICAO Doc 4444 chapter 14): a dialogue is closed by exactly one closing answer. The
answering gateway arbitrates by this table; a refused answer never leaves it.
"""

from __future__ import annotations

import enum
from typing import Final

from gateway.core.delivery import NOT_RECEIPTED
from gateway.model import AnswerCode, DeliveryState, Response


class Verdict(enum.Enum):
    """What an answer does to a dialogue."""

    KEEPS_OPEN = "keeps open"
    CLOSES = "closes"
    FOLLOWS_UP = "follows up"
    REFUSED = "refused"


_A = AnswerCode
_OPEN_STATES: Final = frozenset(
    {
        DeliveryState.RECEIPTED,
        DeliveryState.DISPLAYED,
        DeliveryState.ROGER,
        DeliveryState.STANDBY,
        # A late answer is true all the same: the far side learns that a person has it.
        DeliveryState.EXPIRED_RECEIPTED,
    }
)
_CLOSING: Final = {
    Response.NONE: frozenset[AnswerCode](),
    Response.ROGER: frozenset({_A.ROGER, _A.CANTPRO}),
    Response.WILCO_OR_UNABLE: frozenset({_A.WILCO, _A.CANTCO, _A.CANTPRO}),
    Response.AFFIRM_OR_NEGATIVE: frozenset({_A.AFFIRM, _A.NEGATIVE, _A.CANTPRO}),
    Response.ANY: frozenset({_A.WILCO, _A.CANTCO, _A.AFFIRM, _A.NEGATIVE, _A.CANTPRO}),
}
_KEEPING: Final = {
    Response.NONE: frozenset[AnswerCode](),
    Response.ROGER: frozenset({_A.STANDBY}),
    Response.WILCO_OR_UNABLE: frozenset({_A.ROGER, _A.STANDBY}),
    Response.AFFIRM_OR_NEGATIVE: frozenset({_A.ROGER, _A.STANDBY}),
    Response.ANY: frozenset({_A.ROGER, _A.STANDBY}),
}


_SETTLED: Final = frozenset(
    {
        DeliveryState.WILCO,
        DeliveryState.HAVCO,
        DeliveryState.CANTCO,
        DeliveryState.AFFIRM,
        DeliveryState.NEGATIVE,
        DeliveryState.CANTPRO,
        DeliveryState.CANCELLED,
        DeliveryState.SUPERSEDED,
    }
)
_OVER: Final = _SETTLED | {DeliveryState.EXPIRED, DeliveryState.EXPIRED_RECEIPTED}


def is_settled(response: Response, state: DeliveryState, *, expired: bool = True) -> bool:
    """Whether nothing more is expected of the far watch, so that pending out goes dark.

    `expired` says whether a notice past its expiry counts as settled.
    """
    if state in (_OVER if expired else _SETTLED):
        return True
    if response is Response.NONE:
        # Even a ROGER or STANDBY that nobody asked for tells that it is there.
        return state not in NOT_RECEIPTED
    return response is Response.ROGER and state is DeliveryState.ROGER


def _verdict(response: Response, state: DeliveryState, code: AnswerCode) -> Verdict:
    if state is DeliveryState.WILCO and code in (_A.HAVCO, _A.CANTCO):
        return Verdict.FOLLOWS_UP
    if state not in _OPEN_STATES or is_settled(response, state, expired=False):
        return Verdict.REFUSED
    if code in _CLOSING[response]:
        return Verdict.CLOSES
    if code not in _KEEPING[response]:
        return Verdict.REFUSED
    # Saying ROGER or STANDBY twice tells nothing new; ROGER after STANDBY neither.
    if state.name == code.name or state is DeliveryState.STANDBY:
        return Verdict.REFUSED
    return Verdict.KEEPS_OPEN


DIALOGUE: Final = {
    (response, state, code): _verdict(response, state, code)
    for response in Response
    for state in DeliveryState
    for code in AnswerCode
}
"""Every combination has an entry; `tests/unit/test_core_dialogue.py` prints it in full."""


def accepted_answers(response: Response, state: DeliveryState) -> tuple[AnswerCode, ...]:
    """The answers that are not refused now, in the order of the codes; CANTPRO is a gateway's."""
    return tuple(
        code
        for code in AnswerCode
        if code is not AnswerCode.CANTPRO and DIALOGUE[response, state, code] is not Verdict.REFUSED
    )


def closing_answers(response: Response) -> frozenset[AnswerCode]:
    return _CLOSING[response]
