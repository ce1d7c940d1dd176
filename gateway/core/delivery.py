"""The state machine of one (notice, addressee). The table is the specification (DOMAIN section 4).

Both sides run the same machine: the addressee's begins at MACHINE RECEIPT. Every pair of state and
input that a peer or a clock can cause has an entry; a pair that is missing is a bug and raises.
"""

from __future__ import annotations

from typing import Final

from gateway.errors import InvalidTransitionError
from gateway.model import AnswerCode, DeliveryState, Word


class DeliveryInput(Word):
    """What may happen to a notice on its way."""

    HELD = "held"
    RELEASED = "released"
    SENT = "sent"
    RELAYED = "relayed"
    RECEIPTED = "receipted"
    DISPLAYED = "displayed"
    ROGER = "ROGER"
    STANDBY = "STANDBY"
    WILCO = "WILCO"
    HAVCO = "HAVCO"
    CANTCO = "CANTCO"
    AFFIRM = "AFFIRM"
    NEGATIVE = "NEGATIVE"
    CANTPRO = "CANTPRO"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


_S = DeliveryState
_I = DeliveryInput

_ANSWERS: Final = {
    _I.ROGER: _S.ROGER,
    _I.STANDBY: _S.STANDBY,
    _I.WILCO: _S.WILCO,
    _I.HAVCO: _S.HAVCO,
    _I.CANTCO: _S.CANTCO,
    _I.AFFIRM: _S.AFFIRM,
    _I.NEGATIVE: _S.NEGATIVE,
    _I.CANTPRO: _S.CANTPRO,
}
_ENDS: Final = {_I.CANCELLED: _S.CANCELLED, _I.SUPERSEDED: _S.SUPERSEDED}
_ARRIVALS: Final = {_I.RECEIPTED: _S.RECEIPTED, _I.DISPLAYED: _S.DISPLAYED}
_UNDERWAY: Final = (_I.HELD, _I.RELEASED, _I.SENT, _I.RELAYED)
NOT_THERE: Final = frozenset({_S.QUEUED, _S.HELD, _S.SENT, _S.RELAYED})
"""An open notice in one of these has no receipt of the far gateway yet."""
_PASSED: Final = (*_UNDERWAY, _I.RECEIPTED, _I.DISPLAYED)
_PROMISES: Final = (_I.ROGER, _I.STANDBY)
"""They promise a closing answer. After the expiry they are kept and shown, but open nothing again:
its limits are over, and nobody would hear that the promise was broken."""


def _stay(state: DeliveryState, *inputs: DeliveryInput) -> dict[DeliveryInput, DeliveryState]:
    return dict.fromkeys(inputs, state)


def _final(state: DeliveryState) -> dict[DeliveryInput, DeliveryState]:
    return _stay(state, *DeliveryInput)


_ROWS: Final[dict[DeliveryState, dict[DeliveryInput, DeliveryState]]] = {
    _S.QUEUED: {
        _I.HELD: _S.HELD,
        _I.RELEASED: _S.QUEUED,
        _I.SENT: _S.SENT,
        _I.RELAYED: _S.RELAYED,
        **_ARRIVALS,
        **_ANSWERS,
        **_ENDS,
        _I.EXPIRED: _S.EXPIRED,
    },
    _S.HELD: {
        _I.HELD: _S.HELD,
        _I.RELEASED: _S.QUEUED,
        _I.SENT: _S.SENT,
        _I.RELAYED: _S.RELAYED,
        **_ARRIVALS,
        **_ANSWERS,
        **_ENDS,
        _I.EXPIRED: _S.EXPIRED,
    },
    _S.SENT: {
        **_stay(_S.SENT, _I.HELD, _I.RELEASED, _I.SENT),
        _I.RELAYED: _S.RELAYED,
        **_ARRIVALS,
        **_ANSWERS,
        **_ENDS,
        _I.EXPIRED: _S.EXPIRED,
    },
    _S.RELAYED: {
        **_stay(_S.RELAYED, *_UNDERWAY),
        **_ARRIVALS,
        **_ANSWERS,
        **_ENDS,
        _I.EXPIRED: _S.EXPIRED,
    },
    _S.RECEIPTED: {
        **_stay(_S.RECEIPTED, *_UNDERWAY),
        **_ARRIVALS,
        **_ANSWERS,
        **_ENDS,
        _I.EXPIRED: _S.EXPIRED_RECEIPTED,
    },
    _S.DISPLAYED: {
        **_stay(_S.DISPLAYED, *_PASSED),
        **_ANSWERS,
        **_ENDS,
        _I.EXPIRED: _S.EXPIRED_RECEIPTED,
    },
    _S.ROGER: {
        **_stay(_S.ROGER, *_PASSED),
        **_ANSWERS,
        **_ENDS,
        _I.EXPIRED: _S.EXPIRED_RECEIPTED,
    },
    _S.STANDBY: {
        **_stay(_S.STANDBY, *_PASSED),
        **_ANSWERS,
        # A ROGER that comes after STANDBY says less than STANDBY said.
        _I.ROGER: _S.STANDBY,
        **_ENDS,
        _I.EXPIRED: _S.EXPIRED_RECEIPTED,
    },
    _S.WILCO: {
        **_final(_S.WILCO),
        _I.HAVCO: _S.HAVCO,
        _I.CANTCO: _S.CANTCO,
        **_ENDS,
    },
    _S.HAVCO: _final(_S.HAVCO),
    _S.CANTCO: _final(_S.CANTCO),
    _S.AFFIRM: _final(_S.AFFIRM),
    _S.NEGATIVE: _final(_S.NEGATIVE),
    _S.CANTPRO: _final(_S.CANTPRO),
    _S.EXPIRED: {
        **_stay(_S.EXPIRED, *_UNDERWAY, _I.EXPIRED),
        # Late, but true.
        **_stay(_S.EXPIRED_RECEIPTED, _I.RECEIPTED, _I.DISPLAYED),
        **_ANSWERS,
        **_stay(_S.EXPIRED_RECEIPTED, *_PROMISES),
        **_ENDS,
    },
    _S.EXPIRED_RECEIPTED: {
        **_stay(_S.EXPIRED_RECEIPTED, *_PASSED, _I.EXPIRED),
        **_ANSWERS,
        **_stay(_S.EXPIRED_RECEIPTED, *_PROMISES),
        **_ENDS,
    },
    # An answer that crosses a CANCEL is kept and shown, but the notice stays cancelled.
    _S.CANCELLED: _final(_S.CANCELLED),
    _S.SUPERSEDED: _final(_S.SUPERSEDED),
}

TRANSITIONS: Final = {
    (state, given): result for state, row in _ROWS.items() for given, result in row.items()
}

ROGER_CLOSES: Final = {
    (_S.STANDBY, _I.ROGER): _S.ROGER,
    (_S.ROGER, _I.STANDBY): _S.ROGER,
    (_S.EXPIRED, _I.ROGER): _S.ROGER,
    (_S.EXPIRED_RECEIPTED, _I.ROGER): _S.ROGER,
}
"""Instead, where ROGER is all that is expected: it ends a STANDBY, even one that comes later, and
is the answer of a notice that expired."""

NOT_RECEIPTED: Final = frozenset({_S.HELD, _S.QUEUED, _S.SENT, _S.RELAYED})
"""Nothing proves yet that the far gateway has it, and its time is not over."""

_BY_ANSWER: Final = {code: DeliveryInput[code.name] for code in AnswerCode}


def advance(
    state: DeliveryState, given: DeliveryInput, *, roger_closes: bool = False
) -> DeliveryState:
    """The state after `given`. Raises `InvalidTransitionError` for a pair outside the table.

    `roger_closes`: the notice expects a ROGER and nothing more.
    """
    if roger_closes and (state, given) in ROGER_CLOSES:
        return ROGER_CLOSES[state, given]
    try:
        return TRANSITIONS[state, given]
    except KeyError as error:
        raise InvalidTransitionError(f"{state} has no entry for {given}") from error


def input_of(code: AnswerCode) -> DeliveryInput:
    return _BY_ANSWER[code]
