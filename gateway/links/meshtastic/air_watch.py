"""What the ends of our packets say of the air and of who else uses this radio. Pure.

The radio answers and yet nothing arrives: deaf, unheard, the far radio gone, or a second program
that takes our answers. Each has a sentence for people; none changes what is sent.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import Final

NO_ACK_COUNT: Final = 3
"""Packets in a row; on LONG_FAST the radio says MAX_RETRANSMIT of each after 23 s."""
STALE_MS: Final = 600_000
"""Packets on a link that works ask for no ack, so that no later one may take this back."""
STATUS_COUNT: Final = 8
STATUS_LOST_COUNT: Final = 3
"""So many of the last 8 packets without a `queueStatus`: we send one at a time, so none is lost by
a burst."""


class _Heard(enum.IntEnum):
    NOBODY = 0
    OTHERS = 1
    RELAY = 2
    FAR = 3


_UNHEARD: Final = {
    _Heard.NOBODY: (
        "no packet is acknowledged and no radio is heard; check our antenna, then the far radio"
    ),
    _Heard.OTHERS: (
        "no packet is acknowledged though other radios are heard; the far radio is off or too far"
    ),
    _Heard.RELAY: (
        "packets are relayed but not acknowledged; the far radio is off or out of the relay's reach"
    ),
    _Heard.FAR: (
        "no packet is acknowledged though the far radio is heard; check our antenna and power"
    ),
}


class AirWatch:
    """Evidence since the first of the packets in a row that nobody acknowledged."""

    def __init__(self) -> None:
        self._no_ack_count = 0
        self._no_ack_ms = 0
        self._heard = _Heard.NOBODY
        self._statuses: deque[bool] = deque(maxlen=STATUS_COUNT)

    def sent(self) -> None:
        """A packet that asks for an ack is on its way."""
        if self._no_ack_count == 0:
            self._heard = _Heard.NOBODY

    def acknowledged(self) -> None:
        """The far radio acknowledged a packet."""
        self._no_ack_count = 0

    def unacknowledged(self, now_ms: int) -> None:
        """The radio sent a packet as often as it does, and no ack came."""
        self._no_ack_count += 1
        self._no_ack_ms = now_ms

    def relayed(self) -> None:
        """Another radio was heard repeating our packet."""
        self._heard = max(self._heard, _Heard.RELAY)

    def heard(self, *, is_far: bool) -> None:
        """Any packet came by radio."""
        self._heard = max(self._heard, _Heard.FAR if is_far else _Heard.OTHERS)

    def status(self, *, came: bool) -> None:
        """Whether the radio's word on a packet that we gave it came."""
        self._statuses.append(came)

    def note(self, now_ms: int) -> str:
        """One sentence without its full stop, or nothing."""
        if self._statuses.count(False) >= STATUS_LOST_COUNT:
            return (
                "answers to us get lost; end the other program that uses this radio"
                " (a telephone by Bluetooth, a browser)"
            )
        if self._no_ack_count < NO_ACK_COUNT or now_ms - self._no_ack_ms > STALE_MS:
            return ""
        return _UNHEARD[self._heard]
