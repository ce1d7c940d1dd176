"""The contract of a link driver: serve one working device, report facts, fail when it is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.core.effects import Transmit
from gateway.core.events import (
    FrameAcknowledged,
    FrameReceived,
    FrameRefused,
    FrameRelayed,
    FrameSent,
    LinkDown,
    LinkTold,
    LinkUp,
)

LinkEvent = (
    LinkUp
    | LinkDown
    | LinkTold
    | FrameReceived
    | FrameSent
    | FrameAcknowledged
    | FrameRelayed
    | FrameRefused
)
Emit = Callable[[LinkEvent], None]
"""Hands an event to the loop; never blocks, callable from the event loop's thread only."""


class Outbox(Protocol):
    """Frames for a driver, fastest precedence first; bounded by the engine (a few at a time)."""

    async def get(self) -> Transmit:
        """Wait for the next frame; cancellable without losing one."""
        ...


class LinkDriver(Protocol):
    """One medium. Emits `LinkUp` after its handshake.

    Every `Transmit` it took ends in exactly one of `FrameSent` (then perhaps `FrameRelayed`,
    `FrameAcknowledged` or `FrameRefused`) or `FrameRefused`. What it had taken and not reported
    when it fails, the supervisor reports as `FrameRefused` LINK_LOST after `LinkDown`.
    """

    async def run(self, emit: Emit, outbox: Outbox) -> None:
        """Serve one working device until it is gone. Raises `LinkLostError`; never reconnects."""
        ...
