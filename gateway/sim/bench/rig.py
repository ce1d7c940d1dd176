"""The parts of a running bench that its steps and its people use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.sim.bench.ledger import Ledger
from gateway.sim.bench.media import Media
from gateway.sim.bench.process import GatewayProcess
from gateway.sim.bench.submit import Queue
from gateway.sim.bench.watch import FeedWatch


@dataclass(frozen=True, slots=True)
class Rig:
    """Two gateways by station name, their feeds, the links between them, and the queue."""

    processes: Mapping[str, GatewayProcess]
    feeds: Mapping[str, FeedWatch]
    media: Media
    ledger: Ledger
    queue: Queue
