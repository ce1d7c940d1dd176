"""What people see and say of a station's two gateways, and the keeper made from the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.config.settings import Settings
from gateway.core.claim import Obstacle
from gateway.model import Instant, Now
from gateway.runtime.adapters import nats_access
from gateway.runtime.board import Board
from gateway.runtime.keeper import Keeper, Observe
from gateway.runtime.left_behind import LeftBehind
from gateway.security.keys import KeyRing
from gateway.spare.twin import twin_of

ACTIVE: Final = "active"
STANDBY: Final = "standby"


def make_keeper(
    settings: Settings, keys: KeyRing, instant: Callable[[], Instant], observe: Observe
) -> Keeper:
    """Of a station with a table [spare]."""
    spare = settings.spare
    assert spare is not None
    access = None
    if settings.nats is not None:
        access = nats_access(settings.nats, settings.station.name)
    return Keeper(
        name=spare.name,
        by_lease=spare.takeover == "lease",
        lease_s=spare.lease_s,
        folder=settings.station.state_folder,
        access=access,
        twin=twin_of(keys, spare),
        instant=instant,
        observe=observe,
    )


def make_board(
    settings: Settings,
    keys: KeyRing,
    keeper: Keeper,
    left: LeftBehind,
    now: Callable[[], Now],
    observe: Observe,
) -> Board:
    """Of such a station too."""
    spare = settings.spare
    assert spare is not None
    return Board(
        name=spare.name,
        station=keys.card.station,
        tenure=keeper.tenure,
        by_lease=spare.takeover == "lease",
        now=now,
        observe=observe,
        refusal=lambda: keeper.refusal,
        left=left,
    )


class SpareControl:
    """The API's side of it."""

    def __init__(
        self,
        keeper: Keeper,
        *,
        serves: bool,
        problem: Callable[[], str],
        waiting: Callable[[], int] = int,
        vacancy: Callable[[], str] = str,
    ) -> None:
        """`serves`: there is an engine. `problem` is what this store lacks (standing by), or the
        cluster (active); empty: nothing. `waiting`: how many acts the cluster lacks. `vacancy`: why
        no gateway of the station is active.
        """
        self._keeper = keeper
        self._serves = serves
        self._problem = problem
        self._waiting = waiting
        self._vacancy = vacancy

    @property
    def is_unreplicated(self) -> bool:
        """Whether what is accepted now is here alone."""
        return self._serves and bool(self._problem())

    def document(self) -> dict[str, object]:
        """As the API gives it."""
        keeper, tenure = self._keeper, self._keeper.tenure
        is_active = self._serves and keeper.may_transmit(tenure.number)
        other = tenure.other
        return {
            "name": keeper.name,
            "role": ACTIVE if is_active else STANDBY,
            "held_by": tenure.hold.value,
            "term": tenure.term,
            "other": None if other is None else {"name": other.name, "held_by": other.hold.value},
            "cluster": "" if keeper.cluster is not None else keeper.problem or "connecting",
            "problem": self._problem(),
            "vacancy": self._vacancy(),
            "follower": keeper.doubt if is_active else "",
            "unreplicated_count": self._waiting() if self.is_unreplicated else 0,
            "pending": self._pending(),
        }

    def _pending(self) -> dict[str, object] | None:
        keeper = self._keeper
        pending_ms = keeper.tenure.promotion.pending_ms(keeper.now())
        if not pending_ms:
            return None
        return {"for_s": -(-pending_ms // 1000), "reason": keeper.refusal}

    async def promote(self, *, other_is_off: bool) -> Obstacle | None:
        return await self._keeper.promote(other_is_off=other_is_off)

    async def stand_by(self) -> None:
        await self._keeper.stand_by()
