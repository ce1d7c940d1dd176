"""What a LINE STATE declares: the meaning of phrases 90 to 96 of the codebook, for machines."""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.model import LineState, Precedence
from gateway.wire import codebook
from gateway.wire.head import NoticeHead

PHRASE_OF_STATE: Final = {LineState.OPEN: 90, LineState.SUSPENDED: 91, LineState.CLOSED: 93}
PHRASE_MINIMIZE: Final = 96
PHRASE_MINIMIZE_OFF: Final = 95
_SUSPENDED_UNTIL: Final = 92
_MINIMIZE_UNNAMED: Final = 94
"""Names no precedence; "what cannot wait" is FLASH and IMMEDIATE."""
_STATES: Final = {code: state for state, code in PHRASE_OF_STATE.items()} | {
    _SUSPENDED_UNTIL: LineState.SUSPENDED
}


class Minimize(NamedTuple):
    """An order to send only what matters; `lowest` is the slowest that may go, None: lifted."""

    lowest: Precedence | None


def declared(notice: NoticeHead) -> LineState | Minimize | None:
    """What a LINE STATE, or the UPDATE of one, declares; None: nothing that a machine can read."""
    body = notice.phrase
    if body is None or not codebook.fits(body):
        return None
    if body.code == PHRASE_MINIMIZE:
        return Minimize(Precedence[str(body.slots[0])])
    if body.code == PHRASE_MINIMIZE_OFF:
        return Minimize(None)
    if body.code == _MINIMIZE_UNNAMED:
        return Minimize(Precedence.IMMEDIATE)
    return _STATES.get(body.code)
