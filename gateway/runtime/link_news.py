"""What changed on links and lines since one looked last, in sentences for who started us. Pure.

The first look tells only what does not work: that nothing was heard yet is no news.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gateway.core.effects import LinkStatus, Status
from gateway.model import LinkName, LinkState, Station

_PASSES = (LinkState.UP, LinkState.DEGRADED)


class LinkNews:
    """Remembers what was told; one sentence for each change, none for what stays."""

    def __init__(self, name_of: Callable[[Station], str]) -> None:
        self._name_of = name_of
        self._faults: dict[LinkName, str | None] = {}
        """What is wrong with each device; None: it works. Absent: its driver said nothing yet."""
        self._carrying: dict[Station, bool] = {}

    def of(self, status: Status) -> Iterator[str]:
        """What is new in this status."""
        for link in status.links:
            yield from self._of_device(link)
        for station in dict.fromkeys(link.station for link in status.links):
            yield from self._of_line(
                station, [it for it in status.links if it.station == station and _passes(it)]
            )

    def _of_device(self, link: LinkStatus) -> Iterator[str]:
        if not link.device_up and not link.detail:
            return
        fault = None if link.device_up else link.detail
        if link.name in self._faults and self._faults[link.name] == fault:
            return
        self._faults[link.name] = fault
        if fault is not None:
            yield f"link {link.name}: our device DOES NOT WORK: {fault}"
        else:
            detail = f": {link.detail}" if link.detail else ""
            yield f"link {link.name}: our device works{detail}"

    def _of_line(self, station: Station, passing: list[LinkStatus]) -> Iterator[str]:
        if bool(passing) == self._carrying.get(station, False):
            return
        self._carrying[station] = bool(passing)
        if passing:
            names = ", ".join(link.name for link in passing)
            yield f"line to {self._name_of(station)} is UP by {names}: its gateway answers"
        else:
            yield f"line to {self._name_of(station)} is DOWN: its gateway does not answer"


def _passes(link: LinkStatus) -> bool:
    return link.device_up and link.state in _PASSES
