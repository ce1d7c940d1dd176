"""What an engine is given where its gateway is one of two. Nothing here knows of the cluster."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.api.spare import Spare
from gateway.store.base import Store


@dataclass(frozen=True, slots=True)
class Beside:
    """What the active one of a station's two gateways has besides."""

    store: Store
    """In place of the daemon's own."""
    may_transmit: Callable[[], bool]
    """Asked for each frame."""
    control: Spare
    tasks: Sequence[Coroutine[Any, Any, Any]]
    watch: Callable[[Callable[[], bool], Callable[[], int]], None]
    """Given the questions whether the engine works, and for how many ms the store refuses."""
    is_behind: bool
    """It may lack what the other one has said."""
