"""The airtime governor: time on air of one link in the rolling hour, against its duty cycle.

A reserve is kept for FLASH and IMMEDIATE. What does not fit is HELD, and `fits_at` says until when.
Counts in whole minutes, rounded up, so that the radio, which counts too, never refuses first.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from gateway.model import Instant, Precedence

HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000
_MINUTES: Final = 61
"""A minute counts until the last of its 60 s is this old: what is charged when it is handed over
may be on air, retransmissions of the firmware included, up to a minute later."""


class Governor:
    """Spent airtime by minute. A `share` of None means no limit: then it only counts."""

    __slots__ = ("_reserve", "_share", "_since_ms", "_spent", "_told", "_total_ms")

    def __init__(self, *, reserve: float) -> None:
        """`reserve` is the part of the budget, 0 to 1, that only urgent precedences may use."""
        self._reserve = reserve
        self._share: float | None = None
        self._spent: deque[tuple[int, int]] = deque()
        """(minute, milliseconds), oldest first."""
        self._total_ms = 0
        self._told: tuple[Instant, int] | None = None
        """When the radio told its own count of the hour, and that count in milliseconds."""
        self._since_ms = 0
        """Charged after that."""

    @property
    def is_limited(self) -> bool:
        return self._share is not None

    def limit(self, share: float | None) -> None:
        """The duty cycle of the region that the radio is set to, 0 to 1; None: none."""
        self._share = share

    def spend(self, now: Instant, airtime_ms: float) -> None:
        """Charge time on air, ours or made for us (acks, firmware retransmissions), rounded up."""
        minute = now // MINUTE_MS
        whole = int(-(-airtime_ms // 1))
        self._forget(minute)
        if self._spent and self._spent[-1][0] == minute:
            self._spent[-1] = (minute, self._spent[-1][1] + whole)
        else:
            self._spent.append((minute, whole))
        self._total_ms += whole
        self._since_ms += whole

    def resume(self, now: Instant, spent_ms: int) -> None:
        """The radio's own count: it acked while no gateway listened. What is more counts as of now.

        It does not say when in the hour that was, so its whole count, with what is charged from
        now on, is the least that counts until the hour is over: our own charges of before leave
        our hour earlier than acks, made later, leave the radio's.
        """
        more = spent_ms - self.spent_ms(now)
        if more > 0:
            self.spend(now, more)
        self._told, self._since_ms = (now, spent_ms), 0

    def give_back(self, at: Instant, airtime_ms: float) -> None:
        """Take back what was charged at that time for the worst case and was not sent."""
        whole = int(airtime_ms)
        for index, (minute, spent) in enumerate(self._spent):
            if minute == at // MINUTE_MS:
                returned = min(whole, spent)
                self._spent[index] = (minute, spent - returned)
                self._total_ms -= returned
                if self._told is not None and at >= self._told[0]:
                    self._since_ms -= returned
                return

    def spent_ms(self, now: Instant) -> int:
        """Charged in the rolling hour."""
        self._forget(now // MINUTE_MS)
        return max(self._total_ms, self._least_ms())

    def minutes(self) -> tuple[tuple[int, int], ...]:
        """(minute, milliseconds) of the rolling hour, for the store."""
        return tuple(self._spent)

    def fits(self, now: Instant, airtime_ms: float, precedence: Precedence) -> bool:
        """Whether a frame of this airtime may go now."""
        budget = self._budget_ms(precedence)
        return budget is None or self.spent_ms(now) + airtime_ms <= budget

    def fits_at(self, now: Instant, airtime_ms: float, precedence: Precedence) -> Instant:
        """The first instant at which it will, if nothing else is sent meanwhile; `now` if it does.

        A frame that no empty hour has room for is let go when the hour is empty.
        """
        return self._at(now, airtime_ms, self._budget_ms(precedence))

    def forecast(self, now: Instant, airtime_ms: float, precedence: Precedence) -> Instant:
        """When the last of so much airtime will fit, should it all go as soon as it may: what is
        above a whole budget finds room when all of that is forgotten.
        """
        budget = self._budget_ms(precedence)
        if not budget:
            return now
        laps = max(-(-airtime_ms // budget) - 1, 0)
        at = self._at(now, airtime_ms - laps * budget, budget)
        return Instant(at + int(laps) * (_MINUTES + 1) * MINUTE_MS)

    def upkeep_at(self, now: Instant, airtime_ms: float) -> Instant:
        """The same for hellos and beats: half of the reserve is not for them."""
        if self._share is None:
            return now
        return self._at(now, airtime_ms, self._share * HOUR_MS * (1 - self._reserve / 2))

    def _at(self, now: Instant, airtime_ms: float, budget: float | None) -> Instant:
        if budget is None or self.spent_ms(now) + airtime_ms <= budget:
            return now
        told_until = now
        if self._told is not None and self._least_ms() + airtime_ms > budget:
            told_until = self._ends_at(self._told[0] // MINUTE_MS)
        left = self._total_ms
        for minute, spent in self._spent:
            if left + airtime_ms <= budget:
                break
            left -= spent
            if left + airtime_ms <= budget or not left:
                return max(self._ends_at(minute), told_until)
        return told_until

    @staticmethod
    def _ends_at(minute: int) -> Instant:
        """When what was charged in it counts no more."""
        return Instant((minute + _MINUTES + 1) * MINUTE_MS)

    def _least_ms(self) -> int:
        return 0 if self._told is None else self._told[1] + self._since_ms

    def _budget_ms(self, precedence: Precedence) -> float | None:
        if self._share is None:
            return None
        whole = self._share * HOUR_MS
        return whole if precedence <= Precedence.IMMEDIATE else whole * (1 - self._reserve)

    def _forget(self, minute: int) -> None:
        while self._spent and self._spent[0][0] < minute - _MINUTES:
            self._total_ms -= self._spent.popleft()[1]
        if self._told is not None and self._told[0] // MINUTE_MS < minute - _MINUTES:
            self._told = None
