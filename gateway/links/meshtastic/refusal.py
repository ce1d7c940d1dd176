"""What the error codes of a radio mean to us. They come in a `queueStatus` or a NAK, and are few
for many causes (measured on firmware 2.7.26).
"""

from __future__ import annotations

import re
from typing import Final

from gateway.core.events import Refusal
from gateway.links.meshtastic.protobuf import mesh_pb2

_Error = mesh_pb2.Routing.Error

STATUS_OK: Final = 0
STATUS_FULL: Final = 32
"""Also BAD_REQUEST; a full queue is told by `free` = 0."""
NO_CHIP: Final = "its LoRa chip did not start: switch it off and on, then replace it"
_MINUTE_MS: Final = 60_000

_REFUSAL: Final = {
    int(_Error.NO_ROUTE): Refusal.NO_ACK,
    int(_Error.GOT_NAK): Refusal.NO_ACK,
    int(_Error.TIMEOUT): Refusal.NO_ACK,
    int(_Error.MAX_RETRANSMIT): Refusal.NO_ACK,
    int(_Error.NO_RESPONSE): Refusal.NO_ACK,
    int(_Error.TOO_LARGE): Refusal.TOO_LARGE,
    int(_Error.DUTY_CYCLE_LIMIT): Refusal.DUTY_CYCLE,
    int(_Error.PKI_FAILED): Refusal.NO_KEY,
    int(_Error.PKI_UNKNOWN_PUBKEY): Refusal.NO_KEY,
    int(_Error.PKI_SEND_FAIL_PUBLIC_KEY): Refusal.NO_KEY,
}

_STATUS_NO_INTERFACE: Final = 33
"""ERRNO_NO_INTERFACES of the firmware's Router, in a `queueStatus`; its NAK says NO_INTERFACE."""

_OBSTACLE: Final = {
    _STATUS_NO_INTERFACE: NO_CHIP,
    int(_Error.NO_INTERFACE): NO_CHIP,
    int(_Error.PKI_FAILED): (
        "it refuses to send: its transmitter is off or its region unset: hotline radio set-up"
    ),
    int(_Error.NO_CHANNEL): (
        "it refuses to send: its primary channel is disabled: hotline radio set-up --channel"
    ),
}

RETRY_AFTER_MS: Final = {
    Refusal.NO_KEY: 15_000,
    Refusal.NOT_READY: 60_000,
    Refusal.QUEUE_FULL: 2_000,
}
"""When another attempt may do better; after NO_KEY the radios exchange keys by themselves."""

DUTY_RETRY_MS_MAX: Final = 300_000
"""The firmware counts the minutes of its hour from the wrong end and may name an hour too much; an
attempt that it refuses costs no airtime."""

_MINUTES: Final = re.compile(r"(\d{1,3}) min")


def refusal_of(error: int, *, knows_far_key: bool) -> Refusal:
    """The reason for a code other than 0; NOT_READY for every code that we do not know."""
    if error == _Error.PKI_FAILED and knows_far_key:
        return Refusal.NOT_READY  # 34 also means: transmitter switched off or region unset.
    return _REFUSAL.get(error, Refusal.NOT_READY)


def obstacle_of(error: int) -> str:
    """Why our own radio sends nothing, and what to do; empty for a code that says less than that.

    Of PKI_FAILED it is true after the packet was refused under the channel's key as well.
    """
    return _OBSTACLE.get(error, "")


def retry_after_ms(text: str) -> int | None:
    """How long a duty cycle refusal lasts, from its notification for people; None if it is silent.

    The code alone decides that it is a refusal; only the duration has no other source.
    """
    minutes = _MINUTES.search(text)
    return min(int(minutes[1]) * _MINUTE_MS, DUTY_RETRY_MS_MAX) if minutes else None
