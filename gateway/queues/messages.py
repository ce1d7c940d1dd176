"""What goes through a queue, whatever its transport: a message that came in, and one of ours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """A message that the broker handed us; `acknowledge` it when it is dealt with."""

    topic: str
    """Levels divided by /, whatever the transport writes."""
    payload: bytes
    qos: int
    """As MQTT has it; 1 where the transport has one way only."""
    is_retained: bool
    mid: int
    """By which the transport acknowledges it: a packet identifier, or a place in the stream."""
    content_type: str | None
    response_topic: str | None
    correlation: bytes | None
    user_properties: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message of ours, at least once."""

    topic: str
    payload: bytes
    content_type: str = "application/json"
    is_retained: bool = False
    correlation: bytes | None = None
    user_properties: tuple[tuple[str, str], ...] = ()
