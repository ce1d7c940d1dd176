"""What the active one of a station's two gateways knows of the other, from what that one reports.

The one that stands by puts a report at the cluster each `REPORT_MS`. It says nothing of time, and
no clock of another machine is believed: only a report that is new to us, seen while we look, tells
that the other one lives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.core.claim import Copy
from gateway.model import Instant

REPORT_MS: Final = 5_000
LOOK_MS: Final = 2_000
"""How often the active one looks for a new one."""
FRESH_MS: Final = 3 * REPORT_MS
"""A report proves for this long that the other one is in step."""
AWAY_MS: Final = 60_000
"""Longer than a restart, a reboot and a base: after that the alarm is lit."""
REFUSED_MS: Final = 5_000
"""A store that refuses for this long heals not by itself."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the one that stands by says of itself."""

    name: str
    copy: Copy
    problem: str = ""
    """Why its store lacks something."""

    @property
    def is_in_step(self) -> bool:
        """It follows, and nothing is wrong."""
        return self.copy in (Copy.WHOLE, Copy.BEHIND)


class Partner:
    """Of one time of being the active one."""

    def __init__(self, own_name: str, now: Instant) -> None:
        self._own_name = own_name
        self._revision: int | None = None
        self._report: Report | None = None
        self._heard_at = now
        self._in_step_at = now

    def heard(self, report: Report | None, revision: int, now: Instant) -> None:
        """The report that is at the cluster; the first one seen after `lost_sight` may be of any
        age.
        """
        is_new = self._revision is not None and revision != self._revision
        self._revision = revision
        if report is None or not is_new or report.name == self._own_name:
            return
        self._report, self._heard_at = report, now
        if report.is_in_step:
            self._in_step_at = now

    def lost_sight(self) -> None:
        """The cluster was away."""
        self._revision = None

    def is_in_step(self, now: Instant) -> bool:
        """Whether it could take over now."""
        report = self._report
        return report is not None and report.is_in_step and now < self._heard_at + FRESH_MS

    def doubt(self, now: Instant) -> str:
        """Why it could not take over now, as far as is known; empty: it could."""
        report = self._report
        if self.is_in_step(now):
            return ""
        if report is None:
            return "the other gateway is not heard of"
        if now >= self._heard_at + FRESH_MS:
            return f"gateway {report.name} is not heard of any more"
        return f"gateway {report.name} is out of step: {report.problem or report.copy.value}"

    def gives_way(self, refused_ms: int, now: Instant) -> bool:
        """Whether the other one shall be the active one, since our store refuses for so long."""
        return refused_ms >= REFUSED_MS and self.is_in_step(now)

    def problem(self, now: Instant) -> str:
        """Why it could not take over for `AWAY_MS`; empty: it could, or may soon."""
        if now < self._in_step_at + AWAY_MS:
            return ""
        report = self._report
        if report is None:
            return "it was not heard of since this one became the active one"
        if now >= self._heard_at + AWAY_MS:
            return f"gateway {report.name} is not heard of any more"
        return f"gateway {report.name} is out of step: {report.problem or report.copy.value}"
