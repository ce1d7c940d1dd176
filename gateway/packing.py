"""Ids of acts as the store and the log book keep them: 5 octets, or one number of 40 bits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway.model import ActId

_ID_SIZE: Final = 5
"""Octets."""


def pack_id(act_id: ActId) -> int:
    """An id as one number of 40 bits, as the store and the log book keep it."""
    return act_id.originator << 32 | act_id.epoch << 16 | act_id.serial


def unpack_id(number: int) -> ActId:
    """What `pack_id` made; nothing is checked."""
    # Plain ints are what the new types are; not calling them saves a tenth of a restart.
    return ActId(number >> 32, number >> 16 & 0xFFFF, number & 0xFFFF)  # type: ignore[arg-type]


def pack_ids(act_ids: Iterable[ActId]) -> bytes:
    """5 octets for each."""
    return b"".join(pack_id(act_id).to_bytes(_ID_SIZE) for act_id in act_ids)


def unpack_ids(octets: bytes) -> tuple[ActId, ...]:
    """What `pack_ids` made; nothing is checked."""
    return tuple(
        unpack_id(int.from_bytes(octets[start : start + _ID_SIZE]))
        for start in range(0, len(octets), _ID_SIZE)
    )
