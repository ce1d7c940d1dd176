"""What is tried for a device that is there and does not answer, in which order. Pure.

The driver probes it first (heartbeats). Then it is opened again, told to start again, switched off
and on; then a person is called, and all begins again from the bottom, for ever.
"""

from __future__ import annotations

import enum
from typing import Final


class Rung(enum.Enum):
    REOPEN = "it is opened again"
    REBOOT = "it is told to start again"
    REAUTHORISE = "its USB device is started anew"
    ALARM = "a person is needed"


AGAIN: Final = "a person is needed; meanwhile all is tried again"
"""From the second round on, in place of each rung: a radio that stays frozen is told once."""
RUNG_DEADLINE_S: Final = 15.0
"""For what a rung does; the driver's handshake, which shows whether it helped, has its own."""
STABLE_S: Final = 120.0
"""A device that served this long was healed; one that goes silent sooner climbs on."""
DOWN_S_MAX: Final = 120.0
"""Whatever the cause, a person is called then: a pulled plug is found by nobody else."""


def rung(silent_count: int) -> Rung:
    """What to do after so many drivers in a row, from 1, found the device silent."""
    rungs = tuple(Rung)
    return rungs[(silent_count - 1) % len(rungs)]


def needs_person(silent_count: int, down_s: float) -> bool:
    """Whether every rung was tried once in vain, or the device has been away too long."""
    return silent_count >= len(Rung) or down_s >= DOWN_S_MAX
