"""The one button (DESIGN section 9): a press is a ROGER only when it cannot mean anything else."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from gateway.core.policy import Policy
from gateway.core.timers import Timers
from gateway.model import ActId, Instant, Precedence

HOLD_TIMER: Final = ("button_hold",)


class Press(enum.Enum):
    """What a press or release came to."""

    NOTHING = "nothing"
    SILENCED = "silenced"
    ROGER = "roger"
    ONCE_MORE = "once more"
    """FLASH: a second press within 5 s is needed."""


class Refusal(enum.Enum):
    """Why a press said nothing although a notice waits: what to do, for the person who pressed."""

    TOO_LONG = "held too long for a ROGER; press for less than a second"
    NOT_SHOWN = "no screen has shown the notice yet; read it (`hotline inbox`), then press"
    TOO_SOON = "the lamp had shown the notice for less than two seconds; press again"


@dataclass(frozen=True, slots=True)
class Candidate:
    """The one notice that the pending lamp indicates."""

    notice_id: ActId
    precedence: Precedence
    indicated_since: Instant
    is_displayed: bool


class Button:
    """Pure machine: presses, releases and the hold timer in, their meaning out."""

    __slots__ = ("_armed", "_policy", "_pressed_at", "_silences", "_timers")

    def __init__(self, policy: Policy, timers: Timers) -> None:
        self._policy = policy
        self._timers = timers
        self._pressed_at: Instant | None = None
        self._silences = False
        self._armed: tuple[ActId, Instant] | None = None
        """The FLASH notice pressed once, and until when the second press counts."""

    def press(self, now: Instant, *, is_sounding: bool) -> Press:
        self._pressed_at = now
        self._silences = is_sounding
        self._timers.set(HOLD_TIMER, Instant(now + self._policy.button_hold_ms))
        return Press.SILENCED if is_sounding else Press.NOTHING

    def release(self, now: Instant, candidate: Candidate | None) -> Press | Refusal:
        """A release without its press (held at boot) means nothing."""
        pressed_at, self._pressed_at = self._pressed_at, None
        self._timers.drop(HOLD_TIMER)
        if pressed_at is None or self._silences or candidate is None:
            return Press.NOTHING
        held_ms = now - pressed_at
        if held_ms >= self._policy.button_hold_ms:
            return Press.NOTHING
        refusal = self._refusal(held_ms, pressed_at - candidate.indicated_since, candidate)
        if refusal is not None:
            self._armed = None
            return refusal
        if candidate.precedence is not Precedence.FLASH:
            return Press.ROGER
        armed, self._armed = self._armed, None
        if armed is not None and armed[0] == candidate.notice_id and now <= armed[1]:
            return Press.ROGER
        self._armed = (candidate.notice_id, Instant(now + self._policy.button_flash_again_ms))
        return Press.ONCE_MORE

    def _refusal(self, held_ms: int, shown_ms: int, candidate: Candidate) -> Refusal | None:
        if held_ms > self._policy.button_press_max_ms:
            return Refusal.TOO_LONG
        if not candidate.is_displayed:
            return Refusal.NOT_SHOWN
        return Refusal.TOO_SOON if shown_ms < self._policy.button_silence_ms else None

    def is_held(self) -> bool:
        """At the hold timer: still down, so it is a lamp test."""
        held = self._pressed_at is not None
        self._pressed_at = None
        return held
