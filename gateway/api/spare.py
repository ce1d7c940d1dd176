"""The endpoint by which a person says which of a station's two gateways is the active one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.core.claim import Obstacle
from gateway.errors import FieldError

_ROLES = {"active": True, "standby": False}


class Spare(Protocol):
    """What the runtime offers where a station has two gateways."""

    @property
    def is_unreplicated(self) -> bool: ...

    def document(self) -> dict[str, object]: ...

    async def promote(self, *, other_is_off: bool) -> Obstacle | None: ...

    async def stand_by(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants this gateway to be."""

    is_promotion: bool
    other_is_off: bool


def read_wish(document: object) -> Wish:
    """`{"role": "active" or "standby", "other_is_off": bool}`. Raises `FieldError`."""
    if not isinstance(document, Mapping):
        raise FieldError("body", "is no object", 'send {"role": "active"} or {"role": "standby"}')
    for name in document:
        if name not in ("role", "other_is_off"):
            raise FieldError(str(name)[:40], "is not known", "send role and other_is_off")
    role, other_is_off = document.get("role"), document.get("other_is_off", False)
    if not isinstance(role, str) or role not in _ROLES:
        raise FieldError("role", "is neither active nor standby", "write one of the two")
    if not isinstance(other_is_off, bool):
        raise FieldError("other_is_off", "is neither true nor false", "write one of the two")
    return Wish(_ROLES[role], other_is_off)
