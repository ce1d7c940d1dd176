"""What the two gateways say through their feeds: every notice that came in, every state, and when.

The only source of the bench's times and of "lost" and "doubled"; follows each feed by its offsets,
across kills and restarts.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gateway.sim.bench.http_client import ApiClient, ApiUnreachableError

POLL_WAIT_S: Final = 20
RETRY_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class StateSeen:
    """A state that a gateway published."""

    state: str
    link: str | None
    evidence: str
    overdue: bool
    at_s: float
    """When the bench saw it, by the loop's clock."""


class FeedWatch:
    """Follows the feed of one gateway."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self.on_change: Callable[[], None] = lambda: None
        self.offset = 0
        self.inbound: Counter[str] = Counter()
        """How often each notice came in, by its text."""
        self.inbound_ids: Counter[str] = Counter()
        self.inbound_at_s: dict[str, float] = {}
        """When each notice was first seen here, by its id and the loop's clock."""
        self.id_of_text: dict[str, str] = {}
        self.states: defaultdict[str, list[StateSeen]] = defaultdict(list)
        """By notice id, in the order of commits."""
        self.problems: list[str] = []

    async def run(self) -> None:
        """Follow until cancelled; a gateway that is away is asked again."""
        while True:
            target = f"/v1/notices?after={self.offset}&wait={POLL_WAIT_S}"
            try:
                status, page = await self._api.request("GET", target, timeout_s=POLL_WAIT_S + 10)
            except ApiUnreachableError:
                await asyncio.sleep(RETRY_S)
                continue
            if status != 200:
                self.problems.append(f"{target} answers {status}: {page}")
                await asyncio.sleep(RETRY_S)
                continue
            for publication in page["publications"]:
                self._note(publication)
            if page["publications"]:
                self.on_change()

    def _note(self, publication: dict[str, Any]) -> None:
        offset, document = publication["offset"], publication["document"]
        if offset <= self.offset:
            self.problems.append(f"the feed goes back from offset {self.offset} to {offset}")
        self.offset = offset
        notice_id = document["id"]
        if publication["topic"] == "notice":
            self.inbound_ids[notice_id] += 1
            self.inbound_at_s.setdefault(notice_id, asyncio.get_running_loop().time())
            text = str(document.get("text", ""))
            self.inbound[text] += 1
            self.id_of_text[text] = notice_id
            return
        seen = StateSeen(
            document["state"],
            document["link"],
            document["evidence"],
            document["overdue"],
            asyncio.get_running_loop().time(),
        )
        self.states[notice_id].append(seen)
